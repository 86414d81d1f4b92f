// SPDX-License-Identifier: Apache-2.0
/** The life of the most sessions: swept, again and again, and expired. */
import { setTimeout } from "node:timers/promises";
import { LabError } from "../../../ops/lab/errors.ts";
import type { Progress } from "../../../ops/progress.ts";
import type { Row } from "../rows.ts";
import { Samples } from "../rows.ts";
import type { Machine } from "./machine.ts";
import { FEW, fill } from "./sessions.ts";

const SWEEP_TARGET_MS = 300;
const MEMORY_TARGET_GB = 4;
const SWEEPS = 7;
/** As the agent does it. */
const SWEEP_INTERVAL_MS = 1_000;
const DAY_MS = 86_400_000;
/** Room for IPv6 sessions where there are none. */
const WIDE_UNUSED = 1_024;

/** IPv4 sessions alone, in tables made for so many: passes of the sweep over them, and one in which they all go. */
export async function life(
  machine: Machine,
  sessions: number,
  places: number,
  progress: Progress,
): Promise<readonly Row[]> {
  progress.step(`${sessions} IPv4 sessions, swept`);
  const name = `IPv4, ${sessions} sessions`;
  const pass = `${name}: one pass of the sweep, ms`;
  const memory = `${name}: GB of all tables`;
  const samples = new Samples();
  await machine.start(places, WIDE_UNUSED);
  await fill(machine, 4, sessions);
  const first = await machine.sweep(DAY_MS);
  // The next ones still have more of the index to check than usual.
  for (let i = 1; i < SWEEPS; i++) await machine.sweep(DAY_MS);
  for (let i = 0; i < SWEEPS; i++)
    samples.add(pass, (await machine.sweep(DAY_MS)).ms);
  // More of what goes by the clock. After these, all are idle for longer than the dataplane's own margin.
  for (let i = 0; i < SWEEPS; i++) {
    await setTimeout(SWEEP_INTERVAL_MS);
    const { ms } = await machine.sweep(DAY_MS);
    samples.add(`${name}: one pass, if there is one each second, ms`, ms);
  }
  const last = await machine.sweep(0);
  samples.add(`${name}: the first pass, ms`, first.ms);
  samples.add(`${name}: the pass in which all expire, ms`, last.ms);
  const { narrow, wide } = await machine.charged();
  samples.add(memory, (narrow + wide) / 1e9);
  await machine.stop();
  if (last.expired !== sessions + FEW)
    throw new LabError(
      `Cannot expire ${sessions + FEW} sessions: ${last.expired} did`,
    );
  return samples.rows({
    [pass]: { is: "at most", value: SWEEP_TARGET_MS },
    [memory]: { is: "at most", value: MEMORY_TARGET_GB },
  });
}
