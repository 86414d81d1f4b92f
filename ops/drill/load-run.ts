// SPDX-License-Identifier: Apache-2.0
// A run of a drill under load: what it measures, and whether that is good. Pure.

import { DIRECTORS, directorOf, type Director } from "../lab/rack.ts";
import { countConnections, isBroken } from "./connections.ts";
import type { Run } from "./drill.ts";
import type { Outcome } from "./events.ts";
import type { Halves } from "./halves.ts";
import type { ClientStream } from "./streams.ts";
import type { Tables } from "./tables.ts";

/** `streams`: the many that last; `storm`: short ones; the others are those of stock programs. */
export const KINDS = ["streams", "storm", "curl", "redis", "shell"] as const;
export type Kind = (typeof KINDS)[number];

/** A connection of any kind and what became of it. Times are in ms since 1970. */
export type Carried = {
  readonly kind: Kind;
  /** For the reader: the client, and what else is known of its ends. */
  readonly who: string;
  readonly outcome: Outcome;
  readonly beginMs: number;
  readonly endMs: number;
  readonly bytesVerified: number;
};

/** Connections, and who carries them: element by element. */
export type View = {
  readonly streams: readonly ClientStream[];
  readonly halves: readonly Halves[];
};

/** Of the connections that lasted, 0 to 1: those for which the director was ... */
export type Shares = {
  /** the one that had made the session, */
  readonly origin: number;
  /** the one that carried the forward half, */
  readonly forward: number;
  /** the first, but not the second; and the other way round. */
  readonly originOnly: number;
  readonly forwardOnly: number;
};

export type Percentiles = {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
};

/** A connection that broke: times are in ms from the fault on. */
export type Broken = Pick<Carried, "kind" | "who" | "outcome"> & {
  readonly beginMs: number;
  readonly silentSinceMs: number;
};

type Count = { readonly opened: number; readonly broken: number };
type ByDirector = Readonly<Partial<Record<Director, number>>>;

export type LoadRun = Run &
  Pick<Tables, "lagMs"> & {
    /** Of the lasting connections: the longest time without proof of both directions, from the fault on. */
    readonly stallMs: Percentiles;
    /** How many of them the director had carried a half of, and the same of these. */
    readonly hit: number;
    readonly hitStallMs: Percentiles;
    readonly byKind: Readonly<Record<Kind, Count>>;
    /** Of the broken ones, those that were silent before the fault already (a rehash may come first). */
    readonly brokenBefore: number;
    /** Some of the broken ones. */
    readonly brokenFirst: readonly Broken[];
    /** At the moment of the fault; null if no director was cut off. */
    readonly shares: Shares | null;
    /** Who carried the halves of the director afterwards. */
    readonly tookOver: {
      readonly forward: ByDirector;
      readonly reply: ByDirector;
    };
    /** Of flows over UDP that did not break, in both directions. Lost ones are no fault: that is what UDP is. */
    readonly datagrams: { readonly sent: number; readonly lost: number };
    /** What shows that the scenario was what it is meant to be, by name. */
    readonly evidence: Readonly<Record<string, number>>;
  };

export const BOUNDS = {
  broken: 0,
  corrupted: 0,
  /** Of sessions created so shortly before the fault; and of all connections. */
  excusedAgeMs: 50,
  excusedShare: 0.01,
  shares: { origin: 0.25, forward: 0.25, oneHalf: 0.15 },
  tablesEqual: true,
  /** From the end of the traffic on. */
  msToEqual: 10_000,
  restored: true,
} as const;

const BROKEN_SHOWN = 10;

/** How long a connection is silent before it counts as broken. */
const SILENCE_MS = 5_000;

/** One that works proves both of its directions at least this often: see the interval in streams.ts. */
const PROOF_MS = 1_000;

/** A broken one whose session was younger than 50 ms at one of those moments: nobody else need have known it. */
export function isExcused(
  carried: Pick<Carried, "outcome" | "beginMs">,
  momentsMs: readonly number[],
): boolean {
  const ages = momentsMs.map((momentMs) => momentMs - carried.beginMs);
  return (
    isBroken(carried) &&
    ages.some((ageMs) => ageMs >= 0 && ageMs < BOUNDS.excusedAgeMs)
  );
}

/**
 * The counts of a run; excused ones are not among the broken ones. `faultMs` undefined: there was none. `momentsMs`: when
 * young sessions may be lost.
 */
export function countCarried(
  all: readonly Carried[],
  faultMs: number | undefined,
  momentsMs: readonly number[] = faultMs === undefined ? [] : [faultMs],
): Pick<
  LoadRun,
  | "connections"
  | "excused"
  | "byKind"
  | "brokenBefore"
  | "brokenFirst"
  | "bytesVerified"
> {
  const excused = new Set(all.filter((one) => isExcused(one, momentsMs)));
  const counted = all.filter((one) => !excused.has(one));
  const broken = counted.filter(isBroken);
  const count = (kind: Kind): Count => ({
    opened: all.filter((one) => one.kind === kind).length,
    broken: broken.filter((one) => one.kind === kind).length,
  });
  return {
    connections: { ...countConnections(counted), opened: all.length },
    excused: excused.size,
    byKind: Object.fromEntries(
      KINDS.map((kind) => [kind, count(kind)]),
    ) as Record<Kind, Count>,
    brokenBefore: broken.filter(
      (one) => faultMs !== undefined && silentSinceMs(one) < faultMs - PROOF_MS,
    ).length,
    brokenFirst: broken.slice(0, BROKEN_SHOWN).map((one) => ({
      ...{ kind: one.kind, who: one.who, outcome: one.outcome },
      beginMs: Math.round(one.beginMs - (faultMs ?? 0)),
      silentSinceMs: Math.round(silentSinceMs(one) - (faultMs ?? 0)),
    })),
    bytesVerified: all.reduce((sum, one) => sum + one.bytesVerified, 0),
  };
}

export function countDatagrams(
  streams: readonly Pick<
    ClientStream,
    "outcome" | "datagrams" | "datagramsLost"
  >[],
): LoadRun["datagrams"] {
  const whole = streams.filter(({ outcome }) => outcome === "complete");
  return {
    sent: whole.reduce((sum, one) => sum + one.datagrams, 0),
    lost: whole.reduce((sum, one) => sum + one.datagramsLost, 0),
  };
}

function silentSinceMs({ outcome, endMs }: Carried): number {
  return outcome === "timedOut" ? endMs - SILENCE_MS : endMs;
}

/** Names a connection within a run. */
export function keyOf({ client, id }: Pick<ClientStream, "client" | "id">) {
  return `${client} ${id}`;
}

/** What the director was to the connections. */
export function sharesOf(director: Director, view: View): Shares {
  const roles = view.streams.map(({ lip }, index) => ({
    origin: directorOf(lip) === director,
    forward: view.halves[index]?.forward === director,
  }));
  return {
    origin: share(roles, ({ origin }) => origin),
    forward: share(roles, ({ forward }) => forward),
    originOnly: share(roles, ({ origin, forward }) => origin && !forward),
    forwardOnly: share(roles, ({ origin, forward }) => forward && !origin),
  };
}

/** The share of the connections whose halves are with two directors. */
export function partedShare({ halves }: View): number {
  return share(halves, ({ forward, reply }) => forward !== reply);
}

/** The share of the connections in both views whose forward half has another director. */
export function movedShare(before: View, after: View): number {
  const now = new Map(
    after.streams.map((one, index) => [keyOf(one), after.halves[index]]),
  );
  const pairs = before.streams.flatMap((one, index) => {
    const [was, is] = [before.halves[index], now.get(keyOf(one))];
    return was === undefined || is === undefined ? [] : [{ was, is }];
  });
  return share(pairs, ({ was, is }) => was.forward !== is.forward);
}

/** The connections of which the director carries a half. */
export function hitBy(
  director: Director,
  { streams, halves }: View,
): readonly ClientStream[] {
  return streams.filter((_, index) => {
    const { forward, reply } = halves[index] ?? {};
    return forward === director || reply === director;
  });
}

function share<T>(all: readonly T[], is: (one: T) => boolean): number {
  const part = all.length === 0 ? 0 : all.filter(is).length / all.length;
  return Math.round(part * 1000) / 1000;
}

/** Who carries now what the director carried before. */
export function tookOver(
  director: Director,
  before: readonly Halves[],
  after: readonly Halves[],
): LoadRun["tookOver"] {
  const count = (half: keyof Halves): ByDirector => {
    const carriers = before.flatMap((halves, index) =>
      halves[half] === director ? (after[index]?.[half] ?? []) : [],
    );
    const entries = DIRECTORS.map(
      (one) =>
        [one, carriers.filter((carrier) => carrier === one).length] as const,
    );
    return Object.fromEntries(entries.filter(([, number]) => number > 0));
  };
  return { forward: count("forward"), reply: count("reply") };
}

/** By nearest rank; zeros for none. */
export function percentiles(values: readonly number[]): Percentiles {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (rank: number) =>
    Math.round(sorted[Math.ceil(sorted.length * rank) - 1] ?? 0);
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

/** What a scenario asks of its evidence: at least so much of each. */
export type Minimums = Readonly<Record<string, number>>;

/** Why a run is not good enough, as sentences. */
export function judge(run: LoadRun, evidence: Minimums): readonly string[] {
  const { connections, byKind, excused, shares } = run;
  const { opened, broken, corrupted } = connections;
  const kinds = KINDS.filter((kind) => byKind[kind].broken > 0)
    .map((kind) => `${byKind[kind].broken} of ${kind}`)
    .join(", ");
  return [
    ...(broken > BOUNDS.broken
      ? [`${broken} of ${opened} connections broke: ${kinds}`]
      : []),
    ...(corrupted > BOUNDS.corrupted
      ? [`${corrupted} connections got wrong bytes`]
      : []),
    ...(excused > BOUNDS.excusedShare * opened
      ? [
          `${excused} of ${opened} connections need an excuse, more than ${BOUNDS.excusedShare * 100} %`,
        ]
      : []),
    ...(shares === null ? [] : judgeShares(shares)),
    ...Object.entries(evidence)
      .filter(([name, min]) => !((run.evidence[name] ?? 0) >= min))
      .map(
        ([name, min]) =>
          `the run shows nothing: ${name} is ${run.evidence[name] ?? 0}, not ${min} or more`,
      ),
    ...(run.restored ? [] : ["the rack did not become whole again"]),
  ];
}

function judgeShares(shares: Shares): readonly string[] {
  const oneHalf = shares.originOnly + shares.forwardOnly;
  return Object.entries(BOUNDS.shares).flatMap(([name, min]) => {
    const share = { ...shares, oneHalf }[name as keyof typeof BOUNDS.shares];
    return share < min
      ? [
          `the run shows too little: the director's share (${name}) was ${Math.round(share * 1000) / 10} %, less than ${min * 100} %`,
        ]
      : [];
  });
}
