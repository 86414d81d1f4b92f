// SPDX-License-Identifier: Apache-2.0
import type { NetworkInterfaceInfo } from "node:os";
import test from "ava";
import { RoutingError } from "../../src/errors.ts";
import { familyOf } from "../../src/model.ts";
import { familiesOf, withNextHops } from "../../src/routing/families.ts";
import type { Interfaces } from "../../src/routing/families.ts";

const ROUTES = [
  { prefix: { address: "192.0.2.10", length: 32 } },
  { prefix: { address: "2001:db8:ffff::10", length: 128 } },
];

/** As node:os lists addresses. */
function addresses(...cidrs: readonly string[]): NetworkInterfaceInfo[] {
  return cidrs.map((cidr) => {
    const common = { netmask: "", mac: "02:00:00:00:00:01", cidr };
    const [address = ""] = cidr.split("/");
    return familyOf(address) === 6
      ? { ...common, address, family: "IPv6", scopeid: 0, internal: false }
      : { ...common, address, family: "IPv4", internal: false };
  });
}

const INTERFACES: Interfaces = {
  lo: addresses("127.0.0.1/8", "::1/128"),
  eth1: addresses(
    "10.1.1.2/24",
    "fe80::1/64",
    "2001:db8:1:1:ffff::2/64",
    "2001:db8:1:1::2/64",
  ),
  eth2: addresses("10.1.2.2/24", "2001:db8:1:2::2/64"),
  eth3: addresses("10.1.3.2/31", "fe80::3/64"),
};

function nextHops(...neighbors: readonly string[]): readonly string[] {
  const { announcements, problem } = withNextHops(
    ROUTES,
    neighbors,
    INTERFACES,
  );
  if (problem !== undefined) throw problem;
  return announcements.map(({ nextHop }) => nextHop);
}

test("familiesOf() keeps families apart where there are neighbors of both", (t) => {
  const both = ["10.1.1.1", "2001:db8:1:1::1", "10.1.2.1"];
  t.deepEqual(
    both.map((neighbor) => familiesOf(neighbor, both)),
    [[4], [6], [4]],
    "a router gets routes twice",
  );
  for (const neighbors of [["10.1.1.1", "10.1.2.1"], ["2001:db8:1:1::1"]])
    for (const neighbor of neighbors)
      t.deepEqual(
        familiesOf(neighbor, neighbors),
        [4, 6],
        "a family goes to nobody",
      );
});

test("withNextHops() leaves the next hop to sessions of the routes' family", (t) => {
  t.deepEqual(nextHops("10.1.1.1", "2001:db8:1:2::1"), ["0.0.0.0", "::"]);
  t.deepEqual(nextHops(), ["0.0.0.0", "::"]);
});

test("withNextHops() gives the address towards a neighbor of the other family", (t) => {
  t.deepEqual(
    nextHops("10.1.1.1"),
    ["0.0.0.0", "2001:db8:1:1::2"],
    "not the lowest address that routers know",
  );
  t.deepEqual(nextHops("2001:db8:1:2::1"), ["10.1.2.2", "::"]);
});

test("withNextHops() says why a family cannot be announced, and announces the other", (t) => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [
      ["10.1.1.1", "10.1.2.1"],
      /^Cannot announce IPv6 routes: 10\.1\.1\.1 and 10\.1\.2\.1 would need different next hops, 2001:db8:1:1::2 and 2001:db8:1:2::2/,
    ],
    [
      ["10.1.3.3"],
      /^Cannot announce IPv6 routes to 10\.1\.3\.3: eth3 has no IPv6 address/,
    ],
    [
      ["10.9.9.9"],
      /^Cannot announce IPv6 routes to 10\.9\.9\.9: no interface is on its network/,
    ],
  ];
  for (const [neighbors, message] of cases) {
    const { announcements, problem } = withNextHops(
      ROUTES,
      neighbors,
      INTERFACES,
    );
    t.true(problem instanceof RoutingError);
    t.regex(problem?.message ?? "", message);
    t.deepEqual(
      announcements,
      [{ route: ROUTES[0], nextHop: "0.0.0.0" }],
      "IPv4 is not announced as if nothing were wrong",
    );
  }
});

test("withNextHops() needs no next hop for a family without routes", (t) => {
  const { problem } = withNextHops(
    ROUTES.slice(0, 1),
    ["10.9.9.9"],
    INTERFACES,
  );
  t.is(problem, undefined);
});
