// SPDX-License-Identifier: Apache-2.0
import { accepted, ask, type Context, pause } from "./context.ts";
import type { Membership } from "./membership.ts";
import type { Merger } from "./merger.ts";
import type { Peer } from "./peer.ts";
import { countRecords } from "./records.ts";
import type { Message } from "./transport.ts";
import {
  envelope,
  type Envelope,
  nodeOf,
  recordsOf,
  resendReply,
  resendRequest,
} from "./wire.ts";

const RESEND = { request: resendRequest, reply: resendReply };

/** Takes the envelopes of peers into the table, and asks again for those that did not come. */
export class Receiver {
  /** Nothing is asked for again: a snapshot will bring it. */
  paused = true;
  readonly #context: Context;
  readonly #membership: Membership;
  readonly #merger: Merger;
  /** Peers that are being asked. */
  readonly #asking = new Set<Peer>();

  constructor(context: Context, membership: Membership, merger: Merger) {
    this.#context = context;
    this.#membership = membership;
    this.#merger = merger;
  }

  onMessage({ subject, data }: Message): void {
    this.#take(nodeOf(subject), data);
  }

  /** Something may be missing of this peer. */
  notice(peer: Peer): void {
    if (peer.wanted() === undefined || !peer.heard || this.paused) return;
    if (this.#asking.has(peer)) return;
    this.#asking.add(peer);
    void this.#askAgain(peer).finally(() => this.#asking.delete(peer));
  }

  /** The peer has published all up to `seq`, says somebody. */
  expect(peer: Peer, seq: bigint): void {
    peer.sequence.expect(seq);
    this.notice(peer);
  }

  #take(node: string, data: Uint8Array): void {
    const { cluster, counters } = this.#context;
    counters.receivedEnvelopes++;
    counters.receivedBytes += data.length;
    const decoded = envelope.decode(data, cluster);
    const place =
      decoded.refusal === undefined ? decoded.message : decoded.place;
    if (place !== undefined && place.node !== node) {
      counters.foreignSender++;
      return;
    }
    const taken = accepted(this.#context, decoded);
    if (taken !== undefined) this.#accept(taken, data.length);
    // What cannot be read will not be readable the next time either.
    else if (place !== undefined)
      this.#membership
        .sight(node, place.incarnation)
        ?.sequence.arrive(place.seq);
  }

  #accept(taken: Envelope, bytes: number): void {
    const { counters } = this.#context;
    const peer = this.#membership.sight(taken.node, taken.incarnation);
    if (peer === undefined) {
      // Of a run that has ended. Nothing is counted on it, but what it says is true.
      void this.#merge(taken);
      return;
    }
    if (!peer.sequence.arrive(taken.seq)) {
      counters.repeated++;
      return;
    }
    peer.counters.receivedBytes += bytes;
    this.#mergeOf(peer, taken);
    this.notice(peer);
  }

  #mergeOf(peer: Peer, taken: Envelope): void {
    const { sequence, merging } = peer;
    const merged = this.#merge(taken);
    if (merged === undefined) {
      sequence.lose(taken.seq);
      return;
    }
    merging.add(taken.seq);
    void merged.then((conflicts) => {
      merging.delete(taken.seq);
      if (conflicts === undefined) sequence.lose(taken.seq);
      else this.#note(peer, taken, conflicts);
    });
  }

  /** @returns the number of conflicts; undefined: not merged */
  #merge(taken: Envelope): Promise<number | undefined> | undefined {
    return this.#merger
      .offer(recordsOf(taken), taken.delayTicks)
      ?.then((result) => result?.conflicts);
  }

  #note(peer: Peer, taken: Envelope, conflicts: number): void {
    const offsetMs = peer.offset.best?.offsetMs;
    peer.counters.conflicts += conflicts;
    peer.counters.receivedRecords += countRecords(recordsOf(taken));
    // What was sent again is counted as a resend: its age says when the gap began, not how far behind this node is.
    if (offsetMs === undefined || taken.delayTicks > 0) return;
    const lag = this.#context.clock.now() - (taken.readAtMs - offsetMs);
    peer.lagMs.add(Math.max(0, lag));
  }

  /** Whatever ends this, the next hello of the peer begins it again, if something is missing then. */
  async #askAgain(peer: Peer): Promise<void> {
    while (peer.heard && !this.paused && peer.wanted() !== undefined) {
      // What is found missing from now on may only be late.
      const { top } = peer.sequence;
      if (!(await pause(this.#context, this.#context.limits.reorderMs))) return;
      if (peer.wanted(top) === undefined) continue;
      this.#context.counters.gaps++;
      peer.counters.gaps++;
      while (peer.wanted(top) !== undefined)
        if (!(await this.#askOnce(peer, top))) return;
    }
  }

  /** False: it is no use to ask for more now. */
  async #askOnce(peer: Peer, top: bigint): Promise<boolean> {
    const { counters, limits } = this.#context;
    const { incarnation } = peer;
    const range = peer.wanted(top);
    if (range === undefined || !peer.heard || this.#merger.isBusy) return false;
    counters.resendRequests++;
    peer.counters.resends++;
    const reply = await ask(this.#context, "resend", peer.node, RESEND, {
      incarnation,
      range,
    });
    if (reply === undefined) return false;
    for (const data of reply.envelopes) {
      while (this.#merger.isBusy)
        if (!(await pause(this.#context, limits.reorderMs))) return false;
      this.#take(peer.node, data);
    }
    counters.resentReceived += reply.envelopes.length;
    if (peer.incarnation !== incarnation) return false;
    if (reply.gone) {
      counters.resendGone++;
      peer.gone = this.#goneUpTo(peer, range.to, reply.envelopes[0]);
    }
    // Without progress the same would be asked for without end.
    const next = peer.wanted(top);
    return next === undefined || next.from > range.from;
  }

  #goneUpTo(peer: Peer, end: bigint, first: Uint8Array | undefined): bigint {
    if (first === undefined) return end;
    const decoded = envelope.decode(first, this.#context.cluster);
    const place =
      decoded.refusal === undefined ? decoded.message : decoded.place;
    return place === undefined ? peer.gone : place.seq - 1n;
  }
}
