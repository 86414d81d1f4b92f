// SPDX-License-Identifier: Apache-2.0
import { acceptedFrom, ask, type Context } from "./context.ts";
import type { Membership } from "./membership.ts";
import type { Merger } from "./merger.ts";
import type { Peer } from "./peer.ts";
import { countRecords, keysOf, ROOM_BYTES_MIN } from "./records.ts";
import { DIGEST_BUCKETS, type Records } from "./table.ts";
import type { Message } from "./transport.ts";
import {
  digestMessage,
  repairReply,
  repairRequest,
  subjectOf,
} from "./wire.ts";

const REPAIR = { request: repairRequest, reply: repairReply };

/** Buckets are not equally full: an answer is planned to be full to this part. */
const ANSWER_SHARE = 0.75;

type Sums = { readonly round: bigint; readonly buckets: BigUint64Array };

/** What this node knows of the sums of a peer. */
type Comparison = {
  /** The last that came. */
  theirs: Sums;
  /** The round that was compared last, and the buckets that differed; undefined: none was. */
  compared: { round: bigint; buckets: readonly number[] } | undefined;
};

/**
 * Anti-entropy: in rounds that one node begins, all sum up their settled sessions at the same time and compare. What
 * differs in two rounds in a row was not merely on its way, and is repaired by key.
 */
export class Digests {
  readonly #context: Context;
  readonly #membership: Membership;
  readonly #merger: Merger;
  readonly #isSynced: () => boolean;
  readonly #publish: (records: Records) => void;
  readonly #comparisons = new Map<Peer, Comparison>();
  #round = 0n;
  #ours: Sums | undefined;
  #sessions = 0;
  #durationMs = 0;
  #computing = false;
  #nextAtMs: number;
  /** Repairs go one after the other. */
  #repairing: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(
    context: Context,
    membership: Membership,
    merger: Merger,
    isSynced: () => boolean,
    publish: (records: Records) => void,
  ) {
    this.#context = context;
    this.#membership = membership;
    this.#merger = merger;
    this.#isSynced = isSynced;
    this.#publish = publish;
    this.#nextAtMs = context.clock.now() + context.limits.digestMinMs;
  }

  get round(): bigint {
    return this.#round;
  }

  /** Settled sessions, in the last round. */
  get sessions(): number {
    return this.#sessions;
  }

  /** Were the sums equal in the last round that was compared? Undefined: none was. */
  equal(peer: Peer): boolean | undefined {
    const compared = this.#comparisons.get(peer)?.compared;
    return compared && compared.buckets.length === 0;
  }

  /** To be called each helloMs. @returns true if a round has begun, which peers should be told */
  tick(): boolean {
    const { clock } = this.#context;
    for (const peer of this.#comparisons.keys())
      if (!peer.heard) this.#comparisons.delete(peer);
    if (clock.now() < this.#nextAtMs || !this.#isFirst()) return false;
    this.onRound(this.#round + 1n);
    return true;
  }

  /** A round has begun, somebody says. */
  onRound(round: bigint): void {
    if (round <= this.#round) return;
    this.#round = round;
    this.#nextAtMs = this.#context.clock.now() + this.#intervalMs;
    if (!this.#isSynced()) return;
    if (this.#computing) this.#context.counters.digestSkipped++;
    else void this.#compute(round);
  }

  onMessage(message: Message): void {
    const { cluster } = this.#context;
    const decoded = digestMessage.decode(message.data, cluster);
    const said = acceptedFrom(this.#context, message, decoded);
    if (said === undefined) return;
    const peer = this.#membership.sight(said.node, said.incarnation);
    if (peer === undefined) return;
    const { round, buckets } = said;
    const known = this.#comparisons.get(peer);
    if (known !== undefined) known.theirs = { round, buckets };
    else
      this.#comparisons.set(peer, {
        theirs: { round, buckets },
        compared: undefined,
      });
    this.onRound(round);
    this.#compare(peer);
  }

  /** Of the synced nodes that hear each other, the one with the lowest name begins the rounds. */
  #isFirst(): boolean {
    const { heard } = this.#membership;
    return (
      heard.length > 0 &&
      this.#isSynced() &&
      heard.every(
        ({ node, hello }) => !hello?.synced || this.#context.node < node,
      )
    );
  }

  get #intervalMs(): number {
    const { digestFactor, digestMinMs, digestMaxMs } = this.#context.limits;
    const wanted = digestFactor * this.#durationMs;
    return Math.min(Math.max(wanted, digestMinMs), digestMaxMs);
  }

  async #compute(round: bigint): Promise<void> {
    const { table, transport, counters, cluster, node, incarnation, log } =
      this.#context;
    this.#computing = true;
    try {
      const { buckets, sessions, durationMs } = await table.digest();
      this.#ours = { round, buckets };
      this.#sessions = sessions;
      this.#durationMs = durationMs;
      counters.digestRounds++;
      const data = digestMessage.encode({
        cluster,
        node,
        incarnation,
        round,
        buckets,
      });
      if (!transport.publish(subjectOf(cluster, "digest", node), data))
        counters.unsentOther++;
    } catch (error) {
      counters.digestSkipped++;
      log.debug("digest failed", { op: "digest", error });
    } finally {
      this.#computing = false;
    }
    for (const peer of this.#comparisons.keys()) this.#compare(peer);
  }

  #compare(peer: Peer): void {
    const comparison = this.#comparisons.get(peer);
    const ours = this.#ours;
    if (comparison === undefined || ours === undefined) return;
    const { theirs, compared } = comparison;
    if (theirs.round !== ours.round || compared?.round === ours.round) return;
    const buckets = differing(ours.buckets, theirs.buckets);
    comparison.compared = { round: ours.round, buckets };
    const before = new Set(compared?.buckets);
    this.#repair(
      peer,
      buckets.filter((bucket) => before.has(bucket)),
    );
  }

  #repair(peer: Peer, buckets: readonly number[]): void {
    // The round before is still being repaired: what is left will differ again.
    if (buckets.length === 0 || this.#waiting > this.#membership.peers.length)
      return;
    this.#waiting++;
    this.#repairing = this.#repairing
      .then(() => this.#repairAll(peer, buckets))
      .catch((error: unknown) => {
        // The table has too much to do: the buckets will differ again.
        this.#context.log.warn("repair failed", { op: "repair", error });
      })
      .finally(() => this.#waiting--);
  }

  async #repairAll(peer: Peer, buckets: readonly number[]): Promise<void> {
    const { counters, log, signal } = this.#context;
    const step = this.#step(peer, buckets.length);
    let moved = 0;
    for (let at = 0; at < buckets.length; at += step) {
      if (!peer.heard || signal.aborted) break;
      const part = buckets.slice(at, at + step);
      const records = await this.#repairPart(peer, part);
      if (records === undefined) break;
      counters.bucketsRepaired += part.length;
      moved += records;
    }
    counters.repairedRecords += moved;
    peer.counters.repaired += moved;
    log.info("sessions differed from a peer's", {
      event: "digestRepaired",
      peer: peer.node,
      buckets: buckets.length,
      records: moved,
    });
  }

  /**
   * How many of so many buckets go into one request: all hashes in them, and in the answer what seems to be lacking, whose
   * records may be the longest.
   */
  #step(peer: Peer, buckets: number): number {
    const { repairHashes, replyBytes } = this.#context.limits;
    const theirs = Number(peer.hello?.sessions ?? 0n);
    const held = Math.max(1, this.#sessions / DIGEST_BUCKETS);
    const lacking = Math.max(1, (theirs - this.#sessions) / buckets);
    const answered = (replyBytes * ANSWER_SHARE) / ROOM_BYTES_MIN / lacking;
    return Math.max(1, Math.floor(Math.min(repairHashes / held, answered)));
  }

  /** @returns how many records came; undefined: no answer */
  async #repairPart(
    peer: Peer,
    buckets: readonly number[],
  ): Promise<number | undefined> {
    const { node } = peer;
    const known = await this.#context.table.hashes(buckets);
    const request = { buckets, known };
    const reply = await ask(this.#context, "repair", node, REPAIR, request);
    if (reply === undefined) return undefined;
    const merged = await this.#merger.merge(reply.records, 0);
    const count = countRecords(reply.records);
    // What was held here already, and has not settled, is later than what the peer has, which does not know that.
    if (merged !== undefined && merged.inserted < count)
      this.#publish(await this.#context.table.find(keysOf(reply.records)));
    return count;
  }
}

function differing(a: BigUint64Array, b: BigUint64Array): readonly number[] {
  return [...a.keys()].filter((bucket) => a[bucket] !== b[bucket]);
}
