// SPDX-License-Identifier: Apache-2.0
/** Small clusters, and the maps that they should lead to. */
import type { Cluster } from "../../src/model.ts";
import {
  type DataplaneState,
  desiredState,
  type Knowledge,
  numbersFor,
} from "../../src/node/desired.ts";
import { ScheduleCache } from "../../src/node/schedule.ts";

export const EMPTY: DataplaneState = {
  node: undefined,
  services: new Map(),
  realServers: new Map(),
  egress: new Map(),
  prefixes: new Map(),
};
export const NODE = {
  name: "d1",
  origin: 1,
  interfaces: ["eth1"],
  pools: [{ address: "10.200.0.0", length: 28 }],
  ports: { min: 1024, max: 65535 },
  routing: {
    backend: "gobgp",
    socket: "/run/gobgpd.sock",
    asn: 65001,
    routerId: "10.1.1.2",
    listen: [],
    neighbors: [],
  },
} as const;
export const HOP = {
  dmac: "02:00:00:00:00:01",
  smac: "02:00:00:00:00:02",
  ifindex: 2,
  vlan: 0,
  mtu: 1500,
};

/** One service for each list of server addresses: 192.0.2.1, .2 and so on. */
export function clusterOf(
  ...services: readonly (readonly string[])[]
): Cluster {
  return {
    name: "rack",
    aggregates: [{ address: "10.200.0.0", length: 24 }],
    unknownPort: "drop",
    ipOptions: "pass",
    limits: {
      sessions: 1000,
      wideSessions: 1000,
      services: 4,
      realServers: 8,
    },
    bus: { servers: [] },
    nodes: [NODE],
    services: services.map((addresses, i) => ({
      name: `service${i}`,
      vip: `192.0.2.${i + 1}`,
      ports: { min: 80, max: 80 },
      protocol: "tcp",
      scheduler: "rr",
      timeouts: {
        handshakeMs: 1,
        establishedMs: 2,
        closedMs: 3,
        resetMs: 4,
      },
      health: {
        type: "tcp",
        path: "/",
        intervalMs: 1,
        timeoutMs: 1,
        rise: 1,
        fall: 1,
      },
      sync: { policy: "immediate" },
      servers: addresses.map((address) => ({ address, port: 80, weight: 1 })),
    })),
  };
}

export function desire(
  cluster: Cluster,
  observed: DataplaneState = EMPTY,
  knowledge: Partial<Knowledge> = {},
): DataplaneState {
  const retired = knowledge.retired ?? new Map();
  return desiredState(cluster, NODE, {
    numbers: numbersFor(cluster, observed, retired),
    isUp: () => true,
    groups: new Map(),
    schedules: new ScheduleCache(),
    retired,
    wasMixed: false,
    allocation: { pools: NODE.pools, ports: NODE.ports, lookups: false },
    ...knowledge,
  });
}
