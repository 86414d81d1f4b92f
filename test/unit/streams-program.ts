// SPDX-License-Identifier: Apache-2.0
// Both ends of the drills' many connections, on the loopback address.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import type { Protocol } from "../../src/model.ts";
import {
  parseStreamEvent,
  type Stream,
  type StreamStatus,
} from "../../ops/drill/stream-events.ts";

const PROGRAM = join(import.meta.dirname, "../../build/streams");
const INTERVAL_MS = "20";

/** A real server's end, which listens a moment later. */
export function serve(
  t: ExecutionContext,
  protocol: Protocol,
  port: number,
): void {
  const server = spawn(PROGRAM, ["serve", protocol, String(port)], {
    stdio: "ignore",
  });
  t.teardown(() => server.kill("SIGKILL"));
}

/** What the connections of a client that does `commands` have come to, when it was told to finish as soon as `isDone`. */
export async function connections(
  t: ExecutionContext,
  to: {
    readonly protocol: Protocol;
    readonly address: string;
    readonly port: number;
  },
  commands: readonly string[],
  isDone: (status: StreamStatus) => boolean,
): Promise<readonly Stream[]> {
  const client = spawn(PROGRAM, [
    ...["connect", to.protocol, to.address, String(to.port), INTERVAL_MS, "0"],
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
