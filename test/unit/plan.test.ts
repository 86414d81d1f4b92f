// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from "node:util";
import test from "ava";
import fc from "fast-check";
import type { Cluster } from "../../src/model.ts";
import {
  type DataplaneState,
  desiredRoutes,
  desiredState,
  type Knowledge,
  numbersFor,
  realServerId,
} from "../../src/node/desired.ts";
import { assignNumbers } from "../../src/node/numbers.ts";
import { Placement } from "../../src/node/placement.ts";
import { type Action, plan } from "../../src/node/plan.ts";
import { ScheduleCache } from "../../src/node/schedule.ts";
import { egressOf, EGRESS_CLIENTS } from "../../src/node/words.ts";

const EMPTY: DataplaneState = {
  node: undefined,
  services: new Map(),
  realServers: new Map(),
  egress: new Map(),
  prefixes: new Map(),
};
const NODE = {
  name: "d1",
  origin: 1,
  interfaces: ["eth1"],
  pool: { address: "10.200.0.0", length: 28 },
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
const HOP = {
  dmac: "02:00:00:00:00:01",
  smac: "02:00:00:00:00:02",
  ifindex: 2,
  vlan: 0,
  mtu: 1500,
};
const SPACE = { what: "real server", limit: "real_servers", capacity: 4 };

/** One service for each list of server addresses: 192.0.2.1, .2 and so on. */
function clusterOf(...services: readonly (readonly string[])[]): Cluster {
  return {
    name: "rack",
    aggregate: { address: "10.200.0.0", length: 24 },
    limits: { sessions: 1000, services: 4, realServers: 8 },
    bus: { servers: [] },
    nodes: [NODE],
    services: services.map((addresses, i) => ({
      name: `service${i}`,
      vip: `192.0.2.${i + 1}`,
      port: 80,
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

function desire(
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
    allocation: { pool: NODE.pool, ports: NODE.ports, lookups: false },
    ...knowledge,
  });
}

/** What the maps hold after the actions. */
function after(
  state: DataplaneState,
  actions: readonly Action[],
): DataplaneState {
  let node = state.node;
  const services = new Map(state.services);
  const realServers = new Map(state.realServers);
  const egress = new Map(state.egress);
  const prefixes = new Map(state.prefixes);
  for (const action of actions) {
    switch (action.kind) {
      case "setNode":
        node = action.place;
        break;
      case "setPrefix":
        prefixes.set(action.prefix, action.owner);
        break;
      case "dropPrefix":
        prefixes.delete(action.prefix);
        break;
      case "setEgress":
        egress.set(action.number, action.group);
        break;
      case "dropEgress":
        egress.delete(action.number);
        break;
      case "setRealServer":
        realServers.set(action.number, action.slot);
        break;
      case "dropRealServer":
        realServers.delete(action.number);
        break;
      case "clearTraffic":
        break;
      case "setService":
        services.set(action.number, action.service);
        break;
      case "dropService":
        services.delete(action.number);
        break;
    }
  }
  return { node, services, realServers, egress, prefixes };
}

const addresses = fc.uniqueArray(
  fc.integer({ min: 1, max: 4 }).map((i) => `10.3.0.${i}`),
  { maxLength: 2 },
);
const clusters = fc
  .array(addresses, { maxLength: 3 })
  .map((services) => clusterOf(...services));

test("plan() leads from any state to any other, and then has nothing to do", (t) => {
  fc.assert(
    fc.property(clusters, clusters, (before, next) => {
      const observed = desire(before);
      const desired = desire(next, observed);
      const reached = after(observed, plan(desired, observed));
      // The order of a Map's entries says nothing.
      t.true(isDeepStrictEqual(reached, desired));
      t.deepEqual(plan(desired, reached), []);
    }),
  );
  t.pass();
});

test("plan() fills what a service refers to before the service, and frees it after", (t) => {
  const groups = new Map([["10.3.0.1", { hops: [HOP] }]]);
  const filled = desire(clusterOf(["10.3.0.1"]), EMPTY, { groups });
  t.deepEqual(
    plan(filled, EMPTY).map(({ kind }) => kind),
    [
      "setNode",
      "setPrefix",
      "setPrefix",
      "setEgress",
      "clearTraffic",
      "setRealServer",
      "setService",
    ],
  );
  t.deepEqual(
    plan(desire(clusterOf()), filled).map(({ kind }) => kind),
    ["dropService", "dropRealServer", "dropEgress", "dropPrefix"],
  );
});

test("numbersFor() keeps the numbers of what stays", (t) => {
  const observed = desire(clusterOf(["10.3.0.1", "10.3.0.2"], ["10.3.0.3"]));
  const cluster = clusterOf(["10.3.0.4", "10.3.0.2"], ["10.3.0.3"]);
  const { realServers } = numbersFor(cluster, observed, new Map());
  const [first, second] = cluster.services;
  t.truthy(first && second);
  if (first === undefined || second === undefined) return;
  const numberOf = (service: typeof first, address: string) =>
    realServers.get(realServerId(service, { address, port: 80 }));
  t.is(numberOf(first, "10.3.0.2"), 1);
  t.is(numberOf(second, "10.3.0.3"), 2);
  t.is(numberOf(first, "10.3.0.4"), 0, "a free number was not used again");
});

test("desiredState() keeps the slot and the way out of a removed real server that sessions use", (t) => {
  const observed = desire(clusterOf(["10.3.0.1"]));
  const slot = observed.realServers.get(0);
  t.truthy(slot);
  if (slot === undefined) return;
  const desired = desire(clusterOf(["10.3.0.2"]), observed, {
    retired: new Map([[0, slot]]),
    groups: new Map([["10.3.0.1", { hops: [HOP] }]]),
  });
  t.deepEqual(desired.realServers.get(0), slot);
  t.deepEqual(desired.egress.get(egressOf(0)), { hops: [HOP] });
  t.is(desired.realServers.get(1)?.address, "10.3.0.2");
  t.deepEqual(
    [...(desired.services.values().next().value?.schedule ?? [])],
    [1],
    "a removed real server takes new sessions",
  );
});

test("desiredState() gives new sessions to healthy real servers only", (t) => {
  const desired = desire(clusterOf(["10.3.0.1", "10.3.0.2"]), EMPTY, {
    isUp: (id) => id.endsWith("10.3.0.2:80"),
  });
  t.deepEqual([...(desired.services.get(0)?.schedule ?? [])], [1]);
});

test("desiredState() leaves ways without hops to the kernel", (t) => {
  const groups = new Map([
    ["clients", { hops: [HOP] }],
    ["10.3.0.1", { hops: [] }],
  ]);
  const { egress } = desire(clusterOf(["10.3.0.1"]), EMPTY, { groups });
  t.deepEqual([...egress.keys()], [EGRESS_CLIENTS]);
});

test("desiredRoutes() wants a VIP while one of its services has a healthy real server, of any weight", (t) => {
  const cluster = clusterOf(["10.3.0.1"], ["10.3.0.2"]);
  const drained = cluster.services.map((service) => ({
    ...service,
    servers: service.servers.map((server) => ({ ...server, weight: 0 })),
  }));
  const routes = desiredRoutes({ ...cluster, services: drained }, NODE, {
    isUp: (id) => id.endsWith("10.3.0.2:80"),
    ready: true,
  });
  t.deepEqual(
    routes.map(({ prefix, kind, wanted }) => [prefix.address, kind, wanted]),
    [
      ["192.0.2.1", "vip", false],
      ["192.0.2.2", "vip", true],
      ["10.200.0.0", "pool", true],
      ["10.200.0.0", "aggregate", true],
    ],
  );
});

test("desiredRoutes() wants nothing before the node is ready", (t) => {
  const routes = desiredRoutes(clusterOf(["10.3.0.1"]), NODE, {
    isUp: () => true,
    ready: false,
  });
  t.false(routes.some(({ wanted }) => wanted));
});

test("desiredRoutes() has a pool that is the whole aggregate once", (t) => {
  const cluster = { ...clusterOf(), aggregate: NODE.pool };
  const routes = desiredRoutes(cluster, NODE, {
    isUp: () => true,
    ready: true,
  });
  t.is(routes.length, 1);
});

test("Placement retires what leaves the config until two sweeps have found it idle", (t) => {
  const before = clusterOf(["10.3.0.1"]);
  const after = clusterOf(["10.3.0.2"]);
  const placement = new Placement(new Map());
  placement.use(before, EMPTY);
  const observed = desire(before);
  placement.use(after, observed);
  t.deepEqual([...placement.retired.keys()], [0]);
  t.deepEqual(
    [...placement.numbers.realServers.values()],
    [1],
    "a number changed hands while sessions may hold it",
  );
  t.false(placement.release([0]));
  t.false(placement.release([3]), "a number in use was released");
  t.false(placement.release([0]));
  t.true(placement.release([0]));
  t.is(placement.retired.size, 0);
});

test("Placement takes a retired real server back under its number", (t) => {
  const cluster = clusterOf(["10.3.0.1"]);
  const observed = desire(cluster);
  const placement = new Placement(observed.realServers);
  t.deepEqual([...placement.retired.keys()], [0]);
  placement.use(cluster, observed);
  t.is(placement.retired.size, 0);
  t.deepEqual([...placement.numbers.realServers.values()], [0]);
  t.is(placement.serviceOf(0)?.name, "service0");
});

test("ScheduleCache.scheduleOf() gives the same array for the same servers", (t) => {
  const cache = new ScheduleCache();
  const server = { index: 0, identity: "10.3.0.1:80", weight: 1 };
  const table = cache.scheduleOf("a", "maglev", [server]);
  t.is(cache.scheduleOf("a", "maglev", [server]), table);
  t.not(cache.scheduleOf("a", "maglev", [{ ...server, index: 1 }]), table);
});

test("assignNumbers() gives the lowest free number and spares reserved ones", (t) => {
  const numbers = assignNumbers(
    ["a", "b", "c"],
    new Map([
      ["b", 1],
      ["gone", 0],
    ]),
    new Set([2]),
    SPACE,
  );
  t.deepEqual(Object.fromEntries(numbers), { a: 0, b: 1, c: 3 });
});

test("assignNumbers() names the limit that is too small", (t) => {
  t.throws(
    () => assignNumbers(["a", "b", "c"], new Map(), new Set([0, 1]), SPACE),
    { message: /real server c: .*limits.real_servers is 4/ },
  );
});
