// SPDX-License-Identifier: Apache-2.0
// Whether the directors share their sessions, how late, and whether they have come to hold the same.

import { LabError } from "../lab/errors.ts";
import { DIRECTORS, until, type Director, type Rack } from "../lab/rack.ts";
import type { SyncReport } from "../lab/reports.ts";

/** What a drill says of the sharing of sessions after each run. */
export type Tables = {
  readonly sync: "on" | "off";
  /**
   * From the reading of a record at one director to its merge at another: the worst pair of directors. Null: unknown. Of a
   * run under load: before its fault, or at its end; afterwards a director that joins counts what others had told long ago.
   */
  readonly lagMs: { readonly p50: number; readonly p99: number } | null;
  /** All directors hold the same sessions, in the same state, under the same index. Null: the directors do not share any. */
  readonly tablesEqual: boolean | null;
  /** From the end of the traffic on; at most the limit. */
  readonly msToEqual: number;
  /** What was compared at last. */
  readonly fingerprints: Readonly<
    Partial<Record<Director, SyncReport["fingerprint"]>>
  >;
};

type Reports = Readonly<Partial<Record<Director, SyncReport>>>;

export const NO_TABLES: Tables = {
  sync: "off",
  lagMs: null,
  tablesEqual: null,
  msToEqual: 0,
  fingerprints: {},
};

/**
 * Compares the sessions that began at `sinceMs` or later, until they are equal, at most for so long. Those of an earlier run
 * may be expiring meanwhile, which each director does at a moment of its own.
 */
export async function compareTables(
  rack: Rack,
  sinceMs: number,
  limitMs: number,
): Promise<Tables> {
  const since = String(BigInt(Math.floor(sinceMs)) * 1_000_000n);
  let tables = NO_TABLES;
  const probe = async () => {
    tables = tablesOf(await reportsOf(rack, "--fingerprint", "--since", since));
    return tables.tablesEqual === false ? "they differ" : undefined;
  };
  const begin = performance.now();
  try {
    await until("see equal tables", probe, limitMs);
  } catch (error) {
    if (!(error instanceof LabError)) throw error;
  }
  return { ...tables, msToEqual: Math.round(performance.now() - begin) };
}

/** How late the directors are now; null where they do not tell. */
export async function lagNow(rack: Rack): Promise<Tables["lagMs"]> {
  try {
    return lagOf(await reportsOf(rack));
  } catch (error) {
    if (error instanceof LabError) return null;
    throw error;
  }
}

async function reportsOf(
  rack: Rack,
  ...options: readonly string[]
): Promise<Reports> {
  const reports = DIRECTORS.map(
    async (director) =>
      [director, await rack.sync(director, ...options)] as const,
  );
  return Object.fromEntries(await Promise.all(reports));
}

/** Pure. */
export function tablesOf(reports: Reports): Tables {
  const all = Object.values(reports);
  if (all.every(({ state }) => state === "off")) return NO_TABLES;
  const prints = all.map(({ fingerprint }) => fingerprint);
  const [first] = prints;
  return {
    sync: "on",
    lagMs: lagOf(reports),
    tablesEqual: prints.every(
      (print) =>
        print !== undefined &&
        print.truth === first?.truth &&
        print.index === first.index,
    ),
    msToEqual: 0,
    fingerprints: Object.fromEntries(
      Object.entries(reports).map(([name, { fingerprint }]) => [
        name,
        fingerprint,
      ]),
    ),
  };
}

/** Pure. Each director knows best about what it has merged itself. */
export function lagOf(reports: Reports): Tables["lagMs"] {
  const arrived = Object.entries(reports).flatMap(([director, { pairs }]) =>
    pairs.filter(({ to }) => to === director),
  );
  const p50 = arrived.flatMap(({ lagMs }) => lagMs ?? []);
  const p99 = arrived.flatMap(({ lagP99Ms }) => lagP99Ms ?? []);
  return p50.length === 0
    ? null
    : { p50: round(Math.max(...p50)), p99: round(Math.max(...p50, ...p99)) };
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
