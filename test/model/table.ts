// SPDX-License-Identifier: Apache-2.0
/** A session table in plain TypeScript, on a virtual clock: stands in for a node's dataplane where clusters are simulated. */
import {
  type Chunk,
  type Digest,
  DIGEST_BUCKETS,
  type Events,
  type Keys,
  type MergeResult,
  RECORD_BYTES,
  type Records,
  type SessionTable,
  WIDE_RECORD_BYTES,
} from "../../src/sync/table.ts";
import { bucketOf, hashOf, isSettled, SETTLED_AFTER } from "./digest.ts";
import { named } from "./index.ts";
import { conflict, join, same } from "./merge.ts";
import { Ring } from "./ring.ts";
import {
  isWide,
  type Key,
  normal,
  type Session,
  SYN,
  TICKS_PER_SECOND,
  timeoutOf,
  type Timeouts,
} from "./session.ts";
import { type Entry, Store } from "./store.ts";
import { decodeAll, decodeKeys, encodeAll, INBOUND } from "./wire.ts";

/** How long a silent session outlives its timeout and a quarter of it. */
export const MARGIN = 5 * TICKS_PER_SECOND;

const seconds = (count: number) => count * TICKS_PER_SECOND;
export const TIMEOUTS: Timeouts = {
  handshake: seconds(60),
  established: seconds(900),
  closed: seconds(60),
  reset: seconds(10),
};

export type Settings = {
  /** Ticks of a virtual clock that never goes back; each node may have one of its own. */
  readonly now: () => number;
  /** This node's number. */
  readonly origin: number;
  readonly timeouts?: Timeouts;
  /** Slots. */
  readonly positions?: number;
  /** Events that the ring buffer holds. */
  readonly ring?: number;
  readonly settledAfter?: number;
  /** Of the clock that generations are made of: real time in ns at tick 0. */
  readonly wallNs?: bigint;
};

export type Swept = {
  readonly sessions: number;
  readonly expired: number;
  readonly held: number;
  readonly refreshed: number;
};

type Outcome = Exclude<keyof MergeResult, "conflicts" | "refused">;

export class ModelTable implements SessionTable {
  readonly positions: bigint;
  readonly ring: Ring;
  readonly origin: number;
  readonly now: () => number;
  readonly #timeouts: Timeouts;
  readonly #settledAfter: number;
  readonly #wallNs: bigint;
  readonly #store: Store;
  /** The highest one made or seen here. */
  #generation = 0n;

  constructor(settings: Settings) {
    this.now = settings.now;
    this.origin = settings.origin;
    this.ring = new Ring(settings.now, settings.ring ?? 4096);
    this.#timeouts = settings.timeouts ?? TIMEOUTS;
    this.#settledAfter = settings.settledAfter ?? SETTLED_AFTER;
    this.#wallNs = settings.wallNs ?? 1_700_000_000_000_000_000n;
    this.#store = new Store(settings.positions ?? 4096);
    this.positions = BigInt(this.#store.positions);
  }

  listen(onEvents: (events: Events) => void): () => void {
    return this.ring.listen(onEvents);
  }

  async merge(records: Records, delayTicks: number): Promise<MergeResult> {
    return this.mergeNow(records, delayTicks);
  }

  /** As merge(), at once. */
  mergeNow(records: Records, delayTicks: number): MergeResult {
    const result = {
      inserted: 0,
      replaced: 0,
      advanced: 0,
      unchanged: 0,
      stale: 0,
      refused: 0,
      full: 0,
      busy: 0,
      conflicts: 0,
    };
    for (const record of decodeAll(records, this.now(), delayTicks)) {
      if (record === undefined) {
        result.refused++;
        continue;
      }
      const held = this.twinOf(record);
      if (held?.generation === record.generation && conflict(held, record))
        result.conflicts++;
      result[this.#mergeOne(record)]++;
    }
    return result;
  }

  #mergeOne(record: Session): Outcome {
    if (record.generation > this.#generation)
      this.#generation = record.generation;
    const entry = this.#store.get(record.key, isWide(record));
    if (entry === undefined)
      return this.#store.insert(record) ? "inserted" : "full";
    const before = entry.session;
    if (record.generation < before.generation) return "stale";
    if (record.generation === before.generation && isLive(entry)) {
      this.#store.replace(entry, join(before, record));
      entry.told = Math.max(entry.told, record.seen);
      const { reset } = before;
      const isNews = !same({ ...entry.session, reset }, before);
      return isNews ? "advanced" : "unchanged";
    }
    const joined = join(before, record);
    // What has expired comes back only with news of a longer life.
    if (record.generation === before.generation && this.isExpired(joined))
      return "unchanged";
    this.#store.replace(entry, joined);
    entry.heldUntil = undefined;
    entry.told = record.seen;
    entry.untold = false;
    return "replaced";
  }

  async collect(
    from: bigint,
    to: bigint,
    roomBytes: number,
    changedWithinTicks?: number,
  ): Promise<Chunk> {
    const found: Session[] = [];
    let position = Number(from);
    let left = roomBytes;
    for (; position < Number(to); position++) {
      const entry = this.#store.at(position);
      if (entry === undefined || !isLive(entry)) continue;
      const { session } = entry;
      const age = this.now() - session.changed;
      if (changedWithinTicks !== undefined && age > changedWithinTicks)
        continue;
      left -= isWide(session) ? WIDE_RECORD_BYTES : RECORD_BYTES;
      if (left < 0) break;
      found.push(session);
    }
    return {
      records: encodeAll(found, this.now()),
      next: position < Number(to) ? BigInt(position) : undefined,
    };
  }

  async digest(): Promise<Digest> {
    const buckets = new BigUint64Array(DIGEST_BUCKETS);
    const settled = this.#settled();
    for (const session of settled) {
      const bucket = bucketOf(session);
      buckets[bucket] = (buckets[bucket] ?? 0n) + hashOf(session);
    }
    return { buckets, sessions: settled.length, durationMs: 0 };
  }

  async hashes(buckets: readonly number[]): Promise<BigUint64Array> {
    return new BigUint64Array(this.#settledIn(buckets).map(hashOf));
  }

  async missing(
    buckets: readonly number[],
    known: BigUint64Array,
  ): Promise<Records> {
    const there = new Set(known);
    const unknown = this.#settledIn(buckets).filter(
      (session) => !there.has(hashOf(session)),
    );
    return encodeAll(unknown, this.now());
  }

  async find(keys: Keys): Promise<Records> {
    const found = decodeKeys(keys).flatMap(({ key, direction, wide }) => {
      const entry = this.#store.get(key, wide);
      const session =
        direction === INBOUND
          ? this.named(key)
          : entry && isLive(entry) && entry.session;
      return session && isWide(session) === wide ? [session] : [];
    });
    return encodeAll(found, this.now());
  }

  /** The session of an outbound key, of the narrow table if both have one. */
  get(key: Key): Session | undefined {
    return this.#heldBy(key).find(isLive)?.session;
  }

  /** The session with this one's outbound key, in this one's table. */
  twinOf(session: Session): Session | undefined {
    const entry = this.#store.get(session.key, isWide(session));
    return entry && isLive(entry) ? entry.session : undefined;
  }

  /** The session that the index names for a client key. */
  named(client: Key): Session | undefined {
    return named(
      this.#store
        .ofClient(client)
        .filter(isLive)
        .map(({ session }) => session),
    );
  }

  /** All sessions, held ones apart. */
  sessions(): readonly Session[] {
    return this.#store
      .all()
      .filter(isLive)
      .map(({ session }) => session);
  }

  /** Is this LIP:port toward this real server taken, be it by a session that has expired? */
  isTaken(key: Key): boolean {
    return this.#heldBy(key).length > 0;
  }

  #heldBy(key: Key): readonly Entry[] {
    return [false, true].flatMap((wide) => this.#store.get(key, wide) ?? []);
  }

  /** A hybrid logical clock: this node's time, but above each generation that it has made or seen. */
  nextGeneration(): bigint {
    const wall = this.#wallNs + (BigInt(Math.floor(this.now())) << 20n);
    this.#generation = wall > this.#generation ? wall : this.#generation + 1n;
    return this.#generation;
  }

  /** Stores what a local packet has made of a session, and tells the listener if `isNews`. False: the table is full. */
  write(session: Session, isNews: boolean): boolean {
    const held = this.#store.get(session.key, isWide(session));
    if (held !== undefined) this.#store.replace(held, session);
    const entry = held ?? this.#store.insert(session);
    if (entry !== undefined && isNews) this.#tell(entry);
    return entry !== undefined;
  }

  #tell(entry: Entry): void {
    entry.untold = !this.ring.session(entry.session);
    if (!entry.untold) entry.told = entry.session.seen;
  }

  /**
   * Expires what has been silent for too long, and refreshes at the peers what they may expire. `patient`: a peer is
   * unheard, so sessions stay for one further timeout.
   */
  sweep(patient = false): Swept {
    const result = { sessions: 0, expired: 0, held: 0, refreshed: 0 };
    for (const entry of this.#store.all()) {
      if (!isLive(entry)) {
        if (this.now() >= (entry.heldUntil ?? 0)) this.#store.remove(entry);
        else result.held++;
      } else if (this.isExpired(entry.session, patient)) {
        this.#expire(entry);
        result.expired++;
      } else {
        result.sessions++;
        result.refreshed += Number(this.#refresh(entry));
      }
    }
    return result;
  }

  isExpired(session: Session, patient = false): boolean {
    const timeout = timeoutOf(session, this.#timeouts);
    const last = Math.max(session.seen, session.reset ?? session.seen);
    const limit = timeout + Math.floor(timeout / 4) + MARGIN;
    return this.now() - last > limit + (patient ? timeout : 0);
  }

  #expire(entry: Entry): void {
    const quarter = Math.floor(timeoutOf(entry.session, this.#timeouts) / 4);
    if (entry.session.origin !== this.origin) {
      this.#store.remove(entry);
      return;
    }
    // Its state and when that changed are not remembered; that both sides have closed is.
    const remembered = { ...entry.session, state: SYN, changed: -Infinity };
    this.#store.replace(entry, normal(remembered));
    entry.heldUntil = this.now() + quarter;
  }

  #refresh(entry: Entry): boolean {
    const quarter = Math.floor(timeoutOf(entry.session, this.#timeouts) / 4);
    if (!entry.untold && entry.session.seen - entry.told < quarter)
      return false;
    this.#tell(entry);
    return true;
  }

  #settled(): readonly Session[] {
    return this.sessions().filter((session) =>
      isSettled(session, this.now(), this.#timeouts, this.#settledAfter),
    );
  }

  #settledIn(buckets: readonly number[]): readonly Session[] {
    const wanted = new Set(buckets);
    return this.#settled().filter((session) => wanted.has(bucketOf(session)));
  }
}

function isLive({ heldUntil }: Entry): boolean {
  return heldUntil === undefined;
}
