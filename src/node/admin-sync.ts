// SPDX-License-Identifier: Apache-2.0
/** What the agent tells of session sync: the replicator's status in the words of the admin API. */
import type {
  FingerprintMessage,
  SyncMessage,
  SyncNodeMessage,
  SyncPairMessage,
  U64,
} from "../admin/api.ts";
import type { NodeName } from "../model.ts";
import type { PeerStatus, SyncStatus } from "../sync/status.ts";

export type SyncFacts = {
  /** Of all nodes of the config, in its order. */
  readonly names: readonly NodeName[];
  readonly self: NodeName;
  /** Undefined: the config has no bus, or no other node. */
  readonly status: SyncStatus | undefined;
  /** That this node holds. */
  readonly sessions: U64;
  readonly fingerprint: FingerprintMessage | null;
};

export function syncMessageOf(facts: SyncFacts): SyncMessage {
  const { names, self, status, sessions, fingerprint } = facts;
  if (status === undefined)
    return {
      state: "off",
      bus: "",
      nodes: [],
      pairs: [],
      risk: null,
      counters: [],
      fingerprint,
    };
  const { peers, risk } = status;
  const others = peers.map(({ node }) => node);
  const all = new Set([...names, ...others]);
  return {
    state: selfState(status),
    bus: status.self.transport,
    nodes: [...all].map((name) =>
      name === self
        ? selfNode(status)
        : peerNode(
            name,
            peers.find(({ node }) => node === name),
          ),
    ),
    pairs: peers.flatMap((peer) => [
      incoming(peer, status),
      outgoing(peer, status),
    ]),
    risk: { ...risk, sessions },
    counters: Object.entries(status.self.counters).map(([name, value]) => ({
      name,
      value,
    })),
    fingerprint,
  };
}

/** For the list of nodes; undefined: sync does not know. */
export function peerState(
  status: SyncStatus | undefined,
  name: NodeName,
): string | undefined {
  return status && stateOf(status.peers.find(({ node }) => node === name));
}

function stateOf(peer: PeerStatus | undefined): string {
  if (peer?.heard !== true) return "unheard";
  return peer.synced ? "synced" : "heard";
}

function selfState({ self }: SyncStatus): string {
  return self.synced ? "synced" : "unsynced";
}

function selfNode(status: SyncStatus): SyncNodeMessage {
  const { node, incarnation } = status.self;
  return {
    name: node,
    self: true,
    state: selfState(status),
    incarnation,
    problems: [],
  };
}

function peerNode(
  name: NodeName,
  peer: PeerStatus | undefined,
): SyncNodeMessage {
  return {
    name,
    self: false,
    state: stateOf(peer),
    incarnation: peer?.incarnation ?? 0n,
    silentMs: peer?.silentMs,
    roundTripMs: peer?.roundTripMs,
    problems: [
      ...(peer?.expected === false ? ["notInConfig"] : []),
      ...(peer?.claimsPool === true ? ["claimsPool"] : []),
      ...(peer?.poolTableDiffers === true ? ["poolsDiffer"] : []),
    ],
  };
}

function incoming(peer: PeerStatus, { self }: SyncStatus): SyncPairMessage {
  return {
    from: peer.node,
    to: self.node,
    lagMs: peer.lagMs.p50,
    lagP99Ms: peer.lagMs.p99,
    seq: peer.seq,
    applied: peer.applied,
    gaps: peer.gaps,
    resends: peer.resends,
    digestEqual: peer.digestEqual,
    queue: self.mergeBacklogBytes,
    recordsPerSecond: peer.recordsPerSecond,
    bytesPerSecond: peer.bytesPerSecond,
  };
}

function outgoing(peer: PeerStatus, { self }: SyncStatus): SyncPairMessage {
  return {
    from: self.node,
    to: peer.node,
    seq: self.seq,
    applied: self.seq - peer.behind,
    behindRecords: peer.behindRecords,
    digestEqual: peer.digestEqual,
    queue: self.queueBytes,
    recordsPerSecond: self.recordsPerSecond,
    bytesPerSecond: self.bytesPerSecond,
  };
}
