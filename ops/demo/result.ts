// SPDX-License-Identifier: Apache-2.0
// The demo's result: what it counted, whether that is good, and how people read it. Pure.

import { renderTable } from "../lab/inspect.ts";
import { DIRECTORS, REAL_SERVERS } from "../lab/rack.ts";
import type { Fetch } from "./round.ts";

/** What a good demo needs. */
const REQUESTS_MIN = 300;
const BYTES_MIN = 50_000_000;
/** Of all requests, for each director and each real server. */
const SHARE_MIN = 0.15;

type ByName = Readonly<Record<string, number>>;

/** What has been fetched so far. */
export type Tally = {
  readonly requests: number;
  readonly failed: number;
  /** How often, by reason. */
  readonly failures: ByName;
  readonly perDirector: ByName;
  readonly perServer: ByName;
  readonly bytesVerified: number;
};

/** What `--json` prints. Fields may be added, never renamed. */
export type DemoResult = Tally & {
  readonly ok: boolean;
  /** Of the requests, 0 to 1. */
  readonly directorShares: ByName;
  readonly serverShares: ByName;
  /** How many sessions each director says that it has made; it must agree with perDirector. */
  readonly sessionsCreated: ByName;
  /** From the start until every director carried traffic to every real server. */
  readonly deploySeconds: number;
  /** The traffic alone. */
  readonly trafficSeconds: number;
  /** All of it, with the removal of the rack. */
  readonly seconds: number;
  /** Why it is not ok, as sentences. */
  readonly problems: readonly string[];
};

export function tally(fetches: readonly Fetch[]): Tally {
  const failures = fetches.flatMap(({ failure }) => failure ?? []);
  return {
    requests: fetches.length,
    failed: failures.length,
    failures: countEach([...new Set(failures)], failures),
    perDirector: countEach(
      DIRECTORS,
      fetches.flatMap(({ director }) => director ?? []),
    ),
    perServer: countEach(
      REAL_SERVERS,
      fetches.flatMap(({ server }) => server ?? []),
    ),
    bytesVerified: fetches.reduce((sum, one) => sum + one.bytesVerified, 0),
  };
}

function countEach(
  names: readonly string[],
  found: readonly string[],
): Readonly<Record<string, number>> {
  return Object.fromEntries(
    names.map((name) => [name, found.filter((one) => one === name).length]),
  );
}

/** The times are in seconds. */
export function judge(
  counted: Tally,
  sessionsCreated: ByName,
  times: {
    readonly deploySeconds: number;
    readonly trafficSeconds: number;
    readonly seconds: number;
  },
): DemoResult {
  const directorShares = shares(counted.perDirector, counted.requests);
  const serverShares = shares(counted.perServer, counted.requests);
  const problems = [
    ...Object.entries(counted.failures).map(
      ([reason, count]) => `${count} requests failed: ${reason}`,
    ),
    ...tooFew("requests were sent", counted.requests, REQUESTS_MIN),
    ...tooFew("bytes were verified", counted.bytesVerified, BYTES_MIN),
    ...Object.entries({ ...directorShares, ...serverShares })
      .filter(([, share]) => share < SHARE_MIN)
      .map(
        ([name, share]) =>
          `${name} carried ${percent(share)} of the requests, less than ${percent(SHARE_MIN)}`,
      ),
    ...Object.entries(counted.perDirector)
      .filter(([director, count]) => sessionsCreated[director] !== count)
      .map(
        ([director, count]) =>
          `${director} made ${sessionsCreated[director] ?? 0} sessions, but its local addresses were seen with ${count} requests`,
      ),
  ];
  return {
    ok: problems.length === 0,
    ...counted,
    directorShares,
    serverShares,
    sessionsCreated,
    ...times,
    problems,
  };
}

function shares(counts: ByName, requests: number): ByName {
  return Object.fromEntries(
    Object.entries(counts).map(([name, count]) => [
      name,
      requests === 0 ? 0 : Math.round((count / requests) * 1000) / 1000,
    ]),
  );
}

function tooFew(what: string, count: number, min: number): readonly string[] {
  return count < min
    ? [`only ${formatCount(count)} ${what}, not ${formatCount(min)}`]
    : [];
}

export function renderResult(result: DemoResult): string {
  const verdict = result.ok
    ? "ok: each director and each real server has done its share, and nothing was lost."
    : `NOT ok:\n${result.problems.map((problem) => `  ${problem}`).join("\n")}`;
  return result.requests === 0
    ? `${verdict}\n`
    : `${renderCounts(result)}\n\n${verdict}\n`;
}

function renderCounts(result: DemoResult): string {
  const { requests, failed, bytesVerified, seconds } = result;
  const part =
    (counts: ByName, of: ByName) =>
    (name: string): readonly string[] => [
      `  ${name}`,
      formatCount(counts[name] ?? 0).padStart(8),
      percent(of[name] ?? 0).padStart(6),
    ];
  const table = renderTable([
    ["", "REQUESTS", " SHARE"],
    ["by director"],
    ...DIRECTORS.map(part(result.perDirector, result.directorShares)),
    ["by real server"],
    ...REAL_SERVERS.map(part(result.perServer, result.serverShares)),
    ["all", formatCount(requests).padStart(8), "100 %".padStart(6)],
  ]);
  return `${table}

failed             ${formatCount(failed)}
verified by hash   ${formatMegabytes(bytesVerified)}
time               ${seconds.toFixed(1)} s: deploy ${result.deploySeconds.toFixed(1)} s, traffic ${result.trafficSeconds.toFixed(1)} s`;
}

export function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}

export function formatMegabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
