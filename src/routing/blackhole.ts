// SPDX-License-Identifier: Apache-2.0
/**
 * Blackhole routes in the node's kernel for what the node announces: VIPs and the aggregate, which contains the pools. A
 * packet that the dataplane does not take, or nobody takes because it is detached, must die here: by the default route it
 * would go back to the router, which sent it, and loop until its TTL is used up. XDP comes before routing, so sessions
 * never see these routes.
 */
import { execFile } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { promisify } from "node:util";
import { RoutingError } from "../errors.ts";
import {
  familyOf,
  formatPrefix,
  hostPrefix,
  networkOf,
  parseAddress,
  parsePrefix,
} from "../model.ts";
import type { Family, Prefix } from "../model.ts";
import { FAMILIES, UNSPECIFIED } from "./families.ts";

/** Who made a route, for the kernel (rtnetlink's rtm_protocol): by this number weir knows its own. Not in rt_protos. */
export const ROUTE_PROTOCOL = 87;

const COMMAND_TIMEOUT_MS = 5000;
/** Of the listing. A route takes 100 bytes, and other programs may blackhole very many prefixes. */
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

const run = promisify(execFile);

/** A blackhole route of the family's main table. */
export type BlackholeRoute = {
  readonly prefix: Prefix;
  /** It has weir's protocol number. */
  readonly own: boolean;
};

export class BlackholeRoutes {
  readonly #ip: readonly [string, ...string[]];
  #last: Promise<void> = Promise.resolve();

  /** `ip`: the command, with leading arguments such as `-n`, if it is to act elsewhere than in this network namespace. */
  constructor(ip: readonly [string, ...string[]] = ["ip"]) {
    this.#ip = ip;
  }

  /**
   * Makes `prefixes` the whole list of weir's blackhole routes. A prefix that has somebody else's blackhole route needs
   * none of ours. Resolves when the kernel has been read back. Calls are done one after the other.
   *
   * @throws RoutingError if a route cannot be made, for instance because the prefix has another route; the others are made.
   */
  async set(prefixes: readonly Prefix[]): Promise<void> {
    const turn = this.#last.then(() => this.#apply(prefixes));
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #apply(prefixes: readonly Prefix[]): Promise<void> {
    const commands = planBlackholes(prefixes, await this.#show());
    if (commands.length === 0) return;
    const complaint = await this.#batch(commands);
    const left = planBlackholes(prefixes, await this.#show());
    if (left.length > 0)
      throw new RoutingError(
        `Cannot bring the kernel's blackhole routes in order: ip ${left.join(", ip ")}: ${complaint}`,
      );
  }

  async #show(): Promise<readonly BlackholeRoute[]> {
    const routes: BlackholeRoute[] = [];
    for (const family of FAMILIES) {
      const query = `-j -${family} route show table main type blackhole`;
      const stdout = await this.#run(query.split(" "));
      routes.push(...parseBlackholes(stdout, family));
    }
    return routes;
  }

  /** Does all lines, also after one that fails; returns what ip complains about. What counts is what is read back. */
  async #batch(lines: readonly string[]): Promise<string> {
    try {
      await this.#run(["-force", "-batch", "-"], lines.join("\n") + "\n");
      return "";
    } catch (error) {
      const { cause } = error instanceof Error ? error : {};
      return cause instanceof Error ? cause.message : String(error);
    }
  }

  async #run(args: readonly string[], input?: string): Promise<string> {
    const [command, ...leading] = this.#ip;
    try {
      const running = run(command, [...leading, ...args], {
        timeout: COMMAND_TIMEOUT_MS,
        maxBuffer: OUTPUT_BYTES_MAX,
      });
      if (input !== undefined) feed(running.child, input);
      return (await running).stdout;
    } catch (cause) {
      throw new RoutingError(`Cannot run ${command} ${args.join(" ")}`, {
        cause,
      });
    }
  }
}

/** A command that ends without reading its input breaks the pipe; why it ended says its exit code. */
function feed(child: ChildProcess, input: string): void {
  child.stdin?.on("error", () => {});
  child.stdin?.end(input);
}

/** The lines for `ip -batch` after which the kernel has ours for exactly `desired`, where nobody else has one. */
export function planBlackholes(
  desired: readonly Prefix[],
  observed: readonly BlackholeRoute[],
): readonly string[] {
  const wanted = new Set(desired.map((one) => formatPrefix(networkOf(one))));
  const present = new Set(observed.map(({ prefix }) => formatPrefix(prefix)));
  const extra = observed
    .filter(({ own }) => own)
    .map(({ prefix }) => formatPrefix(prefix))
    .filter((prefix) => !wanted.has(prefix));
  return [
    ...[...wanted]
      .filter((prefix) => !present.has(prefix))
      .map((prefix) => `route add ${ownRoute(prefix)}${metricOf(prefix)}`),
    ...extra.map((prefix) => `route del ${ownRoute(prefix)}`),
  ];
}

function ownRoute(prefix: string): string {
  return `blackhole ${prefix} proto ${ROUTE_PROTOCOL}`;
}

/** The best one. It is the default with IPv4 alone: that of IPv6 is 1024, behind the routes of most routing daemons. */
function metricOf(prefix: string): string {
  return familyOf(prefix) === 6 ? " metric 1" : "";
}

/**
 * Reads `ip -j route show type blackhole` of one family.
 *
 * @throws RoutingError if it is not that.
 */
export function parseBlackholes(
  json: string,
  family: Family,
): readonly BlackholeRoute[] {
  const routes = parseJson(json);
  if (!Array.isArray(routes))
    throw new RoutingError(
      `Cannot read the kernel's routes: ip printed no list: current value is ${json.slice(0, 200)}`,
    );
  return routes.map((route) => parseBlackhole(route, family));
}

/** Undefined if it is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function parseBlackhole(route: unknown, family: Family): BlackholeRoute {
  const { dst, protocol } = fields(route);
  const prefix =
    typeof dst === "string" ? parseDestination(dst, family) : undefined;
  if (prefix === undefined)
    throw new RoutingError(
      `Cannot read the kernel's routes: no destination in ${JSON.stringify(route)}`,
    );
  return { prefix, own: protocol === `${ROUTE_PROTOCOL}` };
}

/** `ip` leaves out the length of a host route, and has a word for the prefix of all addresses. */
function parseDestination(dst: string, family: Family): Prefix | undefined {
  if (dst === "default") return { address: UNSPECIFIED[family], length: 0 };
  const address = parseAddress(dst);
  return address === undefined ? parsePrefix(dst) : hostPrefix(address);
}

function fields(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
