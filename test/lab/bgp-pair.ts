// SPDX-License-Identifier: Apache-2.0
/**
 * A node with gobgpd and a router with FRR, in two network namespaces with one link between them. The daemons run as
 * children of the test, with sockets and files in a directory of their own.
 */
import { execFile, spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { chown, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import type { Routing } from "../../src/model.ts";

const run = promisify(execFile);

export const NODE_ADDRESS = "10.0.1.2";
export const ROUTER_ADDRESS = "10.0.1.1";
export const NODE_ASN = 65001;
export const ROUTER_ASN = 65000;

const ZEBRA_CONF = `hostname router
no zebra nexthop kernel enable
`;

const BGPD_CONF = `hostname router
router bgp ${ROUTER_ASN}
 bgp router-id ${ROUTER_ADDRESS}
 no bgp ebgp-requires-policy
 bgp bestpath as-path multipath-relax
 neighbor ${NODE_ADDRESS} remote-as ${NODE_ASN}
 neighbor ${NODE_ADDRESS} advertisement-interval 0
 neighbor ${NODE_ADDRESS} timers 1 3
 neighbor ${NODE_ADDRESS} timers connect 1
 address-family ipv4 unicast
  maximum-paths 64
 exit-address-family
`;

export type KernelRoute = { readonly dst: string; readonly protocol: string };

/** What the router knows of its session with the node. */
export type RouterSession = {
  readonly established: boolean;
  /** How many times the session has come up. */
  readonly establishments: number;
  readonly updatesReceived: number;
};

export class BgpPair {
  readonly nodeNamespace: string;
  readonly #routerNamespace: string;
  readonly #directory: string;
  readonly #children: ChildProcess[] = [];
  #gobgpd: ChildProcess | undefined;

  private constructor(name: string, directory: string) {
    this.nodeNamespace = `${name}-node`;
    this.#routerNamespace = `${name}-router`;
    this.#directory = directory;
    process.once("exit", this.destroy);
    for (const signal of ["SIGINT", "SIGTERM"])
      process.once(signal, () => process.exit(1));
  }

  static async create(): Promise<BgpPair> {
    const directory = await mkdtemp(join(tmpdir(), "weirGobgp-"));
    const pair = new BgpPair(`weirGobgp-${process.pid}`, directory);
    await pair.#createLink();
    await pair.#startRouter();
    await pair.startGobgpd();
    return pair;
  }

  get socket(): string {
    return join(this.#directory, "gobgpd.sock");
  }

  get routing(): Routing {
    return {
      backend: "gobgp",
      socket: this.socket,
      asn: NODE_ASN,
      routerId: NODE_ADDRESS,
      listen: [NODE_ADDRESS],
      neighbors: [
        { address: ROUTER_ADDRESS, asn: ROUTER_ASN, holdTimeMs: 9000 },
      ],
    };
  }

  async startGobgpd(): Promise<void> {
    // gobgpd does not start where a killed one has left its socket.
    await rm(this.socket, { force: true });
    this.#gobgpd = this.#spawn(this.nodeNamespace, "gobgpd", [
      `--api-hosts=unix://${this.socket}`,
      "--pprof-disable",
    ]);
    await eventually("gobgpd's socket answers", () => answers(this.socket));
  }

  async killGobgpd(): Promise<void> {
    const child = this.#gobgpd;
    if (child === undefined || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
  }

  signalGobgpd(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#gobgpd?.kill(signal);
  }

  async nodeIp(command: string): Promise<void> {
    await run("ip", ["-n", this.nodeNamespace, ...command.split(" ")]);
  }

  /** What listens on BGP's port in the node's namespace, as `ss` prints it. */
  nodeSockets = () =>
    run("ss", ["-N", this.nodeNamespace, "-Hltn", "sport", "=", ":179"]);

  /** The routes of the node's main table that `ip route show` selects. */
  nodeRoutes = (selector: string): Promise<readonly KernelRoute[]> =>
    showRoutes(this.nodeNamespace, selector);

  /** The prefixes that the router's kernel has towards the node. */
  async routerTable(): Promise<readonly string[]> {
    const routes = await showRoutes(
      this.#routerNamespace,
      `proto bgp via ${NODE_ADDRESS}`,
    );
    return routes
      .map(({ dst }) => (dst.includes("/") ? dst : `${dst}/32`))
      .toSorted();
  }

  async routerSession(): Promise<RouterSession> {
    type Neighbor = {
      readonly bgpState: string;
      readonly connectionsEstablished: number;
      readonly messageStats: { readonly updatesRecv: number };
    };
    const neighbors: Record<string, Neighbor> = await this.#vtysh(
      "show bgp neighbors json",
    );
    const neighbor = neighbors[NODE_ADDRESS];
    return {
      established: neighbor?.bgpState === "Established",
      establishments: neighbor?.connectionsEstablished ?? 0,
      updatesReceived: neighbor?.messageStats.updatesRecv ?? 0,
    };
  }

  /** MED and communities of a route as the router received it. */
  async routerAttributes(
    prefix: string,
  ): Promise<{ readonly med?: number; readonly communities?: string }> {
    type Entry = {
      readonly paths?: readonly {
        readonly metric?: number;
        readonly community?: { readonly string: string };
      }[];
    };
    const { paths }: Entry = await this.#vtysh(
      `show bgp ipv4 unicast ${prefix} json`,
    );
    const path = paths?.[0];
    return {
      ...(path?.metric === undefined ? {} : { med: path.metric }),
      ...(path?.community && { communities: path.community.string }),
    };
  }

  /** Leaves nothing. Synchronous, because it also runs when the test process ends early. */
  destroy = (): void => {
    process.off("exit", this.destroy);
    for (const child of this.#children) child.kill("SIGKILL");
    for (const name of [this.nodeNamespace, this.#routerNamespace])
      spawnSync("ip", ["netns", "del", name]);
    rmSync(this.#directory, { recursive: true, force: true });
  };

  async #createLink(): Promise<void> {
    const [node, router] = [this.nodeNamespace, this.#routerNamespace];
    const lines = [
      `netns add ${node}`,
      `netns add ${router}`,
      `-n ${router} link add eth1 type veth peer name eth1 netns ${node}`,
      `-n ${router} addr add ${ROUTER_ADDRESS}/24 dev eth1`,
      `-n ${node} addr add ${NODE_ADDRESS}/24 dev eth1`,
      `-n ${router} link set lo up`,
      `-n ${router} link set eth1 up`,
      `-n ${node} link set lo up`,
      `-n ${node} link set eth1 up`,
    ];
    for (const line of lines) await run("ip", line.split(" "));
  }

  /** FRR gives up its privileges, so that its directory must be its own. */
  async #startRouter(): Promise<void> {
    const { stdout } = await run("id", ["-u", "frr"]);
    await chown(this.#directory, Number(stdout), -1);
    for (const [daemon, text] of [
      ["zebra", ZEBRA_CONF],
      ["bgpd", BGPD_CONF],
    ] as const) {
      const config = join(this.#directory, `${daemon}.conf`);
      await writeFile(config, text, { mode: 0o644 });
      this.#spawn(this.#routerNamespace, `/usr/lib/frr/${daemon}`, [
        `--config_file=${config}`,
        `--pid_file=${join(this.#directory, `${daemon}.pid`)}`,
        `--socket=${join(this.#directory, "zserv.api")}`,
        `--vty_socket=${this.#directory}`,
        "--vty_port=0",
      ]);
      await eventually(`${daemon}'s socket answers`, () =>
        answers(join(this.#directory, `${daemon}.vty`)),
      );
    }
  }

  #spawn(
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

  async #vtysh<T>(command: string): Promise<T> {
    return json("vtysh", ["--vty_socket", this.#directory, "-c", command]);
  }
}

async function showRoutes(
  namespace: string,
  selector: string,
): Promise<readonly KernelRoute[]> {
  const query = `-n ${namespace} -j route show ${selector}`;
  return json("ip", query.split(" "));
}

async function json<T>(command: string, args: readonly string[]): Promise<T> {
  const { stdout } = await run(command, [...args]);
  return JSON.parse(stdout);
}

/** Resolves with the milliseconds that it took until `check` held. */
export async function eventually(
  what: string,
  check: () => boolean | Promise<boolean>,
  timeoutMs = 15_000,
): Promise<number> {
  const start = performance.now();
  while (!(await check())) {
    if (performance.now() - start > timeoutMs)
      throw new Error(`Not within ${timeoutMs} ms: ${what}`);
    await delay(10);
  }
  return performance.now() - start;
}

/** True if somebody accepts connections on the unix socket. */
async function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("error", () => resolve(false));
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
  });
}
