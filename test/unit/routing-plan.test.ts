// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import fc from "fast-check";
import { formatPrefix } from "../../src/model.ts";
import type { Prefix } from "../../src/model.ts";
import { normalizeRoutes, sameRoute } from "../../src/routing/announcer.ts";
import type { Route } from "../../src/routing/announcer.ts";
import type { Announcement } from "../../src/routing/families.ts";
import { plan } from "../../src/routing/plan.ts";
import type {
  Action,
  Desired,
  NeighborSetting,
  Observed,
  ObservedNeighbor,
  ObservedPath,
} from "../../src/routing/plan.ts";

// A small world, so that desired and observed often meet.
const prefixes: readonly Prefix[] = [
  { address: "192.0.2.10", length: 32 },
  { address: "2001:db8:ffff::10", length: 128 },
  { address: "10.200.0.0", length: 24 },
  { address: "10.200.0.0", length: 28 },
];

const anyRoute: fc.Arbitrary<Route> = fc
  .record({
    prefix: fc.constantFrom(...prefixes),
    med: fc.constantFrom(undefined, 0, 7),
    communities: fc.constantFrom(undefined, ["65535:0"], ["1:2", "65535:0"]),
  })
  .map(({ prefix, med, communities }) => ({
    prefix,
    ...(med === undefined ? {} : { med }),
    ...(communities && { communities }),
  }));

const anyAnnouncement: fc.Arbitrary<Announcement> = fc.record({
  route: anyRoute,
  nextHop: fc.constantFrom("0.0.0.0", "10.1.1.2"),
});

const anySetting: fc.Arbitrary<NeighborSetting> = fc.record({
  address: fc.constantFrom("10.1.1.1", "10.1.2.1", "2001:db8:1:3::1"),
  asn: fc.constantFrom(65000, 65009),
  holdTimeSeconds: fc.constantFrom(3, 9),
  families: fc.constantFrom([4], [6], [4, 6]),
});

const anyDesired: fc.Arbitrary<Desired> = fc.record({
  neighbors: fc.uniqueArray(anySetting, { selector: ({ address }) => address }),
  routes: fc.option(
    fc.uniqueArray(anyAnnouncement, { selector: ({ route }) => keyOf(route) }),
    { nil: undefined },
  ),
});

const anyPath: fc.Arbitrary<ObservedPath> = fc.record({
  route: anyRoute,
  nextHop: fc.constantFrom("0.0.0.0", "0.0.0.0", "10.1.1.2", ""),
  identifier: fc.constantFrom(0, 0, 0, 5),
  foreign: fc.constantFrom(false, false, true),
});

const anyNeighbor: fc.Arbitrary<ObservedNeighbor> = fc.record({
  setting: anySetting,
  foreign: fc.constantFrom(false, false, true),
  sent: fc.subarray([...prefixes]),
});

const anyObserved: fc.Arbitrary<Observed> = fc.record({
  neighbors: fc.uniqueArray(anyNeighbor, {
    selector: ({ setting }) => setting.address,
  }),
  paths: fc.uniqueArray(anyPath, {
    selector: ({ route, identifier }) => `${keyOf(route)} ${identifier}`,
  }),
});

function keyOf({ prefix }: Route): string {
  return formatPrefix(prefix);
}

/** What a daemon that does as it is told holds afterwards. Neighbors that stay are sent what its table has. */
function perform(observed: Observed, actions: readonly Action[]): Observed {
  let { neighbors, paths } = observed;
  for (const action of actions) {
    switch (action.op) {
      case "announce": {
        const { announcement } = action;
        paths = paths.filter(
          ({ route, identifier }) =>
            identifier !== 0 || keyOf(route) !== keyOf(announcement.route),
        );
        paths = [...paths, { ...announcement, identifier: 0, foreign: false }];
        break;
      }
      case "withdraw":
        paths = paths.filter(
          (path) =>
            path.identifier !== action.identifier ||
            keyOf(path.route) !== formatPrefix(action.prefix),
        );
        break;
      case "removeNeighbor":
        neighbors = neighbors.filter(
          ({ setting }) => setting.address !== action.address,
        );
        break;
      case "addNeighbor":
        neighbors = [
          ...neighbors,
          { setting: action.setting, foreign: false, sent: [] },
        ];
    }
  }
  const sent = paths.map(({ route }) => route.prefix);
  return { paths, neighbors: neighbors.map((one) => ({ ...one, sent })) };
}

test("plan() makes the observed the desired", (t) => {
  fc.assert(
    fc.property(anyDesired, anyObserved, (desired, observed) => {
      const { neighbors, paths } = perform(observed, plan(desired, observed));
      t.deepEqual(
        neighbors.map(({ setting }) => setting).toSorted(byAddress),
        desired.neighbors.toSorted(byAddress),
        "the neighbors are not the desired ones",
      );
      t.false(
        neighbors.some(({ foreign }) => foreign),
        "a neighbor with foreign settings stays",
      );
      if (desired.routes === undefined) return;
      t.is(paths.length, desired.routes.length, "paths are left or missing");
      for (const { route, nextHop } of desired.routes)
        t.true(
          paths.some(
            (path) =>
              !path.foreign &&
              path.nextHop === nextHop &&
              sameRoute(path.route, route),
          ),
          `the route for ${keyOf(route)} is not announced as desired`,
        );
    }),
  );
});

test("plan() has nothing to do when it has been done", (t) => {
  fc.assert(
    fc.property(anyDesired, anyObserved, (desired, observed) => {
      const done = perform(observed, plan(desired, observed));
      t.deepEqual(plan(desired, done), [], "the plan never comes to an end");
    }),
  );
});

test("plan() never touches what is right", (t) => {
  fc.assert(
    fc.property(anyDesired, anyObserved, (desired, observed) => {
      const actions = plan(desired, observed);
      for (const action of actions)
        if (action.op === "announce")
          t.false(
            observed.paths.some(
              ({ route, nextHop, identifier, foreign }) =>
                identifier === 0 &&
                !foreign &&
                nextHop === action.announcement.nextHop &&
                sameRoute(route, action.announcement.route),
            ),
            "a route that is announced already is announced again",
          );
      if (desired.routes === undefined)
        t.false(
          actions.some(({ op }) => op === "announce" || op === "withdraw"),
          "routes are changed, though nobody has said what to announce",
        );
    }),
  );
});

test("plan() announces before it withdraws, and adds neighbors last", (t) => {
  const order = ["removeNeighbor", "announce", "withdraw", "addNeighbor"];
  fc.assert(
    fc.property(anyDesired, anyObserved, (desired, observed) => {
      const ranks = plan(desired, observed).map(({ op }) => order.indexOf(op));
      t.deepEqual(
        ranks,
        ranks.toSorted((a, b) => a - b),
        "the actions are out of order",
      );
    }),
  );
});

test("plan() replaces a neighbor that is sent what the table does not have", (t) => {
  const [prefix] = prefixes;
  if (prefix === undefined) return t.fail();
  const setting: NeighborSetting = {
    address: "10.1.1.1",
    asn: 65000,
    holdTimeSeconds: 9,
    families: [4],
  };
  const announcement = { route: { prefix }, nextHop: "0.0.0.0" };
  t.deepEqual(
    plan(
      { neighbors: [setting], routes: [announcement] },
      {
        neighbors: [{ setting, foreign: false, sent: [prefix] }],
        paths: [],
      },
    ),
    [
      { op: "removeNeighbor", address: setting.address },
      { op: "announce", announcement },
      { op: "addNeighbor", setting },
    ],
    "the neighbor stays with a table that no longer counts",
  );
});

test("normalizeRoutes() orders communities and drops host bits", (t) => {
  t.deepEqual(
    normalizeRoutes([
      {
        prefix: { address: "10.200.0.77", length: 24 },
        communities: ["65535:0", "1:2", "65535:0"],
      },
      { prefix: { address: "2001:db8:200::77", length: 124 } },
    ]),
    [
      {
        prefix: { address: "10.200.0.0", length: 24 },
        communities: ["1:2", "65535:0"],
      },
      { prefix: { address: "2001:db8:200::70", length: 124 } },
    ],
  );
});

test("normalizeRoutes() refuses what BGP cannot say", (t) => {
  const prefix = { address: "10.200.0.0", length: 24 };
  const refused: readonly (readonly [readonly Route[], RegExp])[] = [
    [
      [{ prefix }, { prefix: { address: "10.200.0.1", length: 24 } }],
      /10\.200\.0\.0\/24: it is in the list twice/,
    ],
    [[{ prefix, med: -1 }], /the MED must be .*: current value is -1/],
    [[{ prefix, med: 2 ** 32 }], /current value is 4294967296/],
    [[{ prefix, communities: ["65536:0"] }], /current value is 65536:0/],
    [[{ prefix, communities: ["gshut"] }], /current value is gshut/],
  ];
  for (const [routes, message] of refused)
    t.throws(() => normalizeRoutes(routes), { message });
});

function byAddress(a: NeighborSetting, b: NeighborSetting): number {
  return a.address < b.address ? -1 : 1;
}
