// SPDX-License-Identifier: Apache-2.0
/** What sync needs of a dataplane; tests pass a model. Records and keys are opaque here, but for their size and version. */

/** Of one session on the wire: narrow if its four addresses are IPv4, wide if not. Record version 1. */
export const RECORD_BYTES = 96;
export const WIDE_RECORD_BYTES = 144;
/** Of a session's name on the wire. */
export const KEY_BYTES = 16;
export const WIDE_KEY_BYTES = 40;
/** Records of another version are refused, never guessed. */
export const RECORD_VERSION = 1;
/** A digest is one sum for each of so many buckets of keys. */
export const DIGEST_BUCKETS = 1024;

/** Whole records, one after the other. */
export type Records = {
  readonly narrow: Uint8Array;
  readonly wide: Uint8Array;
};

/** Whole keys, as `Records`. */
export type Keys = {
  readonly narrow: Uint8Array;
  readonly wide: Uint8Array;
};

export type Events = {
  readonly records: Records;
  /** Of packets that no session claims. */
  readonly misses: Keys;
};

/** What became of the records of one merge: their number is the sum of all but the last. */
export type MergeResult = {
  readonly inserted: number;
  readonly replaced: number;
  readonly advanced: number;
  readonly unchanged: number;
  readonly stale: number;
  /** Malformed. */
  readonly refused: number;
  /** No room in the table. */
  readonly full: number;
  /** The dataplane was at the same entry each time. A later record heals it. */
  readonly busy: number;
  /** Records that contradicted what was held; they are counted above, too. */
  readonly conflicts: number;
};

export type Chunk = {
  readonly records: Records;
  /** Where to go on; undefined: the range is done. */
  readonly next: bigint | undefined;
};

export type Digest = {
  /** One 64-bit sum for each bucket, over settled sessions. */
  readonly buckets: BigUint64Array;
  readonly sessions: number;
  readonly durationMs: number;
};

/** Holds narrow and wide sessions. A tick is 2^20 ns. */
export interface SessionTable {
  /** What the local dataplane writes, from now on; one listener. Returns the end of listening. */
  listen(onEvents: (events: Events) => void): () => void;
  /** Joins records that were read `delayTicks` ago. Buffers must not change until it resolves. */
  merge(records: Records, delayTicks: number): Promise<MergeResult>;
  /** Positions of the table: [0, positions). A snapshot may walk disjoint ranges at once. */
  readonly positions: bigint;
  /**
   * Sessions in [from, to) in table order, as many as fit into `roomBytes`, which is room for one of either kind at least;
   * only those changed in the last `changedWithinTicks` if given. It may end before the room does.
   */
  collect(
    from: bigint,
    to: bigint,
    roomBytes: number,
    changedWithinTicks?: number,
  ): Promise<Chunk>;
  digest(): Promise<Digest>;
  /** Hashes of the settled sessions of these digest buckets. */
  hashes(buckets: readonly number[]): Promise<BigUint64Array>;
  /** Settled sessions of these buckets whose hash is not among `known`. */
  missing(buckets: readonly number[], known: BigUint64Array): Promise<Records>;
  /** The records of these keys, of those that are held. */
  find(keys: Keys): Promise<Records>;
}
