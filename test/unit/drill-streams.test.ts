// SPDX-License-Identifier: Apache-2.0
// The program of the many connections notices whatever happens to one of them on its way.

import { once } from "node:events";
import { createServer, connect, type Socket } from "node:net";
import test, { type ExecutionContext } from "ava";
import type { Stream, StreamStatus } from "../../ops/drill/stream-events.ts";
import { connections, serve } from "./streams-program.ts";

/** Hello and a few frames have passed by then. */
const EARLY_BYTES = 2_000;

/** A port that nobody uses now, of neither family. */
async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "::");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  await once(probe, "close");
  return typeof address === "object" ? (address?.port ?? 0) : 0;
}

/** What stands between both ends: hears each piece, and passes on what it likes. */
type Middle = (
  bytes: Buffer,
  from: "client" | "server",
  to: Socket,
  other: Socket,
  passed: number,
) => void;

/** What the connections through it have come to, once `isDone`. */
async function through(
  t: ExecutionContext,
  middle: Middle,
  commands: readonly string[],
  isDone: (status: StreamStatus) => boolean,
  host = "127.0.0.1",
): Promise<readonly Stream[]> {
  const port = await freePort();
  serve(t, "tcp", port);
  const proxy = createServer((client) => {
    const real = connect(port, host);
    for (const [from, socket, other] of [
      ["client", client, real],
      ["server", real, client],
    ] as const) {
      let passed = 0;
      socket.on("data", (bytes: Buffer) => {
        middle(bytes, from, other, socket, passed);
        passed += bytes.length;
      });
      socket.on("error", () => other.destroy());
      socket.on("end", () => other.end());
    }
  }).listen(0, host);
  t.teardown(() => proxy.close());
  await once(proxy, "listening");
  const address = proxy.address();
  const to = {
    protocol: "tcp",
    address: host,
    port: typeof address === "object" ? (address?.port ?? 0) : 0,
  } as const;
  return connections(t, to, commands, isDone);
}

for (const host of ["127.0.0.1", "::1"])
  test(`streams verify both directions to the last byte, with ${host}`, async (t) => {
    let bytes = 0;
    const count: Middle = (piece, _from, to) => {
      bytes += piece.length;
      to.write(piece);
    };
    const found = await through(
      t,
      count,
      ["open 20 1000", "storm 50"],
      ({ complete }) => complete >= 20,
      host,
    );
    const lasting = found.filter(({ brief }) => !brief);
    t.is(lasting.length, 20);
    t.true(found.every(({ outcome }) => outcome === "complete"));
    const verified = found.map(({ bytesVerified }) => bytesVerified);
    t.is(
      verified.reduce((sum, one) => sum + one, 0),
      bytes,
    );
    t.true(lasting.every(({ lip, gapMs }) => lip === host && gapMs < 2_000));
    t.true(lasting.every(({ datagrams }) => datagrams === 0));
  });

const isLate = (passed: number) => passed > EARLY_BYTES;

for (const { title, outcome, middle } of [
  {
    title: "a wrong byte from the server",
    outcome: "corrupted",
    middle: ((bytes, from, to, _other, passed) => {
      if (from === "server" && isLate(passed)) bytes[0] = (bytes[0] ?? 0) ^ 1;
      to.write(bytes);
    }) satisfies Middle,
  },
  {
    title: "a wrong byte from the client",
    outcome: "corrupted",
    middle: ((bytes, from, to, _other, passed) => {
      const at = bytes.length - 1;
      if (from === "client" && isLate(passed)) bytes[at] = (bytes[at] ?? 0) ^ 1;
      to.write(bytes);
    }) satisfies Middle,
  },
  {
    title: "a doubled piece",
    outcome: "corrupted",
    middle: ((bytes, from, to, _other, passed) => {
      to.write(bytes);
      if (from === "server" && isLate(passed)) to.write(bytes);
    }) satisfies Middle,
  },
  {
    title: "a RST",
    outcome: "reset",
    middle: ((bytes, from, to, _other, passed) => {
      if (from === "server" && isLate(passed)) to.resetAndDestroy();
      else to.write(bytes);
    }) satisfies Middle,
  },
  {
    title: "an end before the end",
    outcome: "endedEarly",
    middle: ((bytes, from, to, _other, passed) => {
      if (from === "server" && isLate(passed)) to.end();
      else if (!to.writableEnded) to.write(bytes);
    }) satisfies Middle,
  },
  {
    title: "silence of the server",
    outcome: "timedOut",
    middle: ((bytes, from, to, _other, passed) => {
      if (from === "client" || !isLate(passed)) to.write(bytes);
    }) satisfies Middle,
  },
  {
    title: "a server that hears nothing any more",
    outcome: "timedOut",
    middle: ((bytes, from, to, _other, passed) => {
      if (from === "server" || !isLate(passed)) to.write(bytes);
    }) satisfies Middle,
  },
] as const)
  test(`streams tell ${title} as ${outcome}`, async (t) => {
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

test("streams tell what refuses them as reset", async (t) => {
  const found = await through(
    t,
    (_bytes, _from, _to, other) => other.resetAndDestroy(),
    ["open 2 1000"],
    ({ broken }) => broken === 2,
  );
  t.deepEqual(
    found.map(({ outcome }) => outcome),
    ["reset", "reset"],
  );
});
