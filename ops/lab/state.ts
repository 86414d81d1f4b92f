// SPDX-License-Identifier: Apache-2.0
// The record of a deployed lab. It is written before the first thing is made and removed after the last thing is gone, so
// that destroy finds all of it whenever the runner was killed. It lives in /run: after a reboot neither it nor the lab is there.

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { LabError, LabExistsError, LabNotFoundError } from "./errors.ts";
import type { ProcessId } from "./host.ts";
import { NAME, type LabNode, type Topology } from "./topology.ts";

/** One folder for each lab: `lab.json`, and for each node `<node>.log` (its console) and `<node>` (where its root is built). */
const STATE_ROOT = "/run/weir-lab";

/** A record of another version is refused: it may say less than destroy needs to know. */
const RECORD_VERSION = 1;

export type LabRecord = {
  readonly version: typeof RECORD_VERSION;
  readonly topology: Topology;
  /** The lab's cgroup: all of its processes are in or below it. */
  readonly cgroup: string;
  /** The process that deploys; nobody else touches the lab while it lives and `deployed` is false. */
  readonly deployer: ProcessId;
  readonly deployed: boolean;
  /** Process 1 of each started node, by the host's number. */
  readonly inits: Readonly<Record<string, ProcessId>>;
};

export function newRecord(
  topology: Topology,
  cgroup: string,
  deployer: ProcessId,
): LabRecord {
  return {
    version: RECORD_VERSION,
    topology,
    cgroup,
    deployer,
    deployed: false,
    inits: {},
  };
}

/** @throws LabExistsError when the lab's name is taken. */
export function expectFree(lab: string): void {
  if (exists(lab)) {
    throw new LabExistsError(
      `Cannot deploy lab ${lab}: it exists already; \`./weir lab destroy --name ${lab}\` removes it, \`--reconfigure\` does so first`,
    );
  }
}

/**
 * Takes the lab's name for this deploy.
 * @throws LabExistsError when it is taken, also in the very last moment.
 */
export function claim(record: LabRecord): void {
  mkdirSync(STATE_ROOT, { recursive: true, mode: 0o755 });
  try {
    mkdirSync(stateDir(record.topology.lab));
  } catch (error) {
    expectFree(record.topology.lab);
    throw error;
  }
  save(record);
}

export function save(record: LabRecord): void {
  const file = path.join(stateDir(record.topology.lab), "lab.json");
  writeFileSync(`${file}.new`, JSON.stringify(record));
  renameSync(`${file}.new`, file);
}

/** The lab's record; undefined where there is no lab, or a deploy was killed before it had made anything. */
export function read(lab: string): LabRecord | undefined {
  const file = path.join(stateDir(lab), "lab.json");
  if (!existsSync(file)) return undefined;
  // Only save() writes this file, and never in place, so the version is all that has to be checked.
  const record = JSON.parse(readFileSync(file, "utf8")) as LabRecord;
  const version: number = record.version;
  if (version !== RECORD_VERSION) {
    throw new LabError(
      `Cannot read ${file}: its version is ${version}; this runner knows ${RECORD_VERSION}`,
    );
  }
  return record;
}

/** @throws LabNotFoundError */
export function mustRead(lab: string): LabRecord {
  const record = read(lab);
  if (record === undefined)
    throw new LabNotFoundError(`Cannot find lab ${lab}: it is not deployed`);
  return record;
}

export function exists(lab: string): boolean {
  return existsSync(stateDir(lab));
}

export function remove(lab: string): void {
  rmSync(stateDir(lab), { recursive: true, force: true });
  try {
    rmdirSync(STATE_ROOT);
  } catch {
    // Other labs are still there, or it is gone already.
  }
}

/** The names of all labs on this machine. */
export function list(): readonly string[] {
  return existsSync(STATE_ROOT) ? readdirSync(STATE_ROOT) : [];
}

/** @throws LabError for what is no name: a path in its place would have `remove` delete something else. */
export function stateDir(lab: string): string {
  if (!NAME.test(lab))
    throw new LabError(
      `Cannot use this lab: its name must match ${NAME.source}: current value is "${lab}"`,
    );
  return path.join(STATE_ROOT, lab);
}

/** Where a node's root is mounted, inside the node's own mount namespace; an empty folder for everyone else. */
export function workDir(lab: string, node: string): string {
  return path.join(stateDir(lab), node);
}

/** What the node's command and its init wrote to their standard output and error. */
export function consoleLog(lab: string, node: string): string {
  return path.join(stateDir(lab), `${node}.log`);
}

export function nodeCgroup(record: LabRecord, node: string): string {
  return path.join(record.cgroup, "nodes", node);
}

/** Holds the short-lived programs (ip, ethtool) that build the lab, so that destroy also ends those of a killed deploy. */
export function toolsCgroup(record: LabRecord): string {
  return path.join(record.cgroup, "tools");
}

export function nodeOf(topology: Topology, name: string): LabNode {
  const node = topology.nodes.find((candidate) => candidate.name === name);
  if (node !== undefined) return node;
  const names = topology.nodes.map((candidate) => candidate.name).join(", ");
  throw new LabNotFoundError(
    `Cannot find node ${name} in lab ${topology.lab}: its nodes are ${names}`,
  );
}
