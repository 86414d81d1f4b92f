// SPDX-License-Identifier: Apache-2.0
/**
 * A director's processor: the thread that receives the frames of its front arm, alone on one CPU, and forwards them there to the
 * end. What it leaves to the kernel's own thread is counted with it.
 */
import { cpus } from "node:os";
import { LabError } from "../../../ops/lab/errors.ts";
import type { CpuMeter } from "../cpu.ts";
import { processesNamed, scheduleOf } from "../cpu.ts";
import type { Sandbox } from "../sandbox.ts";
import type { Contender } from "./place.ts";

/** The generator has the other one. */
export const GENERATOR_CPU = 0;
const DIRECTOR_CPU = 1;
const CPUS_MIN = 2;

/** Of the thread: nine tenths of a processor that one other process wants, too. */
const NICE = "-10";

/** @throws LabError on a machine with one CPU */
export function checkCpus(): void {
  if (cpus().length < CPUS_MIN)
    throw new LabError(
      `Cannot measure directors: it takes ${CPUS_MIN} processors: this machine has ${cpus().length}`,
    );
}

/** A CPU that sleeps takes up to a millisecond to wake in a virtual machine, and a veth's ring is full by then. */
export function keepAwake(sandbox: Sandbox): void {
  sandbox.start([
    ...["chrt", "--idle", "0", "taskset", "--cpu-list", `${DIRECTOR_CPU}`],
    ...["sh", "-c", "while :; do :; done"],
  ]);
}

export type Usage = {
  readonly cpuNs: number;
  /** While others had it. */
  readonly waitedNs: number;
};

export class Processor {
  readonly #thread: string;
  readonly #meter: CpuMeter;

  private constructor(thread: string, meter: CpuMeter) {
    this.#thread = thread;
    this.#meter = meter;
  }

  /** From now on the front arm's frames are received by a thread (NAPI's). */
  static async of(
    sandbox: Sandbox,
    { director, front }: Contender,
  ): Promise<Processor> {
    const threadsOf = () =>
      processesNamed(new RegExp(`^napi/${front.device}-`));
    const before = new Set(threadsOf());
    // With this namespace's /sys.
    await sandbox.run("receive by a thread", [
      ...["ip", "netns", "exec", sandbox.netns(director), "sh", "-c"],
      `echo 1 >/sys/class/net/${front.device}/threaded`,
    ]);
    const threads = threadsOf().filter((pid) => !before.has(pid));
    const [thread] = threads;
    if (thread === undefined || threads.length > 1)
      throw new LabError(
        `Cannot measure ${director}: its front arm has ${threads.length} receiving threads in place of one`,
      );
    const cpu = `${DIRECTOR_CPU}`;
    await sandbox.run("pin a thread", ["taskset", "-c", "-p", cpu, thread]);
    await sandbox.run("prefer it", ["renice", "-n", NICE, "-p", thread]);
    return new Processor(thread, sandbox.cpu);
  }

  /** So far. */
  read(): Usage {
    const { ranUs, waitedUs } = scheduleOf(this.#thread);
    const kernelUs = this.#meter.read()["kernel"] ?? 0;
    return { cpuNs: (ranUs + kernelUs) * 1_000, waitedNs: waitedUs * 1_000 };
  }
}
