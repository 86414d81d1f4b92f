// SPDX-License-Identifier: Apache-2.0
/** What a replicator says about itself, for the CLI and for metrics. */
import type { Counters } from "./counters.ts";
import type { TransportState } from "./transport.ts";

/** What the agent acts upon. */
export type SyncFlags = {
  /** This node holds all that its peers hold, as far as it knows. */
  readonly synced: boolean;
  /** Misses of the dataplane are worth an event: a peer may know the session. */
  readonly lookupWanted: boolean;
  /** A peer is unheard: it may be forwarding sessions that it cannot refresh here, so they expire later. */
  readonly weakExpiry: boolean;
  /** This node and all peers that are heard are synced: a LIP:port may be used again. */
  readonly allPeersSynced: boolean;
  /** Another node claims an address of this node's pool, and came first: allocate nothing. */
  readonly poolConflict: boolean;
  /** A peer has other pools in its config. */
  readonly poolTableDiffers: boolean;
};

export type PeerStatus = {
  readonly node: string;
  readonly incarnation: bigint;
  /** The config of this node names it. */
  readonly expected: boolean;
  readonly heard: boolean;
  /** Since its last hello; undefined: there was none. */
  readonly silentMs: number | undefined;
  /** As it says itself. */
  readonly synced: boolean;
  /** The settled ones that it says it holds; absent before its first hello. */
  readonly sessions?: bigint;
  readonly roundTripMs: number | undefined;
  /** From reading a batch of records there to having it merged here, over the last thousand that came at the first try. */
  readonly lagMs: {
    readonly p50: number | undefined;
    readonly p99: number | undefined;
  };
  /** Its last envelope that is known of, and that up to which all are merged here. */
  readonly seq: bigint;
  readonly applied: bigint;
  /** Envelopes of its that are missing here now. */
  readonly missing: bigint;
  /** What this node has published and the peer has not merged: envelopes, and records of those that are still held. */
  readonly behind: bigint;
  readonly behindRecords: number;
  /** Were the digests equal in the last round? */
  readonly digestEqual: boolean | undefined;
  readonly recordsPerSecond: number;
  readonly bytesPerSecond: number;
  /** Since this agent started. */
  readonly receivedRecords: number;
  readonly receivedBytes: number;
  readonly gaps: number;
  readonly resends: number;
  readonly snapshots: number;
  readonly conflicts: number;
  readonly repaired: number;
  /** Earlier claims of addresses of this node's pool. */
  readonly claimsPool: boolean;
  readonly poolTableDiffers: boolean;
};

export type SyncStatus = {
  readonly self: SyncFlags & {
    readonly node: string;
    readonly incarnation: bigint;
    readonly transport: TransportState;
    /** Bytes that the bus has taken and not sent yet. */
    readonly queueBytes: number;
    /** Of the last envelope. */
    readonly seq: bigint;
    readonly resend: {
      readonly envelopes: number;
      readonly records: number;
      readonly bytes: number;
      readonly bytesMax: number;
    };
    /** Bytes of records that wait for the table. */
    readonly mergeBacklogBytes: number;
    readonly digestRound: bigint;
    /** In the last digest. */
    readonly settledSessions: number;
    readonly recordsPerSecond: number;
    readonly bytesPerSecond: number;
    readonly counters: Readonly<Counters>;
  };
  readonly peers: readonly PeerStatus[];
  readonly risk: {
    /** If this node died now, ... */
    readonly ifDies: string;
    /** ... this many records of what it has published would not be with all peers that are heard ... */
    readonly notOnAll: number;
    /** ... and this many with none of them. */
    readonly onNone: number;
  };
};
