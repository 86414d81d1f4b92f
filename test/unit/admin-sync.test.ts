// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import type { SyncMessage } from "../../src/admin/api.ts";
import { peerState, syncMessageOf } from "../../src/node/admin-sync.ts";
import { zeroCounters } from "../../src/sync/counters.ts";
import type { PeerStatus, SyncStatus } from "../../src/sync/status.ts";

function peer(node: string, changes: Partial<PeerStatus> = {}): PeerStatus {
  return {
    node,
    incarnation: 7n,
    expected: true,
    heard: true,
    silentMs: 50,
    synced: true,
    roundTripMs: 0.5,
    lagMs: { p50: 1, p99: 4 },
    seq: 100n,
    applied: 90n,
    missing: 1n,
    behind: 5n,
    behindRecords: 33,
    digestEqual: false,
    recordsPerSecond: 11,
    bytesPerSecond: 22,
    receivedRecords: 1,
    receivedBytes: 2,
    gaps: 3,
    resends: 4,
    snapshots: 5,
    conflicts: 6,
    repaired: 7,
    claimsPool: false,
    poolTableDiffers: false,
    ...changes,
  };
}

function status(peers: readonly PeerStatus[], synced = true): SyncStatus {
  return {
    self: {
      node: "d1",
      incarnation: 9n,
      synced,
      lookupWanted: false,
      weakExpiry: false,
      allPeersSynced: true,
      poolConflict: false,
      poolTableDiffers: false,
      transport: "up",
      queueBytes: 1_000,
      seq: 50n,
      resend: { envelopes: 1, records: 1, bytes: 96, bytesMax: 1_000 },
      mergeBacklogBytes: 2_000,
      digestRound: 1n,
      settledSessions: 4,
      recordsPerSecond: 101,
      bytesPerSecond: 102,
      counters: { ...zeroCounters(), publishedRecords: 8 },
    },
    peers,
    risk: { ifDies: "d1", notOnAll: 12, onNone: 2 },
  };
}

function messageOf(peers: readonly PeerStatus[], synced = true): SyncMessage {
  return syncMessageOf({
    names: ["d2", "d1", "d3"],
    self: "d1",
    status: status(peers, synced),
    sessions: 77n,
    fingerprint: null,
  });
}

test("syncMessageOf() tells both directions of each pair that the node is one of", (t) => {
  t.deepEqual(messageOf([peer("d2")]).pairs, [
    {
      from: "d2",
      to: "d1",
      lagMs: 1,
      lagP99Ms: 4,
      seq: 100n,
      applied: 90n,
      gaps: 3,
      resends: 4,
      digestEqual: false,
      queue: 2_000,
      recordsPerSecond: 11,
      bytesPerSecond: 22,
    },
    {
      from: "d1",
      to: "d2",
      seq: 50n,
      applied: 45n,
      behindRecords: 33,
      digestEqual: false,
      queue: 1_000,
      recordsPerSecond: 101,
      bytesPerSecond: 102,
    },
  ]);
});

test("syncMessageOf() lists the config's nodes in its order, then strangers", (t) => {
  const { nodes } = messageOf([peer("d9", { expected: false }), peer("d2")]);
  t.deepEqual(
    nodes.map(({ name, self, state, problems }) => [
      name,
      self,
      state,
      problems,
    ]),
    [
      ["d2", false, "synced", []],
      ["d1", true, "synced", []],
      ["d3", false, "unheard", []],
      ["d9", false, "synced", ["notInConfig"]],
    ],
  );
});

test("syncMessageOf() names what an operator has to mend", (t) => {
  const { nodes } = messageOf([
    peer("d2", { claimsPool: true, poolTableDiffers: true }),
  ]);
  t.deepEqual(nodes[0]?.problems, ["claimsPool", "poolsDiffer"]);
});

test("syncMessageOf() tells the node's own state, its risk and its counters", (t) => {
  const message = messageOf([], false);
  t.is(message.state, "unsynced");
  t.is(message.bus, "up");
  t.is(message.nodes[1]?.state, "unsynced");
  t.deepEqual(message.risk, {
    ifDies: "d1",
    sessions: 77n,
    notOnAll: 12,
    onNone: 2,
  });
  t.true(
    message.counters.some(
      ({ name, value }) => name === "publishedRecords" && value === 8,
    ),
  );
});

test("peerState() tells a peer that is synced from one that is only heard, and from silence", (t) => {
  const known = status([
    peer("d2"),
    peer("d3", { synced: false }),
    peer("d4", { heard: false }),
  ]);
  t.is(peerState(known, "d2"), "synced");
  t.is(peerState(known, "d3"), "heard");
  t.is(peerState(known, "d4"), "unheard");
  t.is(peerState(known, "d5"), "unheard");
  t.is(peerState(undefined, "d2"), undefined);
});
