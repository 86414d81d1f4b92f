// SPDX-License-Identifier: Apache-2.0
/** Where a packet goes, and under which addresses. */
import {
  type Endpoint,
  formatEndpoint,
  isWithin,
  type Version,
  versionOf,
} from "./address.ts";
import type { Frame } from "./ethernet.ts";
import { type Ip, payloadOf, readIp } from "./ip.ts";
import type { Choice, Direction, Session } from "./sessions.ts";
import type { Tuple } from "./translate.ts";
import type { Hop, RealServer, Service, World } from "./world.ts";

export type Route = {
  readonly tuple: Tuple;
  /** Of what the other side had sent: in it an error quotes. */
  readonly reverse: Tuple;
  readonly hop: Hop;
};

export function routeOf(
  { client, virtual }: Pick<Session, "client" | "virtual">,
  { local, real, hop }: Choice,
  direction: Direction,
  world: World,
): Route {
  if (direction === "inbound")
    return {
      tuple: { from: local, to: real },
      reverse: { from: real, to: local },
      hop,
    };
  return {
    tuple: { from: virtual, to: client },
    reverse: { from: client, to: virtual },
    hop: world.settings.clients[versionOf(client.address)],
  };
}

/** All real servers of a service speak the same. */
export function versionOfReals({ reals, vip }: Service): Version {
  return versionOf(reals[0]?.address ?? vip);
}

/** What the program has chosen for a packet to the service's port `asked`; a sentence if it must not. */
export function readChoice(
  { body, version }: Frame,
  service: Service,
  asked: number,
  { settings }: World,
): Choice | { readonly complaint: string } {
  const { ip } = readIp(body, version);
  if (ip === undefined || payloadOf(ip).length < 4)
    return { complaint: "what came out is malformed" };
  const local = endpoint(ip, ip.saddr, 0);
  const real = endpoint(ip, ip.daddr, 2);
  if (!settings.pools.some((pool) => isWithin(pool, local.address)))
    return {
      complaint: `the source ${formatEndpoint(local)} is not of this node's pool`,
    };
  if (local.port < settings.ports.min || local.port > settings.ports.max)
    return {
      complaint: `the source ${formatEndpoint(local)} has a port that is not the node's`,
    };
  const server = service.reals.find(
    (known) =>
      known.address === real.address && portOf(known, asked) === real.port,
  );
  return server === undefined
    ? {
        complaint: `${formatEndpoint(real)} is no real server of the service`,
      }
    : { local, real, hop: server.hop };
}

/** Any choice, where only lengths count. */
export function anyChoice(
  service: Service,
  asked: number,
  { settings }: World,
): Choice | undefined {
  const [server] = service.reals;
  const pool = settings.pools.find(
    ({ first }) => versionOf(first) === versionOfReals(service),
  );
  if (server === undefined || pool === undefined) return undefined;
  return {
    local: { address: pool.first, port: settings.ports.min },
    real: { address: server.address, port: portOf(server, asked) },
    hop: server.hop,
  };
}

function portOf({ port }: RealServer, asked: number): number {
  return port === 0 ? asked : port;
}

function endpoint(ip: Ip, address: string, at: number): Endpoint {
  return { address, port: payloadOf(ip).readUInt16BE(at) };
}
