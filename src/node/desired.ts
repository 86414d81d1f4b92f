// SPDX-License-Identifier: Apache-2.0
/**
 * What the dataplane's maps and the routers should hold, as a pure function of the config and of what is known about real
 * servers and next hops.
 */
import type {
  Cluster,
  ClusterNode,
  Endpoint,
  Prefix,
  RealServer,
  Scheduler,
  SyncPolicy,
  VirtualService,
} from "../model.ts";
import {
  familyOf,
  formatEndpoint,
  formatPrefix,
  hostPrefix,
} from "../model.ts";
import { CLIENTS, type EgressGroup } from "./egress.ts";
import type { HealthTarget } from "./health.ts";
import { assignNumbers } from "./numbers.ts";
import type { ScheduleCache } from "./schedule.ts";
import { serviceId, type ServiceKey } from "./service-key.ts";
import type { NodePlace, Owner, RealServerSlot } from "./words.ts";
import { egressOf, egressOfClients } from "./words.ts";

export type ServiceState = {
  readonly key: ServiceKey;
  readonly scheduler: Scheduler;
  readonly sync: SyncPolicy["policy"];
  /** Its sessions live in the wide table: it or its real servers speak IPv6. */
  readonly wide: boolean;
  /** Packets to all of its ports find it. */
  readonly indexed: boolean;
  /** Numbers of real servers, in order. Empty: no real server takes new sessions. */
  readonly schedule: Uint16Array;
};

/** The configuration maps' content; everything by its number, prefixes as text. */
export type DataplaneState = {
  readonly node: NodePlace | undefined;
  readonly services: ReadonlyMap<number, ServiceState>;
  readonly realServers: ReadonlyMap<number, RealServerSlot>;
  readonly egress: ReadonlyMap<number, EgressGroup>;
  readonly prefixes: ReadonlyMap<string, Owner>;
};

export type Numbers = {
  /** By `serviceId`. */
  readonly services: ReadonlyMap<string, number>;
  /** By `realServerId`. */
  readonly realServers: ReadonlyMap<string, number>;
};

/** What the config does not say. */
export type Knowledge = {
  readonly numbers: Numbers;
  /** May this real server, named by its `realServerId`, take new sessions? */
  readonly isUp: (id: string) => boolean;
  /** By address, or one of CLIENTS. */
  readonly groups: ReadonlyMap<string, EgressGroup>;
  /** Real servers that have left the config, though sessions may hold their numbers. */
  readonly retired: ReadonlyMap<number, RealServerSlot>;
  readonly schedules: ScheduleCache;
  /** There have been sessions whose client and real server differ in family. */
  readonly wasMixed: boolean;
  /** What sync says: which LIP:ports this node may give out, and whether misses are looked up. */
  readonly allocation: Pick<NodePlace, "pools" | "ports" | "lookups">;
};

export function realServerId(service: ServiceKey, server: Endpoint): string {
  return `${serviceId(service)} ${formatEndpoint(server)}`;
}

/** Every real server of every service, in the config's order. */
export function realServersOf(cluster: Cluster): readonly {
  readonly id: string;
  readonly service: VirtualService;
  readonly server: RealServer;
}[] {
  return cluster.services.flatMap((service) =>
    service.servers.map((server) => ({
      id: realServerId(service, server),
      service,
      server,
    })),
  );
}

/** What has to be asked so that it is known who is up. */
export function healthTargets(cluster: Cluster): readonly HealthTarget[] {
  return realServersOf(cluster).map(({ id, service, server }) => ({
    id,
    address: server.address,
    port: service.health.port ?? server.port,
    check: service.health,
  }));
}

/**
 * Numbers for all that the config has, those of `observed` kept. New things get none that `reserved` has.
 *
 * @throws WeirError if a limit is exceeded.
 */
export function numbersFor(
  cluster: Cluster,
  observed: DataplaneState,
  reserved: ReadonlyMap<number, RealServerSlot>,
): Numbers {
  const heldServices = new Map<string, number>();
  for (const [number, { key }] of observed.services)
    heldServices.set(serviceId(key), number);
  const heldServers = new Map<string, number>();
  for (const [number, slot] of observed.realServers) {
    const service = observed.services.get(slot.service);
    if (service !== undefined)
      heldServers.set(realServerId(service.key, slot), number);
  }
  return {
    services: assignNumbers(
      cluster.services.map(serviceId),
      heldServices,
      new Set([...reserved.values()].map(({ service }) => service)),
      {
        what: "service",
        limit: "services",
        capacity: cluster.limits.services,
      },
    ),
    realServers: assignNumbers(
      realServersOf(cluster).map(({ id }) => id),
      heldServers,
      new Set(reserved.keys()),
      {
        what: "real server",
        limit: "real_servers",
        capacity: cluster.limits.realServers,
      },
    ),
  };
}

export function desiredState(
  cluster: Cluster,
  node: ClusterNode,
  knowledge: Knowledge,
): DataplaneState {
  const { numbers, groups, retired, wasMixed, allocation } = knowledge;
  const services = new Map<number, ServiceState>();
  const realServers = new Map(retired);
  const egress = new Map<number, EgressGroup>();
  const setEgress = (number: number, destination: string): void => {
    const group = groups.get(destination);
    if (group !== undefined && group.hops.length > 0) egress.set(number, group);
  };

  setEgress(egressOfClients(4), CLIENTS[4]);
  setEgress(egressOfClients(6), CLIENTS[6]);
  for (const service of cluster.services) {
    const number = numberOf(numbers.services, serviceId(service));
    services.set(number, serviceState(service, knowledge));
    for (const { address, port } of service.servers) {
      const id = realServerId(service, { address, port });
      const real = numberOf(numbers.realServers, id);
      realServers.set(real, {
        address,
        port,
        egress: egressOf(real),
        service: number,
      });
    }
  }
  for (const [real, { address }] of realServers)
    setEgress(egressOf(real), address);
  return {
    node: {
      aggregates: cluster.aggregates,
      origin: node.origin,
      unknownPort: cluster.unknownPort,
      ipOptions: cluster.ipOptions,
      mixed: cluster.services.some(isMixed) || (wasMixed && retired.size > 0),
      ...allocation,
    },
    services,
    realServers,
    egress,
    prefixes: new Map<string, Owner>([
      ...cluster.aggregates.map(
        (prefix) => [formatPrefix(prefix), "pool"] as const,
      ),
      ...vipsOf(cluster).map(
        (vip) => [formatPrefix(hostPrefix(vip)), "vip"] as const,
      ),
    ]),
  };
}

/** Where packets have to be sent: addresses, and those of CLIENTS. */
export function destinationsOf(
  cluster: Cluster,
  retired: Knowledge["retired"],
): readonly string[] {
  return [
    ...new Set([
      ...cluster.services.map(({ vip }) => CLIENTS[familyOf(vip)]),
      ...realServersOf(cluster).map(({ server }) => server.address),
      ...[...retired.values()].map(({ address }) => address),
    ]),
  ];
}

/** Where a session of another node finds its real server here. */
export type Backend = {
  readonly service: ServiceKey;
  readonly server: Endpoint;
  /** Number of the real server. */
  readonly real: number;
  readonly egress: number;
};

export function backendsOf(state: DataplaneState): readonly Backend[] {
  return [...state.realServers].flatMap(([real, slot]) => {
    const service = state.services.get(slot.service)?.key;
    const { address, port, egress } = slot;
    return service === undefined
      ? []
      : [{ service, server: { address, port }, real, egress }];
  });
}

function serviceState(
  service: VirtualService,
  { numbers, isUp, schedules }: Knowledge,
): ServiceState {
  const { vip, ports, protocol, scheduler, sync } = service;
  const servers = service.servers
    .map((server) => ({ ...server, id: realServerId(service, server) }))
    .filter(({ id }) => isUp(id))
    .map((server) => ({
      index: numberOf(numbers.realServers, server.id),
      identity: formatEndpoint(server),
      weight: server.weight,
    }));
  return {
    key: { vip, ports, protocol },
    scheduler,
    sync: sync.policy,
    wide: [vip, ...service.servers.map(({ address }) => address)].some(
      (address) => familyOf(address) === 6,
    ),
    indexed: true,
    schedule: schedules.scheduleOf(serviceId(service), scheduler, servers),
  };
}

/** Its clients and its real servers differ in family. */
function isMixed({ vip, servers }: VirtualService): boolean {
  return servers.some(({ address }) => familyOf(address) !== familyOf(vip));
}

function vipsOf(cluster: Cluster): readonly string[] {
  return [...new Set(cluster.services.map(({ vip }) => vip))];
}

export type RouteKind = "vip" | "pool" | "aggregate";
export type DesiredRoute = {
  readonly prefix: Prefix;
  readonly kind: RouteKind;
  /** The routers should have it now. */
  readonly wanted: boolean;
};

/**
 * Every route that this node may announce, each prefix once. None is wanted before the node is `ready`. A VIP is wanted while one of its services has a healthy real
 * server, also one of weight 0: its sessions go on.
 */
export function desiredRoutes(
  cluster: Cluster,
  node: ClusterNode,
  { isUp, ready }: Pick<Knowledge, "isUp"> & { readonly ready: boolean },
): readonly DesiredRoute[] {
  const healthy = new Set(
    realServersOf(cluster)
      .filter(({ id }) => isUp(id))
      .map(({ service }) => service.vip),
  );
  const routes: readonly DesiredRoute[] = [
    ...vipsOf(cluster).map((vip) => ({
      prefix: hostPrefix(vip),
      kind: "vip" as const,
      wanted: ready && healthy.has(vip),
    })),
    ...node.pools.map((prefix) => ({
      prefix,
      kind: "pool" as const,
      wanted: ready,
    })),
    ...cluster.aggregates.map((prefix) => ({
      prefix,
      kind: "aggregate" as const,
      wanted: ready,
    })),
  ];
  // A lone node's pool may be the whole aggregate.
  const byPrefix = new Map(
    routes.map((route) => [formatPrefix(route.prefix), route]),
  );
  return [...byPrefix.values()];
}

function numberOf(numbers: ReadonlyMap<string, number>, id: string): number {
  const number = numbers.get(id);
  if (number === undefined)
    throw new RangeError(
      `Cannot find a number: none was assigned: current value is ${id}`,
    );
  return number;
}
