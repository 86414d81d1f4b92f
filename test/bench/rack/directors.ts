// SPDX-License-Identifier: Apache-2.0
/** The four directors: all of them run all the time, and each sees only what is sent through it. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import {
  formatIpv4,
  parseIpv4,
  type Prefix,
  sizeOf,
} from "../../../src/model.ts";
import { LabError } from "../../../ops/lab/errors.ts";
import { run } from "../../../ops/lab/host.ts";
import { program } from "../load.ts";
import type { Process, Sandbox } from "../sandbox.ts";
import type { Task, Told } from "./node.ts";
import type { End } from "./place.ts";
import {
  DATAGRAM_PORT,
  NFTABLES,
  POOLS,
  REDIRECT,
  STREAM_PORT,
  WEIR,
} from "./place.ts";

/** By its path: among the npm packages is another program of this name. */
const NFT = "/usr/sbin/nft";

/** How long the agent's word about next hops holds. */
const LEASE_MS = 1_000;

/** As weir's services: other addresses on both sides, and another port for datagrams. */
const RULES = `table ip weir {
  chain pre {
    type nat hook prerouting priority dstnat
    ip daddr ${NFTABLES.target} tcp dport ${STREAM_PORT} dnat to ${NFTABLES.server.address}:${STREAM_PORT}
    ip daddr ${NFTABLES.target} udp dport ${DATAGRAM_PORT} dnat to ${NFTABLES.server.address}:${NFTABLES.datagramPort}
  }
  chain post {
    type nat hook postrouting priority srcnat
    ip daddr ${NFTABLES.server.address} snat to ${rangeOf(POOLS.nftables)}
  }
}
`;

/** The one of the kernel needs no more than makeNetwork() gives it. */
export async function startDirectors(sandbox: Sandbox): Promise<WeirNode> {
  const { front, back, client, server } = REDIRECT;
  await redirect(sandbox, front, back, server);
  await redirect(sandbox, back, front, client);
  await sandbox.run(
    "load the rules",
    [NFT, "-f", "-"],
    { namespace: NFTABLES.director },
    RULES,
  );
  return WeirNode.start(sandbox);
}

async function redirect(
  sandbox: Sandbox,
  from: End,
  to: End,
  neighbour: End,
): Promise<void> {
  const process = sandbox.start(
    [
      program("rack-redirect"),
      program("rack-redirect.bpf.o"),
      ...[from.device, to.device, neighbour.mac, to.mac],
    ],
    { namespace: from.namespace },
  );
  await process.line(/^ready$/);
}

/** The addresses of a prefix but the first one, as nft writes them. */
function rangeOf(prefix: Prefix): string {
  const first = parseIpv4(prefix.address) ?? 0;
  return `${formatIpv4(first + 1)}-${formatIpv4(first + sizeOf(prefix) - 1)}`;
}

/** What weir has done meanwhile. */
export type Done<T> = {
  readonly result: T;
  readonly forwarded: number;
  /** That have begun. */
  readonly sessions: number;
};

export class WeirNode {
  readonly #node: Process;

  private constructor(node: Process) {
    this.#node = node;
  }

  static async start(sandbox: Sandbox): Promise<WeirNode> {
    const directory = join(sandbox.directory, "rack");
    const bpf = join(directory, "bpf");
    mkdirSync(bpf, { recursive: true });
    await run("mount a bpf file system", ["mount", "-t", "bpf", "bpf", bpf]);
    const task: Task = { directory, pinDir: join(bpf, "weir") };
    const script = join(import.meta.dirname, "node.ts");
    const node = sandbox.start(
      [process.execPath, ...process.execArgv, script, JSON.stringify(task)],
      { namespace: WEIR.director },
    );
    await node.line(/^ready$/);
    return new WeirNode(node);
  }

  /** @throws LabError if its program asked the kernel for the way: nobody had renewed its lease in time */
  async during<T>(action: () => Promise<T>): Promise<Done<T>> {
    const before = await this.#read();
    const result = await action();
    const after = await this.#read();
    if (after.renewalMs > LEASE_MS)
      throw new LabError(
        `Cannot measure weir: its lease was not renewed for ${after.renewalMs.toFixed(0)} ms`,
      );
    return {
      result,
      forwarded: after.forwarded - before.forwarded,
      sessions: after.sessions - before.sessions,
    };
  }

  async #read(): Promise<Told> {
    const from = this.#node.lines.length;
    this.#node.tell("read");
    const line = await this.#node.line(/^counters /, { from });
    return JSON.parse(line.slice("counters ".length));
  }
}
