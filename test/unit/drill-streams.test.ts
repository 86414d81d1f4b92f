// SPDX-License-Identifier: Apache-2.0
// The program of the many connections notices whatever happens to one of them on its way.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import {
  parseStreamEvent,
  type Stream,
  type StreamStatus,
} from "../../ops/drill/stream-events.ts";

const PROGRAM = join(import.meta.dirname, "../../build/streams");
const INTERVAL_MS = "20";
/** Hello and a few frames have passed by then. */
const EARLY_BYTES = 2_000;

/** A port that nobody uses now. */
async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
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
async function connections(
  t: ExecutionContext,
  middle: Middle,
  commands: readonly string[],
  isDone: (status: StreamStatus) => boolean,
): Promise<readonly Stream[]> {
  const port = await freePort();
  const server = spawn(PROGRAM, ["serve", String(port)], { stdio: "ignore" });
  t.teardown(() => server.kill("SIGKILL"));
  const proxy = createServer((client) => {
    const real = connect(port, "127.0.0.1");
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
  }).listen(0, "127.0.0.1");
  t.teardown(() => proxy.close());
  await once(proxy, "listening");
  const address = proxy.address();
  const proxyPort = typeof address === "object" ? (address?.port ?? 0) : 0;
  const client = spawn(PROGRAM, [
    ...["connect", "127.0.0.1", String(proxyPort), INTERVAL_MS],
  ]);
  t.teardown(() => client.kill("SIGKILL"));
  const found: Stream[] = [];
  createInterface({ input: client.stdout }).on("line", (line) => {
    const event = parseStreamEvent(line);
    if (event.event === "connection") found.push(event);
    if (event.event === "status")
      client.stdin.write(isDone(event) ? "finish\n" : "status\n");
  });
  for (const line of [...commands, "status"]) client.stdin.write(`${line}\n`);
  await once(client, "close");
  return found;
}

test("streams verify both directions to the last byte", async (t) => {
  let bytes = 0;
  const count: Middle = (piece, _from, to) => {
    bytes += piece.length;
    to.write(piece);
  };
  const found = await connections(
    t,
    count,
    ["open 20 1000", "storm 50"],
    ({ complete }) => complete >= 20,
  );
  const lasting = found.filter(({ brief }) => !brief);
  t.is(lasting.length, 20);
  t.true(found.every(({ outcome }) => outcome === "complete"));
  const verified = found.map(({ bytesVerified }) => bytesVerified);
  t.is(
    verified.reduce((sum, one) => sum + one, 0),
    bytes,
  );
  t.true(lasting.every(({ lip, gapMs }) => lip === "127.0.0.1" && gapMs < 400));
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
    const found = await connections(
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
  const found = await connections(
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
