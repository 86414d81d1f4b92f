// SPDX-License-Identifier: Apache-2.0
// From a config to the real maps, and back.
import { isDeepStrictEqual } from "node:util";
import test, { type ExecutionContext } from "ava";
import { isLeft } from "fp-ts/lib/Either.js";
import type { Cluster, ClusterNode } from "../../src/model.ts";
import { loadConfig } from "../../src/node/config.ts";
import type { Dataplane } from "../../src/node/dataplane.ts";
import {
  backendsOf,
  type DataplaneState,
  desiredState,
  numbersFor,
} from "../../src/node/desired.ts";
import { CLIENTS } from "../../src/node/egress.ts";
import { observe, perform, plan } from "../../src/node/plan.ts";
import { ScheduleCache } from "../../src/node/schedule.ts";
import { PORT_PREFIXES_MAX } from "../../src/node/service-key.ts";
import { open, temporaryPins } from "./addon-fixture.ts";

const HOP = {
  dmac: "02:00:00:00:00:01",
  smac: "02:00:00:00:00:02",
  ifindex: 2,
  vlan: 0,
  mtu: 1500,
};
const BOTH = clusterOf(`
  - { name: web, vip: 192.0.2.10, port: 80, servers: [{ address: 10.3.1.2, port: 8080 }] }
  - { name: nat64, vip: 2001:db8::10, port: 80, scheduler: rr, servers: [{ address: 10.3.1.2 }] }
  - { name: game, vip: 2001:db8::10, ports: 1-65534, protocol: udp, sync: established, servers: [{ address: 2001:db8:3::2 }] }
  - { name: rest, vip: 192.0.2.11, ports: all, health: { type: none }, servers: [{ address: 10.3.1.2 }] }
`);
/** Without the range, and with IPv6 behind what IPv4 was behind. */
const NEXT = clusterOf(`
  - { name: web, vip: 192.0.2.10, port: 80, servers: [{ address: 2001:db8:3::2, port: 8080 }] }
  - { name: rest, vip: 192.0.2.11, ports: all, health: { type: none }, servers: [{ address: 10.3.1.2 }] }
`);

test("perform() brings a config of both families into the maps, and observe() reads it back", (t) => {
  const dataplane = open(t, temporaryPins(t));
  t.deepEqual(observe(dataplane).services.size, 0);
  const desired = fill(dataplane, BOTH);
  isHeld(t, dataplane, desired);
  t.deepEqual(plan(desired, observe(dataplane)), []);
  t.is(dataplane.serviceIndex.keys().length, 2);
  t.is(dataplane.serviceRanges.keys().length, PORT_PREFIXES_MAX + 1);
});

test("perform() takes out what another config no longer has", (t) => {
  const dataplane = open(t, temporaryPins(t));
  fill(dataplane, BOTH);
  const desired = fill(dataplane, NEXT);
  isHeld(t, dataplane, desired);
  t.is(dataplane.serviceIndex.keys().length, 1);
  t.is(dataplane.serviceRanges.keys().length, 1);
  t.true(dataplane.nodes.get(0)?.mixed);
});

test("observe() notices a service that not all packets find", (t) => {
  const dataplane = open(t, temporaryPins(t));
  const desired = fill(dataplane, BOTH);
  const [range] = dataplane.serviceRanges.keys();
  t.truthy(range && dataplane.serviceRanges.delete(range));
  t.deepEqual(
    plan(desired, observe(dataplane)).map(({ kind }) => kind),
    ["setService"],
  );
  for (const action of plan(desired, observe(dataplane)))
    perform(dataplane, action);
  isHeld(t, dataplane, desired);
});

test("setBackends() hands over real servers of both families", async (t) => {
  const dataplane = open(t, temporaryPins(t));
  dataplane.setBackends(backendsOf(fill(dataplane, BOTH)));
  const { sessions, narrow_load, wide_load } = await dataplane.sweep({
    terms: () => undefined,
    origin: 7,
    weak: false,
    hold: false,
  });
  t.deepEqual([sessions, narrow_load, wide_load], [0n, 0n, 0n]);
});

/** The order of a Map's entries says nothing. */
function isHeld(
  t: ExecutionContext,
  dataplane: Dataplane,
  desired: DataplaneState,
): void {
  const observed = observe(dataplane);
  t.deepEqual(observed.node, desired.node);
  for (const part of ["services", "realServers", "egress", "prefixes"] as const)
    t.true(
      isDeepStrictEqual(observed[part], desired[part]),
      `the maps hold other ${part} than those that were written`,
    );
}

function fill(dataplane: Dataplane, cluster: Cluster): DataplaneState {
  const [node] = cluster.nodes;
  if (node === undefined) throw new Error("the config has no node");
  const observed = observe(dataplane);
  const desired = desiredOf(cluster, node, observed);
  for (const action of plan(desired, observed)) perform(dataplane, action);
  return desired;
}

function desiredOf(
  cluster: Cluster,
  node: ClusterNode,
  observed: DataplaneState,
): DataplaneState {
  const group = { hops: [HOP] };
  return desiredState(cluster, node, {
    numbers: numbersFor(cluster, observed, new Map()),
    isUp: () => true,
    groups: new Map([
      [CLIENTS[4], group],
      [CLIENTS[6], { hops: [HOP, HOP] }],
      ["10.3.1.2", group],
      ["2001:db8:3::2", group],
    ]),
    retired: new Map(),
    schedules: new ScheduleCache(),
    wasMixed: false,
    allocation: { pools: node.pools, ports: node.ports, lookups: true },
  });
}

function clusterOf(services: string): Cluster {
  const loaded = loadConfig(`
cluster: rack
aggregate: [10.200.0.0/24, 2001:db8:200::/64]
unknown_port: reject
ip_options: drop
limits: { sessions: 1024, wide_sessions: 1024, services: 4, real_servers: 8 }
nodes:
  d1:
    interfaces: [eth1]
    pool: [10.200.0.0/28, 2001:db8:200:0:1::/96]
    routing: { asn: 65001, router_id: 10.1.1.2, listen: [], neighbors: [] }
services:${services}`);
  if (isLeft(loaded)) throw new Error(JSON.stringify(loaded.left));
  return loaded.right;
}
