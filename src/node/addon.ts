// SPDX-License-Identifier: Apache-2.0
/**
 * The types of dataplane/addon.c: bytes in, bytes out. Only dataplane.ts and its parts use it.
 *
 * Each function throws `AddonError`; a number or a length that does not fit is EINVAL.
 */
import { createRequire } from "node:module";
import { setTimeout as delay } from "node:timers/promises";

/** Before a job is submitted again that the queue had no room for. */
const RETRY_MS = 20;

export type AddonError = Error & {
  /** The errno's name. */
  readonly code: string;
  /** The function and what it worked on: `mapUpdate weir_services`. */
  readonly syscall: string;
};

/** What `load` throws. */
export type LoadError = AddonError & {
  /** The last that libbpf and the verifier said. */
  readonly log?: string;
  /** With code EEXIST: what is pinned is not as this load would make it. */
  readonly mismatch?: {
    readonly map: string;
    readonly property: string;
    readonly found: number;
    readonly wanted: number;
  };
};

export type MapInfo = {
  readonly keySize: number;
  /** Of one CPU, if the map is per-CPU. */
  readonly valueSize: number;
  readonly maxEntries: number;
};

export interface Addon {
  /**
   * Takes the lock, until `close`; then adopts what is pinned in `pinDir`, makes the rest, loads the programs of all
   * `objects`, which share it. Throws LoadError. EAGAIN: another process has the lock.
   */
  load(options: {
    readonly lock: string;
    readonly objects: readonly string[];
    readonly pinDir: string;
    readonly maxEntries: Readonly<Record<string, number>>;
  }): Readonly<Record<string, MapInfo>>;
  /** Waits for the jobs and settles them, ends listening, and releases all but the pins. Harmless if nothing is loaded. */
  close(): void;
  /** `mode` as XDP_ATTACHED_* of linux/if_link.h; `adopted`: a link of an earlier process now runs this program. */
  attach(ifindex: number): { readonly adopted: boolean; readonly mode: number };
  /** ENOENT: there is no pinned link. */
  detach(ifindex: number): void;
  /** A per-CPU map gives one value after another, each rounded up to 8 bytes. ENOENT. */
  mapLookup(map: string, key: Uint8Array): Buffer;
  /** E2BIG: the map is full. */
  mapUpdate(map: string, key: Uint8Array, value: Uint8Array): void;
  /** ENOENT. */
  mapDelete(map: string, key: Uint8Array): void;
  /** One key after another. */
  mapKeys(map: string): Buffer;
  /** The dataplane's clock now, in ticks, not cut to 32 bits. */
  clock(): bigint;
  /** Runs the program on a frame as if it came in on that interface. `durationNs` is the average of the runs. */
  testRun(
    frame: Uint8Array,
    ifindex: number,
    repeat: number,
  ): {
    readonly verdict: number;
    readonly frame: Buffer;
    readonly durationNs: number;
  };
  /**
   * The same for many frames, one after another, each behind its length (u32). Gives for each: verdict, length, number of
   * rises, `rises` times the index of a word and by how much it rose in the first element of `counters`, a per-CPU map
   * (all u32), and then the frame as it came out. ENOSPC: that takes more than `room` bytes.
   */
  testRunMany(
    counters: string,
    frames: Uint8Array,
    ifindex: number,
    room: number,
  ): Buffer;
  /**
   * Has the one thread that writes the session table do a job (dataplane/table_jobs.h); one after another, in order, but
   * that short ones go first while a long one is at work. `input`, and what follows in it, `more` and `rest`, are copied.
   * Resolves to the output, of at most `room` bytes; rejects with the job's errno, or EAGAIN: more than 1,024 jobs or 256
   * MiB of input are not settled yet. Jobs keep the process alive.
   */
  submit(
    operation: number,
    input: Uint8Array,
    room: number,
    more?: Uint8Array,
    rest?: Uint8Array,
  ): Promise<Buffer>;
  /**
   * From now on hands over what the programs write into their ring buffer, beginning with what is there: records of 96
   * bytes and keys of 16 of the narrow family, records of 144 and keys of 40 of the wide one, at most 2,048 in one call,
   * and calls that are not full no sooner than 1 ms after the one before. There is one listener; it keeps the process
   * alive, and what it throws is uncaught. When it is 64 calls behind, or there is none, the ring fills. `undefined` ends
   * it; then the records of calls under way are lost.
   */
  events(
    onEvents:
      | ((
          records4: Buffer,
          misses4: Buffer,
          records6: Buffer,
          misses6: Buffer,
        ) => void)
      | undefined,
  ): void;
}

/** Throws if the file is not there: `./weir` builds it. */
export function loadAddon(): Addon {
  return createRequire(import.meta.url)("../../build/weir.node") as Addon;
}

export function isAddonError(error: unknown): error is AddonError & LoadError {
  return error instanceof Error && "code" in error && "syscall" in error;
}

/** Submits a job, and again while the queue has no room for it and it is still wanted. @throws what the job rejects with */
export async function submitInTime(
  submit: () => Promise<unknown>,
  isWanted: () => boolean,
): Promise<void> {
  while (isWanted())
    try {
      await submit();
      return;
    } catch (error) {
      if (!hasCode(error, "EAGAIN")) throw error;
      await delay(RETRY_MS);
    }
}

export function hasCode(error: unknown, code: string): error is AddonError {
  return error instanceof Error && "code" in error && error.code === code;
}
