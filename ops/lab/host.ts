// SPDX-License-Identifier: Apache-2.0
// What the runner needs of the machine: where cgroup2 is mounted, which file systems a node has to see, and processes that
// can be told apart from later ones with the same id.

import { spawn } from "node:child_process";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { LabCommandError, LabError } from "./errors.ts";

/** How long killed processes may take to disappear. It takes milliseconds unless one hangs in the kernel. */
const KILL_LIMIT_MS = 10_000;
const KILL_POLL_MS = 5;

export type Mount = { readonly target: string; readonly type: string };

/** The mounts of /proc/self/mountinfo, in order. Octal escapes such as `\040` are undone. */
export function parseMounts(mountinfo: string): readonly Mount[] {
  return mountinfo.split("\n").flatMap((line) => {
    const [before, after] = line.split(" - ");
    const target = before
      ?.split(" ")[4]
      ?.replaceAll(/\\([0-7]{3})/g, (_, octal) => unescape(octal));
    const type = after?.split(" ")[0];
    return target === undefined || type === undefined ? [] : [{ target, type }];
  });
}

function unescape(octal: string): string {
  return String.fromCharCode(Number.parseInt(octal, 8));
}

/** Kinds of mounts that a node gets afresh, or that hold nothing of the installed system. */
const LAYER_SKIP =
  /^\/(proc|sys|dev|run|tmp|mnt|media|boot|snap|var\/lib\/(docker|containers))(\/|$)/;

/**
 * The folders below which another file system begins, parents first. An overlay of `/` shows them empty, so that each of
 * them needs an overlay of its own: on many machines /usr, /var or /home is a mount.
 */
export function layers(mounts: readonly Mount[]): readonly string[] {
  const targets = mounts
    .map(({ target }) => target)
    .filter((target) => target !== "/" && !LAYER_SKIP.test(target));
  return [...new Set(targets)].toSorted().filter((target) => isFolder(target));
}

/** @throws LabError when there is no cgroup2: everything that a lab starts is ended through its cgroup. */
export function cgroupRoot(): string {
  const mount = ownMounts().findLast(({ type }) => type === "cgroup2");
  if (mount === undefined) {
    throw new LabError(
      "Cannot run a lab: no cgroup2 is mounted; `mount -t cgroup2 none DIRECTORY` as root mounts it",
    );
  }
  return mount.target;
}

export function ownMounts(): readonly Mount[] {
  return parseMounts(readFileSync("/proc/self/mountinfo", "utf8"));
}

export function createCgroup(cgroup: string): void {
  try {
    mkdirSync(cgroup, { recursive: true });
  } catch (cause) {
    throw new LabError(
      `Cannot run a lab: the cgroup ${cgroup} cannot be made; is cgroup2 mounted read-only?`,
      { cause },
    );
  }
}

/** Ids, as the host sees them, of all processes in a cgroup and below it. None when the cgroup does not exist. */
export function pidsIn(cgroup: string): readonly number[] {
  const own =
    ignoreMissing(() =>
      readFileSync(path.join(cgroup, "cgroup.procs"), "utf8"),
    ) ?? "";
  const pids = own.split("\n").filter((line) => line !== "");
  return [...pids.map(Number), ...children(cgroup).flatMap(pidsIn)];
}

/**
 * Kills all processes in a cgroup and below it, and waits until they are gone. A process that was on its way into the
 * cgroup when the others were killed is killed in the next round.
 * @throws LabError when one of them stays.
 */
export async function killCgroup(
  cgroup: string,
  limitMs = KILL_LIMIT_MS,
): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (pidsIn(cgroup).length > 0) {
    if (Date.now() > deadline) {
      throw new LabError(
        `Cannot end the processes of ${cgroup}: still there after ${limitMs} ms: ${pidsIn(cgroup).join(" ")}`,
      );
    }
    ignoreMissing(() => writeFileSync(path.join(cgroup, "cgroup.kill"), "1"));
    await delay(KILL_POLL_MS);
  }
}

/** Kills what is in a cgroup and removes it with all below it. Nothing to do when it does not exist. */
export async function removeCgroup(
  cgroup: string,
  limitMs = KILL_LIMIT_MS,
): Promise<void> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    await killCgroup(cgroup, limitMs);
    try {
      removeFolders(cgroup);
      return;
    } catch (cause) {
      // A process that was being forked into the cgroup is not listed yet, but keeps it busy: look again.
      if (Date.now() > deadline)
        throw new LabError(`Cannot remove the cgroup ${cgroup}`, { cause });
      await delay(KILL_POLL_MS);
    }
  }
}

function removeFolders(cgroup: string): void {
  for (const child of children(cgroup)) removeFolders(child);
  ignoreMissing(() => rmdirSync(cgroup));
}

function children(cgroup: string): readonly string[] {
  const entries =
    ignoreMissing(() => readdirSync(cgroup, { withFileTypes: true })) ?? [];
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => path.join(cgroup, entry.name));
}

/** A process, told apart from a later one with the same id by its start time in clock ticks since boot. */
export type ProcessId = { readonly pid: number; readonly started: string };

/** The process that has this id now, or undefined. Zombies do not count. */
export function processOf(pid: number): ProcessId | undefined {
  const stat = ignoreMissing(() => readFileSync(`/proc/${pid}/stat`, "utf8"));
  // The second field is the name in brackets and may hold anything; the fields after it are counted from the third.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  const started = fields?.[19];
  return started === undefined || fields?.[0] === "Z"
    ? undefined
    : { pid, started };
}

export function isAlive(process: ProcessId): boolean {
  return processOf(process.pid)?.started === process.started;
}

/** When a process began, in ms since the epoch. */
export function startedAtMs(process: ProcessId): number {
  const uptimeMs =
    Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1000;
  return Date.now() - uptimeMs + Number(process.started) * 10;
}

/** The beginning of a command line that first moves its process into a cgroup. */
export function inCgroup(cgroup: string): readonly string[] {
  return [
    "sh",
    "-c",
    'echo 0 >"$0" && exec "$@"',
    path.join(cgroup, "cgroup.procs"),
  ];
}

/**
 * Runs a program to its end and returns its standard output.
 * @throws LabCommandError `Cannot <what>: ...` when it does not end with 0.
 */
export async function run(
  what: string,
  argv: readonly string[],
  input = "",
): Promise<string> {
  const [program = "", ...args] = argv;
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  child.stdout
    .setEncoding("utf8")
    .on("data", (text: string) => (output.stdout += text));
  child.stderr
    .setEncoding("utf8")
    .on("data", (text: string) => (output.stderr += text));
  child.stdin.on("error", () => {}); // The program ended without reading all: its exit code says what that means.
  child.stdin.end(input);
  const code = await new Promise<number>((resolve, reject) => {
    child.on("error", (cause) =>
      reject(
        new LabError(`Cannot ${what}: ${program} cannot be started`, { cause }),
      ),
    );
    child.on("close", (status) => resolve(status ?? 128));
  });
  if (code !== 0)
    throw new LabCommandError(what, argv, code, output.stderr + output.stdout);
  return output.stdout;
}

/** The result, or undefined where the file, folder or process does not exist (any more). */
function ignoreMissing<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    const code =
      error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ESRCH" || code === "ENODEV")
      return undefined;
    throw error;
  }
}

function isFolder(target: string): boolean {
  return ignoreMissing(() => statSync(target))?.isDirectory() ?? false;
}
