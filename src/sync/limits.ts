// SPDX-License-Identifier: Apache-2.0
/** The numbers of the replicator, with what happens at each bound. Tests use smaller ones. */
const MIB = 2 ** 20;

export const LIMITS = {
  /** A node says that it lives. */
  helloMs: 200,
  /** A peer without a hello for so long is unheard: nothing waits for it, and weak sessions are kept longer. */
  unheardMs: 1000,
  /** After a gap is seen, before it is asked for: what is late only may still come. */
  reorderMs: 20,
  /** An answer that takes longer is not waited for; what was asked is asked again. */
  requestMs: 3000,
  /** Between a failed attempt to load a snapshot and the next. */
  retryMs: 500,
  /** An envelope is not larger, so that one does not hold up others. */
  envelopeBytes: 256 * 1024,
  /** Published envelopes that peers may ask for again. The oldest go first; who lacks one of them loads a snapshot. */
  resendBytes: 32 * MIB,
  /** Given to the table and not yet merged. What arrives beyond it is dropped, and asked for again as a gap. */
  mergeBytes: 64 * MIB,
  /** The same in merges, however small. The table queues 1,024 jobs; the other half is for all that is no merge. */
  mergesMax: 512,
  /** Ranges of missing envelopes that are told apart for a peer. Beyond it, neighbours are asked for together. */
  gapsMax: 1024,
  /** Unanswered requests of other nodes. One more is not answered. */
  servedMax: 64,
  /** Of records in the answer to one request. */
  replyBytes: 256 * 1024,
  /** Requests of a snapshot that are on their way at once. */
  snapshotCredits: 8,
  /** A join waits so long for peers that are not heard, unless a synced one is, or that give no snapshot. */
  aloneMs: 5000,
  /** A node that has run before, and hears one peer, waits for the others only so long: clients wait for it, too. */
  resyncMs: 1000,
  /** A node that starts publishes again what has changed in this time: its last agent may not have done so. */
  republishMs: 60_000,
  /** Above so many bytes in the transport's queue, publishing again waits. Snapshots go by their credits. */
  pendingBytes: 8 * MIB,
  /** Digest rounds: a multiple of what one costs, within these. */
  digestFactor: 20,
  digestMinMs: 5000,
  digestMaxMs: 30_000,
  /** Hashes in one request for repair. */
  repairHashes: 16 * 1024,
  /** Misses are looked up in batches, collected for this long. */
  lookupDelayMs: 2,
  /** A key is not looked up again within this time ... */
  lookupAgainMs: 200,
  /** ... and not more keys than this in it. More are dropped: TCP sends again. */
  lookupKeys: 2048,
  /** After a change of membership, misses are looked up for so long. */
  lookupMs: 10_000,
  /** A gap that is older makes the node unsynced; what may have been missed in a silence does at once. */
  gapMs: 1000,
} as const;

export type Limits = { readonly [Name in keyof typeof LIMITS]: number };

/** @returns `milliseconds` in ticks of 2^20 ns, as the age of a record is counted. */
export function ticksOf(milliseconds: number): number {
  return Math.max(0, Math.round((milliseconds * 1e6) / 2 ** 20));
}
