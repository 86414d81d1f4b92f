// SPDX-License-Identifier: Apache-2.0
/**
 * Runs a simulation in a process with a mount and a network namespace of its own, so that nothing of the machine is changed,
 * and nothing can be left behind.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { WeirError } from "../errors.ts";
import type { FromProcess, Packet, ToProcess } from "./messages.ts";
import type { PacketResult } from "./simulation.ts";

const PROCESS = join(import.meta.dirname, "process.ts");
/** Packets in one message. */
const BATCH = 256;

export type Order = Omit<ToProcess & { kind: "begin" }, "kind" | "packets">;

/**
 * The results of these packets, in their order. Rejects with WeirError if the kernel refuses something; the process has
 * ended when the generator has.
 */
export async function* simulate(
  order: Order,
  packets: readonly Packet[],
): AsyncGenerator<PacketResult, void, void> {
  // What the machine unmounts meanwhile goes there too; what is mounted there is not seen here.
  const namespaces = ["--mount", "--propagation", "slave", "--net"];
  const command = [...namespaces, "--", process.execPath, PROCESS];
  const child = spawn("unshare", command, {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    serialization: "advanced",
  });
  const ended = endOf(child);
  try {
    await ask(child, ended, {
      kind: "begin",
      ...order,
      packets: packets.length,
    });
    for (let at = 0; at < packets.length; at += BATCH) {
      const reply = await ask(child, ended, {
        kind: "run",
        packets: packets.slice(at, at + BATCH),
      });
      if (reply.kind === "results") yield* reply.results;
    }
  } finally {
    if (child.connected) child.disconnect();
    await ended;
  }
}

/** Resolves to how it ended, also if it could not be started. */
function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once("error", ({ message }) => resolve(message));
    child.once("exit", (code, signal) =>
      resolve(`it ended with ${code ?? signal}`),
    );
  });
}

async function ask(
  child: ChildProcess,
  ended: Promise<string>,
  question: ToProcess,
): Promise<FromProcess> {
  const answered = new Promise<FromProcess>((resolve) => {
    child.once("message", (reply: FromProcess) => resolve(reply));
  });
  // An error here is the process's end, of which `ended` tells.
  if (child.connected) child.send(question, () => {});
  const reply = await Promise.race([answered, ended]);
  if (typeof reply === "string")
    throw new WeirError(`Cannot run the process of the simulation: ${reply}`);
  if (reply.kind === "failed") throw new WeirError(reply.message);
  return reply;
}
