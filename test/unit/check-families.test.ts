// SPDX-License-Identifier: Apache-2.0
// What a config may get wrong about address families, protocols and ranges of ports.
import test from "ava";
import { type Host, loadConfig } from "../../src/node/config.ts";
import { isLeft } from "fp-ts/lib/Either.js";

const SOUND = `
cluster: rack
aggregate: [10.200.0.0/24, 2001:db8:200::/64]
nodes:
  d1:
    interfaces: [eth1]
    pool: [10.200.0.0/28, 2001:db8:200::1:0/112]
    routing: { asn: 65001, router_id: 10.1.1.2, listen: [2001:db8:1::2], neighbors: [{ address: 2001:db8:1::1, asn: 65000 }] }
  d2:
    interfaces: [eth1]
    pool: [10.200.0.16/28, 2001:db8:200::2:0/112]
    routing: { asn: 65001, router_id: 10.1.2.2, listen: [10.1.2.2], neighbors: [{ address: 10.1.2.1, asn: 65000 }] }
services:
  - { name: web, vip: 2001:db8::10, port: 80, servers: [{ address: 10.3.1.2, port: 80 }, { address: 10.3.2.2, port: 80 }] }
  - { name: dns, vip: 2001:db8::10, port: 53, protocol: udp, servers: [{ address: 2001:db8:3::2, port: 53 }] }
  - { name: data, vip: 192.0.2.10, ports: 8000-8999, servers: [{ address: 10.3.1.2, port: 80 }] }
  - { name: rest, vip: 192.0.2.11, ports: all, protocol: udp, servers: [{ address: 10.3.1.2 }] }
  - { name: out, vip: 192.0.2.11, port: 53, protocol: udp, servers: [{ address: 10.3.1.2 }] }
`;

/** `path: message` of each error. */
function errorsOf(text: string, host?: Host): readonly string[] {
  const loaded = loadConfig(text, host);
  return isLeft(loaded)
    ? loaded.left.map(({ path, message }) => `${path}: ${message}`)
    : [];
}

test("checkDraft() finds nothing in a sound file of both families", (t) => {
  t.deepEqual(errorsOf(SOUND), []);
});

/** What to change in SOUND, and all errors that must follow. */
const UNSOUND: Readonly<
  Record<string, readonly [change: readonly [string, string], ...string[]]>
> = {
  "two prefixes of one family": [
    ["[10.200.0.0/24, 2001:db8:200::/64]", "[10.200.0.0/24, 10.201.0.0/24]"],
    "aggregate[1]: stands beside 10.200.0.0/24, of the same family",
    "nodes.d1.pool[1]: is IPv6, and the aggregate has no IPv6 prefix",
    "nodes.d2.pool[1]: is IPv6, and the aggregate has no IPv6 prefix",
  ],
  "a pool without a prefix": [
    ["[10.200.0.16/28, 2001:db8:200::2:0/112]", "[]"],
    "nodes.d2.pool: has no prefix",
  ],
  "an IPv6 pool that cannot be counted through": [
    ["2001:db8:200::2:0/112", "2001:db8:200:0:1::/95"],
    "nodes.d2.pool[1]: is larger than a /96",
  ],
  "an IPv6 pool outside the aggregate": [
    ["2001:db8:200::2:0/112", "2001:db8:201::/112"],
    "nodes.d2.pool[1]: is outside the aggregate, 2001:db8:200::/64",
  ],
  "IPv6 pools that overlap": [
    ["2001:db8:200::2:0/112", "2001:db8:200::/104"],
    "nodes.d2.pool[1]: overlaps the pool of d1, 2001:db8:200::1:0/112",
  ],
  "an IPv6 pool with host bits": [
    ["2001:db8:200::2:0/112", "2001:db8:200::2:1/112"],
    "nodes.d2.pool[1]: has host bits set",
  ],
  "an IPv6 aggregate that has all IPv4 addresses in it": [
    ["2001:db8:200::/64", '"::/80"'],
    "aggregate[1]: has addresses that are not unicast",
    "nodes.d1.pool[1]: is outside the aggregate, ::/80",
    "nodes.d2.pool[1]: is outside the aggregate, ::/80",
  ],
  "a pool of only one of the families that real servers speak": [
    ["[10.200.0.16/28, 2001:db8:200::2:0/112]", "10.200.0.16/28"],
    "nodes.d2.pool: has no IPv6 prefix, and the real servers of service dns speak IPv6",
  ],
  "real servers of both families in one service": [
    ["{ address: 10.3.2.2, port: 80 }", "{ address: 2001:db8:3::3, port: 80 }"],
    "services[0].servers[1].address: is IPv6, and 10.3.1.2 of service web is IPv4",
  ],
  "an IPv6 VIP within a pool": [
    ["vip: 2001:db8::10, port: 80", "vip: 2001:db8:200::1:5, port: 80"],
    "services[0].vip: is within the pool of d1, 2001:db8:200::1:0/112",
  ],
  "an IPv6 VIP that is a real server, however it is written": [
    ["vip: 2001:db8::10, port: 80", "vip: 2001:DB8:3:0::2, port: 80"],
    "services[0].vip: is also a server of service dns",
  ],
  "an address that means another machine on each link": [
    ["listen: [2001:db8:1::2]", 'listen: ["fe80::2"]'],
    "nodes.d1.routing.listen[0]: is not a unicast address",
  ],
  "IPv6's own address of the machine": [
    ["address: 2001:db8:3::2", 'address: "::1"'],
    "services[1].servers[0].address: is not a unicast address",
  ],
  "ranges of ports that overlap": [
    [
      "- { name: rest,",
      "- { name: more, vip: 192.0.2.10, ports: 8999-9000, servers: [{ address: 10.3.1.2, port: 80 }] }\n  - { name: rest,",
    ],
    "services[3]: overlaps service data, 192.0.2.10:8000-8999/tcp",
  ],
  "the same range twice": [
    [
      "- { name: rest,",
      "- { name: more, vip: 192.0.2.10, ports: 8000-8999, servers: [{ address: 10.3.1.2, port: 80 }] }\n  - { name: rest,",
    ],
    "services[3]: is a duplicate service: service data has this VIP, port and protocol too",
  ],
  "the same real server twice, once with the client's port": [
    [
      "port: 53, protocol: udp, servers: [{ address: 10.3.1.2 }]",
      "port: 53, protocol: udp, servers: [{ address: 10.3.1.2 }, { address: 10.3.1.2, port: 53 }]",
    ],
    "services[4].servers[1]: is a duplicate server of this service",
  ],
  "a check of UDP": [
    [
      "port: 53, protocol: udp, servers: [{ address: 2001",
      "port: 53, protocol: udp, health: { type: http }, servers: [{ address: 2001",
    ],
    "services[1].health.port: is missing: type http needs one, because nobody connects to a UDP port",
  ],
  "a check where a real server has no port": [
    [
      "servers: [{ address: 10.3.1.2, port: 80 }] }\n  - { name: rest",
      "servers: [{ address: 10.3.1.2 }] }\n  - { name: rest",
    ],
    "services[2].health.port: is missing: type tcp needs one, because servers[0] has none of its own",
  ],
};

for (const [what, [change, ...expected]] of Object.entries(UNSOUND)) {
  test(`checkDraft() refuses ${what}`, (t) => {
    t.true(SOUND.includes(change[0]), "the change changes nothing");
    t.deepEqual(errorsOf(SOUND.replace(...change)), expected);
  });
}

const SOUND_TOO: Readonly<
  Record<string, readonly [found: string, replacement: string]>
> = {
  "the same port over TCP and UDP": [
    "port: 53, protocol: udp, servers: [{ address: 2001",
    "port: 80, protocol: udp, servers: [{ address: 2001",
  ],
  "the same range of another VIP": [
    "vip: 192.0.2.11, ports: all",
    "vip: 192.0.2.12, ports: all",
  ],
  "a check of UDP on a port of its own": [
    "port: 53, protocol: udp, servers: [{ address: 2001",
    "port: 53, protocol: udp, health: { type: http, port: 8080 }, servers: [{ address: 2001",
  ],
  "a /96 as a pool": ["2001:db8:200::2:0/112", "2001:db8:200:0:1::/96"],
};

for (const [what, change] of Object.entries(SOUND_TOO)) {
  test(`checkDraft() accepts ${what}`, (t) => {
    t.true(SOUND.includes(change[0]), "the change changes nothing");
    t.deepEqual(errorsOf(SOUND.replace(...change)), []);
  });
}

test("checkDraft() refuses an IPv6 pool that contains an interface's own address", (t) => {
  const addresses = [{ interface: "eth1", address: "2001:db8:200::1:7" }];
  t.deepEqual(errorsOf(SOUND, { addresses }), [
    "nodes.d1.pool[1]: contains 2001:db8:200::1:7, an address of this machine's eth1",
  ]);
});

test("checkDraft() says no more about a place whose value is malformed", (t) => {
  const text = SOUND.replace(
    "port: 53, protocol: udp, servers: [{ address: 2001",
    "port: 53, protocol: udp, health: { type: http, port: 0 }, servers: [{ address: 2001",
  );
  t.deepEqual(errorsOf(text), ["services[1].health.port: is not a port"]);
});
