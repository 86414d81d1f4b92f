// SPDX-License-Identifier: Apache-2.0
import test, { type ExecutionContext } from "ava";
import { isRight } from "fp-ts/lib/Either.js";
import { loadConfig } from "../../src/node/config.ts";
import { warningsOf } from "../../src/node/warnings.ts";
import { errorsOf } from "./config-file.ts";

const TLS = "tls: { ca: /ca.pem, cert: /node.pem, key: /node.key }";
const SERVERS = 'servers: ["nats://10.0.0.1:4222"]';

/** Three nodes with these buses; undefined for none. */
function cluster(
  bus: string,
  ...nodeBuses: readonly (string | undefined)[]
): string {
  const nodes = nodeBuses.map(
    (nodeBus, index) => `
  d${index + 1}:
    interfaces: [eth1]
    pool: 10.200.0.${16 * index}/28
    routing: { asn: 65001, router_id: 10.1.${index + 1}.2, listen: [], neighbors: [] }
    ${nodeBus === undefined ? "" : `bus: ${nodeBus}`}`,
  );
  return `
cluster: rack
aggregate: 10.200.0.0/24
bus: { ${bus} }
nodes:${nodes.join("")}
services:
  - { name: web, vip: 192.0.2.10, port: 80, servers: [] }
`;
}

/** [path, value, message] of each error. */
function refused(text: string): readonly (readonly unknown[])[] {
  return errorsOf(text).map(({ path, value, message }) => [
    path,
    value,
    message,
  ]);
}

function warned(t: ExecutionContext, text: string): readonly string[] {
  const loaded = loadConfig(text);
  if (!isRight(loaded)) return t.fail(JSON.stringify(loaded.left));
  return warningsOf(loaded.right).map(
    ({ path, message }) => `${path} ${message}`,
  );
}

const BUSES = [
  "{ address: 10.1.1.2 }",
  "{ address: 10.1.2.2 }",
  '{ address: "2001:db8::3" }',
] as const;

test("checkBus() accepts a bus on each node, on none, and servers in place of all", (t) => {
  t.deepEqual(refused(cluster(TLS, ...BUSES)), []);
  t.deepEqual(refused(cluster("", undefined, undefined)), []);
  t.deepEqual(refused(cluster(SERVERS, undefined, undefined)), []);
  t.deepEqual(refused(cluster(SERVERS, BUSES[0], undefined)), []);
});

test("checkBus() names the nodes without a bus, and those that have one", (t) => {
  t.deepEqual(refused(cluster("", BUSES[0], undefined, BUSES[2])), [
    ["nodes.d2.bus", null, "is missing, and d1, d3 have one"],
  ]);
  t.deepEqual(refused(cluster("", undefined, BUSES[1], undefined)), [
    ["nodes.d1.bus", null, "is missing, and d2 has one"],
    ["nodes.d3.bus", null, "is missing, and d2 has one"],
  ]);
});

test("checkBus() does not miss a bus that is there and malformed", (t) => {
  t.deepEqual(refused(cluster("", BUSES[0], "tcp")), [
    ["nodes.d2.bus", "tcp", "is not a mapping"],
  ]);
});

test("checkBus() refuses one address for two nodes, however it is written", (t) => {
  t.deepEqual(
    refused(
      cluster(
        "",
        '{ address: "2001:db8::3" }',
        '{ address: "2001:DB8:0:0::3", client_port: 4223, cluster_port: 6223 }',
      ),
    ),
    [["nodes.d2.bus.address", "2001:db8::3", "is also the bus address of d1"]],
  );
});

test("checkBus() refuses one port for agents and servers", (t) => {
  t.deepEqual(
    refused(cluster("", "{ address: 10.1.1.2, client_port: 6222 }")),
    [["nodes.d1.bus.cluster_port", 6222, "is the client_port too"]],
  );
});

test("checkBus() refuses a server that is named twice", (t) => {
  t.deepEqual(
    refused(
      cluster(
        'servers: ["nats://a:4222", "nats://b:4222", "nats://a:4222"]',
        undefined,
      ),
    ),
    [["bus.servers[2]", "nats://a:4222", "stands in this list twice"]],
  );
});

test("checkDraft() refuses a bus address that is a VIP, in a pool, or not unicast", (t) => {
  t.deepEqual(
    refused(
      cluster(
        "",
        "{ address: 192.0.2.10 }",
        "{ address: 10.200.0.2 }",
        "{ address: 127.0.0.1 }",
      ),
    ),
    [
      [
        "nodes.d2.bus.address",
        "10.200.0.2",
        "is within the pool of d1, 10.200.0.0/28",
      ],
      ["nodes.d3.bus.address", "127.0.0.1", "is not a unicast address"],
      ["services[0].vip", "192.0.2.10", "is also the bus address of d1"],
    ],
  );
});

test("warningsOf() says that sessions are not shared without a bus", (t) => {
  t.deepEqual(warned(t, cluster("", undefined, undefined)), [
    "nodes have no bus: sessions are not shared, and break when their node dies or leaves",
  ]);
});

test("warningsOf() has nothing to say of a node alone, or of a bus with TLS", (t) => {
  t.deepEqual(warned(t, cluster("", undefined)), []);
  t.deepEqual(warned(t, cluster("", BUSES[0])), []);
  t.deepEqual(warned(t, cluster(TLS, ...BUSES)), []);
  t.deepEqual(
    warned(
      t,
      cluster('servers: ["tls://10.0.0.1:4222"]', undefined, undefined),
    ),
    [],
  );
});

test("warningsOf() says that a bus without TLS is open", (t) => {
  const open =
    "bus.tls is missing: whoever reaches the bus can read and change the sessions";
  t.deepEqual(warned(t, cluster("", ...BUSES)), [open]);
  t.deepEqual(warned(t, cluster(SERVERS, undefined, undefined)), [open]);
});

test("warningsOf() names the nodes whose bus is not used", (t) => {
  t.deepEqual(warned(t, cluster(`${SERVERS}, ${TLS}`, undefined, BUSES[1])), [
    "nodes.d2.bus is not used: bus.servers names the NATS servers",
  ]);
});
