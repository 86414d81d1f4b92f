// SPDX-License-Identifier: Apache-2.0
// The load program: runs inside a client of the rack, opens connections as it is told on standard input, and tells what
// became of each of them on standard output (events.ts). It ends when it is told to, or when nobody listens any more.
//
//   open ID        a transfer of that number: a file at a steady 1 MB/s, in pieces of 10 kB
//   close ID       end that transfer
//   requests MS    from now on a short request each MS milliseconds
//   report         how long the longest gap of the open transfers has been
//   finish         no new requests; wait for those that are open; end the transfers

import { monitorEventLoopDelay } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { fileBytes } from "../lab/rack/files.ts";
import type { LoadEvent } from "./events.ts";
import { HttpExchange } from "./exchange.ts";
import { worstStall } from "./gaps.ts";

const PORT = 80;
const TRANSFER = "steady/64m";
const REQUEST = "files/1k";

/** Nobody refers to a request. */
const REQUEST_ID = 0;

/** Broken if silent for so long. A request survives one lost SYN (1 s) and a second one (2 s more). */
const SILENCE_MS = 5_000;
/** The event loop is asked this often how late it is. */
const OWN_DELAY_RESOLUTION_MS = 5;

const [address = ""] = process.argv.slice(2);
const content = new Map(
  [TRANSFER, REQUEST].map((name) => [name, fileBytes(name)]),
);
const transfers = new Map<number, HttpExchange>();
const ownDelay = monitorEventLoopDelay({ resolution: OWN_DELAY_RESOLUTION_MS });
let openRequests = 0;
let requestTimer: NodeJS.Timeout | undefined;
let finishing = false;

function command(line: string): void {
  const [verb, argument] = line.split(" ");
  switch (verb) {
    case "open":
      return openTransfer(Number(argument));
    case "close":
      return transfers.get(Number(argument))?.stop();
    case "requests":
      requestTimer ??= setInterval(request, Number(argument));
      return;
    case "report": {
      const stalls = [...transfers.values()].map(({ stallMs }) => stallMs);
      return tell({ event: "report", stallMs: worstStall(stalls) });
    }
    case "finish":
      clearInterval(requestTimer);
      finishing = true;
      return finishIfIdle();
    default:
      throw new Error(`Cannot do what is asked: current value is ${line}`);
  }
}

function openTransfer(id: number): void {
  const exchange = newExchange(id, TRANSFER, () => transfers.delete(id));
  transfers.set(id, exchange);
}

function request(): void {
  openRequests++;
  newExchange(REQUEST_ID, REQUEST, () => openRequests--);
}

function newExchange(
  id: number,
  name: string,
  forget: () => void,
): HttpExchange {
  return new HttpExchange({
    id,
    address,
    port: PORT,
    path: `/${name}`,
    expected: content.get(name) ?? Buffer.alloc(0),
    silenceMs: SILENCE_MS,
    onBegun: ({ port, lip, server }) => {
      if (name === TRANSFER) tell({ event: "begun", id, port, lip, server });
    },
    onEnded: (exchange) => {
      forget();
      tell({ event: "ended", exchange });
      finishIfIdle();
    },
  });
}

function finishIfIdle(): void {
  if (!finishing || openRequests > 0) return;
  finishing = false;
  for (const transfer of transfers.values()) transfer.stop();
  tell({ event: "finished", ownDelayMs: ownDelay.max / 1e6 });
  input.close();
}

function tell(event: LoadEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

const input = createInterface({ input: process.stdin });
input.on("line", command);
// Also when the drill has died: the end of the input then comes first.
input.on("close", () => process.stdout.write("", () => process.exit()));
ownDelay.enable();
tell({ event: "ready" });
