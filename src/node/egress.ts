// SPDX-License-Identifier: Apache-2.0
/**
 * The ways out: from the kernel's links, routes and neighbours to the next hops that the dataplane writes into packets.
 * Pure; egress-watcher.ts reads the kernel and follows its changes.
 *
 * A destination without hops is no error: the dataplane then asks the kernel for each packet, so whatever this file
 * does not understand is slower, not lost.
 */
import type { Family } from "../model.ts";
import { ROUTE_PROTOCOL } from "../routing/blackhole.ts";
import { WEIR_HOPS_MAX } from "./layout.ts";
import type { Link, Neighbour, NeighbourName, Route } from "./rtnetlink.ts";
import { neighbourKey } from "./rtnetlink.ts";
import { inLowestTerms } from "./weights.ts";

/** The destinations that stand for all clients of a family: the default routes. */
export const CLIENTS: Readonly<Record<Family, string>> = {
  4: "clients4",
  6: "clients6",
};

export function isClients(destination: string): boolean {
  return Object.values(CLIENTS).includes(destination);
}

/** `proto` of the neighbours that weir asked the kernel to keep resolved, so that a later agent knows them. */
export const NEIGHBOUR_PROTOCOL = String(ROUTE_PROTOCOL);

const MTU_MAX = 0xffff;

/** One way for a packet to leave: all that weir_hop holds. MACs as `aa:bb:cc:dd:ee:ff`. */
export type EgressHop = {
  readonly dmac: string;
  readonly smac: string;
  readonly ifindex: number;
  /** 0 = untagged. */
  readonly vlan: number;
  readonly mtu: number;
};

/** At most WEIR_HOPS_MAX hops in an order that only depends on what they are. A heavier one appears more than once. */
export type EgressGroup = { readonly hops: readonly EgressHop[] };

export type EgressProblem = {
  readonly reason: EgressReason;
  /** The destination, or the next hop as `address dev device`. */
  readonly at: string;
};

export type EgressReason =
  | "noRoute" // none, or the best one is a blackhole or another refusal
  | "notForwarded" // the address is our own, or a broadcast or multicast
  | "noGateway" // a default route to a link, where every client is a neighbour
  | "tunnel" // the kernel wraps packets on this way
  | "foreignInterface" // not one of the node's interfaces, nor a VLAN on one
  | "linkDown"
  | "unresolved" // no MAC yet
  | "tooMany"; // more next hops than a group holds

/** A group, how it came about, and what keeps further hops out of it. */
export type EgressPath = EgressGroup & {
  /** What must be resolved for all hops to be there. */
  readonly neighbours: readonly NeighbourName[];
  readonly problems: readonly EgressProblem[];
};

/** The kernel's tables at one moment. */
export type Kernel = {
  readonly links: ReadonlyMap<string, Link>;
  /** By `neighbourKey`. */
  readonly neighbours: ReadonlyMap<string, Neighbour>;
  /** By destination; a missing one has no route. */
  readonly routes: ReadonlyMap<string, Route>;
};

/** How packets reach `destination`, an address or one of CLIENTS, through these interfaces. */
export function resolve(
  destination: string,
  kernel: Kernel,
  interfaces: ReadonlySet<string>,
): EgressPath {
  const route = kernel.routes.get(destination);
  const refusal = route === undefined ? "noRoute" : refusalOf(route);
  if (route === undefined || refusal !== undefined)
    return {
      hops: [],
      neighbours: [],
      problems: [{ reason: refusal ?? "noRoute", at: destination }],
    };

  const found: { readonly hop: EgressHop; readonly weight: number }[] = [];
  const neighbours: NeighbourName[] = [];
  const problems: EgressProblem[] = [];
  for (const { gateway, device, weight, tunnelled } of route.nexthops) {
    const address = gateway ?? destination;
    const at = `${address} dev ${device}`;
    const port = portOf(device, kernel.links, interfaces);
    if (tunnelled) problems.push({ reason: "tunnel", at });
    else if (isClients(address)) problems.push({ reason: "noGateway", at });
    else if (typeof port === "string") problems.push({ reason: port, at });
    else {
      neighbours.push({ address, device });
      const { mac } =
        kernel.neighbours.get(neighbourKey({ address, device })) ?? {};
      const mtu = Math.min(port.mtu, route.mtu || MTU_MAX);
      if (mac === undefined) problems.push({ reason: "unresolved", at });
      else found.push({ hop: { dmac: mac, ...port, mtu }, weight });
    }
  }

  found.sort((a, b) => compareHops(a.hop, b.hop));
  const kept = found.slice(0, WEIR_HOPS_MAX);
  if (kept.length < found.length)
    problems.push({ reason: "tooMany", at: destination });
  const shares = sharesOf(
    kept.map(({ weight }) => weight),
    WEIR_HOPS_MAX,
  );
  const hops = kept.flatMap(({ hop }, index) =>
    Array.from({ length: shares[index] ?? 1 }, () => hop),
  );
  return { hops, neighbours, problems };
}

/** What to ask of the kernel so that it keeps all neighbours of `paths` resolved, and no others for weir's sake. */
export function planNeighbours(
  paths: Iterable<EgressPath>,
  existing: ReadonlyMap<string, Neighbour>,
): {
  readonly manage: readonly NeighbourName[];
  readonly release: readonly NeighbourName[];
} {
  const wanted = new Map(
    [...paths].flatMap(({ neighbours }) =>
      neighbours.map((name) => [neighbourKey(name), name] as const),
    ),
  );
  // "managed" on an entry that an operator has set by hand would erase its MAC (seen on 6.18).
  const manage = [...wanted].filter(([key]) => {
    const neighbour = existing.get(key);
    return !neighbour?.managed && !neighbour?.permanent;
  });
  const release = [...existing].filter(
    ([key, { managed, protocol }]) =>
      managed && protocol === NEIGHBOUR_PROTOCOL && !wanted.has(key),
  );
  return {
    manage: manage.map(([, name]) => name),
    release: release.map(([, name]) => name),
  };
}

function refusalOf(route: Route): EgressReason | undefined {
  switch (route.type) {
    case "unicast":
      return undefined;
    case "local":
    case "broadcast":
    case "multicast":
    case "anycast":
      return "notForwarded";
    default:
      return "noRoute";
  }
}

/** Where a frame for `device` leaves: the physical interface and the tag. A tag within a tag is more than a hop can say. */
function portOf(
  device: string,
  links: ReadonlyMap<string, Link>,
  interfaces: ReadonlySet<string>,
): Omit<EgressHop, "dmac"> | "foreignInterface" | "linkDown" {
  const link = links.get(device);
  const vlan = link?.vlan;
  const carrier = vlan === undefined ? link : links.get(vlan.parent ?? "");
  if (link === undefined || carrier === undefined) return "foreignInterface";
  const tagged = vlan !== undefined && vlan.protocol !== "802.1Q";
  if (tagged || carrier.vlan !== undefined || !carrier.ethernet)
    return "foreignInterface";
  if (!interfaces.has(carrier.name)) return "foreignInterface";
  if (!link.up || !carrier.up) return "linkDown";
  return {
    smac: link.mac,
    ifindex: carrier.ifindex,
    vlan: vlan?.id ?? 0,
    mtu: link.mtu,
  };
}

function compareHops(a: EgressHop, b: EgressHop): number {
  return (
    a.ifindex - b.ifindex ||
    a.vlan - b.vlan ||
    (a.dmac < b.dmac ? -1 : Number(a.dmac > b.dmac))
  );
}

/**
 * How often each of at most `room` hops is listed: exactly as the weights say if that fits, otherwise at least once and
 * the rest of the room by highest averages (Webster's method).
 */
function sharesOf(weights: readonly number[], room: number): readonly number[] {
  const exact = inLowestTerms(weights);
  if (exact.reduce((sum, share) => sum + share, 0) <= room) return exact;
  const shares = weights.map(() => 1);
  for (let free = room - weights.length; free > 0; free--) {
    const claims = weights.map(
      (weight, index) => weight / (2 * (shares[index] ?? 1) + 1),
    );
    const first = claims.indexOf(Math.max(...claims));
    shares[first] = (shares[first] ?? 1) + 1;
  }
  return shares;
}
