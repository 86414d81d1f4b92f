// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from "node:util";
import test from "ava";
import fc from "fast-check";
import {
  type DataplaneState,
  numbersFor,
  realServerId,
} from "../../src/node/desired.ts";
import { assignNumbers } from "../../src/node/numbers.ts";
import { Placement } from "../../src/node/placement.ts";
import { type Action, plan } from "../../src/node/plan.ts";
import { ScheduleCache } from "../../src/node/schedule.ts";
import { clusterOf, desire, EMPTY, HOP } from "./desired-state.ts";

const SPACE = { what: "real server", limit: "real_servers", capacity: 4 };

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

/** Of one family: where they are another one's in the next config, their service moves to the other table. */
const addresses = fc.constantFrom("10.3.0.", "2001:db8:3::").chain((network) =>
  fc.uniqueArray(
    fc.integer({ min: 1, max: 4 }).map((i) => `${network}${i}`),
    { maxLength: 2 },
  ),
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

test("plan() takes a service out before its sessions move to the other table", (t) => {
  const before = desire(clusterOf(["10.3.0.1"]));
  const after = desire(clusterOf(["2001:db8:3::1"]), before);
  const kinds = plan(after, before).map(({ kind }) => kind);
  t.deepEqual(
    kinds.filter((kind) => kind.endsWith("Service")),
    ["dropService", "setService"],
  );
});

test("plan() sets a service again that not all packets find", (t) => {
  const desired = desire(clusterOf(["10.3.0.1"]));
  const half = new Map(
    [...desired.services].map(([number, service]) => [
      number,
      { ...service, indexed: false },
    ]),
  );
  t.deepEqual(
    plan(desired, { ...desired, services: half }).map(({ kind }) => kind),
    ["setService"],
  );
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
