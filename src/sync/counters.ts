// SPDX-License-Identifier: Apache-2.0

/** What has happened since the agent started. "Records" are of sessions; the rest are messages unless it says otherwise. */
const ZERO = {
  /** By this node. Bytes are those of the records. */
  publishedRecords: 0,
  publishedEnvelopes: 0,
  publishedBytes: 0,
  /** Envelopes that the bus did not take: it is down, or its queue is full. Peers ask for them later. */
  unsent: 0,
  /** Hellos, digests and answers that the bus did not take. */
  unsentOther: 0,
  receivedRecords: 0,
  receivedEnvelopes: 0,
  receivedBytes: 0,
  /** Envelopes that had arrived before. */
  repeated: 0,
  /** Messages that cannot be read, are of another cluster or record version, or name another node than their subject. */
  malformed: 0,
  foreignCluster: 0,
  recordVersion: 0,
  foreignSender: 0,
  /** Envelopes dropped because too much waits for the table. They are asked for again. */
  mergeOverflow: 0,
  /** Merges that the table refused as a whole. They are asked for again. */
  mergeFailed: 0,
  /** What became of the records that were merged. */
  inserted: 0,
  replaced: 0,
  advanced: 0,
  unchanged: 0,
  stale: 0,
  refused: 0,
  /** Records for which the table had no room: this node lacks sessions that a peer holds. */
  full: 0,
  /** Records whose entry the dataplane was at each time. A later record heals it. */
  busy: 0,
  /** Records that contradicted what was held. Expected to be 0. */
  conflicts: 0,
  /** Times that something of a peer was missing for longer than messages are out of order. */
  gaps: 0,
  resendRequests: 0,
  /** Envelopes that came by them. */
  resentReceived: 0,
  /** Answers that something was no longer held. */
  resendGone: 0,
  /** Requests that were not answered in time. */
  requestsFailed: 0,
  snapshots: 0,
  snapshotsFailed: 0,
  snapshotRecords: 0,
  digestRounds: 0,
  /** Rounds left out because the one before had not ended. */
  digestSkipped: 0,
  /** Buckets that differed in two rounds and were repaired. */
  bucketsRepaired: 0,
  /** Records that moved for it. */
  repairedRecords: 0,
  lookupRequests: 0,
  /** Keys that peers were asked for. */
  lookupKeys: 0,
  lookupFound: 0,
  /** Keys that were not asked for: too many in a short time. */
  lookupDropped: 0,
  /** Misses while nothing suggests that a peer knows better. */
  missesFinal: 0,
  /** Requests of peers: answered, and not answered because of too many at once. */
  served: 0,
  servedRefused: 0,
  resentSent: 0,
  membershipChanges: 0,
  /** Hellos of another agent under this node's own name. */
  ownName: 0,
};

export type Counters = { [Name in keyof typeof ZERO]: number };

export function zeroCounters(): Counters {
  return { ...ZERO };
}
