// SPDX-License-Identifier: Apache-2.0
/** Our routes and neighbors as gobgpd's messages, and back. */
import { isIP } from "node:net";
import { familyOf, parseAddress } from "../model.ts";
import type { Family, Neighbor, Prefix } from "../model.ts";
import { RoutingError } from "../errors.ts";
import {
  formatCommunity,
  normalizeRoutes,
  parseCommunity,
} from "./announcer.ts";
import type { NeighborStatus } from "./announcer.ts";
import { familiesOf, FAMILIES, UNSPECIFIED } from "./families.ts";
import type { Announcement } from "./families.ts";
import type { AfiSafi, Draft, Path, Peer } from "./gobgp-client.ts";
import { nameOf, pack, unpack } from "./gobgp-proto.ts";
import type { Any } from "./gobgp-proto.ts";
import type {
  NeighborSetting,
  ObservedNeighbor,
  ObservedPath,
} from "./plan.ts";

/** gobgpd dials 5 to 10 s after a session is lost; this is also the least that it accepts. */
const CONNECT_RETRY_SECONDS = 5;

/** RFC 4271 section 4.2. */
const HOLD_TIME_SECONDS_MIN = 3;

const ORIGIN_IGP = 0;

/** gobgpd's names of the IP families, with unicast routes. */
export const AFI_SAFIS: Readonly<Record<Family, AfiSafi>> = {
  4: { afi: "AFI_IP", safi: "SAFI_UNICAST" },
  6: { afi: "AFI_IP6", safi: "SAFI_UNICAST" },
};

/** gobgpd makes the next hop of an IPv6 path an MP_REACH_NLRI by itself. */
export function pathOf({
  route,
  nextHop,
}: Announcement): Pick<Path, "nlri" | "pattrs" | "family"> {
  const { prefix, med, communities = [] } = route;
  const pattrs = [
    pack("OriginAttribute", { origin: ORIGIN_IGP }),
    pack("NextHopAttribute", { nextHop }),
  ];
  if (med !== undefined) pattrs.push(pack("MultiExitDiscAttribute", { med }));
  if (communities.length > 0)
    pattrs.push(
      pack("CommunitiesAttribute", {
        communities: communities.map(parseCommunity),
      }),
    );
  return {
    nlri: nlriOf(prefix),
    pattrs,
    family: AFI_SAFIS[familyOf(prefix.address)],
  };
}

/** gobgpd looks at prefix and identifier, and wants a next hop whatever it is. */
export function withdrawalOf(
  prefix: Prefix,
  identifier: number,
): Partial<Path> {
  const family = familyOf(prefix.address);
  return {
    nlri: nlriOf(prefix),
    pattrs: [pack("NextHopAttribute", { nextHop: UNSPECIFIED[family] })],
    family: AFI_SAFIS[family],
    identifier,
  };
}

function nlriOf(prefix: Prefix): Any {
  return pack("IPAddressPrefix", {
    prefix: prefix.address,
    prefixLen: prefix.length,
  });
}

/**
 * True for a path that was originated in this daemon. All of those count as ours: the daemon's own configuration announces
 * nothing, so who else originates routes here is a mistake, or an agent that ran before. Not ours is what a neighbor sent,
 * and what zebra redistributes.
 */
export function isLocal(path: Path): boolean {
  return isIP(path.neighborIp) === 0 && !path.isFromExternal;
}

/** Undefined if it is not about an IP prefix. */
export function observedPath(path: Path): ObservedPath | undefined {
  const prefix = prefixOf(path);
  if (prefix === undefined) return undefined;
  const names = path.pattrs.map(nameOf);
  const read = <T>(name: string) =>
    path.pattrs.flatMap((one) => unpack<T>(name, one) ?? [])[0];
  const origin = read<{ origin: number }>("OriginAttribute")?.origin;
  const nextHop =
    read<{ nextHop: string }>("NextHopAttribute")?.nextHop ??
    read<{ nextHops: readonly string[] }>("MpReachNLRIAttribute")?.nextHops[0];
  const med = read<{ med: number }>("MultiExitDiscAttribute")?.med;
  const communities = read<{ communities: readonly number[] }>(
    "CommunitiesAttribute",
  )?.communities;
  const [route] = normalizeRoutes([
    {
      prefix,
      ...(med === undefined ? {} : { med }),
      ...(communities && { communities: communities.map(formatCommunity) }),
    },
  ]);
  return (
    route && {
      route,
      nextHop: nextHop ?? "",
      identifier: path.identifier,
      foreign:
        origin !== ORIGIN_IGP ||
        names.some((name) => !OUR_ATTRIBUTES.has(name)),
    }
  );
}

const OUR_ATTRIBUTES = new Set([
  "OriginAttribute",
  "NextHopAttribute",
  "MpReachNLRIAttribute",
  "MultiExitDiscAttribute",
  "CommunitiesAttribute",
]);

export function prefixOf(path: Path): Prefix | undefined {
  const nlri =
    path.nlri &&
    unpack<{ prefix: string; prefixLen: number }>("IPAddressPrefix", path.nlri);
  const address = parseAddress(nlri?.prefix ?? "");
  return nlri && address !== undefined
    ? { address, length: nlri.prefixLen }
    : undefined;
}

/**
 * @param neighbor one of `neighbors`
 * @throws RoutingError for a hold time that BGP cannot express.
 */
export function settingOf(
  neighbor: Neighbor,
  neighbors: readonly Neighbor[],
): NeighborSetting {
  const { address, asn, holdTimeMs } = neighbor;
  const holdTimeSeconds = holdTimeMs / 1000;
  if (
    !Number.isInteger(holdTimeSeconds) ||
    holdTimeSeconds < HOLD_TIME_SECONDS_MIN
  )
    throw new RoutingError(
      `Cannot configure BGP neighbor ${address}: the hold time must be whole seconds, at least ` +
        `${HOLD_TIME_SECONDS_MIN}: current value is ${holdTimeMs} ms`,
    );
  const families = familiesOf(
    address,
    neighbors.map((one) => one.address),
  );
  return { address, asn, holdTimeSeconds, families };
}

/**
 * The neighbor as gobgpd should have it. Not passive: with a router that dials each second the session stands after 0.96
 * to 1.0 s in either mode (24 starts measured), but a router that does not dial, or only once a minute, is then dialled by
 * gobgpd within 10 s. Graceful restart stays off: a router that keeps the routes of a dead node sends its traffic into a
 * hole.
 */
export function peerOf(setting: NeighborSetting): Draft<Peer> {
  const { address, asn, holdTimeSeconds, families } = setting;
  return {
    conf: { neighborAddress: address, peerAsn: asn },
    timers: {
      config: {
        connectRetry: CONNECT_RETRY_SECONDS,
        holdTime: holdTimeSeconds,
        keepaliveInterval: Math.floor(holdTimeSeconds / 3),
      },
    },
    transport: { passiveMode: false },
    afiSafis: families.map((family) => ({
      config: { family: AFI_SAFIS[family], enabled: true },
    })),
  };
}

/** `sentPaths`: what `listSentPaths` says of this neighbor. */
export function observedNeighbor(
  peer: Peer,
  sentPaths: readonly Path[],
): ObservedNeighbor {
  return {
    setting: {
      address: addressOf(peer),
      asn: peer.conf?.peerAsn ?? 0,
      holdTimeSeconds: peer.timers?.config?.holdTime ?? 0,
      families: configuredFamilies(peer),
    },
    foreign:
      peer.afiSafis.length !== configuredFamilies(peer).length ||
      peer.conf?.adminDown === true ||
      peer.transport?.passiveMode === true ||
      peer.gracefulRestart?.enabled === true,
    sent: sentPaths.filter(isLocal).flatMap((path) => prefixOf(path) ?? []),
  };
}

/** The families whose routes its session carries, if the router agrees. */
export function configuredFamilies(peer: Peer): readonly Family[] {
  const configured = peer.afiSafis.flatMap(({ config }) =>
    config?.enabled ? (config.family ?? []) : [],
  );
  return familiesAmong(configured);
}

/** The families whose routes the router takes; empty while there is no session. */
export function acceptedFamilies(peer: Peer): readonly Family[] {
  if (!isEstablished(peer)) return [];
  const offered = peer.state?.remoteCap.flatMap(
    (capability) =>
      unpack<{ family: AfiSafi | null }>("MultiProtocolCapability", capability)
        ?.family ?? [],
  );
  const accepted = familiesAmong(offered ?? []);
  return configuredFamilies(peer).filter((one) => accepted.includes(one));
}

function familiesAmong(found: readonly AfiSafi[]): readonly Family[] {
  return FAMILIES.filter((family) => {
    const { afi, safi } = AFI_SAFIS[family];
    return found.some((one) => one.afi === afi && one.safi === safi);
  });
}

export function isEstablished(peer: Peer): boolean {
  return peer.state?.sessionState === "ESTABLISHED";
}

/** Empty if the message is not about a neighbor: the event that ends the initial ones has a dummy. */
export function addressOf(peer: Peer): string {
  const address =
    peer.conf?.neighborAddress || peer.state?.neighborAddress || "";
  return isIP(address) === 0 ? "" : address;
}

export function neighborStatus(peer: Peer, nowMs: number): NeighborStatus {
  const sinceMs = (peer.timers?.state?.uptime?.seconds ?? 0) * 1000;
  return {
    address: addressOf(peer),
    asn: peer.conf?.peerAsn ?? 0,
    state: (peer.state?.sessionState ?? "UNKNOWN").toLowerCase(),
    uptimeMs:
      isEstablished(peer) && sinceMs > 0 ? Math.max(0, nowMs - sinceMs) : 0,
    families: acceptedFamilies(peer),
  };
}
