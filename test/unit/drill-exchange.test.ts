// SPDX-License-Identifier: Apache-2.0
// How an exchange ends, against servers on the loopback address.

import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import test, { type ExecutionContext } from "ava";
import type { Exchange, Outcome } from "../../ops/drill/events.ts";
import { HttpExchange } from "../../ops/drill/exchange.ts";

const BODY = Buffer.from("0123456789");
const HEAD =
  "HTTP/1.1 200 OK\r\nX-Real-Server: s2\r\nX-Lip: 10.200.0.17\r\n\r\n";

type Result = {
  readonly exchange: Exchange;
  readonly begun: readonly object[];
};

/** One exchange with a server that does `serve` once the request has come. */
async function exchangeWith(
  t: ExecutionContext,
  serve: (socket: Socket, client: HttpExchange) => void,
): Promise<Result> {
  const server = createServer((socket) => {
    socket.on("error", () => {}); // The client may be gone already.
    socket.once("data", () => serve(socket, client));
  }).listen(0, "127.0.0.1");
  t.teardown(() => server.close());
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" ? (address?.port ?? 0) : 0;
  const begun: object[] = [];
  const { promise, resolve } = Promise.withResolvers<Exchange>();
  const client = new HttpExchange({
    id: 1,
    address: "127.0.0.1",
    port,
    path: "/file",
    expected: BODY,
    silenceMs: 200,
    onBegun: (facts) => begun.push(facts),
    onEnded: resolve,
  });
  return { exchange: await promise, begun };
}

test("HttpExchange is complete when all has come, in whatever pieces", async (t) => {
  const { exchange, begun } = await exchangeWith(t, (socket) => {
    socket.setNoDelay(true);
    const pieces = [HEAD.slice(0, 20), HEAD.slice(20), "01234", "56789"];
    const next = () => {
      const piece = pieces.shift();
      if (piece !== undefined) socket.write(piece, () => setImmediate(next));
    };
    next();
  });
  t.like(exchange, {
    ...{ id: 1, outcome: "complete", bytesVerified: BODY.length },
    ...{ lip: "10.200.0.17", server: "s2" },
  });
  t.deepEqual(begun, [
    { port: exchange.port, lip: "10.200.0.17", server: "s2" },
  ]);
  t.true(exchange.port > 0 && exchange.endMs >= exchange.beginMs);
});

type Ending = {
  readonly outcome: Outcome;
  readonly title: string;
  readonly serve: (socket: Socket, client: HttpExchange) => void;
};

const ENDINGS: readonly Ending[] = [
  {
    outcome: "reset",
    title: "a RST",
    serve: (socket: Socket) => {
      socket.write(`${HEAD}012`);
      setImmediate(() => socket.resetAndDestroy());
    },
  },
  {
    outcome: "endedEarly",
    title: "a FIN before the end",
    serve: (socket: Socket) => socket.end(`${HEAD}012`),
  },
  {
    outcome: "timedOut",
    title: "silence",
    serve: (socket: Socket) => socket.write(`${HEAD}012`),
  },
  {
    outcome: "corrupted",
    title: "a wrong byte",
    serve: (socket: Socket) => socket.write(`${HEAD}01X3456789`),
  },
  {
    outcome: "corrupted",
    title: "too many bytes",
    serve: (socket: Socket) => socket.write(`${HEAD}0123456789a`),
  },
  {
    outcome: "corrupted",
    title: "another status",
    serve: (socket: Socket) => socket.write("HTTP/1.1 502 Bad\r\n\r\n"),
  },
  {
    outcome: "stopped",
    title: "an end from this side",
    serve: (socket: Socket, client: HttpExchange) => {
      socket.write(`${HEAD}012`);
      setTimeout(() => client.stop(), 20);
    },
  },
];

for (const { outcome, title, serve } of ENDINGS)
  test(`HttpExchange tells ${title} as ${outcome}`, async (t) => {
    const { exchange } = await exchangeWith(t, serve);
    t.is(exchange.outcome, outcome);
  });
