// SPDX-License-Identifier: Apache-2.0
// Drills under load: thousands of connections go through the rack, something happens to it, and nobody may notice.

import { LabError } from "../lab/errors.ts";
import type { Variant } from "../lab/rack.ts";
import type { Attempt, Scenario, Scene, Transport } from "./drill.ts";
import {
  BOUNDS,
  judge,
  percentiles,
  type LoadRun,
  type Minimums,
  type Percentiles,
} from "./load-run.ts";
import { Stage } from "./stage.ts";
import type { Tables } from "./tables.ts";

/** What makes one drill different from the others. */
export type Script = {
  readonly name: string;
  /** For the help: what happens, in one line or two. */
  readonly about: readonly string[];
  readonly variants?: (transport: Transport) => readonly Variant[];
  /** How much of what the run must have to show anything. */
  readonly evidence?: Minimums;
  /** Of the connections, that must break when the directors share no sessions. */
  readonly brokenWithoutSync?: number;
  readonly play: (stage: Stage) => Promise<void>;
};

export type LoadScenario = Scenario<LoadRun> & Pick<Script, "about">;

/** The rack is whole again when all directors announce and have all real servers. */
export function underLoad(script: Script): LoadScenario {
  const { name, about, variants = () => [], evidence = {} } = script;
  return {
    name,
    about,
    variants,
    control: {
      brokenShare: script.brokenWithoutSync ?? 0,
      brokenBy: ({ connections, brokenBefore }) =>
        connections.broken - brokenBefore,
    },
    bounds: { ...BOUNDS, evidence },
    begin: (scene) => new LoadAttempt(scene, script),
    judge: (run) => judge(run, evidence),
    worst: (runs) => ({
      stallMs: worstOf(runs.map(({ stallMs }) => stallMs)),
      hitStallMs: worstOf(runs.map(({ hitStallMs }) => hitStallMs)),
    }),
    headings: [
      "OPENED",
      "BROKEN",
      "EXCUSED",
      "VERIFIED",
      "STALL P50",
      "P99",
      "LONGEST",
      "TABLES",
    ],
    cells: (run) => {
      const { p50, p99 } = run.hit > 0 ? run.hitStallMs : run.stallMs;
      return [
        String(run.connections.opened),
        String(run.connections.broken),
        String(run.excused),
        `${(run.bytesVerified / 1e6).toFixed(1)} MB`,
        ...[p50, p99, run.stallMs.max].map((ms) => `${ms} ms`),
        wordOf(run),
      ];
    },
    notes: (runs) => {
      const sum = (read: (run: LoadRun) => number) =>
        runs.reduce((total, run) => total + read(run), 0);
      const sent = sum(({ datagrams }) => datagrams.sent);
      const lost = sum(({ datagrams }) => datagrams.lost);
      return sent === 0 ? [] : [`${lost} of ${sent} datagrams were lost`];
    },
  };
}

function wordOf({ tablesEqual }: Tables): string {
  switch (tablesEqual) {
    case true:
      return "equal";
    case false:
      return "DIFFERENT";
    default:
      return "not shared";
  }
}

function worstOf(all: readonly Percentiles[]): Percentiles {
  const most = (read: (one: Percentiles) => number) =>
    percentiles(all.map(read)).max;
  return {
    p50: most(({ p50 }) => p50),
    p99: most(({ p99 }) => p99),
    max: most(({ max }) => max),
  };
}

class LoadAttempt implements Attempt<LoadRun> {
  readonly #scene: Scene;
  readonly #script: Script;
  #stage: Stage | undefined;
  #measured: Awaited<ReturnType<Stage["finish"]>> | undefined;
  #restored = false;
  #msToRestore = 0;

  constructor(scene: Scene, script: Script) {
    this.#scene = scene;
    this.#script = script;
  }

  async prepare(): Promise<void> {
    this.#stage = await Stage.set(this.#scene);
  }

  async inject(): Promise<void> {
    if (this.#stage === undefined) return;
    await this.#script.play(this.#stage);
    this.#measured = await this.#stage.finish();
  }

  async restore(): Promise<void> {
    const { rack, progress, director } = this.#scene;
    const begin = performance.now();
    try {
      await this.#stage?.faults.undoAll();
      await rack.ready((missing) => progress.live(`${director}: ${missing}`));
      this.#restored = true;
    } catch (error) {
      if (!(error instanceof LabError)) throw error;
      this.#stage?.say(error.message);
    }
    this.#msToRestore = Math.round(performance.now() - begin);
  }

  async measure(): Promise<LoadRun> {
    if (this.#measured === undefined)
      throw new LabError("Cannot measure a run that has not been played");
    const { connections, excused, stallMs } = this.#measured;
    this.#stage?.say(
      `${connections.broken} of ${connections.opened} connections broke, ${excused} are excused, longest stall ${stallMs.max} ms`,
    );
    return {
      director: this.#scene.director,
      ...this.#measured,
      restored: this.#restored,
      msToRestore: this.#msToRestore,
    };
  }

  async close(): Promise<void> {
    this.#stage?.close();
    // Nothing is left of them after a run that went well; after another one the rack is about to go.
    await this.#stage?.faults.undoAll().catch((error: unknown) => {
      if (!(error instanceof LabError)) throw error;
    });
  }
}
