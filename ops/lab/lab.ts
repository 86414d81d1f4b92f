// SPDX-License-Identifier: Apache-2.0
// Labs for programs: what tests, the demo and the drills use.
//
//   const lab = await deployLab("rack.clab.yml", { name: "mine" });
//   try {
//     const { code, stdout } = await lab.exec("c1", ["curl", "-sf", url], { timeoutMs: 5000 });
//   } finally {
//     await lab.destroy();
//   }

import { readFileSync } from "node:fs";
import {
  runCommand,
  startCommand,
  type CommandOptions,
  type CommandResult,
  type LabProcess,
} from "./command.ts";
import { deploy, destroy, runExecLines, type DeployTimes } from "./deploy.ts";
import { LabExistsError } from "./errors.ts";
import { isAlive, pidsIn } from "./host.ts";
import { lowerLinks, raiseLinks, renewNamespace } from "./network.ts";
import { enter, initOf, killNode, startNode } from "./node.ts";
import * as state from "./state.ts";
import { loadTopology, type LabNode, type Topology } from "./topology.ts";

export type { CommandOptions, CommandResult, LabProcess } from "./command.ts";
export * from "./errors.ts";

export type DeployOptions = {
  /** Instead of the name in the file. */
  readonly name?: string | undefined;
  /** Destroy a lab of that name first. Without it an existing lab is an error. */
  readonly reconfigure?: boolean;
  /** Values for the file's variables, before those of this program's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Ends the deploy, removes what it had made, and rejects with the signal's reason. Means nothing afterwards. */
  readonly signal?: AbortSignal;
};

/** A process of a node, by the host's number. */
export type NodeProcess = {
  readonly pid: number;
  readonly argv: readonly string[];
};

/** The signals upon which a program's labs are destroyed before it ends. */
const END_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Deploys a topology file. Until `destroy` or `keep`, Ctrl-C and the other END_SIGNALS destroy the lab and then end this
 * program, also half way through the deploy. A killed program leaves the lab; `./weir lab destroy` or `reconfigure` removes it.
 * @throws TopologyError, LabExistsError, LabCommandError (which leaves nothing behind)
 */
export async function deployLab(
  file: string,
  { name, reconfigure, env, signal }: DeployOptions = {},
): Promise<Lab> {
  const topology = loadTopology(file, name, { ...process.env, ...env });
  const interrupted = new AbortController();
  const guard = new SignalGuard(async () => {
    interrupted.abort(new Error("interrupted"));
    const made = await deployed.catch(() => undefined);
    // A failed deploy has cleaned up by itself, or was refused because somebody else's lab has the name.
    if (made === undefined) return;
    console.error(`removing lab ${topology.lab}`);
    await remove(topology.lab);
  });
  const deployed = (async () => {
    if (reconfigure === true) await remove(topology.lab);
    return deploy(
      topology,
      AbortSignal.any([
        interrupted.signal,
        ...(signal === undefined ? [] : [signal]),
      ]),
    );
  })();
  try {
    const { times } = await deployed;
    return new Lab(topology, times, guard);
  } catch (error) {
    // After a signal the guard ends the program as soon as the lab is gone; the failure is only its consequence.
    if (interrupted.signal.aborted) await new Promise(() => {});
    guard.close();
    throw error;
  }
}

/** A lab that is deployed already. It is not destroyed when this program ends. @throws LabNotFoundError */
export function openLab(name: string): Lab {
  return new Lab(state.mustRead(name).topology);
}

/** Destroys a lab, or what a killed deploy left of it. Returns false when there was nothing. */
export async function destroyLab(name: string): Promise<boolean> {
  return remove(name);
}

/** Removals that are going on: a Ctrl-C during one waits for it instead of starting another. */
const removals = new Map<string, Promise<boolean>>();

function remove(name: string): Promise<boolean> {
  const going = removals.get(name);
  if (going !== undefined) return going;
  const removal = destroy(name).finally(() => removals.delete(name));
  removals.set(name, removal);
  return removal;
}

/** The names of all labs on this machine. */
export const labNames = state.list;

export class Lab {
  readonly topology: Topology;
  /** How long the deploy took; undefined for a lab that was opened. */
  readonly times: DeployTimes | undefined;
  readonly #guard: SignalGuard | undefined;

  constructor(topology: Topology, times?: DeployTimes, guard?: SignalGuard) {
    this.topology = topology;
    this.times = times;
    this.#guard = guard;
  }

  get name(): string {
    return this.topology.lab;
  }

  /** Runs a command to its end. An exit code other than 0 is a result, not an error. @throws LabTimeoutError */
  async exec(
    node: string,
    argv: readonly string[],
    options?: CommandOptions,
  ): Promise<CommandResult> {
    return runCommand(node, argv, this.enter(node, argv), options);
  }

  /** Starts a command that goes on until it ends, it is killed, or this program dies. */
  spawn(node: string, argv: readonly string[]): LabProcess {
    return startCommand(this.enter(node, argv));
  }

  /** The command line that runs `argv` in the node. @throws LabNotFoundError when the node is not running. */
  enter(node: string, argv: readonly string[]): readonly string[] {
    return enter(this.#record(), this.node(node), argv);
  }

  /** All processes of a node, among them the `unshare` that waits for its process 1. */
  pids(node: string): readonly NodeProcess[] {
    return pidsIn(state.nodeCgroup(this.#record(), this.node(node).name)).map(
      (pid) => ({ pid, argv: argvOf(pid) }),
    );
  }

  /** @throws LabNotFoundError */
  node(name: string): LabNode {
    return state.nodeOf(this.topology, name);
  }

  isRunning(node: string): boolean {
    const init = this.#record().inits[node];
    return init !== undefined && isAlive(init);
  }

  /**
   * Power off: the node's links lose their carrier, then every process of it ends at once. Its files are gone. The links
   * first: the kernel would still take leave of the peers of a killed process, as a machine without power does not.
   */
  async killNode(name: string): Promise<void> {
    const [record, node] = [this.#record(), this.node(name)];
    await lowerLinks(record, node);
    await killNode(record, node);
  }

  /** Power on again: a fresh root and network namespace, the links, the command, the `exec` lines. */
  async startNode(name: string): Promise<void> {
    const [record, node] = [this.#record(), this.node(name)];
    if (this.isRunning(name))
      throw new LabExistsError(
        `Cannot start node ${name} of lab ${this.name}: it is running`,
      );
    await killNode(record, node); // What its process 1 may have left when it ended by itself.
    await renewNamespace(record, node);
    const init = await startNode(record, node);
    const started = { ...record, inits: { ...record.inits, [name]: init } };
    state.save(started);
    await raiseLinks(started, node);
    await runExecLines(started, node);
    initOf(started, node);
  }

  /** Leaves the lab up when this program ends. */
  keep(): void {
    this.#guard?.close();
  }

  /** Removes all of the lab. Twice is harmless. */
  async destroy(): Promise<void> {
    await remove(this.name);
    this.#guard?.close();
  }

  /** Read each time: another process may have restarted a node or destroyed the lab. */
  #record(): state.LabRecord {
    return state.mustRead(this.name);
  }
}

/** Runs `cleanUp` on the first of END_SIGNALS, then lets the signal end the program as it would have done. */
class SignalGuard {
  readonly #handler: (signal: NodeJS.Signals) => void;

  constructor(cleanUp: () => Promise<void>) {
    let started = false;
    this.#handler = (signal) => {
      if (started) return; // A second Ctrl-C: the lab is being removed already, which takes a moment.
      started = true;
      const end = () => {
        this.close();
        process.kill(process.pid, signal);
      };
      cleanUp().then(end, (error: unknown) => {
        console.error(error instanceof Error ? error.message : error);
        end();
      });
    };
    for (const signal of END_SIGNALS) process.on(signal, this.#handler);
  }

  close(): void {
    for (const signal of END_SIGNALS) process.off(signal, this.#handler);
  }
}

function argvOf(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8")
      .split("\0")
      .slice(0, -1);
  } catch {
    return []; // It has just ended.
  }
}
