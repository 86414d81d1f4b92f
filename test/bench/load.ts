// SPDX-License-Identifier: Apache-2.0
/** One load: sessions that are opened on one node, and when the other node has them. */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { LabError } from "../../ops/lab/errors.ts";
import type { CpuTimes } from "./cpu.ts";
import { elapsed } from "./cpu.ts";
import { readMarks, spacingOf } from "./marks.ts";
import { quantile } from "./rows.ts";
import type { Sandbox } from "./sandbox.ts";

/** Sessions that the other node may be behind before the load waits: below what either side can queue. */
const WINDOW = 16_384;
/** The other node has lost what it has not got by then. */
const ARRIVAL_LIMIT_MS = 20_000;
const POLL_MS = 20;

export type Load = {
  readonly sessions: number;
  /** Sessions/s; 0 = as fast as the other node takes them. */
  readonly rate: number;
  /** Sessions only begin, and the other node is told only that. */
  readonly synOnly?: boolean;
};

/** As the load programs call it. */
export function openingOf({ synOnly = false }: Load): "open" | "syn" {
  return synOnly ? "syn" : "open";
}

export type Arrival = {
  /** Into the other node's table, from the first session's packet until the last one is there. */
  readonly perSecond: number;
  readonly lagMs: { readonly p50: number; readonly p99: number };
};

export type Opened = {
  readonly arrival: Arrival;
  /** Until all sessions are on the other node. */
  readonly openCpuUs: CpuTimes;
  /** On the link between the nodes, in bytes for each session. */
  readonly openBytes: number;
};

export type Life = Opened & {
  /** If sessions that are on the other node are not in its kernel yet. */
  readonly commitCpuUs?: CpuTimes;
  readonly closeCpuUs: CpuTimes;
  readonly closeBytes: number;
};

/** Two nodes, of which the second one has to learn the first one's sessions. Each call begins with empty tables. */
export interface Contender {
  /** Opens sessions, and waits until they are on the other node. */
  open(load: Load): Promise<Opened>;
  /** As `open`; then the other node takes them over, if it has to; then they end, and it is told that too. */
  live(load: Load): Promise<Life>;
  /** The same load without a second node. */
  alone(
    load: Load,
  ): Promise<{ readonly openCpuUs: CpuTimes; readonly closeCpuUs: CpuTimes }>;
}

/** What the load programs print. */
type Sent = {
  readonly sent: number;
  /** Frames that were not sent on. */
  readonly failed: number;
  readonly beginNs: number;
  readonly endNs: number;
};

/** The path of a program of load/, as prepare.sh builds it. */
export function program(name: string): string {
  return join(import.meta.dirname, "../../build/bench", name);
}

export function marksPath(sandbox: Sandbox): string {
  return join(sandbox.directory, "marks");
}

/** The arguments that all load programs take, after their own. `follow`: no faster than the marks arrive. */
export function planArgs(
  { sessions, rate }: Load,
  follow: boolean,
): readonly string[] {
  const window = follow ? WINDOW : 0;
  return [sessions, rate, window, spacingOf(sessions, rate)].map(String);
}

/** Reads what a load program has printed. @throws LabError if it gave up */
export function readSent(output: string, { sessions }: Load): Sent {
  const sent: Sent = JSON.parse(output);
  if (sent.failed > 0)
    throw new LabError(
      `Cannot open ${sessions} sessions: ${sent.failed} frames were not sent on`,
    );
  if (sent.sent !== sessions)
    throw new LabError(
      `Cannot open ${sessions} sessions: the other node stopped taking them after ${sent.sent}`,
    );
  return sent;
}

/** Waits until the other node has what `send` opens. Somebody watches the marks' file, which is new. */
export async function arrivalOf(
  sandbox: Sandbox,
  load: Load,
  send: () => Promise<string>,
): Promise<Arrival> {
  const path = marksPath(sandbox);
  const { beginNs } = readSent(await send(), load);
  await until(
    () => readMarks(path).missing === 0,
    () => `${readMarks(path).missing} sampled sessions have not arrived`,
  );
  const { lagsMs, lastSeenNs } = readMarks(path);
  return {
    perSecond: load.sessions / ((lastSeenNs - beginNs) / 1e9),
    lagMs: { p50: quantile(lagsMs, 0.5), p99: quantile(lagsMs, 0.99) },
  };
}

/** The processor time that `action` takes, in µs for each session. */
export async function cpuOf<T>(
  sandbox: Sandbox,
  sessions: number,
  action: () => Promise<T>,
): Promise<{ readonly result: T; readonly cpuUs: CpuTimes }> {
  const before = sandbox.cpu.read();
  const result = await action();
  const times = elapsed(before, sandbox.cpu.read());
  const perSession = Object.entries(times).map(
    ([name, time]) => [name, time / sessions] as const,
  );
  return { result, cpuUs: Object.fromEntries(perSession) };
}

/** Waits for a state. @throws LabError with the reason when it does not come */
export async function until(
  reached: () => boolean | Promise<boolean>,
  reason: () => string,
  limitMs = ARRIVAL_LIMIT_MS,
): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await reached())) {
    if (performance.now() > deadline)
      throw new LabError(`Cannot go on: ${reason()} after ${limitMs} ms`);
    await delay(POLL_MS);
  }
}
