// SPDX-License-Identifier: Apache-2.0
/**
 * Opens the dataplane: takes the lock, adopts what an earlier agent has pinned, makes the rest, loads the programs.
 *
 * Pins live in `<pinDir>/v<layout version>`. Their sizes are fixed when they are made, because the session table cannot
 * grow in place: other limits, or another layout version, need an empty directory.
 */
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import {
  AgentRunningError,
  DataplaneError,
  LayoutMismatchError,
  UnsupportedSystemError,
} from "../errors.ts";
import type { Limits } from "../model.ts";
import type { Addon } from "./addon.ts";
import { hasCode, isAddonError, loadAddon } from "./addon.ts";
import { WEIR_LAYOUT_VERSION, WEIR_SLOTS } from "./layout.ts";
import type { OpenMaps } from "./maps.ts";
import { egressOf } from "./words.ts";

/** The share of the session table's slots that sessions may fill. Above it, inserts begin to find both buckets full. */
const LOAD_MAX = 0.6;
/** Of the ring buffer for events: 28,000 records, a burst of a third of a second at 100,000 a second. A power of two. */
const EVENT_BYTES = 4 * 2 ** 20;
/** Prefixes that a range of ports consists of, at most: two of each length but the longest. */
const RANGE_PREFIXES_MAX = 30;
/** One of each family. */
const AGGREGATES_MAX = 2;
/** Of the verifier's log, that a load error carries. */
const LOG_LINES = 12;
/** What the addon compares that follows from the config, and not from the layout version. */
const FROM_LIMITS = new Set([
  "max_entries",
  "services_max",
  "inbound4_buckets",
  "outbound4_buckets",
  "inbound6_buckets",
  "outbound6_buckets",
]);
/** BPF_FS_MAGIC of linux/magic.h. */
const BPF_FS_MAGIC = 0xcafe4a11;

export type DataplaneOptions = {
  /** Holds the lock. Made if it is not there. */
  readonly stateDir: string;
  /** In a bpf file system. Made if it is not there. */
  readonly pinDir: string;
  readonly limits: Limits;
  /** The compiled programs. */
  readonly objectPaths: readonly string[];
};

/**
 * Throws AgentRunningError if another process has the lock, UnsupportedSystemError without a bpf file system or
 * where a directory cannot be made, LayoutMismatchError if what is pinned has another version or other sizes, DataplaneError if the kernel refuses.
 */
export function openMaps(options: DataplaneOptions): OpenMaps {
  const pinDir = join(options.pinDir, `v${WEIR_LAYOUT_VERSION}`);
  requireBpfFileSystem(options.pinDir);
  refuseOtherVersions(options.pinDir);
  makeDirectory(pinDir);
  makeDirectory(options.stateDir);
  const lock = join(options.stateDir, "lock");
  const addon = loadAddon();
  const infos = load(addon, lock, pinDir, options);
  // The lock goes with the process, however it ends. What the file says is only for people.
  writeFileSync(lock, `${process.pid}\n`);
  return { addon, pinDir, infos };
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new UnsupportedSystemError(
      `Cannot make the directory ${path}: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
}

function alreadyRunning(lock: string, cause: Error): AgentRunningError {
  const holder = readFileSync(lock, "utf8").trim();
  return new AgentRunningError(
    holder === "" ? lock : `${lock} (process ${holder})`,
    { cause },
  );
}

function requireBpfFileSystem(path: string): void {
  const type = fileSystemType(path);
  if (type !== BPF_FS_MAGIC)
    throw new UnsupportedSystemError(
      `Cannot pin the dataplane in ${path}: it is not in a bpf file system: mount -t bpf bpf /sys/fs/bpf`,
    );
}

/** Of the path, or of the nearest directory above it that exists. */
function fileSystemType(path: string): number {
  try {
    return statfsSync(path).type;
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
    return fileSystemType(dirname(path));
  }
}

/** Two versions of the dataplane side by side would each hold half of the sessions. */
function refuseOtherVersions(pinDir: string): void {
  const other = directoryEntries(pinDir).find(
    (name) => /^v\d+$/.test(name) && name !== `v${WEIR_LAYOUT_VERSION}`,
  );
  if (other !== undefined)
    throw new LayoutMismatchError(
      `dataplane in ${pinDir}`,
      `layout version ${other.slice(1)}`,
      `version ${WEIR_LAYOUT_VERSION}`,
    );
}

function directoryEntries(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return [];
    throw error;
  }
}

function load(
  addon: Addon,
  lock: string,
  pinDir: string,
  { objectPaths, limits }: DataplaneOptions,
): OpenMaps["infos"] {
  const maxEntries = mapSizes(limits);
  try {
    return addon.load({ lock, objects: objectPaths, pinDir, maxEntries });
  } catch (error) {
    if (hasCode(error, "EAGAIN")) throw alreadyRunning(lock, error);
    throw explain(error);
  }
}

/** How many elements each map has whose size follows from the limits. */
function mapSizes(limits: Limits): Readonly<Record<string, number>> {
  const narrow = bucketsFor(limits.sessions);
  const wide = bucketsFor(limits.wideSessions);
  return {
    weir_inbound4: narrow,
    weir_outbound4: narrow,
    weir_inbound6: wide,
    weir_outbound6: wide,
    weir_service_index: limits.services,
    // Longest-prefix maps take memory as they are filled. A reload has the old and the new in them for a moment.
    weir_service_ranges: 2 * RANGE_PREFIXES_MAX * limits.services,
    weir_prefixes: 2 * (limits.services + AGGREGATES_MAX),
    weir_services: limits.services,
    weir_schedules: 2 * limits.services,
    weir_turns: limits.services,
    weir_real_servers: limits.realServers,
    weir_traffic: limits.realServers,
    weir_egress_groups: egressOf(limits.realServers),
    weir_events: EVENT_BYTES,
  };
}

/** Of each of the two tables of a family: a session has one entry in either. */
function bucketsFor(sessions: number): number {
  return Math.ceil(sessions / LOAD_MAX / WEIR_SLOTS);
}

function explain(error: unknown): unknown {
  if (!isAddonError(error)) return error;
  if (error.mismatch !== undefined) {
    const { map, property, found, wanted } = error.mismatch;
    return new LayoutMismatchError(
      `map ${map}`,
      `${property} ${found}`,
      FROM_LIMITS.has(property)
        ? `${wanted} for the limits in its config`
        : `${wanted}`,
      { cause: error },
    );
  }
  const log = (error.log ?? "").trimEnd().split("\n").slice(-LOG_LINES);
  return new DataplaneError(
    [`Cannot load the dataplane: ${error.message}`, ...log].join("\n"),
    error.code,
    { cause: error },
  );
}
