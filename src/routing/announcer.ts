// SPDX-License-Identifier: Apache-2.0
/**
 * What the rest of weir knows about routing: an `Announcer` is handed the whole list of routes that the routers should
 * have towards this node, and keeps it so. Each routing daemon has one implementation.
 */
import { RoutingError } from "../errors.ts";
import { formatPrefix, networkOf } from "../model.ts";
import type { Family, Prefix } from "../model.ts";

/** The prefix is announced with this node itself as the next hop. */
export type Route = {
  readonly prefix: Prefix;
  /** BGP's multi-exit discriminator; absent is not the same as 0. */
  readonly med?: number;
  /** BGP communities as `asn:value`, in any order. */
  readonly communities?: readonly string[];
};

export type NeighborStatus = {
  readonly address: string;
  readonly asn: number;
  /** The session's state in the daemon's own words, in lower case; `established` is the one that carries routes. */
  readonly state: string;
  /** How long the session has been established; 0 while it is not. Daemons count it in whole seconds. */
  readonly uptimeMs: number;
  /** Whose routes the session carries, as both ends have agreed; empty while it is not established. */
  readonly families: readonly Family[];
};

export type AnnouncerStatus = {
  /**
   * `down`: the daemon does not answer, or cannot be used. `starting`: the daemon is not yet known to hold what it
   * should, or no neighbor has an established session. `up`: it does, and at least one has.
   */
  readonly state: "down" | "starting" | "up";
  readonly neighbors: readonly NeighborStatus[];
  /** What the daemon itself says that it announces, asked for now; empty when it does not answer. */
  readonly announced: readonly Route[];
  /** Why the last attempt failed; absent when it succeeded. */
  readonly lastError?: string;
};

export interface Announcer {
  /**
   * Makes `routes` the whole list of announced routes: what is missing is announced, what is not in the list is
   * withdrawn, what is right is not touched. Resolves when the daemon has been read back and holds this list, or a newer
   * one. From the first call on the list is also restored whenever the daemon loses it, without another call; before it,
   * the daemon's routes are left as they are.
   *
   * @throws RoutingTimeoutError if that takes too long; the list remains and is applied as soon as possible.
   * @throws RoutingConflictError if the daemon belongs to somebody else; nothing in it has been changed.
   * @throws RoutingError for a list that makes no sense; the previous one remains.
   */
  set(routes: readonly Route[]): Promise<void>;
  /** Never rejects. */
  status(): Promise<AnnouncerStatus>;
  /** Stops looking after the daemon, which keeps announcing what it has. To withdraw, `set([])` first. */
  close(): Promise<void>;
}

/** The routing daemon runs with an identity that is not ours. */
export class RoutingConflictError extends RoutingError {
  readonly found: string;
  readonly needed: string;

  constructor(daemon: string, found: string, needed: string) {
    super(
      `Cannot use ${daemon}: it runs as ${found}, the config says ${needed}`,
    );
    this.found = found;
    this.needed = needed;
  }
}

/** The routes are not known to be in place in time. `cause` is what the last attempt met, if it failed. */
export class RoutingTimeoutError extends RoutingError {
  readonly timeoutMs: number;

  constructor(daemon: string, timeoutMs: number, cause: Error | undefined) {
    const reason = cause?.message ?? `${daemon} does not answer`;
    super(
      `Cannot announce the routes within ${timeoutMs} ms: ${reason}`,
      cause && { cause },
    );
    this.timeoutMs = timeoutMs;
  }
}

/** RFC 8326: routers move traffic elsewhere if they can, before the route goes. */
export const GRACEFUL_SHUTDOWN = "65535:0";

const UINT32_MAX = 0xffff_ffff;

/**
 * The list in one form: prefixes without host bits, communities sorted and each once.
 *
 * @throws RoutingError if a prefix appears twice, or an attribute is out of its range.
 */
export function normalizeRoutes(routes: readonly Route[]): readonly Route[] {
  const byPrefix = new Map<string, Route>();
  for (const route of routes.map(normalizeRoute)) {
    const key = formatPrefix(route.prefix);
    if (byPrefix.has(key))
      throw new RoutingError(`Cannot announce ${key}: it is in the list twice`);
    byPrefix.set(key, route);
  }
  return [...byPrefix.values()];
}

function normalizeRoute(route: Route): Route {
  const prefix = networkOf(route.prefix);
  const { med, communities = [] } = route;
  if (med !== undefined && !isUint32(med))
    throw new RoutingError(
      `Cannot announce ${formatPrefix(prefix)}: the MED must be a 32-bit number: current value is ${med}`,
    );
  const sorted = [...new Set(communities.map(parseCommunity))]
    .toSorted((a, b) => a - b)
    .map(formatCommunity);
  return {
    prefix,
    ...(med === undefined ? {} : { med }),
    ...(sorted.length === 0 ? {} : { communities: sorted }),
  };
}

/** True if both, in normal form, announce the same. */
export function sameRoute(a: Route, b: Route): boolean {
  return routeKey(a) === routeKey(b);
}

function routeKey({ prefix, med, communities }: Route): string {
  return [formatPrefix(prefix), med ?? "", ...(communities ?? [])].join(" ");
}

/** The 32 bits of `asn:value` (RFC 1997). */
export function parseCommunity(text: string): number {
  const parts = /^(\d{1,5}):(\d{1,5})$/.exec(text)?.slice(1).map(Number);
  const [high, low] = parts ?? [];
  if (
    high === undefined ||
    low === undefined ||
    Math.max(high, low) > UINT32_MAX >>> 16
  )
    throw new RoutingError(
      `Cannot read a community: it must be two 16-bit numbers with a colon: current value is ${text}`,
    );
  return high * 0x10000 + low;
}

export function formatCommunity(community: number): string {
  return `${community >>> 16}:${community & 0xffff}`;
}

function isUint32(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= UINT32_MAX;
}
