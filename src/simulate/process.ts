// SPDX-License-Identifier: Apache-2.0
/**
 * The process that runs a simulation, in a mount and a network namespace of its own (see namespaces.ts): what it mounts and
 * makes goes with it, however it ends. Its parent speaks to it over a channel, and it ends with that.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { WeirError } from "../errors.ts";
import type { FromProcess, ToProcess } from "./messages.ts";
import { interfacesOf, networkLines, setUpNetwork } from "./network.ts";
import { Simulation } from "./simulation.ts";

/** Is there on each machine; what the machine itself has there is hidden from this process alone. */
const HIDEOUT = "/run";
const PINS = `${HIDEOUT}/bpf`;

let simulation: Simulation | undefined;

async function answer(message: ToProcess): Promise<FromProcess> {
  if (message.kind === "begin") {
    simulation = await begin(message);
    return { kind: "ready" };
  }
  const results = [];
  for (const { bytes, iface } of message.packets)
    if (simulation !== undefined)
      results.push(await simulation.run(bytes, iface));
  return { kind: "results", results };
}

async function begin({
  cluster,
  node: name,
  network,
  packets,
}: ToProcess & { kind: "begin" }): Promise<Simulation> {
  const node = cluster.nodes.find((one) => one.name === name);
  if (node === undefined)
    throw new RangeError(`Cannot find node ${name} in a checked config`);
  mount("tmpfs", HIDEOUT);
  mkdirSync(PINS);
  mount("bpf", PINS);
  await setUpNetwork(networkLines(interfacesOf(node.interfaces), network));
  return Simulation.open({
    cluster,
    node,
    packets,
    stateDir: `${HIDEOUT}/weir`,
    pinDir: `${PINS}/weir`,
  });
}

function mount(type: string, target: string): void {
  try {
    execFileSync("mount", ["-t", type, type, target], { stdio: "pipe" });
  } catch (cause) {
    throw new WeirError(
      `Cannot mount ${target} for the simulation: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
}

process.on("disconnect", () => process.exit());
process.on("message", (message: ToProcess) => {
  answer(message).then(
    (reply) => process.send?.(reply),
    (error: unknown) => {
      if (!(error instanceof WeirError)) throw error;
      const reply: FromProcess = { kind: "failed", message: error.message };
      process.send?.(reply);
    },
  );
});
