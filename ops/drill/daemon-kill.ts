// SPDX-License-Identifier: Apache-2.0
// A director's routing daemon is killed, stays away, and is started again. The router takes the director out at once; the
// agent, which nobody touches, gives the new daemon all that the old one had. Nothing may break: neither what is in flight
// when the routes change, because the other directors know its sessions, nor what begins afterwards.

import { setTimeout as delay } from "node:timers/promises";
import { LabError } from "../lab/errors.ts";
import { CHECKOUT, DIRECTORS, missingRoutes, until } from "../lab/rack.ts";
import {
  countConnections,
  isBroken,
  openDuring,
  slowestMs,
  sumBytes,
} from "./connections.ts";
import type { Attempt, Run, Scenario, Scene } from "./drill.ts";
import { worstStall } from "./gaps.ts";
import { kill } from "./kill.ts";
import { RouteWatch, windowOf, type Window } from "./route-watch.ts";
import { SteadyTraffic } from "./steady.ts";

/** `stallMs` is about the transfers that did not break. */
export type DaemonKillRun = Run & {
  /** From the kill until the router's kernel had none of the director's routes. */
  readonly msToWithdraw: number;
  /** Of the broken ones, those that were open while the router's routes changed. */
  readonly inFlightBroken: number;
  /** Transfers and requests that were open while the router's routes changed, broken or not. */
  readonly inFlightOpen: number;
  readonly brokenAfterChange: number;
  /** The agent is still the process that it was. */
  readonly agentUntouched: boolean;
  readonly slowestRequestMs: number;
};

const AWAY_MS = 10_000;
const REQUEST_EVERY_MS = 20;
const TRANSFERS_MIN = 6;
/** The kill comes at a random moment of this time. */
const JITTER_MS = 500;
/** The router hears of it by the end of the TCP connection: 72 ms were measured; its hold time is 9 s. */
const WITHDRAW_LIMIT_MS = 12_000;
const RESTORE_LIMIT_MS = 12_000;
/** The traffic goes on for that long after the routes are back. */
const AFTERMATH_MS = 500;

const BOUNDS = {
  inFlightBroken: 0,
  brokenAfterChange: 0,
  corrupted: 0,
  msToRestore: 10_000,
  restored: true,
  agentUntouched: true,
} as const;

export const DAEMON_KILL: Scenario<DaemonKillRun> = {
  name: "daemon-kill",
  bounds: BOUNDS,
  control: {
    brokenShare: 0,
    brokenBy: ({ connections }) => connections.broken,
  },
  begin: (scene) => new DaemonKill(scene),
  judge,
  worst: (runs) => {
    const most = (read: (run: DaemonKillRun) => number) =>
      Math.max(0, ...runs.map(read));
    return {
      inFlightBroken: most(({ inFlightBroken }) => inFlightBroken),
      brokenAfterChange: most(({ brokenAfterChange }) => brokenAfterChange),
      msToWithdraw: most(({ msToWithdraw }) => msToWithdraw),
      slowestRequestMs: most(({ slowestRequestMs }) => slowestRequestMs),
      agentUntouched:
        runs.length > 0 && runs.every((run) => run.agentUntouched),
    };
  },
  headings: [
    "OPENED",
    "BROKEN IN FLIGHT",
    "BROKEN AFTERWARDS",
    "LONGEST GAP",
    "GONE AFTER",
    "BACK AFTER",
    "SLOWEST REQUEST",
  ],
  cells: (run) => [
    String(run.connections.opened),
    `${run.inFlightBroken} of ${run.inFlightOpen}`,
    String(run.brokenAfterChange),
    `${run.stallMs.max} ms`,
    `${run.msToWithdraw} ms`,
    run.restored ? `${(run.msToRestore / 1000).toFixed(1)} s` : "never",
    `${run.slowestRequestMs} ms`,
  ],
  notes: () => [],
};

class DaemonKill implements Attempt<DaemonKillRun> {
  readonly #scene: Scene;
  #traffic: SteadyTraffic | undefined;
  #watch: RouteWatch | undefined;
  #agent = "";
  #killedAtMs = 0;
  #withdrawn: Window | undefined;
  #restored: Window | undefined;
  #restoreBeganAtMs = 0;

  constructor(scene: Scene) {
    this.#scene = scene;
  }

  async prepare(): Promise<void> {
    const { rack, random, family } = this.#scene;
    this.#traffic = await SteadyTraffic.start(rack, family);
    this.#watch = await RouteWatch.start(rack);
    this.#agent = await this.#agentProcess();
    this.#traffic.request(REQUEST_EVERY_MS);
    const transfers = await this.#traffic.openOneEach();
    for (let count = transfers.size; count < TRANSFERS_MIN; count++)
      await this.#traffic.open();
    await delay(random() * JITTER_MS);
  }

  async inject(): Promise<void> {
    const { rack, director, progress } = this.#scene;
    this.#killedAtMs = await kill(rack, director, "/run/gobgpd.pid");
    this.#withdrawn = await this.#window(
      `see the routes of ${director} go`,
      false,
      this.#killedAtMs,
      WITHDRAW_LIMIT_MS,
    );
    this.#say(
      `its gobgpd was killed; the router has taken it out after ${this.#msToWithdraw()} ms`,
    );
    while (Date.now() < this.#killedAtMs + AWAY_MS) {
      await delay(500);
      const elapsed = ((Date.now() - this.#killedAtMs) / 1000).toFixed(1);
      progress.live(`${director}: without gobgpd for ${elapsed} s`);
    }
  }

  async restore(): Promise<void> {
    const { rack, director, sabotage } = this.#scene;
    this.#restoreBeganAtMs = Date.now();
    if (sabotage) this.#say("sabotage: its gobgpd is not started again");
    else
      await rack.output(director, [
        ...["bash", `${CHECKOUT}/ops/lab/rack/gobgpd.sh`],
      ]);
    try {
      this.#restored = await this.#window(
        `see the routes of ${director} come back`,
        true,
        this.#restoreBeganAtMs,
        RESTORE_LIMIT_MS,
      );
      const missing = missingRoutes(await rack.routes(), DIRECTORS);
      if (missing !== undefined) throw new LabError(missing);
    } catch (error) {
      if (!(error instanceof LabError)) throw error;
      this.#say(error.message);
    }
    await delay(AFTERMATH_MS);
  }

  async measure(): Promise<DaemonKillRun> {
    const { director } = this.#scene;
    const traffic = await this.#traffic?.finish();
    if (traffic === undefined)
      throw new LabError("Cannot measure a run that has not been prepared");
    const { transfers, requests, ownDelayMs } = traffic;
    const survivors = transfers.filter((transfer) => !isBroken(transfer));
    const all = [...transfers, ...requests];
    const connections = countConnections(all);
    const inFlight = openDuring(all, this.#changes());
    const inFlightBroken = inFlight.filter(isBroken).length;
    return {
      director,
      connections,
      excused: 0,
      bytesVerified: sumBytes(all),
      stallMs: worstStall(survivors.map(({ stallMs }) => stallMs)),
      restored: this.#restored !== undefined,
      msToRestore: Math.round(
        (this.#restored?.toMs ?? Date.now()) - this.#restoreBeganAtMs,
      ),
      ownDelayMs,
      msToWithdraw: this.#msToWithdraw(),
      inFlightBroken,
      inFlightOpen: inFlight.length,
      brokenAfterChange: connections.broken - inFlightBroken,
      agentUntouched: (await this.#agentProcess()) === this.#agent,
      slowestRequestMs: slowestMs(requests),
    };
  }

  close(): void {
    this.#traffic?.close();
    this.#watch?.close();
  }

  /** What is sent between the kill and the change of the table may still go to the director. */
  #changes(): readonly Window[] {
    const { toMs } = this.#withdrawn ?? { toMs: Date.now() };
    return [
      { fromMs: this.#killedAtMs, toMs },
      ...(this.#restored === undefined ? [] : [this.#restored]),
    ];
  }

  #msToWithdraw(): number {
    return Math.round((this.#withdrawn?.toMs ?? Date.now()) - this.#killedAtMs);
  }

  /** When the router's kernel changed. @throws LabError when it does not in time */
  async #window(
    what: string,
    present: boolean,
    sinceMs: number,
    limitMs: number,
  ): Promise<Window | undefined> {
    const find = () =>
      windowOf(this.#watch?.changes ?? [], this.#scene, present, sinceMs);
    await until(
      what,
      async () =>
        find() === undefined ? "the router is as it was" : undefined,
      limitMs,
    );
    return find();
  }

  /** Its number and when it started, which together name one process. */
  async #agentProcess(): Promise<string> {
    return this.#scene.rack.output(this.#scene.director, [
      ...[
        "bash",
        "-c",
        "awk '{ print $1, $22 }' /proc/$(</run/weir-agent.pid)/stat",
      ],
    ]);
  }

  #say(text: string): void {
    const { progress, director } = this.#scene;
    progress.step(`${director}: ${text}`);
  }
}

/** Why a run is not good enough, as sentences. */
function judge(run: DaemonKillRun): readonly string[] {
  const { connections, inFlightBroken, brokenAfterChange, msToRestore } = run;
  return [
    ...(inFlightBroken > BOUNDS.inFlightBroken
      ? [
          `${inFlightBroken} connections broke that were open while the router's routes changed`,
        ]
      : []),
    ...(brokenAfterChange > BOUNDS.brokenAfterChange
      ? [
          `${brokenAfterChange} connections broke that were not open while the router's routes changed`,
        ]
      : []),
    ...(connections.corrupted > BOUNDS.corrupted
      ? [`${connections.corrupted} connections got wrong bytes`]
      : []),
    ...(run.restored ? [] : ["the routes did not come back"]),
    ...(run.restored && msToRestore > BOUNDS.msToRestore
      ? [
          `the routes came back after ${msToRestore} ms, not within ${BOUNDS.msToRestore} ms`,
        ]
      : []),
    ...(run.agentUntouched ? [] : ["the agent is not the same process"]),
  ];
}
