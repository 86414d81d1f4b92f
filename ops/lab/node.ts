// SPDX-License-Identifier: Apache-2.0
// The life of one node: process 1 in its namespaces and its cgroup, commands inside it, power off.

import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { LabCommandError, LabError, LabNotFoundError } from "./errors.ts";
import {
  createCgroup,
  inCgroup,
  isAlive,
  killCgroup,
  layers,
  ownMounts,
  processOf,
  type ProcessId,
} from "./host.ts";
import { netnsPath } from "./network.ts";
import { consoleLog, nodeCgroup, workDir, type LabRecord } from "./state.ts";
import type { LabNode } from "./topology.ts";

const INIT = fileURLToPath(new URL("init.sh", import.meta.url));
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const DIE_WITH_PARENT = words("setpriv --pdeathsig KILL");
const NAMESPACES = words("--mount --uts --ipc --net --pid --cgroup --");

/** How much of a node's console an error shows. */
const CONSOLE_TAIL_LINES = 15;

/**
 * Starts a node in its existing network namespace and waits until its root is built and its sysctls are set; its command
 * has just begun then. Returns the node's process 1.
 * @throws LabCommandError with the end of the node's console, when it ends before that.
 */
export async function startNode(
  record: LabRecord,
  node: LabNode,
): Promise<ProcessId> {
  const lab = record.topology.lab;
  createCgroup(nodeCgroup(record, node.name));
  await mkdir(workDir(lab, node.name), { recursive: true });
  const argv = [
    ...inCgroup(nodeCgroup(record, node.name)),
    ...initCommand(lab, node),
  ];
  const [program = "", ...args] = argv;
  const log = openSync(consoleLog(lab, node.name), "a");
  // Detached: it outlives this process, and a Ctrl-C in the terminal is for this process alone.
  const child = spawn(program, args, {
    detached: true,
    stdio: ["ignore", log, log, "pipe"],
  });
  closeSync(log);
  const ready = child.stdio[3] as Readable;
  try {
    const pid = await new Promise<number>((resolve, reject) => {
      ready
        .setEncoding("utf8")
        .on("data", (line: string) => resolve(Number(line)));
      child.on("error", reject);
      child.on("exit", (code) =>
        reject(nodeEnded(lab, node, argv, code ?? 128)),
      );
    });
    const init = processOf(pid);
    if (init === undefined) throw nodeEnded(lab, node, argv, 0);
    return init;
  } finally {
    child.removeAllListeners();
    ready.destroy();
    child.unref();
  }
}

/** `unshare` stays as the parent of process 1 and is killed with it; the PID namespace takes everything else along. */
const UNSHARE = words(
  "unshare --mount --uts --ipc --pid --cgroup --fork --kill-child --propagation private env -i",
);

function initCommand(lab: string, node: LabNode): readonly string[] {
  return [
    "nsenter",
    `--net=${netnsPath(node)}`,
    ...UNSHARE,
    ...environment(node),
    "bash",
    INIT,
    workDir(lab, node.name),
    node.hostname,
    ...layers(ownMounts()).flatMap((target) => ["--layer", target]),
    ...node.binds.flatMap((bind) => [
      "--bind",
      bind.source,
      bind.target,
      bind.readOnly ? "ro" : "rw",
    ]),
    ...Object.entries(node.sysctls).flatMap(([key, value]) => [
      "--sysctl",
      key,
      value,
    ]),
    "--",
    ...node.cmd,
  ];
}

/** The node's process 1. @throws LabNotFoundError when the node is not running. */
export function initOf(record: LabRecord, node: LabNode): ProcessId {
  const init = record.inits[node.name];
  if (init !== undefined && isAlive(init)) return init;
  const { lab } = record.topology;
  const end = consoleTail(lab, node);
  throw new LabNotFoundError(
    `Cannot use node ${node.name} of lab ${lab}: it is not running${end === "" ? "" : `\n${end}`}`,
  );
}

/**
 * The command line that runs `argv` inside a node. The death of this process, or of the nsenter that it becomes, kills
 * the command (not what the command has put into the background): nothing of a killed test goes on in the lab.
 */
export function enter(
  record: LabRecord,
  node: LabNode,
  argv: readonly string[],
): readonly string[] {
  return [
    ...inCgroup(nodeCgroup(record, node.name)),
    ...DIE_WITH_PARENT,
    "nsenter",
    `--target=${initOf(record, node).pid}`,
    ...NAMESPACES,
    ...DIE_WITH_PARENT,
    "env",
    "-i",
    ...environment(node),
    ...argv,
  ];
}

/** Ends all processes of a node at once, as a power cut would. Its links stay; lower them for its peers to notice. */
export async function killNode(
  record: LabRecord,
  node: LabNode,
): Promise<void> {
  await killCgroup(nodeCgroup(record, node.name));
}

/** The last lines that a node wrote to its console. */
function consoleTail(lab: string, node: LabNode): string {
  try {
    return readFileSync(consoleLog(lab, node.name), "utf8")
      .trimEnd()
      .split("\n")
      .slice(-CONSOLE_TAIL_LINES)
      .join("\n");
  } catch {
    return ""; // Not started yet: it has no console.
  }
}

function environment(node: LabNode): readonly string[] {
  const own = Object.entries(node.env).map(([key, value]) => `${key}=${value}`);
  return [
    `PATH=${PATH}`,
    "HOME=/root",
    `TERM=${process.env["TERM"] ?? "dumb"}`,
    `HOSTNAME=${node.hostname}`,
    ...own,
  ];
}

function nodeEnded(
  lab: string,
  node: LabNode,
  argv: readonly string[],
  code: number,
): LabError {
  return new LabCommandError(
    `start node ${node.name}`,
    argv,
    code,
    consoleTail(lab, node),
  );
}

function words(line: string): readonly string[] {
  return line.split(" ");
}
