// SPDX-License-Identifier: Apache-2.0
// Looks for anything on the host that belongs to a lab.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { cgroupRoot, processOf } from "../../ops/lab/host.ts";

const LIMIT_MS = 3000;
const POLL_MS = 20;

/** What there is of the lab: processes, namespaces, cgroups, mounts, files; one sentence each. */
export function findLeftovers(lab: string): readonly string[] {
  const names = existsSync("/run/netns") ? readdirSync("/run/netns") : [];
  const paths = [`/run/weir-lab/${lab}`, `${cgroupRoot()}/weir-lab/${lab}`];
  const mounts = readText("/proc/self/mountinfo")
    .split("\n")
    .filter((line) => mentions(line, lab));
  return [
    ...names
      .filter((name) => mentions(name, lab))
      .map((name) => `the network namespace ${name} exists`),
    ...paths.filter((path) => existsSync(path)).map((path) => `${path} exists`),
    ...mounts.map((line) => `there is a mount: ${line}`),
    ...processesOf(lab),
  ];
}

/** The same, after a straggler that was killed has had time to disappear. Empty as soon as there is nothing. */
export async function leftoversOf(lab: string): Promise<readonly string[]> {
  for (const deadline = Date.now() + LIMIT_MS; ; await delay(POLL_MS)) {
    const found = findLeftovers(lab);
    if (found.length === 0 || Date.now() > deadline) return found;
  }
}

function processesOf(lab: string): readonly string[] {
  const pids = readdirSync("/proc").filter(
    (name) => /^\d+$/.test(name) && Number(name) !== process.pid,
  );
  return pids.flatMap((pid) => {
    // A zombie is gone but for its number, which its new parent, the host's init, collects when it likes.
    if (processOf(Number(pid)) === undefined) return [];
    const command = readText(`/proc/${pid}/cmdline`).replaceAll("\0", " ");
    const inLab = readText(`/proc/${pid}/cgroup`).includes(`/weir-lab/${lab}/`);
    return inLab || mentions(command, lab)
      ? [`process ${pid} lives: ${command}`]
      : [];
  });
}

function mentions(text: string, lab: string): boolean {
  return text.includes(`clab-${lab}-`) || text.includes(`/weir-lab/${lab}`);
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return ""; // The process has ended meanwhile.
  }
}
