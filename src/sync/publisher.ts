// SPDX-License-Identifier: Apache-2.0
import { accepted, type Context } from "./context.ts";
import { ticksOf } from "./limits.ts";
import { bytesOf, countRecords, partsOf, ROOM_BYTES_MIN } from "./records.ts";
import { type Held, ResendBuffer } from "./resend-buffer.ts";
import { RECORD_VERSION, type Records } from "./table.ts";
import {
  envelope,
  resendReply,
  resendRequest,
  sectionsOf,
  subjectOf,
} from "./wire.ts";

/** Of an envelope beside its records, and more than that. */
const OVERHEAD_BYTES = 1024;
/** Of one more field in a message, at most. */
const FIELD_BYTES = 8;

/**
 * Numbers what this node's dataplane writes, sends it, and keeps it for those who ask again. What the bus does not take is
 * not sent a second time from here: peers see the gap in the next hello or envelope.
 */
export class Publisher {
  readonly #context: Context;
  readonly #subject: string;
  readonly #buffer: ResendBuffer;

  constructor(context: Context) {
    this.#context = context;
    this.#subject = subjectOf(context.cluster, "session", context.node);
    this.#buffer = new ResendBuffer(context.limits.resendBytes);
  }

  /** Of the last envelope. */
  get seq(): bigint {
    return this.#buffer.last;
  }

  get held(): ResendBuffer {
    return this.#buffer;
  }

  /** Records that were read from the table just now. Their buffers are kept: they must not change. */
  publish(records: Records): void {
    const { transport, clock, limits, counters } = this.#context;
    // Half of what the bus carries: an answer with one envelope must still fit.
    const room = Math.min(limits.envelopeBytes, transport.maxPayload / 2);
    const roomBytes = Math.max(room - OVERHEAD_BYTES, ROOM_BYTES_MIN);
    for (const part of partsOf(records, roomBytes)) {
      const held = this.#buffer.add(clock.now(), part);
      counters.publishedRecords += countRecords(part);
      counters.publishedEnvelopes++;
      counters.publishedBytes += bytesOf(part);
      const sent =
        transport.state === "up" &&
        transport.publish(this.#subject, this.#encode(held, 0));
      if (!sent) counters.unsent++;
    }
  }

  /** The answer to a ResendRequest; undefined if that makes no sense. */
  resend(data: Uint8Array): Uint8Array | undefined {
    const { incarnation, transport, limits, counters, clock } = this.#context;
    const request = accepted(this.#context, resendRequest.decode(data));
    if (request === undefined) return undefined;
    if (request.incarnation !== incarnation)
      return resendReply.encode({ envelopes: [], gone: true });
    const { range } = request;
    const gone = range.from < this.#buffer.first;
    const room = Math.min(limits.replyBytes, transport.maxPayload / 2);
    const envelopes: Uint8Array[] = [];
    let bytes = 0;
    for (const held of this.#buffer.range(range)) {
      if (bytes >= room) break;
      const again = this.#encode(held, ticksOf(clock.now() - held.readAtMs));
      bytes += again.length + FIELD_BYTES;
      envelopes.push(again);
    }
    counters.resentSent += envelopes.length;
    return resendReply.encode({ envelopes, gone });
  }

  #encode({ seq, readAtMs, records }: Held, delayTicks: number): Uint8Array {
    const { cluster, node, incarnation } = this.#context;
    return envelope.encode({
      cluster,
      node,
      incarnation,
      seq,
      recordVersion: RECORD_VERSION,
      delayTicks,
      readAtMs,
      sections: sectionsOf(records),
    });
  }
}
