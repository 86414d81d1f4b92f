// SPDX-License-Identifier: Apache-2.0
/**
 * Connections of nats-servers whose other end has gone without a word.
 *
 * nats-server 2.9 pings another server only when it has sent nothing else for a while (client.go, processPingTimer(): what
 * flushClients() delivers counts as activity). A route that always has something to say is never pinged: after a cut, it stays
 * until its send buffer is full or the kernel gives up, which takes minutes. All that time its server refuses the other's new
 * connection as a duplicate of this one.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { BusError } from "../errors.ts";
import type { NodeBus } from "../model.ts";

/** Nothing has been acknowledged for so long, though something should be. */
const DEAD_MS = 5_000;
const COMMAND_TIMEOUT_MS = 5_000;

const run = promisify(execFile);

/** Both ends of a TCP connection, as `ss` writes them. */
export type Connection = { readonly local: string; readonly peer: string };

/**
 * Ends the dead ones of this node's server: by the kernel (sock_diag's SOCK_DESTROY), as nats-server has no command for it.
 * Returns them.
 *
 * @throws BusError
 */
export async function endDeadRoutes({
  clusterPort,
}: NodeBus): Promise<readonly Connection[]> {
  const port = `:${clusterPort}`;
  const listing = await ss(
    ...["--info", "--oneline"],
    ...["(", "sport", "=", port, "or", "dport", "=", port, ")"],
  );
  const dead = deadOf(listing);
  for (const { local, peer } of dead)
    await ss("--kill", "src", local, "dst", peer);
  return dead;
}

/** Those of `ss --info --oneline` on which bytes wait for an acknowledgement, and nothing has been acknowledged for DEAD_MS. */
export function deadOf(listing: string): readonly Connection[] {
  return listing.split("\n").flatMap((line) => {
    const [state, , , local, peer, ...info] = line.trim().split(/\s+/);
    const number = (name: string) =>
      Number(
        info.find((word) => word.startsWith(`${name}:`))?.split(":")[1] ?? 0,
      );
    const isDead = number("unacked") > 0 && number("lastack") >= DEAD_MS;
    // One that is being opened or closed is in nobody's way.
    return state === "ESTAB" &&
      isDead &&
      local !== undefined &&
      peer !== undefined
      ? [{ local, peer }]
      : [];
  });
}

async function ss(...args: readonly string[]): Promise<string> {
  try {
    const all = ["--tcp", "--numeric", "--no-header", ...args];
    const { stdout } = await run("ss", all, { timeout: COMMAND_TIMEOUT_MS });
    return stdout;
  } catch (error) {
    throw new BusError(`Cannot look at the connections: ss: ${String(error)}`, {
      cause: error,
    });
  }
}
