// SPDX-License-Identifier: Apache-2.0
/** A node with gobgpd in a network namespace, with one link to a router. */
import { execFile } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Routing } from "../../src/model.ts";
import type { Interfaces } from "../../src/routing/families.ts";
import {
  linkTo,
  NODE_ASN,
  ROUTER_ASN,
  SESSION_FAMILIES,
} from "./bgp-router.ts";
import type { BgpRouter } from "./bgp-router.ts";
import { answers, showRoutes } from "./bgp-sandbox.ts";
import type { BgpSandbox, KernelRoute } from "./bgp-sandbox.ts";
import { eventually } from "./eventually.ts";

const run = promisify(execFile);

export class BgpNode {
  readonly namespace: string;
  readonly socket: string;
  readonly #number: number;
  readonly #router: BgpRouter;
  readonly #sandbox: BgpSandbox;
  #gobgpd: ChildProcess | undefined;

  private constructor(
    namespace: string,
    number: number,
    router: BgpRouter,
    sandbox: BgpSandbox,
  ) {
    this.namespace = namespace;
    this.socket = join(sandbox.directory, `gobgpd-${number}.sock`);
    this.#number = number;
    this.#router = router;
    this.#sandbox = sandbox;
  }

  /** `number` counts from 1. */
  static async create(
    sandbox: BgpSandbox,
    router: BgpRouter,
    number: number,
  ): Promise<BgpNode> {
    const namespace = await sandbox.addNamespace(`node${number}`);
    const node = new BgpNode(namespace, number, router, sandbox);
    await node.#createLink();
    await node.startGobgpd();
    return node;
  }

  get routing(): Routing {
    const { node, router } = linkTo(this.#number);
    const families = SESSION_FAMILIES[this.#router.sessions];
    return {
      backend: "gobgp",
      socket: this.socket,
      asn: NODE_ASN,
      routerId: node[4],
      listen: families.map((family) => node[family]),
      neighbors: families.map((family) => ({
        address: router[family],
        asn: ROUTER_ASN,
        holdTimeMs: 9000,
      })),
    };
  }

  /** What node:os would tell a program in this namespace. */
  interfaces = (): Interfaces => {
    const { node } = linkTo(this.#number);
    const common = { netmask: "", mac: "", internal: false };
    return {
      eth1: [
        {
          ...common,
          address: node[4],
          cidr: `${node[4]}/24`,
          family: "IPv4",
        },
        {
          ...common,
          address: node[6],
          cidr: `${node[6]}/64`,
          family: "IPv6",
          scopeid: 0,
        },
      ],
    };
  };

  async startGobgpd(): Promise<void> {
    // gobgpd does not start where a killed one has left its socket.
    await rm(this.socket, { force: true });
    this.#gobgpd = this.#sandbox.spawn(this.namespace, "gobgpd", [
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

  async ip(command: string): Promise<void> {
    await run("ip", ["-n", this.namespace, ...command.split(" ")]);
  }

  /** What listens on BGP's port, as `ss` prints it. */
  sockets = () =>
    run("ss", ["-N", this.namespace, "-Hltn", "sport", "=", ":179"]);

  /** The routes of the main table that `ip route show` selects. */
  routes = (selector: string): Promise<readonly KernelRoute[]> =>
    showRoutes(this.namespace, selector);

  async #createLink(): Promise<void> {
    const { node, router } = linkTo(this.#number);
    const there = this.#router.namespace;
    const device = `eth${this.#number}`;
    const lines = [
      `-n ${there} link add ${device} type veth peer name eth1 netns ${this.namespace}`,
      `-n ${there} addr add ${router[4]}/24 dev ${device}`,
      `-n ${there} addr add ${router[6]}/64 dev ${device}`,
      `-n ${this.namespace} addr add ${node[4]}/24 dev eth1`,
      `-n ${this.namespace} addr add ${node[6]}/64 dev eth1`,
      `-n ${there} link set ${device} up`,
      `-n ${this.namespace} link set eth1 up`,
    ];
    for (const line of lines) await run("ip", line.split(" "));
  }
}
