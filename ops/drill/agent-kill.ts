// SPDX-License-Identifier: Apache-2.0
// The agent of the director that carries a transfer is killed, stays away, and is started again. Nobody may notice: the
// pinned dataplane and the routing daemon go on without it.

import { setTimeout as delay } from "node:timers/promises";
import { formatHost } from "../../src/model.ts";
import { LabError } from "../lab/errors.ts";
import { CHECKOUT, until } from "../lab/rack.ts";
import { countConnections, slowestMs, sumBytes } from "./connections.ts";
import type { Attempt, Run, Scenario, Scene } from "./drill.ts";
import { kill } from "./kill.ts";
import type { Transfer } from "./load-process.ts";
import { PINS, pinnedCounter } from "./pinned.ts";
import { SteadyTraffic } from "./steady.ts";

export type AgentKillRun = Run & {
  /** The transfer that the director carries: the client's end of it. */
  readonly client: string;
  readonly awayMs: number;
  /** Packets that the director forwarded in each second while its agent was away, read from the pinned map. */
  readonly forwardedPerSecond: readonly number[];
  /** The same session, of the same generation, is there afterwards. */
  readonly sessionKept: boolean;
  readonly slowestRequestMs: number;
};

/** Longer than any of the agent's leases and the router's hold time (9 s). */
const AWAY_MS = 10_000;
const SAMPLE_MS = 1_000;
const REQUEST_EVERY_MS = 50;
/** The kill comes at a random moment of this time: the sweep and the health checks have a period of 1 s. */
const JITTER_MS = 1_000;
const RESTORE_LIMIT_MS = 20_000;
/** The traffic goes on for that long after the agent is back. */
const AFTERMATH_MS = 500;

const LINKS = `${PINS}/link-*`;

const BOUNDS = {
  broken: 0,
  /** Exclusive. */
  stallMs: { max: 200 },
  /** Half of the packets that the transfer's data alone needs: 1 MB/s in segments of 1,448 bytes. */
  forwardedPerSecond: { min: 345 },
  restored: true,
  sessionKept: true,
} as const;

export const AGENT_KILL: Scenario<AgentKillRun> = {
  name: "agent-kill",
  bounds: BOUNDS,
  begin: (scene) => new AgentKill(scene),
  judge,
  worst: (runs) => ({
    forwardedPerSecond: {
      min: leastForwarded(runs),
    },
    sessionKept: runs.length > 0 && runs.every((run) => run.sessionKept),
    slowestRequestMs: Math.max(
      0,
      ...runs.map(({ slowestRequestMs }) => slowestRequestMs),
    ),
  }),
  headings: [
    "OPENED",
    "BROKEN",
    "VERIFIED",
    "LONGEST GAP",
    "FORWARDED/S, LEAST",
    "BACK AFTER",
    "SESSION",
  ],
  cells: (run) => [
    String(run.connections.opened),
    String(run.connections.broken),
    `${(run.bytesVerified / 1e6).toFixed(1)} MB`,
    `${run.stallMs.max} ms`,
    String(leastForwarded([run])),
    run.restored ? `${(run.msToRestore / 1000).toFixed(1)} s` : "never",
    run.sessionKept ? "kept" : "LOST",
  ],
  notes: () => [],
};

class AgentKill implements Attempt<AgentKillRun> {
  readonly #scene: Scene;
  #traffic: SteadyTraffic | undefined;
  #transfer: Transfer | undefined;
  #generation = "";
  readonly #forwardedPerSecond: number[] = [];
  #awayMs = 0;
  #msToRestore = 0;
  #restored = false;
  #sessionKept = false;

  constructor(scene: Scene) {
    this.#scene = scene;
  }

  async prepare(): Promise<void> {
    const { rack, director, random, family } = this.#scene;
    const traffic = await SteadyTraffic.start(rack, family);
    this.#traffic = traffic;
    traffic.request(REQUEST_EVERY_MS);
    const transfer = (await traffic.openOneEach()).get(director);
    const generation = transfer && (await this.#generationOf(transfer));
    if (transfer === undefined || generation === undefined)
      throw new LabError(
        `Cannot find the transfer ${transfer?.client} among the sessions of ${director}`,
      );
    this.#transfer = transfer;
    this.#generation = generation;
    this.#say(`carries ${transfer.client} -> ${transfer.server}`);
    await delay(random() * JITTER_MS);
  }

  async inject(): Promise<void> {
    const { rack, director, progress, sabotage } = this.#scene;
    await kill(rack, director, "/run/weir-agent.pid");
    const killedAt = performance.now();
    this.#say(
      `its agent is killed, and stays away for ${AWAY_MS / 1000} seconds`,
    );
    if (sabotage) {
      await rack.output(director, ["bash", "-c", `rm ${LINKS}`]);
      this.#say("sabotage: its dataplane is detached");
    }
    let last = await this.#forwarded();
    for (let elapsedMs = 0; elapsedMs < AWAY_MS;) {
      elapsedMs += SAMPLE_MS;
      await delay(Math.max(0, killedAt + elapsedMs - performance.now()));
      const now = await this.#forwarded();
      const rate = ((now.count - last.count) / (now.atMs - last.atMs)) * 1000;
      this.#forwardedPerSecond.push(Math.round(rate));
      last = now;
      const stall = await this.#traffic?.stall();
      progress.live(
        `${director}: away for ${elapsedMs / 1000} s, forwards ${Math.round(rate)} packets/s, longest gap ${stall?.max} ms`,
      );
    }
    this.#awayMs = Math.round(performance.now() - killedAt);
  }

  async restore(): Promise<void> {
    const { rack, director } = this.#scene;
    const begin = performance.now();
    await rack.output(director, ["bash", `${CHECKOUT}/ops/lab/rack/agent.sh`]);
    try {
      await until(
        `have the agent of ${director} back`,
        async () => {
          const state = await rack.agentState(director);
          return state === "forwarding" ? undefined : `it is ${state}`;
        },
        RESTORE_LIMIT_MS,
      );
      this.#restored = true;
    } catch (error) {
      if (!(error instanceof LabError)) throw error;
      this.#say(error.message);
    }
    this.#msToRestore = Math.round(performance.now() - begin);
    if (this.#restored && this.#transfer !== undefined)
      this.#sessionKept =
        (await this.#generationOf(this.#transfer)) === this.#generation;
    await delay(AFTERMATH_MS);
  }

  async measure(): Promise<AgentKillRun> {
    const { director } = this.#scene;
    const traffic = await this.#traffic?.finish();
    if (traffic === undefined || this.#transfer === undefined)
      throw new LabError("Cannot measure a run that has not been prepared");
    const { transfers, requests, stallMs, ownDelayMs } = traffic;
    const all = [...transfers, ...requests];
    const connections = countConnections(all);
    this.#say(
      `back after ${(this.#msToRestore / 1000).toFixed(1)} s; ${connections.broken} of ${connections.opened} connections broke, longest gap ${stallMs.max} ms`,
    );
    return {
      director,
      connections,
      excused: 0,
      bytesVerified: sumBytes(all),
      stallMs,
      restored: this.#restored,
      msToRestore: this.#msToRestore,
      ownDelayMs,
      client: this.#transfer.client,
      awayMs: this.#awayMs,
      forwardedPerSecond: this.#forwardedPerSecond,
      sessionKept: this.#sessionKept,
      slowestRequestMs: slowestMs(requests),
    };
  }

  close(): void {
    this.#traffic?.close();
  }

  /** The generation of the director's own session for the transfer; undefined if it has none. */
  async #generationOf({ client, lip }: Transfer): Promise<string | undefined> {
    const { rack, director } = this.#scene;
    const sessions = await rack.sessions(director, "--client", client);
    return sessions.find(
      ({ local, origin }) =>
        origin === director && local.startsWith(`${formatHost(lip)}:`),
    )?.generation;
  }

  async #forwarded(): Promise<{
    readonly atMs: number;
    readonly count: number;
  }> {
    const { rack, director } = this.#scene;
    const count = await pinnedCounter(rack, director, "forwarded");
    return { atMs: performance.now(), count };
  }

  #say(text: string): void {
    const { progress, director } = this.#scene;
    progress.step(`${director}: ${text}`);
  }
}

/** Why a run is not good enough, as sentences. */
function judge(run: AgentKillRun): readonly string[] {
  const { connections, stallMs } = run;
  const least = leastForwarded([run]);
  return [
    ...(connections.broken > BOUNDS.broken
      ? [`${connections.broken} of ${connections.opened} connections broke`]
      : []),
    ...(stallMs.max >= BOUNDS.stallMs.max
      ? [
          `a transfer stood still for ${stallMs.max} ms, not less than ${BOUNDS.stallMs.max} ms`,
        ]
      : []),
    ...(least < BOUNDS.forwardedPerSecond.min
      ? [
          `in one second without the agent ${least} packets were forwarded, less than ${BOUNDS.forwardedPerSecond.min}`,
        ]
      : []),
    ...(run.restored ? [] : ["the agent did not come back"]),
    ...(run.sessionKept
      ? []
      : ["the transfer's session is not there any more"]),
  ];
}

/** In the worst second; 0 if there was none. */
function leastForwarded(runs: readonly AgentKillRun[]): number {
  const rates = runs.flatMap((run) => run.forwardedPerSecond);
  return rates.length === 0 ? 0 : Math.min(...rates);
}
