// SPDX-License-Identifier: Apache-2.0
// A client of the rack's UDP echo: `node echo-client.ts ADDRESS PORT SIZE...`. Sends a datagram of each size, first all of
// them on one socket, then each on a socket of its own, and prints one JSON object (see `Echoes`).

import { randomBytes } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";

/** What became of a datagram: its answer was right, or had other bytes; or none came, in so many tries. */
type Outcome = "right" | "wrong" | "lost" | "refused";

export type Echoes = {
  /** By the sum of both rounds. */
  readonly outcomes: Readonly<Record<Outcome, number>>;
  /** Those that are not right, as sentences. */
  readonly problems: readonly string[];
  /** Datagrams that had to be sent again. */
  readonly repeated: number;
  /** What the answers told. */
  readonly servers: readonly string[];
  readonly lips: readonly string[];
};

const ANSWER_LIMIT_MS = 500;
const TRIES = 3;
/** Then it gives up. */
const PROBLEMS_MAX = 10;

const [address = "", port, ...sizes] = process.argv.slice(2);
const outcomes = { right: 0, wrong: 0, lost: 0, refused: 0 };
const problems: string[] = [];
const servers = new Set<string>();
const lips = new Set<string>();
let repeated = 0;

async function open(): Promise<Socket> {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  socket.connect(Number(port), address);
  await once(socket, "connect");
  return socket;
}

/** The next datagram that comes; undefined if there is none in time. @throws what the kernel says of the way */
async function next(socket: Socket): Promise<Buffer | undefined> {
  const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
  try {
    const [message] = await once(socket, "message", { signal });
    return message;
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  }
}

/** The answer is a line, and then the datagram. */
async function ask(socket: Socket, size: number): Promise<Outcome> {
  const question = randomBytes(size);
  for (let tried = 0; tried < TRIES; tried++) {
    if (tried > 0) repeated++;
    const answered = next(socket);
    socket.send(question);
    const answer = await answered;
    if (answer === undefined) continue;
    const end = answer.indexOf("\n");
    if (!answer.subarray(end + 1).equals(question)) return "wrong";
    const [server = "", lip = ""] = answer
      .toString("latin1", 0, end)
      .split(" ");
    servers.add(server);
    lips.add(lip);
    return "right";
  }
  return "lost";
}

async function note(socket: Socket, size: number, what: string): Promise<void> {
  if (problems.length === PROBLEMS_MAX) return;
  const outcome = await ask(socket, size).catch(() => "refused" as const);
  outcomes[outcome]++;
  if (outcome !== "right")
    problems.push(`${size} bytes on ${what}: ${outcome}`);
}

const shared = await open();
for (const size of sizes) await note(shared, Number(size), "a shared socket");
shared.close();
for (const size of sizes) {
  const own = await open();
  await note(own, Number(size), "a socket of its own");
  own.close();
}
const echoes: Echoes = {
  outcomes,
  problems,
  repeated,
  servers: [...servers],
  lips: [...lips],
};
process.stdout.write(`${JSON.stringify(echoes)}\n`);
