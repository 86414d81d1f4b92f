// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import { formatEndpoint, formatPrefix } from "../../src/model.ts";
import {
  backendsOf,
  type DataplaneState,
  desiredRoutes,
  healthTargets,
} from "../../src/node/desired.ts";
import { egressOf, egressOfClients } from "../../src/node/words.ts";
import { clusterOf, desire, EMPTY, HOP, NODE } from "./desired-state.ts";

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
    ["clients4", { hops: [HOP] }],
    ["clients6", { hops: [HOP] }],
    ["10.3.0.1", { hops: [] }],
  ]);
  const { egress } = desire(clusterOf(["10.3.0.1"]), EMPTY, { groups });
  t.deepEqual([...egress.keys()], [egressOfClients(4), egressOfClients(6)]);
});

test("desiredState() says which services live in the wide table, and whether a family is translated", (t) => {
  const [four, six] = [["10.3.0.1"], ["2001:db8:3::1"]];
  const wideOf = (...services: readonly (readonly string[])[]) => {
    const { node, services: states } = desire(clusterOf(...services));
    return [[...states.values()].map(({ wide }) => wide), node?.mixed];
  };
  t.deepEqual(wideOf(four, []), [[false, false], false]);
  t.deepEqual(wideOf(four, six), [[false, true], true]);
  const cluster = clusterOf(six, four);
  const native = cluster.services.map((service, i) =>
    i === 0 ? { ...service, vip: "2001:db8::10" } : service,
  );
  const state = desire({ ...cluster, services: native });
  t.deepEqual(
    [...state.services.values()].map(({ wide }) => wide),
    [true, false],
  );
  t.false(state.node?.mixed, "IPv6 on both sides needs no second lookup");
});

test("desiredState() still looks up translated sessions while sessions of removed real servers are left", (t) => {
  const six = clusterOf(["2001:db8:3::1"]);
  const observed = desire(six);
  const mixedAfter = (retired: DataplaneState["realServers"]) =>
    desire(clusterOf(["10.3.0.1"]), observed, { wasMixed: true, retired }).node
      ?.mixed;
  t.true(mixedAfter(observed.realServers));
  t.false(mixedAfter(new Map()));
});

test("desiredState() writes down all aggregates, and how unknown packets are treated", (t) => {
  const wide = { address: "2001:db8:200::", length: 64 };
  const { aggregates } = clusterOf();
  const state = desire({
    ...clusterOf(["10.3.0.1"]),
    aggregates: [...aggregates, wide],
    unknownPort: "reject",
    ipOptions: "drop",
  });
  t.like(state.node, { unknownPort: "reject", ipOptions: "drop" });
  t.deepEqual(state.node?.aggregates, [...aggregates, wide]);
  t.deepEqual(
    [...state.prefixes],
    [
      ["10.200.0.0/24", "pool"],
      ["2001:db8:200::/64", "pool"],
      ["192.0.2.1/32", "vip"],
    ],
  );
});

test("backendsOf() tells the ports of a service, and 0 for a real server that has none", (t) => {
  const cluster = clusterOf(["10.3.0.1"]);
  const ranged = cluster.services.map((service) => ({
    ...service,
    ports: { min: 8000, max: 8999 },
    servers: [{ address: "10.3.0.1", port: 0, weight: 1 }],
  }));
  t.like(backendsOf(desire({ ...cluster, services: ranged })), [
    {
      service: { vip: "192.0.2.1", ports: { min: 8000, max: 8999 } },
      server: { address: "10.3.0.1", port: 0 },
      real: 0,
      egress: egressOf(0),
    },
  ]);
});

test("healthTargets() asks a real server on its own port, or on that of the check", (t) => {
  const cluster = clusterOf(["10.3.0.1"], ["2001:db8:3::1"]);
  const services = cluster.services.map((service, i) =>
    i === 0 ? service : { ...service, health: { ...service.health, port: 81 } },
  );
  t.deepEqual(healthTargets({ ...cluster, services }).map(formatEndpoint), [
    "10.3.0.1:80",
    "[2001:db8:3::1]:81",
  ]);
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

test("desiredRoutes() has the pools and aggregates of both families", (t) => {
  const wide = { address: "2001:db8:200::", length: 64 };
  const pool = { address: "2001:db8:200::10", length: 124 };
  const cluster = clusterOf(["10.3.0.1"]);
  const services = cluster.services.map((service) => ({
    ...service,
    vip: "2001:db8::10",
  }));
  const aggregates = [...cluster.aggregates, wide];
  const routes = desiredRoutes(
    { ...cluster, services, aggregates },
    { ...NODE, pools: [...NODE.pools, pool] },
    { isUp: () => true, ready: true },
  );
  t.deepEqual(
    routes.map(({ prefix, kind }) => [formatPrefix(prefix), kind]),
    [
      ["2001:db8::10/128", "vip"],
      ["10.200.0.0/28", "pool"],
      ["2001:db8:200::10/124", "pool"],
      ["10.200.0.0/24", "aggregate"],
      ["2001:db8:200::/64", "aggregate"],
    ],
  );
});

test("desiredRoutes() has a pool that is the whole aggregate once", (t) => {
  const cluster = { ...clusterOf(), aggregates: NODE.pools };
  const routes = desiredRoutes(cluster, NODE, {
    isUp: () => true,
    ready: true,
  });
  t.is(routes.length, 1);
});
