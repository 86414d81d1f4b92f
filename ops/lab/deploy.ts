// SPDX-License-Identifier: Apache-2.0
// A lab from its topology, and nothing from a lab.

import { rmdirSync } from "node:fs";
import path from "node:path";
import { runCommand } from "./command.ts";
import { LabCommandError, LabError } from "./errors.ts";
import {
  cgroupRoot,
  createCgroup,
  isAlive,
  killCgroup,
  processOf,
  removeCgroup,
} from "./host.ts";
import {
  createLinks,
  createNamespaces,
  expectFreeNames,
  raiseLinks,
  removeNamespaces,
} from "./network.ts";
import { enter, initOf, startNode } from "./node.ts";
import * as state from "./state.ts";
import type { LabRecord } from "./state.ts";
import type { LabNode, Topology } from "./topology.ts";

/** Where labs' cgroups are, below the root of cgroup2. */
const CGROUP_FOLDER = "weir-lab";

export type DeployTimes = {
  readonly nodesMs: number;
  readonly linksMs: number;
  readonly execMs: number;
};
export type Deployed = {
  readonly record: LabRecord;
  readonly times: DeployTimes;
};

/**
 * Makes the lab: nodes (each node's command starts here, before its links exist), links, then each node's `exec` lines,
 * one after the other in a node, the nodes side by side. When any step fails or `signal` fires, everything made so far is
 * removed again and the promise rejects.
 * @throws LabExistsError when the name is taken; LabCommandError naming node and command when one of them fails.
 */
export async function deploy(
  topology: Topology,
  signal?: AbortSignal,
): Promise<Deployed> {
  expectRoot();
  signal?.throwIfAborted();
  state.expectFree(topology.lab);
  expectFreeNames(topology);
  const self = processOf(process.pid);
  if (self === undefined)
    throw new LabError("Cannot run a lab: /proc is not mounted");
  const cgroup = path.join(cgroupRoot(), CGROUP_FOLDER, topology.lab);
  const record = state.newRecord(topology, cgroup, self);
  state.claim(record);
  // Ends the programs that are building the lab; the step that waits for one of them fails then.
  const onAbort = () => void killCgroup(cgroup).catch(() => {});
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const deployed = await build(record, signal);
    signal?.throwIfAborted();
    state.save(deployed.record);
    return deployed;
  } catch (error) {
    await destroy(topology.lab);
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
}

async function build(
  claimed: LabRecord,
  signal?: AbortSignal,
): Promise<Deployed> {
  const { nodes } = claimed.topology;
  const begin = performance.now();
  createCgroup(state.toolsCgroup(claimed));
  await createNamespaces(claimed, nodes);
  signal?.throwIfAborted();
  const inits = await allOf(
    nodes.map(
      async (node) => [node.name, await startNode(claimed, node)] as const,
    ),
  );
  const record = {
    ...claimed,
    inits: Object.fromEntries(inits),
    deployed: true,
  };
  signal?.throwIfAborted();
  const nodesDone = performance.now();
  await createLinks(record);
  signal?.throwIfAborted();
  await allOf(nodes.map((node) => raiseLinks(record, node)));
  signal?.throwIfAborted();
  const linksDone = performance.now();
  await allOf(nodes.map((node) => runExecLines(record, node, signal)));
  for (const node of nodes) initOf(record, node); // A node whose command has failed meanwhile is no deployed node.
  const end = performance.now();
  return {
    record,
    times: {
      nodesMs: nodesDone - begin,
      linksMs: linksDone - nodesDone,
      execMs: end - linksDone,
    },
  };
}

/** @throws LabCommandError for the first line that fails; the lines after it are not run. */
export async function runExecLines(
  record: LabRecord,
  node: LabNode,
  signal?: AbortSignal,
): Promise<void> {
  for (const argv of node.exec) {
    signal?.throwIfAborted();
    const { code, stdout, stderr } = await runCommand(
      node.name,
      argv,
      enter(record, node, argv),
    );
    if (code !== 0)
      throw new LabCommandError(
        `run an exec line of node ${node.name}`,
        argv,
        code,
        stderr + stdout,
      );
  }
}

/**
 * Removes all that a lab is made of: processes, cgroups, namespaces (mounts and links go with them), record. Works on what
 * a killed deploy or a killed destroy has left. Returns false when there was nothing.
 * @throws LabError while another process is deploying the lab.
 */
export async function destroy(lab: string): Promise<boolean> {
  expectRoot();
  if (!state.exists(lab)) return false;
  const record = state.read(lab);
  if (record !== undefined) {
    const { deployer, deployed } = record;
    if (!deployed && deployer.pid !== process.pid && isAlive(deployer)) {
      throw new LabError(
        `Cannot destroy lab ${lab}: process ${deployer.pid} is deploying it; wait for it or end it first`,
      );
    }
    await removeCgroup(record.cgroup);
    await removeNamespaces(record.topology);
    removeIfEmpty(path.dirname(record.cgroup));
  }
  state.remove(lab);
  return true;
}

/** All results; with a failure only once none of the others is still at work, so that what follows meets no stragglers. */
async function allOf<T>(
  promises: readonly Promise<T>[],
): Promise<readonly T[]> {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}

function expectRoot(): void {
  if (process.getuid?.() !== 0)
    throw new LabError(
      "Cannot run a lab: it needs root, for namespaces and mounts",
    );
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Other labs are in it, or it is gone already.
  }
}
