// SPDX-License-Identifier: Apache-2.0
/**
 * What to do so that a routing daemon which holds `observed` comes to hold `desired`. Pure: the backend observes before,
 * acts after, and observes again.
 */
import { formatPrefix } from "../model.ts";
import type { Family, Prefix } from "../model.ts";
import { sameRoute } from "./announcer.ts";
import type { Route } from "./announcer.ts";
import type { Announcement } from "./families.ts";

/** What the daemon should know about a BGP neighbor. */
export type NeighborSetting = {
  readonly address: string;
  readonly asn: number;
  readonly holdTimeSeconds: number;
  /** Whose routes the session carries, if the router agrees; in the order of `FAMILIES`. */
  readonly families: readonly Family[];
};

export type Desired = {
  readonly neighbors: readonly NeighborSetting[];
  /** In normal form. Undefined while nobody has said what to announce: then no route is touched. */
  readonly routes: readonly Announcement[] | undefined;
};

/** A path that was originated on this machine, as the daemon's table has it. */
export type ObservedPath = {
  readonly route: Route;
  /** Empty if it has none. */
  readonly nextHop: string;
  /** Tells apart several paths of one prefix; ours have 0. */
  readonly identifier: number;
  /** It has attributes that we never give, or another origin. */
  readonly foreign: boolean;
};

export type ObservedNeighbor = {
  readonly setting: NeighborSetting;
  /** It is shut down by hand, dials never, keeps routes of a dead session, or carries more than IP routes. */
  readonly foreign: boolean;
  /** The prefixes originated here that it is being sent. Empty unless its session is established. */
  readonly sent: readonly Prefix[];
};

export type Observed = {
  readonly neighbors: readonly ObservedNeighbor[];
  readonly paths: readonly ObservedPath[];
};

export type Action =
  | { readonly op: "announce"; readonly announcement: Announcement }
  | {
      readonly op: "withdraw";
      readonly prefix: Prefix;
      readonly identifier: number;
    }
  | { readonly op: "addNeighbor"; readonly setting: NeighborSetting }
  | { readonly op: "removeNeighbor"; readonly address: string };

/**
 * The actions, to be done in this order: neighbors that must go; new routes before old ones are withdrawn, so that at no
 * moment fewer routes stand than before and after; new neighbors last, so that their first update is complete.
 */
export function plan(desired: Desired, observed: Observed): readonly Action[] {
  const kept = observed.neighbors.filter(
    (neighbor) =>
      isWanted(neighbor, desired.neighbors) &&
      !isDetached(neighbor, observed.paths),
  );
  const keptAddresses = new Set(kept.map(({ setting }) => setting.address));
  const leaving = observed.neighbors.filter((one) => !kept.includes(one));
  return [
    ...leaving.map(({ setting }): Action => ({
      op: "removeNeighbor",
      address: setting.address,
    })),
    ...(desired.routes ? planRoutes(desired.routes, observed.paths) : []),
    ...desired.neighbors
      .filter(({ address }) => !keptAddresses.has(address))
      .map((setting): Action => ({ op: "addNeighbor", setting })),
  ];
}

function isWanted(
  { setting, foreign }: ObservedNeighbor,
  wanted: readonly NeighborSetting[],
): boolean {
  const same = wanted.some(
    ({ address, asn, holdTimeSeconds, families }) =>
      address === setting.address &&
      asn === setting.asn &&
      holdTimeSeconds === setting.holdTimeSeconds &&
      families.join() === setting.families.join(),
  );
  return same && !foreign;
}

/**
 * True if the neighbor is being sent a route that the table does not have. gobgpd 3 comes to this when it is started a
 * second time without a port: it makes a new table, and the neighbors stay with the old one. Then a withdrawal would never
 * reach the router, so the neighbor has to be added anew.
 */
function isDetached(
  { sent }: ObservedNeighbor,
  paths: readonly ObservedPath[],
): boolean {
  const known = new Set(paths.map(({ route }) => formatPrefix(route.prefix)));
  return sent.some((prefix) => !known.has(formatPrefix(prefix)));
}

function planRoutes(
  desired: readonly Announcement[],
  paths: readonly ObservedPath[],
): readonly Action[] {
  const wanted = new Set(
    desired.map(({ route }) => formatPrefix(route.prefix)),
  );
  const isRight = ({ route, nextHop }: Announcement) =>
    paths.some(
      (path) =>
        path.identifier === 0 &&
        !path.foreign &&
        path.nextHop === nextHop &&
        sameRoute(path.route, route),
    );
  const isExtra = ({ route, identifier }: ObservedPath) =>
    identifier !== 0 || !wanted.has(formatPrefix(route.prefix));
  return [
    ...desired
      .filter((announcement) => !isRight(announcement))
      .map((announcement): Action => ({ op: "announce", announcement })),
    ...paths.filter(isExtra).map(({ route, identifier }): Action => ({
      op: "withdraw",
      prefix: route.prefix,
      identifier,
    })),
  ];
}
