// SPDX-License-Identifier: Apache-2.0
// What programs inside the rack print as JSON, as far as the demo, the drills and the tests read it: the CLI with --json,
// `ip -j` and `bpftool -j`.

import { isLeft } from "fp-ts/lib/Either.js";
import * as t from "io-ts";
import { failure } from "io-ts/lib/PathReporter.js";
import { LabError } from "./errors.ts";

/** `weir servers --json`. `created`: sessions made since the director's dataplane was loaded. */
const serversCodec = t.readonlyArray(
  t.type({
    address: t.string,
    health: t.string,
    weight: t.number,
    sessions: t.number,
    created: t.number,
  }),
);
export type ServerReport = t.TypeOf<typeof serversCodec>[number];

/** `weir sessions --json`. All four ends are `address:port`. */
const sessionsCodec = t.readonlyArray(
  t.type({
    client: t.string,
    virtual: t.string,
    local: t.string,
    real: t.string,
    state: t.string,
    origin: t.string,
    generation: t.string,
  }),
);
export type SessionReport = t.TypeOf<typeof sessionsCodec>[number];

/** `weir sessions --count --json`. */
const countCodec = t.type({ count: t.number });

/** `weir nodes --json`. */
const nodesCodec = t.readonlyArray(
  t.type({ name: t.string, self: t.boolean, state: t.string }),
);

/** `weir sync --json`, as far as it is read here. */
const syncCodec = t.type({
  /** off | joining | synced | unsynced */
  state: t.string,
  /** synced | heard | unheard, of each; none if off */
  nodes: t.readonlyArray(
    t.type({ name: t.string, self: t.boolean, state: t.string }),
  ),
  /** Of records on their way from one node to another; without a lag if none has come. */
  pairs: t.readonlyArray(
    t.intersection([
      t.type({ from: t.string, to: t.string }),
      t.partial({
        lagMs: t.union([t.number, t.null]),
        lagP99Ms: t.union([t.number, t.null]),
        gaps: t.union([t.number, t.string, t.null]),
        digestEqual: t.union([t.boolean, t.null]),
      }),
    ]),
  ),
  /** With --fingerprint. Equal on two nodes if they hold the same sessions. */
  fingerprint: t.union([
    t.undefined,
    t.type({
      sessions: t.number,
      truth: t.union([t.string, t.number]),
      index: t.union([t.string, t.number]),
    }),
  ]),
});
export type SyncReport = t.TypeOf<typeof syncCodec>;

/** `weir counters --json`: the dataplane's counters by name. */
const countersCodec = t.readonly(t.record(t.string, t.number));
export type Counters = t.TypeOf<typeof countersCodec>;

/** `ip -j route show`: a route has one gateway, or several next hops, or none of either. */
const routesCodec = t.readonlyArray(
  t.intersection([
    t.type({ dst: t.string }),
    t.partial({
      gateway: t.string,
      nexthops: t.readonlyArray(t.partial({ gateway: t.string })),
    }),
  ]),
);

/** `bpftool -j map dump` of a per-CPU array of one struct of counters, as far as BTF formats it. */
const perCpuCountersCodec = t.readonlyArray(
  t.type({
    formatted: t.type({
      values: t.readonlyArray(t.type({ value: countersCodec })),
    }),
  }),
);

export const parseServers = (text: string) =>
  parse("`weir servers --json`", serversCodec, text);

export const parseSessions = (text: string) =>
  parse("`weir sessions --json`", sessionsCodec, text);

export const parseCount = (text: string) =>
  parse("`weir sessions --count --json`", countCodec, text).count;

export const parseNodes = (text: string) =>
  parse("`weir nodes --json`", nodesCodec, text);

export const parseSync = (text: string) =>
  parse("`weir sync --json`", syncCodec, text);

export const parseCounters = (text: string) =>
  parse("`weir counters --json`", countersCodec, text);

/** The gateways of each route, by destination as `ip` writes it: a host route has no `/32`. */
export function parseRoutes(
  text: string,
): ReadonlyMap<string, readonly string[]> {
  const routes = parse("`ip -j route show`", routesCodec, text);
  return new Map(
    routes.map(({ dst, gateway, nexthops = [] }) => [
      dst,
      [{ gateway }, ...nexthops].flatMap((hop) => hop.gateway ?? []),
    ]),
  );
}

/** The sum of one counter over all CPUs. */
export function parsePerCpuCounter(text: string, name: string): number {
  const elements = parse("`bpftool -j map dump`", perCpuCountersCodec, text);
  return elements
    .flatMap(({ formatted }) => formatted.values)
    .reduce((sum, { value }) => sum + (value[name] ?? 0), 0);
}

function parse<T>(
  what: string,
  codec: t.Type<T, unknown, unknown>,
  text: string,
): T {
  const decoded = codec.decode(valueOf(what, text));
  if (isLeft(decoded))
    throw new LabError(
      `Cannot read ${what}: ${failure(decoded.left).slice(0, 3).join("; ")}`,
    );
  return decoded.right;
}

function valueOf(what: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new LabError(
      `Cannot read ${what}: it is not JSON: current value is ${text.slice(0, 200)}`,
      { cause },
    );
  }
}
