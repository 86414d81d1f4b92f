// SPDX-License-Identifier: Apache-2.0
/** A router with FRR in a network namespace, and its links to nodes. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Family } from "../../src/model.ts";
import { answers, json, showRoutes } from "./bgp-sandbox.ts";
import type { BgpSandbox } from "./bgp-sandbox.ts";
import { eventually } from "./eventually.ts";

export const NODE_ASN = 65001;
export const ROUTER_ASN = 65000;

/** Which sessions the router has with each node: one of each family, one that carries both, or one for IPv4 alone. */
export type Sessions = "own" | "overIpv4" | "overIpv6" | "ipv4Alone";

export const SESSION_FAMILIES: Readonly<Record<Sessions, readonly Family[]>> = {
  own: [4, 6],
  overIpv4: [4],
  overIpv6: [6],
  ipv4Alone: [4],
};

/** Addresses of both ends of the link to a node; `number` counts from 1. */
export function linkTo(number: number): {
  readonly node: Readonly<Record<Family, string>>;
  readonly router: Readonly<Record<Family, string>>;
} {
  const ends = (host: number) => ({
    4: `10.0.${number}.${host}`,
    6: `2001:db8:0:${number}::${host}`,
  });
  return { router: ends(1), node: ends(2) };
}

/** What the router knows of its sessions with a node, over all of them. */
export type RouterSession = {
  /** Each of them. */
  readonly established: boolean;
  /** How many times a session has come up. */
  readonly establishments: number;
  readonly updatesReceived: number;
};

export class BgpRouter {
  readonly namespace: string;
  readonly sessions: Sessions;
  readonly #sandbox: BgpSandbox;

  private constructor(
    namespace: string,
    sessions: Sessions,
    sandbox: BgpSandbox,
  ) {
    this.namespace = namespace;
    this.sessions = sessions;
    this.#sandbox = sandbox;
  }

  static async create(
    sandbox: BgpSandbox,
    sessions: Sessions,
  ): Promise<BgpRouter> {
    const namespace = await sandbox.addNamespace("router");
    return new BgpRouter(namespace, sessions, sandbox);
  }

  /** Starts FRR for so many nodes. Their links should be there: FRR dials over one that appears later only after seconds. */
  async start(nodes: number): Promise<void> {
    await this.#startDaemon("zebra", "no zebra nexthop kernel enable\n");
    await this.#startDaemon("bgpd", bgpdConfig(nodes, this.sessions));
  }

  /** The prefixes that the kernel has towards this node, by its own addresses, and by no other node. */
  async tableTowards(number: number): Promise<readonly string[]> {
    const { node } = linkTo(number);
    const table = await this.table();
    return [...table]
      .filter(
        ([prefix, gateways]) =>
          gateways.join() === node[prefix.includes(":") ? 6 : 4],
      )
      .map(([prefix]) => prefix)
      .toSorted();
  }

  /** The gateways of the kernel's routes from BGP, by prefix. */
  async table(): Promise<ReadonlyMap<string, readonly string[]>> {
    const routes = await showRoutes(this.namespace, "proto bgp");
    return new Map(
      routes.map(({ dst, gateway, nexthops = [{ gateway }] }) => [
        dst.includes("/") ? dst : `${dst}/${dst.includes(":") ? 128 : 32}`,
        nexthops.map((hop) => hop.gateway ?? "").toSorted(),
      ]),
    );
  }

  async sessionWith(number: number): Promise<RouterSession> {
    type Neighbor = {
      readonly bgpState: string;
      readonly connectionsEstablished: number;
      readonly messageStats: { readonly updatesRecv: number };
    };
    const neighbors: Record<string, Neighbor> = await this.#vtysh(
      "show bgp neighbors json",
    );
    const { node } = linkTo(number);
    const found = SESSION_FAMILIES[this.sessions].map(
      (family) => neighbors[node[family]],
    );
    const sum = (of: (neighbor: Neighbor) => number) =>
      found.reduce((total, one) => total + (one ? of(one) : 0), 0);
    return {
      established: found.every((one) => one?.bgpState === "Established"),
      establishments: sum((one) => one.connectionsEstablished),
      updatesReceived: sum((one) => one.messageStats.updatesRecv),
    };
  }

  /** MED and communities of a route as it was received. */
  async attributes(
    prefix: string,
  ): Promise<{ readonly med?: number; readonly communities?: string }> {
    type Entry = {
      readonly paths?: readonly {
        readonly metric?: number;
        readonly community?: { readonly string: string };
      }[];
    };
    const family = prefix.includes(":") ? "ipv6" : "ipv4";
    const { paths }: Entry = await this.#vtysh(
      `show bgp ${family} unicast ${prefix} json`,
    );
    const path = paths?.[0];
    return {
      ...(path?.metric === undefined ? {} : { med: path.metric }),
      ...(path?.community && { communities: path.community.string }),
    };
  }

  async #startDaemon(daemon: string, config: string): Promise<void> {
    const { directory } = this.#sandbox;
    const file = join(directory, `${daemon}.conf`);
    await writeFile(file, `hostname router\n${config}`, { mode: 0o644 });
    this.#sandbox.spawn(this.namespace, `/usr/lib/frr/${daemon}`, [
      `--config_file=${file}`,
      `--pid_file=${join(directory, `${daemon}.pid`)}`,
      `--socket=${join(directory, "zserv.api")}`,
      `--vty_socket=${directory}`,
      "--vty_port=0",
    ]);
    await eventually(`${daemon}'s socket answers`, () =>
      answers(join(directory, `${daemon}.vty`)),
    );
  }

  async #vtysh<T>(command: string): Promise<T> {
    const { directory } = this.#sandbox;
    return json("vtysh", ["--vty_socket", directory, "-c", command]);
  }
}

function bgpdConfig(nodes: number, sessions: Sessions): string {
  const numbers = Array.from({ length: nodes }, (_, index) => index + 1);
  const families = SESSION_FAMILIES[sessions];
  const neighborsOf = (family: Family) =>
    numbers.map((number) => linkTo(number).node[family]);
  const carriersOf = (family: Family) => {
    if (families.includes(family)) return [family];
    return sessions === "ipv4Alone" ? [] : families;
  };
  const activate = (family: Family) =>
    carriersOf(family)
      .flatMap(neighborsOf)
      .map((neighbor) => `  neighbor ${neighbor} activate`);
  return [
    `router bgp ${ROUTER_ASN}`,
    " bgp router-id 10.0.1.1",
    " no bgp ebgp-requires-policy",
    " no bgp default ipv4-unicast",
    " bgp bestpath as-path multipath-relax",
    ...families
      .flatMap(neighborsOf)
      .flatMap((neighbor) => [
        ` neighbor ${neighbor} remote-as ${NODE_ASN}`,
        ` neighbor ${neighbor} advertisement-interval 0`,
        ` neighbor ${neighbor} timers 1 3`,
        ` neighbor ${neighbor} timers connect 1`,
      ]),
    ...([4, 6] as const).flatMap((family) => [
      ` address-family ipv${family} unicast`,
      "  maximum-paths 64",
      ...activate(family),
      " exit-address-family",
    ]),
    "",
  ].join("\n");
}
