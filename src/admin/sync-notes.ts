// SPDX-License-Identifier: Apache-2.0
/**
 * A sentence for each counter of session sync: what happened, and whether it is expected in production. A test compares
 * the names with those of src/sync/counters.ts.
 */
export const SYNC_NOTES: Readonly<Record<string, string>> = {
  publishedRecords: "Records of sessions that this node has published.",
  publishedEnvelopes: "Messages that carried them.",
  publishedBytes: "Bytes of these messages.",
  unsent:
    "Of these messages: not taken by the bus, which is down or too slow. Not expected; peers ask for them later.",
  unsentOther:
    "Hellos, digests and answers that the bus did not take. Not expected.",
  receivedRecords: "Records of peers that were merged into the table.",
  receivedEnvelopes: "Messages with records that came from peers.",
  receivedBytes: "Bytes of these messages.",
  repeated: "Of these messages: had come before. Expected after a resend.",
  malformed: "Messages that cannot be read. Not expected.",
  foreignCluster:
    "Messages of another cluster. Not expected: two clusters share a bus and a prefix of subjects.",
  recordVersion:
    "Messages with records of another version. Expected only during an upgrade.",
  foreignSender:
    "Messages that name another sender than their subject. Not expected.",
  mergeOverflow:
    "Messages dropped because too much waits for the table. Not expected; they are asked for again.",
  mergeFailed:
    "Merges that the table refused. Not expected; what they held is asked for again.",
  inserted: "Of the records merged: sessions that were new here.",
  replaced: "Took the place of an older session of the same addresses.",
  advanced: "Brought news of a session that was known.",
  unchanged:
    "Brought nothing new. Expected after a resend, a snapshot, a repair.",
  stale: "Were of an older session than the one held. Expected rarely.",
  refused: "Were malformed. Not expected.",
  full: "Found no room: this node lacks sessions that a peer holds. Not expected: see `weir nodes`.",
  busy: "Met an entry that was being written. Expected rarely: a later record brings the same.",
  conflicts: "Contradicted what was held. Never expected: please report it.",
  gaps: "Gaps seen in what peers have published. Expected when the bus loses messages.",
  resendRequests: "Requests to a peer to send messages again.",
  resentReceived: "Messages that came so.",
  resendGone:
    "Answers that a message is no longer held: a snapshot follows. Expected after a long outage.",
  requestsFailed: "Requests that were not answered in time. Not expected.",
  snapshots: "Snapshots loaded from peers. Expected when a node joins.",
  snapshotsFailed: "Snapshots that ended early. They are tried again.",
  snapshotRecords: "Records that came in snapshots.",
  digestRounds: "Rounds in which the nodes compared their settled sessions.",
  digestSkipped: "Rounds left out because the one before had not ended.",
  bucketsRepaired:
    "Parts of the table that differed twice in a row, and were repaired. Not expected.",
  repairedRecords: "Records that moved for it.",
  lookupRequests:
    "Requests to peers for sessions of packets that none here claims.",
  lookupKeys: "Sessions asked for so. Expected after a change of membership.",
  lookupFound: "Of these: found.",
  lookupDropped:
    "Not asked for: too many in a short time. TCP repeats the packet.",
  missesFinal:
    "Packets of unknown sessions while no peer can know better. Expected after a timeout.",
  served: "Requests of peers that were answered.",
  servedRefused: "Requests not answered: too many at once. Not expected.",
  resentSent: "Messages sent again for peers.",
  membershipChanges: "Peers heard, unheard or restarted.",
  ownName:
    "Hellos under this node's own name. Never expected: two agents run for it.",
};
