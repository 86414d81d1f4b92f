// SPDX-License-Identifier: Apache-2.0
// What the program of the many connections (streams/client.c) tells the drill, one JSON object a line.

import { isLeft } from "fp-ts/lib/Either.js";
import * as t from "io-ts";
import { LabError } from "../lab/errors.ts";

/** Times are in ms since 1970. */
const streamCodec = t.type({
  event: t.literal("connection"),
  id: t.number,
  /** One exchange and the end; the others last, and both ends send at a steady pace. */
  brief: t.boolean,
  /**
   * `complete`: both ends have verified all that the other one has sent; of UDP all that has come. The others but the first
   * two are broken: a RST or its like, no proof of both directions for 5 s, wrong bytes, an end before the end, or (UDP)
   * another real server or local address and port than before.
   */
  outcome: t.keyof({
    connecting: null,
    open: null,
    complete: null,
    reset: null,
    timedOut: null,
    corrupted: null,
    endedEarly: null,
    moved: null,
  }),
  /** The client's own port; 0 before it is connected. */
  port: t.number,
  /** What the real server saw as the client; empty and 0 before it has answered, as is `server`. */
  lip: t.string,
  lport: t.number,
  server: t.string,
  beginMs: t.number,
  /** 0 if never. */
  connectedMs: t.number,
  endMs: t.number,
  /** In both directions. */
  bytesVerified: t.number,
  /** Of UDP: how many were sent in both directions, and how many of them have not come. */
  datagrams: t.number,
  datagramsLost: t.number,
  /** The longest time without proof that both directions work, when that began, and the longest since the last mark. */
  gapMs: t.number,
  gapAtMs: t.number,
  gapMarkedMs: t.number,
});
export type Stream = Omit<t.TypeOf<typeof streamCodec>, "event">;

const statusCodec = t.type({
  event: t.literal("status"),
  /** Asked for, not yet opened. */
  pending: t.number,
  connecting: t.number,
  open: t.number,
  /** Of the open ones: something that was sent after the last mark has come, and the client knows. */
  recovered: t.number,
  complete: t.number,
  broken: t.number,
});
export type StreamStatus = Omit<t.TypeOf<typeof statusCodec>, "event">;

const eventCodec = t.union([
  t.type({ event: t.literal("ready") }),
  streamCodec,
  statusCodec,
  t.type({ event: t.literal("listed") }),
  t.type({ event: t.literal("marked") }),
  /** The last one. How late the program itself was at most. */
  t.type({ event: t.literal("finished"), ownDelayMs: t.number }),
]);
export type StreamEvent = t.TypeOf<typeof eventCodec>;

/** @throws LabError for a line that is not an event */
export function parseStreamEvent(line: string): StreamEvent {
  try {
    const decoded = eventCodec.decode(JSON.parse(line));
    if (!isLeft(decoded)) return decoded.right;
  } catch {
    // Not JSON: no event either.
  }
  throw new LabError(
    `Cannot read what the streams program says: current value is ${line.slice(0, 200)}`,
  );
}
