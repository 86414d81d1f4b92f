// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import { WeirError } from "../../src/errors.ts";
import {
  decodeLinks,
  decodeNeighbourEvent,
  decodeNeighbours,
  decodeRoutes,
} from "../../src/node/rtnetlink.ts";

test("decodeLinks() reads a VLAN device and a link without carrier", (t) => {
  const answer: unknown = JSON.parse(
    `[{"ifindex":2,"link_index":2,"ifname":"eth1","flags":["NO-CARRIER","BROADCAST","MULTICAST","UP"],"mtu":1500,"qdisc":"noqueue","operstate":"DOWN","link_type":"ether","address":"82:82:5c:c9:22:55","link_netnsid":0,"linkinfo":{"info_kind":"veth"}},
      {"ifindex":5,"link":"eth1","ifname":"eth1.5","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":1496,"link_type":"ether","address":"82:82:5c:c9:22:55","linkinfo":{"info_kind":"vlan","info_data":{"protocol":"802.1Q","id":5,"flags":["REORDER_HDR"]}}}]`,
  );
  const mac = "82:82:5c:c9:22:55";
  t.deepEqual(decodeLinks(answer), [
    {
      name: "eth1",
      ifindex: 2,
      mac,
      mtu: 1500,
      ethernet: true,
      up: false,
    },
    {
      name: "eth1.5",
      ifindex: 5,
      mac,
      mtu: 1496,
      ethernet: true,
      up: true,
      vlan: { parent: "eth1", id: 5, protocol: "802.1Q" },
    },
  ]);
});

test("decodeNeighbours() reads what iproute2 6.1 prints", (t) => {
  const answer: unknown = JSON.parse(
    `[{"dst":"10.0.0.77","dev":"e0","managed":null,"state":["INCOMPLETE"],"protocol":"87"},
      {"dst":"10.0.0.2","dev":"e0","lladdr":"7a:5f:42:02:a8:c0","state":["PERMANENT"]}]`,
  );
  t.deepEqual(decodeNeighbours(answer), [
    {
      address: "10.0.0.77",
      device: "e0",
      managed: true,
      permanent: false,
      protocol: "87",
    },
    {
      address: "10.0.0.2",
      device: "e0",
      managed: false,
      permanent: true,
      mac: "7a:5f:42:02:a8:c0",
    },
  ]);
});

test("decodeRoutes() reads one way, several ways and none", (t) => {
  const answer: unknown = JSON.parse(
    `[{"type":"unicast","dst":"10.8.0.0/16","gateway":"10.0.0.2","dev":"e0","table":"main","protocol":"boot","scope":"global","metric":20,"flags":[],"metrics":[{"mtu":1300}]},
      {"dst":"10.6.0.0/16","tos":"0x10","nhid":10,"flags":[],"nexthops":[{"gateway":"10.0.0.3","dev":"e0","weight":2,"flags":[]},{"encap":"ip","via":{"family":"inet6","host":"fe80::1"},"dev":"e1","weight":1,"flags":["linkdown"]}]},
      {"type":"blackhole","dst":"192.0.2.10","flags":[]}]`,
  );
  const plain = { weight: 1, tunnelled: false };
  t.deepEqual(decodeRoutes(answer), [
    {
      type: "unicast",
      mtu: 1300,
      metric: 20,
      special: false,
      nexthops: [{ gateway: "10.0.0.2", device: "e0", ...plain }],
    },
    {
      type: "unicast",
      mtu: 0,
      metric: 0,
      special: true,
      nexthops: [
        { gateway: "10.0.0.3", device: "e0", weight: 2, tunnelled: false },
        { gateway: "fe80::1", device: "e1", weight: 1, tunnelled: true },
      ],
    },
    { type: "blackhole", mtu: 0, metric: 0, special: false, nexthops: [] },
  ]);
});

test("decodeRoutes() reads IPv6 routes, and knows those for some senders only", (t) => {
  const answer: unknown = JSON.parse(
    `[{"type":"unicast","dst":"default","from":"2001:db8:77::/64","gateway":"fe80::a","dev":"e0","protocol":"boot","scope":"global","metric":9,"flags":[],"pref":"medium"},
      {"type":"unicast","dst":"default","protocol":"boot","scope":"global","metric":50,"flags":[],"pref":"medium","nexthops":[{"gateway":"fe80::9","dev":"e0","weight":1,"flags":[]},{"gateway":"2001:db8:1::3","dev":"e0","weight":3,"flags":[]}]},
      {"type":"blackhole","dst":"2001:db8:9::1","dev":"lo","protocol":"87","metric":1024,"flags":[],"pref":"medium"}]`,
  );
  const hop = { device: "e0", tunnelled: false };
  t.like(decodeRoutes(answer), [
    { special: true, metric: 9 },
    {
      special: false,
      metric: 50,
      nexthops: [
        { gateway: "fe80::9", weight: 1, ...hop },
        { gateway: "2001:db8:1::3", weight: 3, ...hop },
      ],
    },
    { type: "blackhole" },
  ]);
});

test("decodeLinks(), decodeNeighbours() and decodeRoutes() refuse other shapes", (t) => {
  for (const decode of [decodeLinks, decodeNeighbours, decodeRoutes])
    for (const answer of [undefined, null, {}, "", [1], [[]]])
      t.throws(
        () => decode(answer),
        { instanceOf: WeirError },
        `took ${JSON.stringify(answer)} for an answer`,
      );
  t.throws(() => decodeLinks([{ ifname: "eth1" }]), { instanceOf: WeirError });
  t.throws(() => decodeRoutes([{ dev: 7 }]), { instanceOf: WeirError });
});

test("decodeNeighbourEvent() reads a neighbour that came, changed or went", (t) => {
  const name = { address: "10.0.0.3", device: "e0" };
  const mac = "7a:5f:42:02:a8:c0";
  t.deepEqual(
    decodeNeighbourEvent(
      `[NEIGH]10.0.0.3 dev e0 lladdr ${mac} managed REACHABLE `,
    ),
    { ...name, mac, deleted: false },
  );
  t.deepEqual(
    decodeNeighbourEvent(
      `[NEIGH]Deleted 10.0.0.3 dev e0 lladdr ${mac} managed REACHABLE `,
    ),
    { ...name, mac, deleted: true },
  );
  t.deepEqual(
    decodeNeighbourEvent("[NEIGH]10.0.0.3 dev e0 managed INCOMPLETE "),
    { ...name, deleted: false },
  );
  t.deepEqual(
    decodeNeighbourEvent(`[NEIGH]fe80::5 dev e0 lladdr ${mac} router STALE `),
    { address: "fe80::5", device: "e0", mac, deleted: false },
  );
  t.is(
    decodeNeighbourEvent("[ROUTE]10.9.0.0/16 via 10.0.0.2 dev e0 "),
    undefined,
  );
});
