// SPDX-License-Identifier: Apache-2.0
/** The session table as sync needs it: jobs of the addon's writer thread, bytes in and bytes out. */
import {
  type Chunk,
  type Digest,
  DIGEST_BUCKETS,
  type Events,
  KEY_BYTES,
  type MergeResult,
  RECORD_BYTES,
  type SessionTable,
} from "../sync/table.ts";
import type { Addon } from "./addon.ts";
import * as layout from "./layout.ts";
import type { OpenMaps } from "./maps.ts";
import { decode, encode, u64 } from "./struct.ts";

/** Of `changed_within`: however long ago. */
const EVER = 2 ** 32 - 1;
/** Hashes, and records, that one call of repair looks at. */
const REPAIR_MAX = 65_536;

export class SharedTable implements SessionTable {
  readonly #addon: Addon;
  readonly positions: bigint;

  constructor({ addon, infos }: OpenMaps) {
    this.#addon = addon;
    this.positions = BigInt(
      (infos["weir_outbound4"]?.maxEntries ?? 0) * layout.WEIR_SLOTS,
    );
  }

  listen(onEvents: (events: Events) => void): () => void {
    this.#addon.events((records, misses) => onEvents({ records, misses }));
    return () => this.#addon.events(undefined);
  }

  async merge(records: Uint8Array, delayTicks: number): Promise<MergeResult> {
    const output = await this.#addon.submit(
      layout.WEIR_JOB_MERGE,
      encode(layout.weirMergeJob, { delay: Math.min(delayTicks, EVER) }),
      layout.weirMergeResult.size,
      records,
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
    room: number,
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
      u64.size + room * RECORD_BYTES,
    );
    const next = decode(u64, output.subarray(0, u64.size));
    return {
      records: output.subarray(u64.size),
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

  missing(
    buckets: readonly number[],
    known: BigUint64Array,
  ): Promise<Uint8Array> {
    return this.#addon.submit(
      layout.WEIR_JOB_MISSING,
      bitsOf(buckets),
      REPAIR_MAX * RECORD_BYTES,
      new Uint8Array(known.buffer, known.byteOffset, known.byteLength),
    );
  }

  find(keys: Uint8Array): Promise<Uint8Array> {
    return this.#addon.submit(
      layout.WEIR_JOB_FIND,
      keys,
      (keys.byteLength / KEY_BYTES) * RECORD_BYTES,
    );
  }
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
