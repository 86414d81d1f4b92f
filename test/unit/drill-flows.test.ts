// SPDX-License-Identifier: Apache-2.0
// The program of the many connections, over UDP: it bears the loss of datagrams, and notices all else.

import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import test, { type ExecutionContext } from "ava";
import type { Stream, StreamStatus } from "../../ops/drill/stream-events.ts";
import { connections, serve } from "./streams-program.ts";

/** Of one direction of one flow: some have passed by then. */
const EARLY = 5;

/** What stands between both ends: hears each datagram, and sends on what it likes; `number` counts those of a direction. */
type Middle = (
  datagram: Buffer,
  from: "client" | "server",
  send: (datagram: Buffer) => void,
  number: number,
) => void;

type Ways = {
  /** The middle's own ends towards the server, by the client's port. */
  readonly reals: Map<number, Socket>;
  readonly host: string;
};

async function bound(t: ExecutionContext, host: string): Promise<Socket> {
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  let open = true;
  socket.on("close", () => (open = false));
  t.teardown(() => open && socket.close());
  socket.bind(0, host);
  await once(socket, "listening");
  return socket;
}

/** What the flows through it have come to, once `isDone`. */
async function through(
  t: ExecutionContext,
  middle: Middle,
  commands: readonly string[],
  isDone: (status: StreamStatus) => boolean,
  ways: Ways = { reals: new Map(), host: "127.0.0.1" },
): Promise<readonly Stream[]> {
  const { reals, host } = ways;
  const probe = await bound(t, host);
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  serve(t, "udp", port);
  const numbers = new Map<string, number>();
  const numberOf = (way: string) => {
    const number = numbers.get(way) ?? 0;
    numbers.set(way, number + 1);
    return number;
  };
  const front = await bound(t, host);
  front.on("message", (datagram, { port: client }) => {
    const real = reals.get(client) ?? backFor(client);
    const send = (bytes: Buffer) => real.send(bytes, port, host);
    middle(datagram, "client", send, numberOf(`from ${client}`));
  });
  const backFor = (client: number) => {
    const real = createSocket(host.includes(":") ? "udp6" : "udp4");
    t.teardown(() => real.close());
    reals.set(client, real);
    real.on("message", (datagram) => {
      const send = (bytes: Buffer) => front.send(bytes, client, host);
      middle(datagram, "server", send, numberOf(`to ${client}`));
    });
    return real;
  };
  const to = {
    protocol: "udp",
    address: host,
    port: front.address().port,
  } as const;
  return connections(t, to, commands, isDone);
}

for (const host of ["127.0.0.1", "::1"])
  test(`streams verify the datagrams of both directions, with ${host}`, async (t) => {
    let count = 0;
    const found = await through(
      t,
      (datagram, _from, send) => {
        count++;
        send(datagram);
      },
      ["open 20 1000", "storm 50"],
      ({ complete }) => complete >= 20,
      { reals: new Map(), host },
    );
    const lasting = found.filter(({ brief }) => !brief);
    t.is(lasting.length, 20);
    t.true(found.every(({ outcome }) => outcome === "complete"));
    t.true(lasting.every(({ lip, lport }) => lip === host && lport > 0));
    const datagrams = found.map((one) => one.datagrams);
    const sum = datagrams.reduce((total, one) => total + one, 0);
    // The server may not have listened yet, or one is still on its way.
    const about = 2 * found.length;
    t.true(Math.abs(sum - count) <= about, `${sum} of ${count} were counted`);
    t.true(found.every(({ bytesVerified }) => bytesVerified > 0));
  });

test("streams count lost datagrams, which break nothing", async (t) => {
  const lost = { client: 0, server: 0 };
  const found = await through(
    t,
    (datagram, from, send, number) => {
      // The first ones may be lost for want of a listener, too.
      if (number % 3 === 2 && number >= EARLY) lost[from]++;
      else send(datagram);
    },
    ["open 5 1000", "storm 20"],
    ({ complete }) => complete >= 20,
  );
  t.true(found.every(({ outcome }) => outcome === "complete"));
  const dropped = lost.client + lost.server;
  const counted = found.reduce((sum, one) => sum + one.datagramsLost, 0);
  // An answer to the end that comes too late is nobody's loss; one before anybody listened is.
  const about = 2 * found.length;
  t.true(dropped > about, "too few were dropped to say anything");
  t.true(
    Math.abs(counted - dropped) <= about,
    `${counted} were counted, ${dropped} dropped`,
  );
});

const isLate = (number: number) => number > EARLY;

for (const { title, outcome, middle } of [
  {
    title: "a wrong byte from the server",
    outcome: "corrupted",
    middle: ((datagram, from, send, number) => {
      const at = datagram.length - 1;
      if (from === "server" && isLate(number))
        datagram[at] = (datagram[at] ?? 0) ^ 1;
      send(datagram);
    }) satisfies Middle,
  },
  {
    title: "a wrong byte from the client",
    outcome: "corrupted",
    middle: ((datagram, from, send, number) => {
      const at = datagram.length - 1;
      if (from === "client" && isLate(number))
        datagram[at] = (datagram[at] ?? 0) ^ 1;
      send(datagram);
    }) satisfies Middle,
  },
  {
    title: "a datagram that comes twice",
    outcome: "corrupted",
    middle: ((datagram, from, send, number) => {
      send(datagram);
      if (from === "server" && isLate(number)) send(datagram);
    }) satisfies Middle,
  },
  {
    title: "silence of the server",
    outcome: "timedOut",
    middle: ((datagram, from, send, number) => {
      if (from === "client" || !isLate(number)) send(datagram);
    }) satisfies Middle,
  },
  {
    title: "a server that hears nothing any more",
    outcome: "timedOut",
    middle: ((datagram, from, send, number) => {
      if (from === "server" || !isLate(number)) send(datagram);
    }) satisfies Middle,
  },
] as const)
  test(`streams tell ${title} as ${outcome}, over UDP`, async (t) => {
    const found = await through(
      t,
      middle,
      ["open 3 1000"],
      ({ broken }) => broken === 3,
    );
    t.deepEqual(
      found.map((one) => one.outcome),
      [outcome, outcome, outcome],
    );
  });

test("streams tell another local port than before as moved", async (t) => {
  const reals = new Map<number, Socket>();
  const found = await through(
    t,
    (datagram, from, send, number) => {
      send(datagram);
      // What comes next of all clients goes on from other ports.
      if (from === "client" && number === EARLY) reals.clear();
    },
    ["open 3 1000"],
    ({ broken }) => broken === 3,
    { reals, host: "127.0.0.1" },
  );
  t.deepEqual(
    found.map(({ outcome }) => outcome),
    ["moved", "moved", "moved"],
  );
});

test("streams tell a port that nobody listens on as reset, over UDP", async (t) => {
  const probe = await bound(t, "127.0.0.1");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  const found = await connections(
    t,
    { protocol: "udp", address: "127.0.0.1", port },
    ["open 2 1000"],
    ({ broken }) => broken === 2,
  );
  t.deepEqual(
    found.map(({ outcome }) => outcome),
    ["reset", "reset"],
  );
});
