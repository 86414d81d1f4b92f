// SPDX-License-Identifier: Apache-2.0
import type { Context } from "./context.ts";
import type { Digests } from "./digests.ts";
import type { Membership } from "./membership.ts";
import type { Merger } from "./merger.ts";
import type { Peer } from "./peer.ts";
import type { Publisher } from "./publisher.ts";
import type { PeerStatus, SyncFlags, SyncStatus } from "./status.ts";

type Parts = {
  readonly flags: SyncFlags;
  readonly membership: Membership;
  readonly publisher: Publisher;
  readonly merger: Merger;
  readonly digests: Digests;
  readonly rates: Rates;
  /** Nodes that claimed an address of this node's pool first. */
  readonly earlierClaims: readonly string[];
  readonly poolHash: bigint;
};

export function statusOf(context: Context, parts: Parts): SyncStatus {
  const { node, incarnation, transport, limits, counters } = context;
  const { membership, publisher, merger, digests, rates } = parts;
  const { held } = publisher;
  const applied = membership.heard.map((peer) => appliedBy(context, peer));
  return {
    self: {
      ...parts.flags,
      node,
      incarnation,
      transport: transport.state,
      queueBytes: transport.pending,
      seq: publisher.seq,
      resend: {
        envelopes: Number(held.last - held.first + 1n),
        records: held.records,
        bytes: held.bytes,
        bytesMax: limits.resendBytes,
      },
      mergeBacklogBytes: merger.backlog,
      digestRound: digests.round,
      settledSessions: digests.sessions,
      ...rates.of(undefined),
      counters: { ...counters },
    },
    peers: membership.peers.map((peer) => peerStatus(context, parts, peer)),
    risk: {
      ifDies: node,
      notOnAll: held.recordsAfter(least(applied) ?? held.last),
      onNone: held.recordsAfter(greatest(applied) ?? 0n),
    },
  };
}

function peerStatus(context: Context, parts: Parts, peer: Peer): PeerStatus {
  const { membership, publisher, digests, rates } = parts;
  const { hello } = peer;
  const [p50, p99] = peer.lagMs.percentiles(0.5, 0.99);
  const applied = appliedBy(context, peer);
  return {
    node: peer.node,
    incarnation: peer.incarnation,
    expected: membership.expected.includes(peer.node),
    heard: peer.heard,
    silentMs: hello && context.clock.now() - peer.heardAtMs,
    synced: hello?.synced ?? false,
    ...(hello && { sessions: hello.sessions }),
    roundTripMs: peer.offset.best?.roundTripMs,
    lagMs: { p50, p99 },
    seq: peer.sequence.top,
    applied: peer.applied,
    missing: peer.sequence.missing.reduce(
      (sum, { from, to }) => sum + to - from + 1n,
      0n,
    ),
    behind: publisher.seq - applied,
    behindRecords: publisher.held.recordsAfter(applied),
    digestEqual: digests.equal(peer),
    ...rates.of(peer),
    ...peer.counters,
    claimsPool: parts.earlierClaims.includes(peer.node),
    poolTableDiffers: hello !== undefined && hello.poolHash !== parts.poolHash,
  };
}

/** The last of this node's envelopes up to which the peer has merged all. */
function appliedBy({ node, incarnation }: Context, peer: Peer): bigint {
  return peer.appliedOf(node, incarnation) ?? 0n;
}

function least(numbers: readonly bigint[]): bigint | undefined {
  return numbers.toSorted(compare)[0];
}

function greatest(numbers: readonly bigint[]): bigint | undefined {
  return numbers.toSorted(compare).at(-1);
}

function compare(a: bigint, b: bigint): number {
  return Number(a > b) - Number(a < b);
}

/** Readings over which a rate is taken: two seconds of ticks. */
const READINGS = 11;

type Reading = {
  readonly atMs: number;
  readonly records: number;
  readonly bytes: number;
};

/** Records and bytes a second: received from each peer, and published. */
export class Rates {
  /** Undefined stands for this node itself. */
  readonly #readings = new Map<Peer | undefined, readonly Reading[]>();

  /** To be called each helloMs. */
  read({ clock, counters }: Context, peers: readonly Peer[]): void {
    const atMs = clock.now();
    this.#add(undefined, {
      atMs,
      records: counters.publishedRecords,
      bytes: counters.publishedBytes,
    });
    for (const peer of peers)
      this.#add(peer, {
        atMs,
        records: peer.counters.receivedRecords,
        bytes: peer.counters.receivedBytes,
      });
    const known = new Set<Peer | undefined>([undefined, ...peers]);
    for (const peer of this.#readings.keys())
      if (!known.has(peer)) this.#readings.delete(peer);
  }

  of(peer: Peer | undefined): {
    readonly recordsPerSecond: number;
    readonly bytesPerSecond: number;
  } {
    const readings = this.#readings.get(peer) ?? [];
    const [first, last] = [readings[0], readings.at(-1)];
    const seconds = ((last?.atMs ?? 0) - (first?.atMs ?? 0)) / 1000;
    if (first === undefined || last === undefined || seconds <= 0)
      return { recordsPerSecond: 0, bytesPerSecond: 0 };
    return {
      recordsPerSecond: (last.records - first.records) / seconds,
      bytesPerSecond: (last.bytes - first.bytes) / seconds,
    };
  }

  #add(peer: Peer | undefined, reading: Reading): void {
    const readings = this.#readings.get(peer) ?? [];
    this.#readings.set(peer, [...readings, reading].slice(-READINGS));
  }
}
