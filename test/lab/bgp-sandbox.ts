// SPDX-License-Identifier: Apache-2.0
/** Network namespaces, daemons and their files, which all go together. The daemons are children of the test. */
import { execFile, spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { rmSync } from "node:fs";
import { chown, mkdtemp } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export class BgpSandbox {
  readonly directory: string;
  readonly #children: ChildProcess[] = [];
  readonly #namespaces: string[] = [];

  private constructor(directory: string) {
    this.directory = directory;
    process.once("exit", this.destroy);
    for (const signal of ["SIGINT", "SIGTERM"])
      process.once(signal, () => process.exit(1));
  }

  /** FRR gives up its privileges, so that its directory must be its own. */
  static async create(): Promise<BgpSandbox> {
    const directory = await mkdtemp(join(tmpdir(), "weirGobgp-"));
    const { stdout } = await run("id", ["-u", "frr"]);
    await chown(directory, Number(stdout), -1);
    return new BgpSandbox(directory);
  }

  /**
   * A namespace whose IPv6 addresses can be used at once, the link-local ones included: while FRR has none of those on a
   * link, it ends each session over it, and gobgpd then waits for 5 s.
   *
   * @returns its name
   */
  async addNamespace(part: string): Promise<string> {
    const name = `weirGobgp-${process.pid}-${part}`;
    await run("ip", ["netns", "add", name]);
    this.#namespaces.push(name);
    await run("ip", ["-n", name, "link", "set", "lo", "up"]);
    await run("ip", [
      ...["netns", "exec", name],
      ...["sysctl", "-q", "net.ipv6.conf.default.accept_dad=0"],
    ]);
    return name;
  }

  spawn(
    namespace: string,
    command: string,
    args: readonly string[],
  ): ChildProcess {
    const child = spawn("ip", ["netns", "exec", namespace, command, ...args], {
      stdio: "ignore",
    });
    this.#children.push(child);
    return child;
  }

  /** Leaves nothing. Synchronous, because it also runs when the test process ends early. */
  destroy = (): void => {
    process.off("exit", this.destroy);
    for (const child of this.#children) child.kill("SIGKILL");
    for (const name of this.#namespaces)
      spawnSync("ip", ["netns", "del", name]);
    rmSync(this.directory, { recursive: true, force: true });
  };
}

export type KernelRoute = {
  readonly dst: string;
  readonly protocol: string;
  readonly gateway?: string;
  readonly nexthops?: readonly { readonly gateway?: string }[];
};

/** The routes of both families that `ip route show` selects, IPv4 first. */
export async function showRoutes(
  namespace: string,
  selector: string,
): Promise<readonly KernelRoute[]> {
  const routes: KernelRoute[] = [];
  for (const family of ["-4", "-6"]) {
    const query = `-n ${namespace} -j ${family} route show ${selector}`;
    routes.push(...(await json<KernelRoute[]>("ip", query.split(" "))));
  }
  return routes;
}

export async function json<T>(
  command: string,
  args: readonly string[],
): Promise<T> {
  const { stdout } = await run(command, [...args]);
  return JSON.parse(stdout);
}

/** True if somebody accepts connections on the unix socket. */
export async function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("error", () => resolve(false));
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
  });
}
