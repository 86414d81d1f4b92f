// SPDX-License-Identifier: Apache-2.0
// What all drills share: a rack, runs in turn, one result. A scenario prepares a run, injects its failure, restores what it
// broke, and measures; what it may measure at most are its bounds.

import { performance } from "node:perf_hooks";
import type { Family, Protocol } from "../../src/model.ts";
import { LabError } from "../lab/errors.ts";
import {
  DIRECTORS,
  withRack,
  type Director,
  type Rack,
  type Variant,
} from "../lab/rack.ts";
import type { Progress } from "../progress.ts";
import type { Connections } from "./connections.ts";
import { worstStall, type Stall } from "./gaps.ts";
import { randomFrom } from "./random.ts";
import { compareTables, type Tables } from "./tables.ts";

/** How long equal tables may take from the end of the traffic on. */
const EQUAL_LIMIT_MS = 10_000;

/** What every drill says of a run. Scenarios add fields of their own; none is ever renamed. */
export type Run = {
  /** The one that was hit. */
  readonly director: Director;
  readonly connections: Connections;
  /** Broken, but not among `connections.broken`: their sessions were too young for any other director to know them. */
  readonly excused: number;
  readonly bytesVerified: number;
  /** Of the gaps between the reads of the transfers. */
  readonly stallMs: Stall;
  /** Whether what was broken came back, and how long that took from the first step of the repair. */
  readonly restored: boolean;
  readonly msToRestore: number;
  /** How late the measuring programs themselves were at most. */
  readonly ownDelayMs: number;
};

/** What a drill's connections are made of. */
export type Transport = {
  readonly family: Family;
  readonly protocol: Protocol;
};

export type Scenario<R extends Run> = {
  readonly name: string;
  /** The numbers that `judge` compares with. */
  readonly bounds: object;
  /** The rack's configuration, where it is not the usual one. */
  readonly variants?: (transport: Transport) => readonly Variant[];
  /**
   * It is about sessions that the directors share. With `--control` they do not, and each run must fail: of its connections
   * at least `brokenShare` must have been broken by the failure itself. Absent: there is no such control.
   */
  readonly control?: {
    readonly brokenShare: number;
    /** How many connections the failure itself has broken. Pure. */
    readonly brokenBy: (run: R) => number;
  };
  readonly begin: (scene: Scene) => Attempt<R>;
  /** One sentence for each bound that the run has broken. Pure. */
  readonly judge: (run: R) => readonly string[];
  /** The worst of each of the scenario's own measurements. Pure. */
  readonly worst: (runs: readonly R[]) => object;
  /** A run for people: the cells below `headings`. */
  readonly headings: readonly string[];
  readonly cells: (run: Examined<R>) => readonly string[];
  /** What a reader of the table needs to know. */
  readonly notes: (runs: readonly R[]) => readonly string[];
};

/** Where a run takes place. */
export type Scene = Transport & {
  readonly rack: Rack;
  readonly director: Director;
  readonly progress: Progress;
  /** In [0, 1), by the drill's seed. */
  readonly random: () => number;
  /** The negative control: really break what the drill watches over. */
  readonly sabotage: boolean;
  /** False in the other negative control: the directors keep their sessions to themselves. */
  readonly shared: boolean;
  /** How many lasting connections a scenario under load opens. */
  readonly connections: number;
  /** On this rack. */
  readonly runsBefore: number;
};

/** One run. The steps are called in this order, `close` always. */
export interface Attempt<R extends Run> {
  prepare(): Promise<void>;
  inject(): Promise<void>;
  restore(): Promise<void>;
  measure(): Promise<R>;
  close(): void | Promise<void>;
}

export type DrillOptions = Transport & {
  readonly name: string;
  readonly runs: number;
  readonly seed: number;
  readonly sabotage: boolean;
  /** The other negative control: the directors share no sessions. */
  readonly control: boolean;
  readonly connections: number;
};

/** A run, how long all of it took, and what the directors' tables were like after it. */
export type Examined<R extends Run> = R & Tables & { readonly seconds: number };

/** What `--json` prints. */
export type DrillResult<R extends Run> = Pick<
  Tables,
  "sync" | "lagMs" | "tablesEqual"
> &
  Transport & {
    readonly scenario: string;
    readonly seed: number;
    readonly control: boolean;
    readonly runs: readonly (Examined<R> & {
      readonly problems: readonly string[];
    })[];
    readonly worst: object;
    readonly bounds: object;
    /** Of all runs. */
    readonly broken: number;
    readonly excused: number;
    /** With `control`: whether each run failed as it had to. */
    readonly ok: boolean;
    /** Why it is not ok, as sentences; those of the runs too. */
    readonly problems: readonly string[];
    readonly deploySeconds: number;
    readonly seconds: number;
  };

/** A rack that cannot be deployed, or a run that cannot go on, is a result too. */
export async function runDrill<R extends Run>(
  scenario: Scenario<R>,
  options: DrillOptions,
  progress: Progress,
): Promise<DrillResult<R>> {
  const { name, runs: count, seed, sabotage, control, connections } = options;
  const { family, protocol } = options;
  const begin = performance.now();
  const seconds = () => Math.round(performance.now() - begin) / 1000;
  const random = randomFrom(seed);
  const runs: Examined<R>[] = [];
  const failures: string[] = [];
  let deploySeconds = 0;
  try {
    progress.step(`deploying the rack (seed ${seed})`);
    const variants: readonly Variant[] = [
      ...(scenario.variants?.(options) ?? []),
      ...(control ? (["sync-off"] as const) : []),
    ];
    await withRack({ name, variants }, async (rack) => {
      await rack.ready((missing) => progress.live(`waiting: ${missing}`));
      deploySeconds = seconds();
      progress.step(`ready after ${deploySeconds.toFixed(1)} s`);
      for (const director of inTurn(count, random)) {
        const scene = {
          ...{ rack, director, progress, random, sabotage, connections },
          ...{ family, protocol, shared: !control },
          runsBefore: runs.length,
        };
        const began = seconds();
        const beganAtMs = Date.now();
        const run = await attempt(scenario.begin(scene));
        progress.live(`${director}: comparing the tables`);
        const tables = await compareTables(rack, beganAtMs, EQUAL_LIMIT_MS);
        const took = Math.round((seconds() - began) * 1000) / 1000;
        const examined = { ...tables, ...run, seconds: took };
        runs.push(examined);
        for (const problem of problemsOf(scenario, examined))
          progress.step(`${director}: NOT ok: ${problem}`);
        if (!run.restored) {
          progress.step("the rack is not whole any more: no further run");
          break;
        }
      }
      progress.step("removing the rack");
    });
  } catch (error) {
    if (!(error instanceof LabError)) throw error;
    failures.push(error.message);
  }
  return {
    ...summarise(scenario, options, runs, failures),
    deploySeconds,
    seconds: seconds(),
  };
}

async function attempt<R extends Run>(one: Attempt<R>): Promise<R> {
  try {
    await one.prepare();
    await one.inject();
    await one.restore();
    return await one.measure();
  } finally {
    await one.close();
  }
}

/** Each director as often as any other, give or take one; the seed says who is first. */
export function inTurn(
  count: number,
  random: () => number,
): readonly Director[] {
  const first = Math.floor(random() * DIRECTORS.length);
  return Array.from(
    { length: count },
    (_, index) => DIRECTORS[(first + index) % DIRECTORS.length] ?? "d1",
  );
}

/** `failures`: what kept the drill from going on. Pure. */
export function summarise<R extends Run>(
  scenario: Scenario<R>,
  {
    seed,
    control,
    family,
    protocol,
  }: Pick<DrillOptions, "seed" | "control" | "family" | "protocol">,
  runs: readonly Examined<R>[],
  failures: readonly string[],
): Omit<DrillResult<R>, "deploySeconds" | "seconds"> {
  const judged = runs.map((run) => ({
    ...run,
    problems: problemsOf(scenario, run),
  }));
  const problems = [
    ...failures,
    ...judged.flatMap((run) =>
      (control ? problemsOfControl(scenario, run) : run.problems).map(
        (problem) => `${run.director}: ${problem}`,
      ),
    ),
    ...(runs.length === 0 && failures.length === 0 ? ["there was no run"] : []),
  ];
  const lags = runs.flatMap(({ lagMs }) => lagMs ?? []);
  const sum = (read: (run: Run) => number) =>
    runs.reduce((total, run) => total + read(run), 0);
  return {
    scenario: scenario.name,
    ...{ family, protocol, seed, control },
    sync: runs.some(({ sync }) => sync === "on") && !control ? "on" : "off",
    lagMs:
      lags.length === 0
        ? null
        : {
            p50: Math.max(...lags.map(({ p50 }) => p50)),
            p99: Math.max(...lags.map(({ p99 }) => p99)),
          },
    tablesEqual: allOf(runs.map(({ tablesEqual }) => tablesEqual)),
    broken: sum(({ connections }) => connections.broken),
    excused: sum(({ excused }) => excused),
    runs: judged,
    worst: { ...worstOf(runs), ...scenario.worst(runs) },
    bounds: scenario.bounds,
    ok: problems.length === 0,
    problems,
  };
}

/** Null where nothing is known of one of them, or there is none. */
function allOf(values: readonly (boolean | null)[]): boolean | null {
  if (values.includes(false)) return false;
  return values.length === 0 || values.includes(null) ? null : true;
}

function problemsOf<R extends Run>(
  scenario: Scenario<R>,
  run: Examined<R>,
): readonly string[] {
  const unknown = run.tablesEqual === null && scenario.control !== undefined;
  return [
    ...scenario.judge(run),
    ...(unknown ? ["the directors do not share their sessions"] : []),
    ...(run.tablesEqual === false
      ? [
          `the directors' tables still differ ${run.msToEqual} ms after the traffic`,
        ]
      : []),
  ];
}

/** Why a run does not show what the control has to show. */
function problemsOfControl<R extends Run>(
  scenario: Scenario<R>,
  run: Examined<R> & { readonly problems: readonly string[] },
): readonly string[] {
  const { opened } = run.connections;
  const broken = scenario.control?.brokenBy(run) ?? 0;
  const needed = Math.ceil((scenario.control?.brokenShare ?? 0) * opened);
  return [
    ...(run.problems.length === 0
      ? ["without shared sessions the drill has not failed"]
      : []),
    ...(broken < needed
      ? [
          `without shared sessions the failure broke only ${broken} of ${opened} connections, less than ${needed}`,
        ]
      : []),
  ];
}

function worstOf(runs: readonly Run[]): object {
  const most = (read: (run: Run) => number) => Math.max(0, ...runs.map(read));
  return {
    broken: most(({ connections }) => connections.broken),
    reset: most(({ connections }) => connections.reset),
    timedOut: most(({ connections }) => connections.timedOut),
    corrupted: most(({ connections }) => connections.corrupted),
    moved: most(({ connections }) => connections.moved),
    stallMs: worstStall(runs.map(({ stallMs }) => stallMs)),
    excused: most(({ excused }) => excused),
    restored: runs.length > 0 && runs.every(({ restored }) => restored),
    msToRestore: most(({ msToRestore }) => msToRestore),
    ownDelayMs: most(({ ownDelayMs }) => ownDelayMs),
  };
}
