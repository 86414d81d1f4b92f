// SPDX-License-Identifier: Apache-2.0
/** The session table as sync needs it: jobs of the addon's writer thread, bytes in and bytes out. */
import {
  type Chunk,
  type Digest,
  DIGEST_BUCKETS,
  type Events,
  KEY_BYTES,
  type Keys,
  type MergeResult,
  RECORD_BYTES,
  type Records,
  type SessionTable,
  WIDE_KEY_BYTES,
  WIDE_RECORD_BYTES,
} from "../sync/table.ts";
import type { Addon } from "./addon.ts";
import * as layout from "./layout.ts";
import type { OpenMaps } from "./maps.ts";
import { decode, encode, u64 } from "./struct.ts";

/** Of `changed_within`: however long ago. */
const EVER = 2 ** 32 - 1;
/** Hashes, and records of either kind, that one call of repair looks at. */
const REPAIR_MAX = 65_536;
const { size: COUNT_BYTES } = layout.weirNarrowCount;

export class SharedTable implements SessionTable {
  readonly #addon: Addon;
  readonly positions: bigint;

  constructor({ addon, infos }: OpenMaps) {
    this.#addon = addon;
    const buckets = (map: string) => infos[map]?.maxEntries ?? 0;
    this.positions = BigInt(
      (buckets("weir_outbound4") + buckets("weir_outbound6")) *
        layout.WEIR_SLOTS,
    );
  }

  listen(onEvents: (events: Events) => void): () => void {
    this.#addon.events((records4, misses4, records6, misses6) =>
      onEvents({
        records: { narrow: records4, wide: records6 },
        misses: { narrow: misses4, wide: misses6 },
      }),
    );
    return () => this.#addon.events(undefined);
  }

  async merge(
    { narrow, wide }: Records,
    delayTicks: number,
  ): Promise<MergeResult> {
    const job = encode(layout.weirMergeJob, {
      delay: Math.min(delayTicks, EVER),
      narrow: BigInt(narrow.length / RECORD_BYTES),
    });
    const output = await this.#addon.submit(
      layout.WEIR_JOB_MERGE,
      job,
      layout.weirMergeResult.size,
      narrow,
      wide,
    );
    const result = decode(layout.weirMergeResult, output);
    return {
      inserted: Number(result.inserted),
      replaced: Number(result.replaced),
      advanced: Number(result.advanced),
      unchanged: Number(result.unchanged),
      stale: Number(result.stale),
      refused: Number(result.refused),
      full: Number(result.full),
      busy: Number(result.busy),
      conflicts: Number(result.conflicts),
    };
  }

  async collect(
    from: bigint,
    to: bigint,
    roomBytes: number,
    changedWithinTicks = EVER,
  ): Promise<Chunk> {
    const end = to < this.positions ? to : this.positions;
    const output = await this.#addon.submit(
      layout.WEIR_JOB_COLLECT,
      encode(layout.weirCollectJob, {
        from,
        to: end,
        changed_within: Math.min(changedWithinTicks, EVER),
      }),
      layout.weirCollectResult.size + roomBytes,
    );
    const { size } = layout.weirCollectResult;
    const { next, narrow } = decode(
      layout.weirCollectResult,
      output.subarray(0, size),
    );
    return {
      records: recordsOf(output.subarray(size), narrow),
      next: next < end ? next : undefined,
    };
  }

  async digest(): Promise<Digest> {
    const begin = performance.now();
    const output = await this.#addon.submit(
      layout.WEIR_JOB_DIGEST,
      new Uint8Array(),
      layout.weirDigest.size,
    );
    const sessions = decode(u64, output.subarray(0, u64.size));
    return {
      buckets: wordsOf(output.subarray(u64.size)),
      sessions: Number(sessions),
      durationMs: performance.now() - begin,
    };
  }

  async hashes(buckets: readonly number[]): Promise<BigUint64Array> {
    return wordsOf(
      await this.#addon.submit(
        layout.WEIR_JOB_HASHES,
        bitsOf(buckets),
        REPAIR_MAX * u64.size,
      ),
    );
  }

  async missing(
    buckets: readonly number[],
    known: BigUint64Array,
  ): Promise<Records> {
    return countedRecords(
      await this.#addon.submit(
        layout.WEIR_JOB_MISSING,
        bitsOf(buckets),
        COUNT_BYTES + REPAIR_MAX * (RECORD_BYTES + WIDE_RECORD_BYTES),
        new Uint8Array(known.buffer, known.byteOffset, known.byteLength),
      ),
    );
  }

  async find({ narrow, wide }: Keys): Promise<Records> {
    const [narrowCount, wideCount] = [
      narrow.length / KEY_BYTES,
      wide.length / WIDE_KEY_BYTES,
    ];
    return countedRecords(
      await this.#addon.submit(
        layout.WEIR_JOB_FIND,
        encode(layout.weirNarrowCount, { narrow: BigInt(narrowCount) }),
        COUNT_BYTES +
          narrowCount * RECORD_BYTES +
          wideCount * WIDE_RECORD_BYTES,
        narrow,
        wide,
      ),
    );
  }
}

/** An output that begins with how many narrow records there are. */
function countedRecords(output: Buffer): Records {
  const { narrow } = decode(
    layout.weirNarrowCount,
    output.subarray(0, COUNT_BYTES),
  );
  return recordsOf(output.subarray(COUNT_BYTES), narrow);
}

function recordsOf(bytes: Buffer, narrow: bigint): Records {
  const end = Number(narrow) * RECORD_BYTES;
  return { narrow: bytes.subarray(0, end), wide: bytes.subarray(end) };
}

function bitsOf(buckets: readonly number[]): Uint8Array {
  const bits = new Uint8Array(DIGEST_BUCKETS / 8);
  for (const bucket of buckets)
    bits[bucket >> 3] = (bits[bucket >> 3] ?? 0) | (1 << (bucket & 7));
  return bits;
}

/** A copy: the bytes need not be aligned. */
function wordsOf(bytes: Uint8Array): BigUint64Array {
  return new BigUint64Array(new Uint8Array(bytes).buffer);
}
