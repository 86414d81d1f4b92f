// SPDX-License-Identifier: Apache-2.0
import { accepted, type Context } from "./context.ts";
import { recordsIn, ticksOf } from "./limits.ts";
import { type Held, ResendBuffer } from "./resend-buffer.ts";
import { RECORD_BYTES, RECORD_VERSION } from "./table.ts";
import {
  envelope,
  type ResendRequest,
  resendReply,
  resendRequest,
  SECTION_SESSIONS_V4,
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

  /** Records that were read from the table just now. The buffer is kept: it must not change. */
  publish(records: Uint8Array): void {
    const { transport, clock, limits, counters } = this.#context;
    // Half of what the bus carries: an answer with one envelope must still fit.
    const room = Math.min(limits.envelopeBytes, transport.maxPayload / 2);
    const step = recordsIn(room - OVERHEAD_BYTES) * RECORD_BYTES;
    for (let at = 0; at < records.length; at += step) {
      const part = records.subarray(at, at + step);
      const held = this.#buffer.add(clock.now(), part);
      counters.publishedRecords += part.length / RECORD_BYTES;
      counters.publishedEnvelopes++;
      counters.publishedBytes += part.length;
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
      return resendReply.encode({ envelopes: [], gone: true, more: false });
    const { range, gone } = this.#wanted(request);
    const room = Math.min(limits.replyBytes, transport.maxPayload / 2);
    const envelopes: Uint8Array[] = [];
    let bytes = 0;
    let more = false;
    for (const held of this.#buffer.range(range)) {
      more = bytes >= room;
      if (more) break;
      const again = this.#encode(held, ticksOf(clock.now() - held.readAtMs));
      bytes += again.length + FIELD_BYTES;
      envelopes.push(again);
    }
    counters.resentSent += envelopes.length;
    return resendReply.encode({ envelopes, gone, more });
  }

  #wanted(request: ResendRequest): {
    readonly range: { readonly from: bigint; readonly to: bigint };
    readonly gone: boolean;
  } {
    const { first, last } = this.#buffer;
    if (request.range === undefined) {
      const from = this.#buffer.since(request.sinceMs);
      return { range: { from, to: last }, gone: false };
    }
    return { range: request.range, gone: request.range.from < first };
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
      sections: [{ type: SECTION_SESSIONS_V4, records }],
    });
  }
}
