// SPDX-License-Identifier: Apache-2.0
import { type Context, pause } from "./context.ts";
import { recordsIn, ticksOf } from "./limits.ts";
import type { Membership } from "./membership.ts";
import type { Merger } from "./merger.ts";
import type { Peer } from "./peer.ts";
import type { Publisher } from "./publisher.ts";
import type { Receiver } from "./receiver.ts";
import { loadSnapshot } from "./snapshot.ts";

export type Joined =
  | {
      /** The node whose snapshot was loaded. */
      readonly from: string;
      readonly sessions: number;
      readonly ms: number;
      readonly alone?: undefined;
    }
  /** No peer gave a snapshot in time. When one is there, its snapshot is loaded. */
  | { readonly alone: true };

/** Brings into the table what has not come with envelopes: by a snapshot of a peer's. */
export class CatchUp {
  readonly #context: Context;
  readonly #membership: Membership;
  readonly #merger: Merger;
  readonly #receiver: Receiver;
  /** join() has ended. */
  #joined = false;
  /** What the peers held when this node came has been loaded. */
  #complete = false;
  #loading = false;
  /** A snapshot was needed at the last tick. Peers answer to this node's state with theirs, so it changes in ticks only. */
  #wanting = false;
  #retryAtMs = 0;

  constructor(
    context: Context,
    parts: {
      readonly membership: Membership;
      readonly merger: Merger;
      readonly receiver: Receiver;
    },
  ) {
    this.#context = context;
    this.#membership = parts.membership;
    this.#merger = parts.merger;
    this.#receiver = parts.receiver;
  }

  /** This node holds all that its peers hold, as far as it knows. */
  get synced(): boolean {
    const { clock, limits } = this.#context;
    return (
      this.#joined &&
      !this.#wanting &&
      this.#membership.heard.every(
        ({ gapSinceMs }) =>
          gapSinceMs === undefined || clock.now() - gapSinceMs <= limits.gapMs,
      )
    );
  }

  /** Loads a snapshot from the best peer that answers, or finds that there is none. */
  async join(): Promise<Joined> {
    const { clock, limits, signal } = this.#context;
    const startMs = clock.now();
    this.#joined = false;
    this.forget();
    const tried = new Set<Peer>();
    while (!signal.aborted) {
      const waitedMs = clock.now() - startMs;
      // A load that is on its way began too early for this.
      const peer = this.#loading ? undefined : this.#best(tried, waitedMs);
      if (peer !== undefined) {
        const sessions = await this.#load(peer);
        if (sessions !== undefined) {
          this.#joined = true;
          return { from: peer.node, sessions, ms: clock.now() - startMs };
        }
        tried.add(peer);
        if (this.#membership.heard.every((one) => tried.has(one)))
          tried.clear();
      }
      const hopeless =
        this.#membership.expected.length + this.#membership.heard.length === 0;
      if (hopeless || waitedMs >= limits.aloneMs) break;
      await pause(this.#context, limits.helloMs / 4);
    }
    this.#joined = true;
    this.#receiver.paused = false;
    return { alone: true };
  }

  /** Something has been lost that no envelope will bring: a snapshot is needed. */
  forget(): void {
    this.#complete = false;
    this.#receiver.paused = !this.#joined;
  }

  /** To be called each helloMs: loads a snapshot if one is needed. */
  tick(): void {
    this.#noteGaps();
    if (!this.#joined || this.#loading) return;
    const source = this.#source();
    this.#wanting = source !== undefined;
    if (source !== undefined && this.#context.clock.now() >= this.#retryAtMs)
      void this.#load(source);
  }

  #noteGaps(): void {
    for (const peer of this.#membership.peers)
      peer.gapSinceMs =
        peer.sequence.missing.length === 0
          ? undefined
          : (peer.gapSinceMs ?? this.#context.clock.now());
  }

  /** Whom to join from now; undefined: wait. */
  #best(tried: ReadonlySet<Peer>, waitedMs: number): Peer | undefined {
    const { heard, expected } = this.#membership;
    const candidates = heard
      .filter((peer) => !tried.has(peer) && peer.hello !== undefined)
      .toSorted(byName);
    const synced = candidates.find(({ hello }) => hello?.synced);
    if (synced !== undefined) return synced;
    // Nobody is synced: all have just started, or the one that is has not been heard yet.
    const allHeard = expected.every(
      (node) => this.#membership.get(node)?.heard,
    );
    return allHeard || waitedMs >= this.#context.limits.joinMs
      ? candidates[0]
      : undefined;
  }

  /** Whose snapshot a joined node needs; undefined: none. */
  #source(): Peer | undefined {
    const { heard, peers } = this.#membership;
    if (!this.#complete) {
      const synced = heard.filter(({ hello }) => hello?.synced);
      const [first] = synced.toSorted(byName);
      if (first !== undefined) return first;
    }
    const needing = heard.find((peer) => peer.needsSnapshot);
    if (needing !== undefined) return needing;
    // What a node sent to others only before it fell silent.
    for (const silent of peers)
      if (!silent.heard && silent.sequence.missing.length > 0) {
        const source = heard.find(
          (peer) =>
            (peer.appliedOf(silent.node, silent.incarnation) ?? 0n) >
            silent.sequence.contiguous,
        );
        if (source !== undefined) return source;
      }
    return undefined;
  }

  /** @returns the number of sessions; undefined: it failed */
  async #load(source: Peer): Promise<number | undefined> {
    const { counters, log, clock, limits } = this.#context;
    this.#loading = true;
    const startMs = clock.now();
    // What the source has merged before its table is read is in the snapshot, whoever published it.
    const applied = source.hello?.applied ?? [];
    const loaded = await loadSnapshot(
      this.#context,
      this.#merger,
      source.node,
    ).finally(() => {
      this.#loading = false;
    });
    if (loaded === undefined) {
      counters.snapshotsFailed++;
      this.#retryAtMs = clock.now() + limits.retryMs;
      log.warn("snapshot failed", { op: "loadSnapshot", peer: source.node });
      return undefined;
    }
    counters.snapshots++;
    source.counters.snapshots++;
    if (source.incarnation === loaded.incarnation)
      source.sequence.forgive(loaded.seq);
    for (const { node, incarnation, seq } of applied) {
      const peer = this.#membership.get(node);
      if (peer?.incarnation === incarnation) peer.sequence.forgive(seq);
    }
    this.#complete = true;
    this.#wanting = false;
    this.#receiver.paused = false;
    for (const peer of this.#membership.heard) this.#receiver.notice(peer);
    log.info("snapshot loaded", {
      event: "snapshotLoaded",
      peer: source.node,
      sessions: loaded.sessions,
      durationMs: clock.now() - startMs,
    });
    return loaded.sessions;
  }
}

/** Publishes again what has changed lately, whoever made it: the agent before this one may not have come to it. */
export async function republish(
  context: Context,
  publisher: Publisher,
): Promise<void> {
  const { table, limits, transport } = context;
  const ticks = ticksOf(limits.republishMs);
  for (let at: bigint | undefined = 0n; at !== undefined;) {
    const chunk = await table.collect(
      at,
      table.positions,
      recordsIn(limits.envelopeBytes),
      ticks,
    );
    if (context.signal.aborted) return;
    if (chunk.records.length > 0) publisher.publish(chunk.records);
    at = chunk.next;
    while (transport.pending > limits.pendingBytes)
      if (!(await pause(context, limits.reorderMs))) return;
  }
}

function byName(a: Peer, b: Peer): number {
  return a.node < b.node ? -1 : 1;
}
