// SPDX-License-Identifier: Apache-2.0
import test, { type ExecutionContext } from "ava";
import { isLeft } from "fp-ts/lib/Either.js";
import type { ConfigError } from "../../src/errors.ts";
import { SERVERS_PER_SERVICE_MAX } from "../../src/node/check.ts";
import { type Host, loadConfig } from "../../src/node/config.ts";
import { parseAddresses } from "../../src/node/host.ts";

const SOUND = `
cluster: rack
aggregate: 10.200.0.0/24
nodes:
  d1:
    interfaces: [eth1]
    pool: 10.200.0.0/28
    routing: { asn: 65001, router_id: 10.1.1.2, listen: [10.1.1.2], neighbors: [{ address: 10.1.1.1, asn: 65000 }] }
  d2:
    interfaces: [eth1]
    pool: 10.200.0.16/28
    routing: { asn: 65001, router_id: 10.1.2.2, listen: [10.1.2.2], neighbors: [{ address: 10.1.2.1, asn: 65000 }] }
services:
  - { name: web, vip: 192.0.2.10, port: 80, servers: [{ address: 10.3.1.2, port: 80 }, { address: 10.3.2.2, port: 80 }] }
  - { name: tls, vip: 192.0.2.10, port: 443, servers: [{ address: 10.3.1.2, port: 443 }] }
`;

type Expected = {
  readonly path: string;
  readonly value?: unknown;
  readonly message: RegExp;
};

function errorsOf(text: string, host?: Host): readonly ConfigError[] {
  const loaded = loadConfig(text, host);
  return isLeft(loaded) ? loaded.left : [];
}

function same(
  t: ExecutionContext,
  errors: readonly ConfigError[],
  expected: readonly Expected[],
): void {
  t.deepEqual(
    errors.map(({ path }) => path),
    expected.map(({ path }) => path),
    JSON.stringify(errors, null, 2),
  );
  for (const [index, { value, message }] of expected.entries()) {
    t.regex(errors[index]?.message ?? "", message);
    if (value !== undefined) t.deepEqual(errors[index]?.value, value);
    t.not(errors[index]?.hint, "", "an error comes without a hint");
  }
}

test("checkDraft() finds nothing in a sound file", (t) => {
  same(t, errorsOf(SOUND), []);
});

/** What to change in SOUND, and all errors that must follow. */
const UNSOUND: Readonly<
  Record<
    string,
    { change: readonly [string, string]; expected: readonly Expected[] }
  >
> = {
  "overlapping pools of two nodes": {
    change: ["10.200.0.16/28", "10.200.0.0/27"],
    expected: [
      {
        path: "nodes.d2.pool",
        value: "10.200.0.0/27",
        message: /^overlaps the pool of d1, 10\.200\.0\.0\/28$/,
      },
    ],
  },
  "a pool outside the aggregate": {
    change: ["10.200.0.16/28", "10.200.1.0/28"],
    expected: [
      {
        path: "nodes.d2.pool",
        value: "10.200.1.0/28",
        message: /^is outside the aggregate, 10\.200\.0\.0\/24$/,
      },
    ],
  },
  "a pool that contains the node's own address": {
    change: [
      "router_id: 10.1.1.2, listen: [10.1.1.2]",
      "router_id: 10.1.1.2, listen: [10.200.0.2]",
    ],
    expected: [
      {
        path: "nodes.d1.routing.listen[0]",
        value: "10.200.0.2",
        message: /is within the pool of d1/,
      },
    ],
  },
  "a router_id within another node's pool": {
    change: ["router_id: 10.1.1.2", "router_id: 10.200.0.18"],
    expected: [
      {
        path: "nodes.d1.routing.router_id",
        message: /is within the pool of d2/,
      },
    ],
  },
  "a neighbor within the aggregate": {
    change: ["address: 10.1.1.1,", "address: 10.200.0.99,"],
    expected: [
      {
        path: "nodes.d1.routing.neighbors[0].address",
        message: /is within the aggregate, 10\.200\.0\.0\/24/,
      },
    ],
  },
  "a real server within the aggregate": {
    change: ["address: 10.3.2.2", "address: 10.200.0.99"],
    expected: [
      {
        path: "services[0].servers[1].address",
        message: /is within the aggregate/,
      },
    ],
  },
  "a VIP within the aggregate": {
    change: ["vip: 192.0.2.10, port: 443", "vip: 10.200.0.99, port: 443"],
    expected: [
      {
        path: "services[1].vip",
        value: "10.200.0.99",
        message: /is within the aggregate/,
      },
    ],
  },
  "a VIP that is a real server": {
    change: ["vip: 192.0.2.10, port: 443", "vip: 10.3.2.2, port: 443"],
    expected: [
      { path: "services[1].vip", message: /is also a server of service web/ },
    ],
  },
  "a VIP on which the node listens": {
    change: ["vip: 192.0.2.10, port: 443", "vip: 10.1.2.2, port: 443"],
    expected: [
      {
        path: "services[1].vip",
        message: /is also an address that d2 listens on/,
      },
    ],
  },
  "a VIP that is not unicast": {
    change: ["vip: 192.0.2.10, port: 443", "vip: 224.0.0.5, port: 443"],
    expected: [
      { path: "services[1].vip", message: /is not a unicast address/ },
    ],
  },
  "a pool with host bits": {
    change: ["10.200.0.16/28", "10.200.0.17/28"],
    expected: [
      {
        path: "nodes.d2.pool",
        value: "10.200.0.17/28",
        message: /has host bits set/,
      },
    ],
  },
  "two nodes with one router_id": {
    change: ["router_id: 10.1.2.2", "router_id: 10.1.1.2"],
    expected: [
      {
        path: "nodes.d2.routing.router_id",
        message: /is also the router_id of d1/,
      },
    ],
  },
  "an interface named twice": {
    change: ["interfaces: [eth1]", "interfaces: [eth1, eth2, eth1]"],
    expected: [
      {
        path: "nodes.d1.interfaces[2]",
        value: "eth1",
        message: /stands in this list twice/,
      },
    ],
  },
  "a node without interfaces": {
    change: ["interfaces: [eth1]", "interfaces: []"],
    expected: [{ path: "nodes.d1.interfaces", message: /has no interface/ }],
  },
  "a duplicate service": {
    change: ["port: 443, servers", "port: 80, servers"],
    expected: [
      {
        path: "services[1]",
        value: "192.0.2.10:80/tcp",
        message: /is a duplicate service: service web has this VIP/,
      },
    ],
  },
  "two services of one name": {
    change: ["name: tls", "name: web"],
    expected: [
      {
        path: "services[1].name",
        value: "web",
        message: /name of an earlier service/,
      },
    ],
  },
  "a duplicate server": {
    change: ["address: 10.3.2.2", "address: 10.3.1.2"],
    expected: [
      {
        path: "services[0].servers[1]",
        value: "10.3.1.2:80",
        message: /is a duplicate server/,
      },
    ],
  },
  "more services than the limit": {
    change: ["cluster: rack", "cluster: rack\nlimits: { services: 1 }"],
    expected: [
      {
        path: "services",
        value: 2,
        message: /more services than limits\.services allows, 1/,
      },
    ],
  },
  "more servers than the limit": {
    change: ["cluster: rack", "cluster: rack\nlimits: { real_servers: 2 }"],
    expected: [
      {
        path: "services",
        value: 3,
        message: /more real servers in all than limits\.real_servers allows, 2/,
      },
    ],
  },
};

for (const [what, { change, expected }] of Object.entries(UNSOUND)) {
  test(`checkDraft() refuses ${what}`, (t) => {
    t.true(SOUND.includes(change[0]), "the change changes nothing");
    same(t, errorsOf(SOUND.replace(...change)), expected);
  });
}

test("checkDraft() refuses nodes whose names make one origin number", (t) => {
  const text = SOUND.replace("  d1:", "  node-522789:").replace(
    "  d2:",
    "  node-739192:",
  );
  same(t, errorsOf(text), [
    {
      path: "nodes.node-739192",
      value: "node-739192",
      message: /has the origin number of node node-522789/,
    },
  ]);
});

test("checkDraft() refuses more servers than a schedule is made for", (t) => {
  const servers = Array.from(
    { length: SERVERS_PER_SERVICE_MAX + 1 },
    (_, index) => `{ address: 10.3.1.2, port: ${index + 1} }`,
  );
  const text = SOUND.replace(
    "{ address: 10.3.1.2, port: 443 }",
    servers.join(", "),
  ).replace("rack", "rack\nlimits: { real_servers: 2000 }");
  same(t, errorsOf(text), [
    {
      path: "services[1].servers",
      value: 1001,
      message: /more than 1000 servers/,
    },
  ]);
});

test("checkDraft() refuses a file without nodes", (t) => {
  same(
    t,
    errorsOf(
      "cluster: rack\naggregate: 10.200.0.0/24\nnodes: {}\nservices: []",
    ),
    [{ path: "nodes", message: /has no node/ }],
  );
});

test("checkDraft() compares what could be decoded beside what could not", (t) => {
  const text = SOUND.replace("10.200.0.16/28", "10.200.0.8/29")
    .replace("asn: 65001", "asn: many")
    .replace("name: tls", "name: web");
  same(t, errorsOf(text), [
    { path: "nodes.d1.routing.asn", message: /is not an AS number/ },
    { path: "nodes.d2.pool", message: /overlaps/ },
    { path: "services[1].name", message: /earlier service/ },
  ]);
});

const OWN: Host = {
  addresses: [
    { interface: "lo", address: "127.0.0.1" },
    { interface: "eth1", address: "10.1.1.2" },
    { interface: "eth1", address: "10.200.0.5" },
    { interface: "eth2", address: "10.200.0.200" },
  ],
};

test("checkDraft() refuses a pool that contains an interface's own address", (t) => {
  same(t, errorsOf(SOUND, OWN), [
    {
      path: "nodes.d1.pool",
      value: "10.200.0.0/28",
      message: /contains 10\.200\.0\.5, an address of this machine's eth1/,
    },
  ]);
});

test("checkDraft() refuses a node's own address in the aggregate", (t) => {
  same(t, errorsOf(SOUND, { ...OWN, node: "d1" }), [
    {
      path: "aggregate",
      value: "10.200.0.0/24",
      message: /contains 10\.200\.0\.200, an address of this machine's eth2/,
    },
    { path: "nodes.d1.pool", message: /contains 10\.200\.0\.5/ },
  ]);
});

test("checkDraft() refuses to be a node that the file does not name", (t) => {
  const [error, ...others] = errorsOf(SOUND, { addresses: [], node: "d3" });
  t.like(error, {
    path: "nodes",
    value: "d3",
    message: "has no node of the name d3",
  });
  t.deepEqual(others, []);
});

test("parseAddresses() reads what ip prints", (t) => {
  const answer: unknown = JSON.parse(
    `[{"ifindex":1,"ifname":"lo","addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8},{"family":"inet6","local":"::1"}]},
      {"ifindex":2,"ifname":"eth1","operstate":"DOWN","addr_info":[{"family":"inet","local":"10.1.1.2","prefixlen":24},{}]}]`,
  );
  t.deepEqual(parseAddresses(answer), [
    { interface: "lo", address: "127.0.0.1" },
    { interface: "lo", address: "::1" },
    { interface: "eth1", address: "10.1.1.2" },
  ]);
  t.throws(() => parseAddresses({ error: "no" }), {
    message: /Cannot read this machine's addresses/,
  });
});
