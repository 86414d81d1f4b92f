// SPDX-License-Identifier: Apache-2.0
/**
 * How much processor time a benchmark's processes take, with the kernel's work for them.
 *
 * Most of that work, softirqs included, runs inside a system call of one of these processes and is charged to it. The
 * rest is in the ksoftirqd threads; and a kernel with CONFIG_IRQ_TIME_ACCOUNTING keeps the time of interrupts apart, so
 * there the machine's is added.
 */
import { readdirSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

/** USER_HZ, the unit of /proc/stat. */
const TICKS_PER_SECOND = 100;

/** In µs. One entry for each cgroup below the benchmark's, and `kernel`. */
export type CpuTimes = Readonly<Record<string, number>>;

export class CpuMeter {
  readonly #cgroup: string;
  readonly #ksoftirqds: readonly string[];
  readonly #interruptsApart: boolean;

  /** @param cgroup of cgroup2; the times are those of the cgroups right below it */
  constructor(cgroup: string) {
    this.#cgroup = cgroup;
    this.#ksoftirqds = processesNamed(/^ksoftirqd\//);
    this.#interruptsApart = /^CONFIG_IRQ_TIME_ACCOUNTING=y$/m.test(
      kernelConfig(),
    );
  }

  read(): CpuTimes {
    const groups = readdirSync(this.#cgroup, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => [name, usageOf(join(this.#cgroup, name))] as const);
    const kernel =
      sum(this.#ksoftirqds.map(runtimeOf)) +
      (this.#interruptsApart ? interruptTime() : 0);
    return { ...Object.fromEntries(groups), kernel };
  }
}

export function elapsed(before: CpuTimes, after: CpuTimes): CpuTimes {
  return Object.fromEntries(
    Object.entries(after).map(([name, time]) => [
      name,
      time - (before[name] ?? 0),
    ]),
  );
}

export function total(times: CpuTimes): number {
  return sum(Object.values(times));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}

function usageOf(cgroup: string): number {
  const stat = readFileSync(join(cgroup, "cpu.stat"), "utf8");
  return Number(/^usage_usec (\d+)$/m.exec(stat)?.[1]);
}

function runtimeOf(pid: string): number {
  return scheduleOf(pid).ranUs;
}

/** Of a process or a thread of the kernel: how long it had a processor, and how long it waited for one. */
export function scheduleOf(pid: string): {
  readonly ranUs: number;
  readonly waitedUs: number;
} {
  const stat = readFileSync(`/proc/${pid}/schedstat`, "utf8");
  const [ranNs = "", waitedNs = ""] = stat.split(" ");
  return { ranUs: Number(ranNs) / 1_000, waitedUs: Number(waitedNs) / 1_000 };
}

/** Of all processors, hard and soft. */
function interruptTime(): number {
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n");
  const [, , , , , , irq, softirq] = line.split(/ +/).map(Number);
  return (((irq ?? 0) + (softirq ?? 0)) / TICKS_PER_SECOND) * 1e6;
}

/** Ids. The kernel's threads have names of their own. */
export function processesNamed(pattern: RegExp): readonly string[] {
  return readdirSync("/proc").filter(
    (pid) => /^\d+$/.test(pid) && pattern.test(nameOf(pid)),
  );
}

function nameOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8");
  } catch {
    return ""; // it has ended meanwhile
  }
}

/** Empty if the kernel does not tell. */
function kernelConfig(): string {
  try {
    return gunzipSync(readFileSync("/proc/config.gz")).toString();
  } catch {
    try {
      return readFileSync(`/boot/config-${release()}`, "utf8");
    } catch {
      return "";
    }
  }
}
