// SPDX-License-Identifier: Apache-2.0
import { type Context, pause } from "./context.ts";
import { ticksOf } from "./limits.ts";
import type { Membership } from "./membership.ts";
import type { Merger } from "./merger.ts";
import type { Peer } from "./peer.ts";
import type { Publisher } from "./publisher.ts";
import type { Receiver } from "./receiver.ts";
import { isEmpty, ROOM_BYTES_MIN } from "./records.ts";
import { loadSnapshot } from "./snapshot.ts";
import type { Chunk } from "./table.ts";

export type Joined =
  | {
      /** The node whose snapshot was loaded last. */
      readonly from: string;
      /** In all snapshots. */
      readonly sessions: number;
      readonly ms: number;
      /** None of those whose tables are here now knows what the cluster held earlier. */
      readonly partial: boolean;
      readonly alone?: undefined;
    }
  /** No peer gave a snapshot in time. When one is there, its snapshot is loaded. */
  | { readonly alone: true };

/** A snapshot that has been loaded; `synced` is what its node said of itself before. */
type Load = {
  readonly from: string;
  readonly sessions: number;
  readonly synced: boolean;
};

/** Brings into the table what has not come with envelopes: by snapshots of the peers'. */
export class CatchUp {
  readonly #context: Context;
  readonly #membership: Membership;
  readonly #merger: Merger;
  readonly #receiver: Receiver;
  /** join() has ended. */
  #joined = false;
  #loading = false;
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
      this.#relay() === undefined &&
      this.#membership.heard.every(
        (peer) =>
          !this.#lacks(peer) &&
          !peer.isOwing &&
          (peer.gapSinceMs === undefined ||
            clock.now() - peer.gapSinceMs <= limits.gapMs),
      )
    );
  }

  /** Loads snapshots until this node holds what each peer that is heard holds, or finds that there is none. */
  async join(): Promise<Joined> {
    const { clock, limits, signal } = this.#context;
    const startMs = clock.now();
    const patienceMs = this.#joined ? limits.resyncMs : Infinity;
    this.#joined = false;
    this.#receiver.paused = true;
    // A load that is on its way notes in the old map what it brings: it began too early for this.
    this.#membership.tables = new Map();
    const tried = new Set<Peer>();
    const loads: Load[] = [];
    let progressMs = startMs;
    let isFilled: (() => boolean) | undefined;
    while (!signal.aborted) {
      const source = this.#loading ? undefined : this.#best(tried);
      const load = source && (await this.#load(source));
      if (load !== undefined) {
        loads.push(load);
        tried.clear();
        progressMs = clock.now();
        isFilled = undefined;
        continue;
      }
      if (source !== undefined) tried.add(source);
      const { heard, expected } = this.#membership;
      if (heard.every((peer) => tried.has(peer))) tried.clear();
      const hopeless = expected.length + heard.length === 0;
      const waitedMs = clock.now() - progressMs;
      const isWhole = this.#isWhole(loads, waitedMs >= patienceMs);
      if (isWhole) isFilled ??= this.#fill();
      if (isWhole && isFilled?.()) break;
      if (hopeless || waitedMs >= limits.aloneMs) break;
      await pause(this.#context, limits.helloMs / 4);
    }
    this.#noteGaps();
    this.#joined = true;
    this.#receiver.paused = false;
    const last = loads.at(-1);
    if (last === undefined) return { alone: true };
    return {
      from: last.from,
      sessions: loads.reduce((sum, { sessions }) => sum + sessions, 0),
      ms: clock.now() - startMs,
      partial: this.#membership.heard.every(
        (peer) =>
          !this.#membership.hasTable(peer) || (peer.hello?.partial ?? true),
      ),
    };
  }

  /** To be called each helloMs: loads a snapshot if one is needed. */
  tick(): void {
    this.#noteGaps();
    if (!this.#joined || this.#loading) return;
    const source = this.#best(new Set()) ?? this.#relay();
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

  /** The peer holds what no envelope will bring. */
  #lacks(peer: Peer): boolean {
    return !this.#membership.hasTable(peer) || peer.needsSnapshot;
  }

  /** Whose snapshot to load next: a synced peer may have what others hold, too. Undefined: wait. */
  #best(tried: ReadonlySet<Peer>): Peer | undefined {
    const candidates = this.#membership.heard
      .filter((peer) => peer.hello !== undefined && this.#lacks(peer))
      .filter((peer) => !tried.has(peer))
      .toSorted(byName);
    return candidates.find(({ hello }) => hello?.synced) ?? candidates[0];
  }

  /** Who has what a node sent to others only before it fell silent; undefined: nobody, or nothing is missing. */
  #relay(): Peer | undefined {
    const { heard, peers } = this.#membership;
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

  /** Nothing of those that are heard is lacking, and those that are not can have nothing more, or it is too late for them. */
  #isWhole(loads: readonly Load[], isLate: boolean): boolean {
    const { heard, expected } = this.#membership;
    return (
      heard.length > 0 &&
      !heard.some((peer) => this.#lacks(peer)) &&
      (isLate ||
        loads.some(({ synced }) => synced) ||
        expected.every((node) => this.#membership.get(node)?.heard))
    );
  }

  /** Has the envelopes sent again that are missing now. @returns are they all there? */
  #fill(): () => boolean {
    this.#receiver.paused = false;
    const wanted = this.#membership.heard.map((peer) => {
      this.#receiver.notice(peer);
      return { peer, sequence: peer.sequence, top: peer.sequence.top };
    });
    return () =>
      wanted.every(
        ({ peer, sequence, top }) =>
          sequence.contiguous >= top || peer.sequence !== sequence,
      );
  }

  /** Undefined: it failed. */
  async #load(source: Peer): Promise<Load | undefined> {
    const { counters, log, clock, limits } = this.#context;
    const { tables } = this.#membership;
    const { incarnation, hello } = source;
    this.#loading = true;
    const startMs = clock.now();
    const loaded = await loadSnapshot(
      this.#context,
      this.#merger,
      source.node,
    ).finally(() => {
      this.#loading = false;
    });
    // If its agent has started again, what the one before had merged need not be in its table any more.
    if (loaded?.incarnation !== incarnation) {
      counters.snapshotsFailed++;
      this.#retryAtMs = clock.now() + limits.retryMs;
      log.warn("snapshot failed", { op: "loadSnapshot", peer: source.node });
      return undefined;
    }
    counters.snapshots++;
    source.counters.snapshots++;
    const self = { node: source.node, incarnation, seq: loaded.seq };
    // What the source had merged before its table was read is in the snapshot, whoever published it.
    for (const held of [{ ...self, table: true }, ...(hello?.applied ?? [])]) {
      const peer = this.#membership.get(held.node);
      if (peer !== undefined && peer.incarnation !== held.incarnation) continue;
      peer?.sequence.forgive(held.seq);
      if (held.table) tables.set(held.node, held.incarnation);
    }
    for (const peer of this.#membership.heard) this.#receiver.notice(peer);
    log.info("snapshot loaded", {
      event: "snapshotLoaded",
      peer: source.node,
      sessions: loaded.sessions,
      durationMs: clock.now() - startMs,
    });
    return {
      from: source.node,
      sessions: loaded.sessions,
      synced: hello?.synced ?? false,
    };
  }
}

/** Publishes again what has changed lately, whoever made it: the agent before this one may not have come to it. */
export async function republish(
  context: Context,
  publisher: Publisher,
): Promise<void> {
  const { table, limits, log, transport } = context;
  const ticks = ticksOf(limits.republishMs);
  for (let at: bigint | undefined = 0n; at !== undefined;) {
    const chunk: Chunk | undefined = await table
      .collect(
        at,
        table.positions,
        Math.max(limits.envelopeBytes, ROOM_BYTES_MIN),
        ticks,
      )
      .catch((error: unknown) => {
        // The table has too much to do.
        log.warn("not published again yet", { op: "republish", error });
        return undefined;
      });
    if (context.signal.aborted) return;
    if (chunk === undefined) {
      if (!(await pause(context, limits.retryMs))) return;
      continue;
    }
    if (!isEmpty(chunk.records)) publisher.publish(chunk.records);
    at = chunk.next;
    while (transport.pending > limits.pendingBytes)
      if (!(await pause(context, limits.reorderMs))) return;
  }
}

function byName(a: Peer, b: Peer): number {
  return a.node < b.node ? -1 : 1;
}
