// SPDX-License-Identifier: Apache-2.0
// What the load program (load.ts) tells the drill, one JSON object a line. Its only boundary: the drill decodes here.

import { isLeft } from "fp-ts/lib/Either.js";
import * as t from "io-ts";
import { LabError } from "../lab/errors.ts";

/**
 * How an exchange ended. `complete`: all came, and was right. `stopped`: the drill ended it, and all that had come was
 * right. The others are broken: a RST, nothing for too long, wrong bytes, an end before the end, or another session than
 * before.
 */
const outcomeCodec = t.keyof({
  complete: null,
  stopped: null,
  reset: null,
  timedOut: null,
  corrupted: null,
  endedEarly: null,
  moved: null,
});
export type Outcome = t.TypeOf<typeof outcomeCodec>;

const stallCodec = t.type({ p99: t.number, max: t.number });

/** A connection and its one HTTP exchange. Times are in ms since 1970, by one clock for the whole machine. */
const exchangeCodec = t.type({
  id: t.number,
  path: t.string,
  outcome: outcomeCodec,
  beginMs: t.number,
  endMs: t.number,
  bytesVerified: t.number,
  /** The client's own port; 0 before it is connected. */
  port: t.number,
  /** The local address that the real server saw; empty before the answer has begun, as is `server`. */
  lip: t.string,
  server: t.string,
  /** Of the gaps between its reads. */
  stallMs: stallCodec,
});
export type Exchange = t.TypeOf<typeof exchangeCodec>;

const eventCodec = t.union([
  t.type({ event: t.literal("ready") }),
  /** The answer to a transfer has begun. */
  t.type({
    event: t.literal("begun"),
    id: t.number,
    port: t.number,
    lip: t.string,
    server: t.string,
  }),
  t.type({ event: t.literal("ended"), exchange: exchangeCodec }),
  /** The transfers that are open, upon `report`. */
  t.type({ event: t.literal("report"), stallMs: stallCodec }),
  /** The last one. How late the program itself was: a longer gap than this one came from outside. */
  t.type({ event: t.literal("finished"), ownDelayMs: t.number }),
]);
export type LoadEvent = t.TypeOf<typeof eventCodec>;

/** @throws LabError for a line that is not an event */
export function parseEvent(line: string): LoadEvent {
  try {
    const decoded = eventCodec.decode(JSON.parse(line));
    if (!isLeft(decoded)) return decoded.right;
  } catch {
    // Not JSON: no event either.
  }
  throw new LabError(
    `Cannot read what the load program says: current value is ${line.slice(0, 200)}`,
  );
}
