// SPDX-License-Identifier: Apache-2.0
/**
 * Which BGP session carries the routes of which IP family, and with which next hop.
 *
 * A family goes over the sessions to neighbors with addresses of that family; if there are none, over all sessions (RFC
 * 4760). Not over both: a router to which the node has a session of each family would get each route twice.
 */
import type { NetworkInterfaceInfo } from "node:os";
import { RoutingError } from "../errors.ts";
import { addressBytes, contains, familyOf, parsePrefix } from "../model.ts";
import type { Family } from "../model.ts";
import type { Route } from "./announcer.ts";

/** As `networkInterfaces()` of node:os lists them: each interface's addresses, by its name. */
export type Interfaces = Readonly<
  Record<string, readonly NetworkInterfaceInfo[] | undefined>
>;

/** A route as the routers get it. */
export type Announcement = {
  readonly route: Route;
  /** An address of the route's family; an unspecified one stands for the session's own. */
  readonly nextHop: string;
};

export const FAMILIES = [4, 6] as const satisfies Family[];

/** As next hop: gobgpd puts the address from which its session to the neighbor runs in its place. */
export const UNSPECIFIED: Readonly<Record<Family, string>> = {
  4: "0.0.0.0",
  6: "::",
};

/** Of these a router cannot know on which link they are. */
const LINK_LOCAL = { address: "fe80::", length: 10 };

/** The families of the session to `neighbor`, which is one of `neighbors`. */
export function familiesOf(
  neighbor: string,
  neighbors: readonly string[],
): readonly Family[] {
  return FAMILIES.filter((family) =>
    carriersOf(family, neighbors).includes(neighbor),
  );
}

function carriersOf(
  family: Family,
  neighbors: readonly string[],
): readonly string[] {
  const own = neighbors.filter((one) => familyOf(one) === family);
  return own.length > 0 ? own : neighbors;
}

/**
 * The routes with their next hops. Those of a family for which there is none are left out, and `problem` says why: the
 * other family is announced all the same.
 */
export function withNextHops(
  routes: readonly Route[],
  neighbors: readonly string[],
  interfaces: Interfaces,
): {
  readonly announcements: readonly Announcement[];
  readonly problem?: RoutingError;
} {
  const announcements: Announcement[] = [];
  let problem: RoutingError | undefined;
  for (const family of FAMILIES) {
    const own = routes.filter(
      ({ prefix }) => familyOf(prefix.address) === family,
    );
    if (own.length === 0) continue;
    try {
      const nextHop = nextHopOf(family, neighbors, interfaces);
      announcements.push(...own.map((route) => ({ route, nextHop })));
    } catch (error) {
      if (!(error instanceof RoutingError)) throw error;
      problem = error;
    }
  }
  return problem === undefined ? { announcements } : { announcements, problem };
}

/**
 * Over sessions of their own family the routes get the session's address. Over those of the other family this node's own
 * address on the interface towards the neighbor; a route has one next hop for all neighbors.
 */
function nextHopOf(
  family: Family,
  neighbors: readonly string[],
  interfaces: Interfaces,
): string {
  const carriers = carriersOf(family, neighbors);
  if (carriers.every((one) => familyOf(one) === family))
    return UNSPECIFIED[family];
  const [nextHop = UNSPECIFIED[family], ...others] = new Set(
    carriers.map((neighbor) => ownAddress(family, neighbor, interfaces)),
  );
  if (others.length > 0)
    throw new RoutingError(
      `Cannot announce IPv${family} routes: ${carriers.join(" and ")} would need different next hops, ` +
        `${[nextHop, ...others].join(" and ")}: configure neighbors with IPv${family} addresses`,
    );
  return nextHop;
}

/** The lowest address if there are several, so that it does not depend on the order in which they were added. */
function ownAddress(
  family: Family,
  neighbor: string,
  interfaces: Interfaces,
): string {
  const cannot = `Cannot announce IPv${family} routes to ${neighbor}`;
  const [name, addresses = []] =
    Object.entries(interfaces).find(([, all = []]) =>
      all.some(({ cidr }) => isOn(cidr, neighbor)),
    ) ?? [];
  if (name === undefined)
    throw new RoutingError(`${cannot}: no interface is on its network`);
  const [lowest] = addresses
    .map(({ address }) => address)
    .filter(
      (address) =>
        familyOf(address) === family && !contains(LINK_LOCAL, address),
    )
    .toSorted((a, b) => Buffer.compare(addressBytes(a), addressBytes(b)));
  if (lowest === undefined)
    throw new RoutingError(
      `${cannot}: ${name} has no IPv${family} address that could be the next hop`,
    );
  return lowest;
}

function isOn(cidr: string | null, neighbor: string): boolean {
  const network = parsePrefix(cidr ?? "");
  return network !== undefined && contains(network, neighbor);
}
