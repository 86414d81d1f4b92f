// SPDX-License-Identifier: Apache-2.0
// The demo's result: what it counted, whether that is good, and how people read it. Pure.

import { renderTable } from "../lab/inspect.ts";
import { DIRECTORS, REAL_SERVERS } from "../lab/rack.ts";
import type { Cut } from "./cut.ts";
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
  /** What happened when a director lost its power; null if it did not come to that. */
  readonly cut: Cut | null;
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
  cut: Cut | null,
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
    ...(cut === null ? ["no director has lost its power"] : judgeCut(cut)),
  ];
  return {
    ok: problems.length === 0,
    ...counted,
    directorShares,
    serverShares,
    sessionsCreated,
    cut,
    ...times,
    problems,
  };
}

function judgeCut(cut: Cut): readonly string[] {
  const { director, broken, connections, carried } = cut;
  return [
    ...(broken > 0
      ? [
          `${broken} of ${connections} connections broke when ${director} lost its power`,
        ]
      : []),
    ...(carried === 0
      ? [`${director} carried nothing when its power went`]
      : []),
  ];
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
    ? "ok: each director and each real server has done its share, one of them lost its power, and nothing was lost."
    : `NOT ok:\n${result.problems.map((problem) => `  ${problem}`).join("\n")}`;
  return result.requests === 0
    ? `${verdict}\n`
    : `${[renderCounts(result), ...renderCut(result.cut), renderTime(result), verdict].join("\n\n")}\n`;
}

function renderCounts(result: DemoResult): string {
  const { requests, failed, bytesVerified } = result;
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
verified by hash   ${formatMegabytes(bytesVerified)}`;
}

function renderCut(cut: Cut | null): readonly string[] {
  if (cut === null) return [];
  const { director, stallMs, tookOver } = cut;
  const shares = (half: keyof Cut["tookOver"]) =>
    Object.entries(tookOver[half])
      .map(([name, count]) => `${name} ${formatCount(count)}`)
      .join(", ") || "nobody";
  return [
    `${director} lost its power in the middle of ${formatCount(cut.connections)} connections
  carried by ${director}    ${formatCount(cut.carried)}
  broken           ${formatCount(cut.broken)}
  stood still for  ${stallMs.p50} ms (median), ${stallMs.p99} ms (99 %), ${stallMs.max} ms (longest)
  taken over       from clients: ${shares("forward")}; from real servers: ${shares("reply")}`,
  ];
}

function renderTime(result: DemoResult): string {
  const { seconds, deploySeconds, trafficSeconds } = result;
  return `time               ${seconds.toFixed(1)} s: deploy ${deploySeconds.toFixed(1)} s, traffic ${trafficSeconds.toFixed(1)} s`;
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
