// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import type { Kernel } from "../../src/node/egress.ts";
import { CLIENTS, planNeighbours, resolve } from "../../src/node/egress.ts";
import { WEIR_HOPS_MAX } from "../../src/node/layout.ts";
import {
  decodeLinks,
  decodeNeighbours,
  decodeRoutes,
  neighbourKey,
} from "../../src/node/rtnetlink.ts";

const DMAC = "02:00:00:00:00:aa";
const SMAC = "02:00:00:00:00:01";
const ETH1 = { smac: SMAC, ifindex: 2, vlan: 0, mtu: 1500 };

/** As iproute2 6.1 prints them with -json -details, without fields that nobody reads. */
const LINKS = [
  link({ ifindex: 1, ifname: "lo", mtu: 65536, link_type: "loopback" }),
  link({ ifindex: 2, ifname: "eth1" }),
  link({ ifindex: 3, ifname: "eth2", mtu: 9000, address: "02:00:00:00:03:01" }),
  link({ ifindex: 4, ifname: "eth3", flags: ["NO-CARRIER", "UP"] }),
  link({ ifindex: 5, ifname: "mgmt0" }),
  link({ ifindex: 10, ifname: "eth1.5", ...vlan("eth1", 5), mtu: 1496 }),
  link({ ifindex: 11, ifname: "eth1.5.6", ...vlan("eth1.5", 6) }),
  link({ ifindex: 12, ifname: "eth1.7", ...vlan("eth1", 7, "802.1ad") }),
  link({ ifindex: 13, ifname: "eth3.5", ...vlan("eth3", 5) }),
  link({ ifindex: 14, ifname: "mgmt0.5", ...vlan("mgmt0", 5) }),
  link({ ifindex: 15, ifname: "far.5", ...vlan(undefined, 5) }),
];

const INTERFACES = new Set(["eth1", "eth2", "eth3"]);

test("resolve() sends to a destination on the link itself", (t) => {
  const route = { type: "unicast", dst: "10.3.0.0/16", dev: "eth1", flags: [] };
  const path = wayTo("10.3.1.2", [route], [neighbour("10.3.1.2", "eth1")]);
  t.deepEqual(path.hops, [{ dmac: DMAC, ...ETH1 }]);
  t.deepEqual(path.neighbours, [{ address: "10.3.1.2", device: "eth1" }]);
  t.deepEqual(path.problems, []);
});

test("resolve() sends through a gateway", (t) => {
  const route = { dst: "10.3.1.0/24", gateway: "10.1.1.1", dev: "eth1" };
  const path = wayTo("10.3.1.2", [route], [neighbour("10.1.1.1", "eth1")]);
  t.deepEqual(path.hops, [{ dmac: DMAC, ...ETH1 }]);
  t.deepEqual(path.neighbours, [{ address: "10.1.1.1", device: "eth1" }]);
});

test("resolve() sends IPv4 through a gateway with an IPv6 address", (t) => {
  const via = { family: "inet6", host: "fe80::1" };
  const route = { dst: "10.3.1.0/24", via, dev: "eth1", flags: [] };
  const path = wayTo("10.3.1.2", [route], [neighbour("fe80::1", "eth1")]);
  t.deepEqual(path.hops, [{ dmac: DMAC, ...ETH1 }]);
});

test("resolve() sends IPv6 to a destination on the link, and through a link-local gateway", (t) => {
  const onLink = { type: "unicast", dst: "2001:db8:3::/64", dev: "eth1" };
  const direct = wayTo(
    "2001:db8:3::2",
    [onLink],
    [neighbour("2001:db8:3::2", "eth1")],
  );
  t.deepEqual(direct.hops, [{ dmac: DMAC, ...ETH1 }]);
  t.deepEqual(direct.neighbours, [
    { address: "2001:db8:3::2", device: "eth1" },
  ]);
  const gateway = { dst: "default", gateway: "fe80::1", dev: "eth1" };
  const router = { ...neighbour("fe80::1", "eth1"), router: null };
  // The same address on another link is another router.
  const other = neighbour("fe80::1", "eth2", "02:00:00:00:00:bb");
  const path = wayTo(CLIENTS[6], [gateway], [other, router]);
  t.deepEqual(path.hops, [{ dmac: DMAC, ...ETH1 }]);
  t.deepEqual(path.neighbours, [{ address: "fe80::1", device: "eth1" }]);
});

test("resolve() lists all next hops of a default route, in an order of their own", (t) => {
  const nexthops = [
    { gateway: "10.1.2.1", dev: "eth2", weight: 1, flags: [] },
    { gateway: "10.1.1.9", dev: "eth1", weight: 1, flags: [] },
    { gateway: "10.1.1.1", dev: "eth1", weight: 1, flags: [] },
  ];
  const neighbours = [
    neighbour("10.1.1.1", "eth1"),
    neighbour("10.1.1.9", "eth1", "02:00:00:00:00:99"),
    neighbour("10.1.2.1", "eth2", "02:00:00:00:00:bb"),
  ];
  const path = wayTo(CLIENTS[4], [{ dst: "default", nexthops }], neighbours);
  const reversed = wayTo(
    CLIENTS[4],
    [{ dst: "default", nexthops: nexthops.toReversed() }],
    neighbours,
  );
  t.deepEqual(
    path.hops.map(({ dmac, ifindex, mtu }) => `${ifindex} ${dmac} ${mtu}`),
    [
      "2 02:00:00:00:00:99 1500",
      "2 02:00:00:00:00:aa 1500",
      "3 02:00:00:00:00:bb 9000",
    ],
  );
  t.deepEqual(reversed.hops, path.hops, "the order of the route shows");
});

test("resolve() leaves out a next hop that is not resolved yet", (t) => {
  const nexthops = [
    { gateway: "10.1.1.1", dev: "eth1", weight: 1, flags: [] },
    { gateway: "10.1.1.9", dev: "eth1", weight: 1, flags: [] },
    { gateway: "10.1.1.8", dev: "eth1", weight: 1, flags: [] },
  ];
  const failed = { dst: "10.1.1.9", dev: "eth1", state: ["FAILED"] };
  const path = wayTo(
    CLIENTS[4],
    [{ dst: "default", nexthops }],
    [neighbour("10.1.1.1", "eth1"), failed],
  );
  t.is(path.hops.length, 1);
  t.is(path.neighbours.length, 3, "nobody will resolve the others");
  t.deepEqual(path.problems, [
    { reason: "unresolved", at: "10.1.1.9 dev eth1" },
    { reason: "unresolved", at: "10.1.1.8 dev eth1" },
  ]);
});

test("resolve() tags what leaves through a VLAN device", (t) => {
  const path = wayTo(
    "10.3.1.2",
    [{ dst: "10.3.1.0/24", dev: "eth1.5" }],
    [neighbour("10.3.1.2", "eth1.5")],
  );
  t.deepEqual(path.hops, [
    { dmac: DMAC, smac: SMAC, ifindex: 2, vlan: 5, mtu: 1496 },
  ]);
  t.deepEqual(path.neighbours, [{ address: "10.3.1.2", device: "eth1.5" }]);
});

for (const [device, reason] of Object.entries({
  mgmt0: "foreignInterface",
  "mgmt0.5": "foreignInterface",
  "eth1.5.6": "foreignInterface",
  "eth1.7": "foreignInterface",
  "far.5": "foreignInterface",
  gone0: "foreignInterface",
  eth3: "linkDown",
  "eth3.5": "linkDown",
})) {
  test(`resolve() leaves the way through ${device} to the kernel`, (t) => {
    const path = wayTo(
      "10.3.1.2",
      [{ dst: "10.3.1.0/24", gateway: "10.1.1.1", dev: device }],
      [neighbour("10.1.1.1", device)],
    );
    t.deepEqual(path.hops, []);
    t.deepEqual(path.neighbours, []);
    t.deepEqual(path.problems, [{ reason, at: `10.1.1.1 dev ${device}` }]);
  });
}

test("resolve() takes the smaller of the link's and the route's MTU", (t) => {
  const mtuOf = (dev: string, mtu: number): number | undefined =>
    wayTo(
      "10.3.1.2",
      [{ dst: "10.3.0.0/16", dev, metrics: [{ mtu }] }],
      [neighbour("10.3.1.2", dev)],
    ).hops[0]?.mtu;
  t.is(mtuOf("eth1", 1400), 1400);
  t.is(mtuOf("eth1", 9000), 1500);
  t.is(mtuOf("eth2", 8000), 8000);
});

for (const [type, reason] of Object.entries({
  blackhole: "noRoute",
  unreachable: "noRoute",
  local: "notForwarded",
  broadcast: "notForwarded",
})) {
  test(`resolve() has no hop for a ${type} route`, (t) => {
    const path = wayTo("10.3.1.2", [{ type, dst: "10.3.1.2" }], []);
    t.deepEqual(path.hops, []);
    t.deepEqual(path.problems, [{ reason, at: "10.3.1.2" }]);
  });
}

test("resolve() has no hop where there is no route", (t) => {
  const path = resolve("10.3.1.2", kernel("10.9.9.9", [], []), INTERFACES);
  t.deepEqual(path.hops, []);
  t.deepEqual(path.problems, [{ reason: "noRoute", at: "10.3.1.2" }]);
});

test("resolve() leaves tunnels and gateway-less default routes to the kernel", (t) => {
  const tunnel = { dst: "default", encap: "ip", gateway: "10.1.1.1" };
  const wrapped = wayTo(
    CLIENTS[4],
    [{ ...tunnel, dev: "eth1" }],
    [neighbour("10.1.1.1", "eth1")],
  );
  t.deepEqual(wrapped.hops, []);
  t.is(wrapped.problems[0]?.reason, "tunnel");
  for (const clients of Object.values(CLIENTS)) {
    const direct = wayTo(clients, [{ dst: "default", dev: "eth1" }], []);
    t.deepEqual(direct.hops, []);
    t.is(direct.problems[0]?.reason, "noGateway");
    t.deepEqual(direct.neighbours, []);
  }
});

for (const [weights, shares] of [
  [[1], [1]],
  [
    [5, 5],
    [1, 1],
  ],
  [
    [3, 1],
    [3, 1],
  ],
  [
    [2, 4, 2],
    [1, 2, 1],
  ],
  [
    [255, 1],
    [7, 1],
  ],
  [
    [100, 49],
    [5, 3],
  ],
] as const) {
  test(`resolve() lists hops of weights ${weights.join(":")} in shares of ${shares.join(":")}`, (t) => {
    const nexthops = weights.map((weight, index) => ({
      gateway: `10.1.1.${index}`,
      dev: "eth1",
      weight,
    }));
    const macs = weights.map((_weight, index) => `02:00:00:00:01:0${index}`);
    const neighbours = macs.map((mac, index) =>
      neighbour(`10.1.1.${index}`, "eth1", mac),
    );
    const path = wayTo(CLIENTS[4], [{ dst: "default", nexthops }], neighbours);
    t.deepEqual(
      macs.map((mac) => path.hops.filter(({ dmac }) => dmac === mac).length),
      [...shares],
    );
  });
}

test("resolve() says so when a route has more next hops than a group holds", (t) => {
  const numbers = Array.from({ length: WEIR_HOPS_MAX + 1 }, (_, n) => n + 10);
  const path = wayTo(
    CLIENTS[4],
    [
      {
        dst: "default",
        nexthops: numbers.map((n) => ({ gateway: `10.1.1.${n}`, dev: "eth1" })),
      },
    ],
    numbers.map((n) => neighbour(`10.1.1.${n}`, "eth1", `02:00:00:00:01:${n}`)),
  );
  t.is(path.hops.length, WEIR_HOPS_MAX);
  t.deepEqual(path.problems, [{ reason: "tooMany", at: CLIENTS[4] }]);
});

test("planNeighbours() asks once for each neighbour that the kernel does not keep resolved", (t) => {
  const route = { dst: "10.3.0.0/16", gateway: "10.1.1.1", dev: "eth1" };
  const gateway = { address: "10.1.1.1", device: "eth1" };
  const plan = (...entries: object[]) => {
    const paths = ["10.3.1.2", "10.3.2.2"].map((destination) =>
      wayTo(destination, [route], entries),
    );
    return planNeighbours(paths, kernel("", [], entries).neighbours);
  };
  const learnt = neighbour("10.1.1.1", "eth1");
  t.deepEqual(plan().manage, [gateway]);
  t.deepEqual(plan(learnt).manage, [gateway]);
  t.deepEqual(plan({ ...learnt, managed: null }).manage, []);
  t.deepEqual(
    plan({ ...learnt, state: ["PERMANENT"] }).manage,
    [],
    "an entry that was set by hand would lose its MAC",
  );
});

test("planNeighbours() releases what only weir wanted and no longer wants", (t) => {
  const kept = { managed: null, protocol: "87" };
  const { manage, release } = planNeighbours(
    [],
    kernel(
      "",
      [],
      [
        { ...neighbour("10.1.1.1", "eth1"), ...kept },
        { ...neighbour("10.1.1.2", "eth1"), managed: null },
        { ...neighbour("10.1.1.3", "eth1"), protocol: "87" },
      ],
    ).neighbours,
  );
  t.deepEqual(manage, []);
  t.deepEqual(
    release.map(({ address }) => address),
    ["10.1.1.1"],
    "neighbours that others manage, or nobody, are not weir's",
  );
});

/** The way to `destination` by the first of `routes`, over the links above. */
function wayTo(
  destination: string,
  routes: readonly object[],
  neighbours: readonly object[],
) {
  return resolve(
    destination,
    kernel(destination, routes, neighbours),
    INTERFACES,
  );
}

function kernel(
  destination: string,
  routes: readonly object[],
  neighbours: readonly object[],
): Kernel {
  const [route] = decodeRoutes(routes);
  const links = decodeLinks(LINKS);
  return {
    links: new Map(links.map((one) => [one.name, one])),
    neighbours: new Map(
      decodeNeighbours(neighbours).map((one) => [neighbourKey(one), one]),
    ),
    routes: new Map(route === undefined ? [] : [[destination, route]]),
  };
}

function link(fields: object): object {
  return {
    flags: ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"],
    mtu: 1500,
    link_type: "ether",
    address: SMAC,
    ...fields,
  };
}

function vlan(
  parent: string | undefined,
  id: number,
  protocol = "802.1Q",
): object {
  const data = { protocol, id, flags: ["REORDER_HDR"] };
  const where =
    parent === undefined
      ? { link_index: 9, link_netnsid: 0 }
      : { link: parent };
  return { ...where, linkinfo: { info_kind: "vlan", info_data: data } };
}

function neighbour(dst: string, dev: string, lladdr = DMAC): object {
  return { dst, dev, lladdr, state: ["REACHABLE"] };
}
