// SPDX-License-Identifier: Apache-2.0
/**
 * The types of dataplane/addon.c: bytes in, bytes out. Only dataplane.ts and its parts use it.
 *
 * Each function throws `AddonError`; a number or a length that does not fit is EINVAL.
 */
import { createRequire } from "node:module";

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
   * Takes the lock, until `close`; then adopts what is pinned in `pinDir`, makes the rest, loads the program. Throws
   * LoadError. EAGAIN: another process has the lock.
   */
  load(options: {
    readonly lock: string;
    readonly object: string;
    readonly pinDir: string;
    readonly maxEntries: Readonly<Record<string, number>>;
  }): Readonly<Record<string, MapInfo>>;
  /** Releases all but the pins. EBUSY while a sweep runs. */
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
  /** One pass over the session table, off the event loop. `timeouts`: a weir_timeouts for each real server. EBUSY. */
  sweep(timeouts: Uint8Array): Promise<{
    /** A weir_sweep_result. */
    readonly result: Buffer;
    /** A u32 for each real server. */
    readonly sessionsPerReal: Buffer;
  }>;
  /** At most `room` weir_record4. Begins at cursor 0n; a returned cursor of 2^64 - 1 is the end. */
  snapshot(
    cursor: bigint,
    room: number,
  ): { readonly records: Buffer; readonly cursor: bigint };
}

/** Throws if the file is not there: `./weir` builds it. */
export function loadAddon(): Addon {
  return createRequire(import.meta.url)("../../build/weir.node") as Addon;
}

export function isAddonError(error: unknown): error is AddonError & LoadError {
  return error instanceof Error && "code" in error && "syscall" in error;
}

export function hasCode(error: unknown, code: string): error is AddonError {
  return error instanceof Error && "code" in error && error.code === code;
}
