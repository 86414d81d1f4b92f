// SPDX-License-Identifier: Apache-2.0
// What all drills share: a rack, runs in turn, one result. A scenario prepares a run, injects its failure, restores what it
// broke, and measures; what it may measure at most are its bounds.

import { performance } from "node:perf_hooks";
import { LabError } from "../lab/errors.ts";
import { DIRECTORS, withRack, type Director, type Rack } from "../lab/rack.ts";
import type { Progress } from "../progress.ts";
import type { Connections } from "./connections.ts";
import { worstStall, type Stall } from "./gaps.ts";
import { randomFrom } from "./random.ts";

/** What every drill says of a run. Scenarios add fields of their own; none is ever renamed. */
export type Run = {
  /** The one that was hit. */
  readonly director: Director;
  readonly connections: Connections;
  readonly bytesVerified: number;
  /** Of the gaps between the reads of the transfers. */
  readonly stallMs: Stall;
  /** Whether what was broken came back, and how long that took from the first step of the repair. */
  readonly restored: boolean;
  readonly msToRestore: number;
  /** How late the measuring programs themselves were at most. */
  readonly ownDelayMs: number;
};

export type Scenario<R extends Run> = {
  readonly name: string;
  /** The numbers that `judge` compares with. */
  readonly bounds: object;
  readonly begin: (scene: Scene) => Attempt<R>;
  /** One sentence for each bound that the run has broken. Pure. */
  readonly judge: (run: R) => readonly string[];
  /** The worst of each of the scenario's own measurements. Pure. */
  readonly worst: (runs: readonly R[]) => object;
  /** A run for people: the cells below `headings`. */
  readonly headings: readonly string[];
  readonly cells: (run: R) => readonly string[];
  /** What a reader of the table needs to know. */
  readonly notes: (runs: readonly R[]) => readonly string[];
};

/** Where a run takes place. */
export type Scene = {
  readonly rack: Rack;
  readonly director: Director;
  readonly progress: Progress;
  /** In [0, 1), by the drill's seed. */
  readonly random: () => number;
  /** The negative control: really break what the drill watches over. */
  readonly sabotage: boolean;
};

/** One run. The steps are called in this order, `close` always. */
export interface Attempt<R extends Run> {
  prepare(): Promise<void>;
  inject(): Promise<void>;
  restore(): Promise<void>;
  measure(): Promise<R>;
  close(): void;
}

export type DrillOptions = {
  readonly name: string;
  readonly runs: number;
  readonly seed: number;
  readonly sabotage: boolean;
};

/** What `--json` prints. */
export type DrillResult<R extends Run> = {
  readonly scenario: string;
  readonly seed: number;
  readonly runs: readonly (R & { readonly problems: readonly string[] })[];
  readonly worst: object;
  readonly bounds: object;
  readonly ok: boolean;
  /** Why it is not ok, as sentences; those of the runs too. */
  readonly problems: readonly string[];
  readonly deploySeconds: number;
  readonly seconds: number;
};

/** A rack that cannot be deployed, or a run that cannot go on, is a result too. */
export async function runDrill<R extends Run>(
  scenario: Scenario<R>,
  { name, runs: count, seed, sabotage }: DrillOptions,
  progress: Progress,
): Promise<DrillResult<R>> {
  const begin = performance.now();
  const seconds = () => Math.round(performance.now() - begin) / 1000;
  const random = randomFrom(seed);
  const runs: R[] = [];
  const failures: string[] = [];
  let deploySeconds = 0;
  try {
    progress.step(`deploying the rack (seed ${seed})`);
    await withRack({ name }, async (rack) => {
      await rack.ready((missing) => progress.live(`waiting: ${missing}`));
      deploySeconds = seconds();
      progress.step(`ready after ${deploySeconds.toFixed(1)} s`);
      for (const director of inTurn(count, random)) {
        const scene = { rack, director, progress, random, sabotage };
        const run = await attempt(scenario.begin(scene));
        runs.push(run);
        for (const problem of scenario.judge(run))
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
    ...summarise(scenario, seed, runs, failures),
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
    one.close();
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
  seed: number,
  runs: readonly R[],
  failures: readonly string[],
): Omit<DrillResult<R>, "deploySeconds" | "seconds"> {
  const judged = runs.map((run) => ({ ...run, problems: scenario.judge(run) }));
  const problems = [
    ...failures,
    ...judged.flatMap((run) =>
      run.problems.map((problem) => `${run.director}: ${problem}`),
    ),
    ...(runs.length === 0 && failures.length === 0 ? ["there was no run"] : []),
  ];
  return {
    scenario: scenario.name,
    seed,
    runs: judged,
    worst: { ...worstOf(runs), ...scenario.worst(runs) },
    bounds: scenario.bounds,
    ok: problems.length === 0,
    problems,
  };
}

function worstOf(runs: readonly Run[]): object {
  const most = (read: (run: Run) => number) => Math.max(0, ...runs.map(read));
  return {
    broken: most(({ connections }) => connections.broken),
    reset: most(({ connections }) => connections.reset),
    timedOut: most(({ connections }) => connections.timedOut),
    corrupted: most(({ connections }) => connections.corrupted),
    stallMs: worstStall(runs.map(({ stallMs }) => stallMs)),
    restored: runs.length > 0 && runs.every(({ restored }) => restored),
    msToRestore: most(({ msToRestore }) => msToRestore),
    ownDelayMs: most(({ ownDelayMs }) => ownDelayMs),
  };
}
