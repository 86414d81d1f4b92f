// SPDX-License-Identifier: Apache-2.0
// The rack of rack.clab.yml for programs: its addresses, whether it carries traffic, what its directors say of themselves.

import path from "node:path";
import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import {
  contains,
  isAddress,
  parsePrefix,
  type Family,
} from "../../src/model.ts";
import { LabError } from "./errors.ts";
import { deployLab, type CommandOptions, type Lab } from "./lab.ts";
import {
  parseCount,
  parseCounters,
  parseNodes,
  parseRoutes,
  parseServers,
  parseSessions,
  parseSync,
  type Counters,
  type ServerReport,
  type SessionReport,
  type SyncReport,
} from "./reports.ts";

/** What rack.clab.yml and rack/weir.yaml say. */
export const RACK = {
  router: "r1",
  clients: { c1: "10.10.1.2", c2: "10.10.2.2" },
  directors: {
    d1: { address: "10.1.1.2", pool: "10.200.0.0/28" },
    d2: { address: "10.1.2.2", pool: "10.200.0.16/28" },
    d3: { address: "10.1.3.2", pool: "10.200.0.32/28" },
  },
  realServers: { s1: "10.3.1.2", s2: "10.3.2.2", s3: "10.3.3.2" },
  vip: "192.0.2.10",
  aggregate: "10.200.0.0/24",
  /** The same with IPv6. */
  ipv6: {
    clients: { c1: "2001:db8:10:1::2", c2: "2001:db8:10:2::2" },
    directors: {
      d1: { address: "2001:db8:1:1::2", pool: "2001:db8:200::1:0/124" },
      d2: { address: "2001:db8:1:2::2", pool: "2001:db8:200::2:0/124" },
      d3: { address: "2001:db8:1:3::2", pool: "2001:db8:200::3:0/124" },
    },
    realServers: {
      s1: "2001:db8:3:1::2",
      s2: "2001:db8:3:2::2",
      s3: "2001:db8:3:3::2",
    },
    vip: "2001:db8:ffff::10",
    aggregate: "2001:db8:200::/64",
  },
  /** Of the services that each VIP has; those of the IPv6 one have a 6 behind their names. */
  ports: {
    web: 80,
    redis: 6379,
    shell: 2323,
    streams: 7000,
    echo: 5353, // UDP
    datagrams: 7001, // UDP
  },
  /** Web servers of the other family than the VIP's: nat64 is at the IPv6 VIP, nat46 at the IPv4 one. */
  translatedPorts: { nat64: 8064, nat46: 8046 },
} as const;

export type Director = keyof typeof RACK.directors;
export type Client = keyof typeof RACK.clients;

export const DIRECTORS = ["d1", "d2", "d3"] as const satisfies Director[];
export const REAL_SERVERS = Object.keys(RACK.realServers);
export const CLIENTS = ["c1", "c2"] as const satisfies Client[];

/** Of both families, in the order of the config. */
export const SERVICES: readonly string[] = [
  ...Object.keys(RACK.ports),
  ...Object.keys(RACK.ports).map((name) => `${name}6`),
  ...Object.keys(RACK.translatedPorts),
];

export const FAMILIES = [4, 6] as const satisfies Family[];

/** The rack's addresses of one family. */
export function addressesOf(family: Family) {
  return family === 6 ? RACK.ipv6 : RACK;
}

/** The router's interface towards a director. */
export function interfaceTowards(director: Director): string {
  return { d1: "eth1", d2: "eth2", d3: "eth3" }[director];
}

/** Where every node sees the checkout. */
export const CHECKOUT = "/opt/weir";

const RACK_FILE = fileURLToPath(new URL("rack.clab.yml", import.meta.url));
const ROOT = path.join(import.meta.dirname, "../..");

/** It takes 3 s on an idle machine: 1 s for the agents, 1 to 2 s for BGP. */
const READY_LIMIT_MS = 30_000;
/** An answer takes 0.3 s on an idle machine, most of it the start of Node.js. */
const COMMAND_LIMIT_MS = 15_000;
const POLL_MS = 50;

/** The director whose pool a local address belongs to; undefined also for what is no address. */
export function directorOf(address: string): Director | undefined {
  if (!isAddress(address)) return undefined;
  return DIRECTORS.find((director) =>
    FAMILIES.some((family) => {
      const pool = parsePrefix(addressesOf(family).directors[director].pool);
      return pool !== undefined && contains(pool, address);
    }),
  );
}

/** Destroyed by Ctrl-C, else by whoever destroys its lab. @throws LabError */
export async function deployRack({
  name,
  variants = [],
}: Omit<RackOptions, "keep">): Promise<Rack> {
  const env = { WEIR_RACK_VARIANTS: variants.join(" ") };
  return new Rack(await deployLab(RACK_FILE, { name, env }));
}

/** Other configurations than rack/weir.yaml: the scripts in rack/variants. */
export type Variant = "sync-off" | "short-timeouts" | "packets";

export type RackOptions = {
  readonly name?: string | undefined;
  /** Leaves the rack up at the end, also after a failure. */
  readonly keep?: boolean;
  readonly variants?: readonly Variant[];
};

/**
 * Deploys the rack, uses it and destroys it, also after a failure and on Ctrl-C: then this program ends here.
 * @throws LabError, and what `use` throws
 */
export async function withRack<T>(
  { name, keep = false, variants = [] }: RackOptions,
  use: (rack: Rack) => Promise<T>,
): Promise<T> {
  let interrupted = false;
  const onSignal = () => (interrupted = true);
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  // Once: the lab's own handler removes the lab, then sends the signal again to end this program.
  for (const signal of signals) process.once(signal, onSignal);
  const rack = await deployRack({ name, variants });
  try {
    return await use(rack);
  } finally {
    // Whatever `use` has returned or thrown by now is only a consequence of the signal.
    if (interrupted) await new Promise(() => {});
    for (const signal of signals) process.off(signal, onSignal);
    if (keep) rack.lab.keep();
    else await rack.lab.destroy();
  }
}

export class Rack {
  readonly lab: Lab;

  constructor(lab: Lab) {
    this.lab = lab;
  }

  /**
   * Runs a command to its end and returns its output.
   * @throws LabError when it ends with anything but 0
   */
  async output(
    node: string,
    argv: readonly string[],
    options: CommandOptions = {},
  ): Promise<string> {
    const result = await this.lab.exec(node, argv, {
      timeoutMs: COMMAND_LIMIT_MS,
      ...options,
    });
    if (result.code !== 0)
      throw new LabError(
        `Cannot run \`${argv.join(" ")}\` on ${node}: it ended with ${result.code}: ${result.stderr.trim()}`,
      );
    return result.stdout;
  }

  async servers(director: Director): Promise<readonly ServerReport[]> {
    return parseServers(await this.#weir(director, "servers"));
  }

  async counters(director: Director): Promise<Counters> {
    return parseCounters(await this.#weir(director, "counters"));
  }

  async sessions(
    director: Director,
    ...filter: readonly string[]
  ): Promise<readonly SessionReport[]> {
    return parseSessions(await this.#weir(director, "sessions", ...filter));
  }

  async sessionCount(director: Director): Promise<number> {
    const counted = await this.#weir(director, "sessions", "--count");
    return parseCount(counted);
  }

  /** What a director knows of the sharing of sessions. */
  async sync(
    director: Director,
    ...options: readonly string[]
  ): Promise<SyncReport> {
    return parseSync(await this.#weir(director, "sync", ...options));
  }

  /** starting | forwarding | stopping */
  async agentState(director: Director): Promise<string> {
    const nodes = parseNodes(await this.#weir(director, "nodes"));
    return nodes.find(({ self }) => self)?.state ?? "unknown";
  }

  #weir(director: Director, ...args: readonly string[]): Promise<string> {
    return this.output(director, [`${CHECKOUT}/weir`, ...args, "--json"]);
  }

  /** The gateways in the router's kernel, of both families, by prefix as `ip` writes it. */
  async routes(): Promise<ReadonlyMap<string, readonly string[]>> {
    const show = async (family: string) =>
      parseRoutes(
        await this.output(RACK.router, ["ip", "-j", family, "route", "show"]),
      );
    const [ipv4, ipv6] = await Promise.all([show("-4"), show("-6")]);
    return new Map([...ipv4, ...ipv6]);
  }

  /** Node.js inside a node: the one that runs this program, where the node sees it. */
  get nodeProgram(): string {
    const inside = path.relative(ROOT, process.execPath);
    return inside.startsWith("..")
      ? process.execPath
      : path.join(CHECKOUT, inside);
  }

  /**
   * Waits until traffic is carried by all: the router has the VIPs and the aggregates by each director and each pool by its
   * own, and each director has found every real server to be up.
   * @throws LabError that says what is missing
   */
  async ready(onMissing: (missing: string) => void = () => {}): Promise<void> {
    const wait = (what: string, probe: () => Promise<string | undefined>) =>
      until(
        what,
        async () => {
          const missing = await probe();
          if (missing !== undefined) onMissing(missing);
          return missing;
        },
        READY_LIMIT_MS,
      );
    try {
      await wait("route through all directors", async () =>
        missingRoutes(await this.routes(), DIRECTORS),
      );
      await Promise.all(
        DIRECTORS.map((director) =>
          wait(`use all real servers on ${director}`, async () =>
            missingServers(director, await this.servers(director)),
          ),
        ),
      );
    } catch (cause) {
      if (!(cause instanceof LabError)) throw cause;
      throw new LabError(cause.message + (await this.#lastWords()), { cause });
    }
  }

  /** What agents have said outside of their logs: why they could not start. */
  async #lastWords(): Promise<string> {
    const said = DIRECTORS.map(async (director) => {
      const { stdout } = await this.lab.exec(director, [
        ...["tail", "-n", "3", "/var/log/weir-agent.out"],
      ]);
      return stdout === "" ? "" : `\n${director}: ${stdout.trim()}`;
    });
    return (await Promise.all(said)).join("");
  }
}

/** What the router lacks to use exactly these directors, with both families; undefined when it has all. */
export function missingRoutes(
  routes: ReadonlyMap<string, readonly string[]>,
  directors: readonly Director[],
): string | undefined {
  for (const [prefix, gateways] of wantedRoutes(directors)) {
    const found = (routes.get(prefix) ?? []).toSorted();
    if (found.join() !== gateways.toSorted().join())
      return `the router has ${prefix} via ${found.join(", ") || "nobody"}, not via ${gateways.join(", ") || "nobody"}`;
  }
  return undefined;
}

function wantedRoutes(
  through: readonly Director[],
): readonly (readonly [string, readonly string[]])[] {
  return FAMILIES.flatMap((family) => {
    const { vip, aggregate, directors } = addressesOf(family);
    const shared = through.map((director) => directors[director].address);
    return [
      [vip, shared],
      [aggregate, shared],
      ...DIRECTORS.map((director): [string, readonly string[]] => [
        directors[director].pool,
        through.includes(director) ? [directors[director].address] : [],
      ]),
    ];
  });
}

function missingServers(
  director: Director,
  servers: readonly ServerReport[],
): string | undefined {
  const up = servers.filter(({ health }) => health === "up").length;
  // A variant may have more.
  const all = Math.max(servers.length, REAL_SERVERS.length * SERVICES.length);
  return up === all
    ? undefined
    : `${up} of ${all} ways to real servers are up on ${director}`;
}

/**
 * Asks again and again until there is nothing missing. A LabError counts as missing: the agent may not listen yet.
 * @returns how long it took, in ms
 * @throws LabError that says what is missing, `limitMs` later
 */
export async function until(
  what: string,
  probe: () => Promise<string | undefined>,
  limitMs: number,
): Promise<number> {
  const begin = performance.now();
  for (;;) {
    const missing = await probe().catch((error: unknown) => {
      if (error instanceof LabError) return error.message;
      throw error;
    });
    const elapsedMs = performance.now() - begin;
    if (missing === undefined) return elapsedMs;
    if (elapsedMs > limitMs)
      throw new LabError(
        `Cannot ${what}: after ${limitMs / 1000} s, ${missing}`,
      );
    await delay(POLL_MS);
  }
}
