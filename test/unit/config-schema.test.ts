// SPDX-License-Identifier: Apache-2.0
// What each key of the config file may hold.
import { readFileSync } from "node:fs";
import test from "ava";
import { errorOf } from "./config-file.ts";

test("the sample shows every key of the schema", (t) => {
  const sample = readFileSync(
    new URL("../../ops/config/weir.yaml", import.meta.url),
    "utf8",
  );
  const keys = ["config-schema.ts", "config-simulate.ts"].flatMap((name) => {
    const schema = readFileSync(
      new URL(`../../src/node/${name}`, import.meta.url),
      "utf8",
    );
    const fields = schema.slice(schema.lastIndexOf(' from "'));
    return [...fields.matchAll(/^ {2,4}([a-z_]+)(?::|,$)/gm)].flatMap(
      ([, key]) => key ?? [],
    );
  });
  t.true(keys.length > 35, `only ${keys.length} keys found in the schema`);
  const missing = keys.filter(
    (key) => !new RegExp(`^[ -]*([{] )?${key}:`, "m").test(sample),
  );
  t.deepEqual(missing, [], "the sample says nothing about these keys");
});

const MALFORMED: readonly (readonly [
  found: string,
  replacement: string,
  path: string,
  value: unknown,
  hint: RegExp,
])[] = [
  ["port: 80\n", "port: 70000\n", "services[0].port", 70000, /from 1 to 65535/],
  ["port: 80\n", 'port: "80"\n', "services[0].port", "80", /from 1 to 65535/],
  ["port: 80\n", "port: .nan\n", "services[0].port", "NaN", /from 1 to 65535/],
  [
    "port: 8080 }",
    "port: 8080, weight: -1 }",
    "services[0].servers[0].weight",
    -1,
    /from 0 to 65535/,
  ],
  [
    "port: 8080 }",
    "port: 8080, weight: 1.5 }",
    "services[0].servers[0].weight",
    1.5,
    /whole number/,
  ],
  [
    "port: 80\n",
    "port: 80\n    scheduler: magelv\n",
    "services[0].scheduler",
    "magelv",
    /did you mean "maglev"/,
  ],
  [
    "port: 80\n",
    "port: 80\n    scheduler: wlc\n",
    "services[0].scheduler",
    "wlc",
    /one of: maglev, rr/,
  ],
  [
    "port: 80\n",
    "port: 80\n    protocol: sctp\n",
    "services[0].protocol",
    "sctp",
    /one of: tcp, udp/,
  ],
  ["    port: 80\n", "", "services[0].port", null, /one of: port, ports/],
  [
    "port: 80\n",
    "port: 80\n    ports: all\n",
    "services[0].ports",
    "all",
    /only one of: port, ports/,
  ],
  ...["80", "0-80", "90-80", "80-65536", "any"].map(
    (ports) =>
      [
        "port: 80\n",
        `ports: "${ports}"\n`,
        "services[0].ports",
        ports,
        /lowest and highest, or all, such as 8000-8999/,
      ] as const,
  ),
  ...["closed", "reset"].map(
    (timeout) =>
      [
        "port: 80\n",
        `port: 80\n    protocol: udp\n    timeouts: { ${timeout}: 10s }\n`,
        `services[0].timeouts.${timeout}`,
        "10s",
        /remove it/,
      ] as const,
  ),
  [
    "port: 80\n",
    "port: 80\n    protocol: udp\n    timeouts: { finished: 10s }\n",
    "services[0].timeouts.finished",
    "10s",
    /keys known here: handshake, established/,
  ],
  [
    "port: 80\n",
    "port: 80\n    health: { port: 0 }\n",
    "services[0].health.port",
    0,
    /from 1 to 65535/,
  ],
  [
    "cluster: rack",
    "cluster: rack\nunknown_port: refuse",
    "unknown_port",
    "refuse",
    /one of: drop, reject/,
  ],
  [
    "cluster: rack",
    "cluster: rack\nip_options: reject",
    "ip_options",
    "reject",
    /one of: pass, drop/,
  ],
  [
    "cluster: rack",
    "cluster: rack\nlimits: { wide_sessions: 1023 }",
    "limits.wide_sessions",
    1023,
    /from 1024 to 16777216/,
  ],
  [
    "aggregate: 10.200.0.0/24",
    "aggregate: [10.200.0.0/24, 2001:db8::/129]",
    "aggregate[1]",
    "2001:db8::/129",
    /an address and a length, or a list/,
  ],
  [
    "router_id: 10.1.1.2",
    "router_id: 2001:db8::2",
    "nodes.d1.routing.router_id",
    "2001:db8::2",
    /four numbers/,
  ],
  [
    "port: 80\n",
    "port: 80\n    schedular: rr\n",
    "services[0].schedular",
    "rr",
    /did you mean "scheduler"/,
  ],
  [
    "port: 80\n",
    "port: 80\n    colour: red\n",
    "services[0].colour",
    "red",
    /keys known here: name, vip/,
  ],
  [
    "port: 80\n",
    "port: 80\n    timeouts: { established: 15 }\n",
    "services[0].timeouts.established",
    15,
    /500ms, 5s, 15m or 1h/,
  ],
  [
    "port: 80\n",
    "port: 80\n    timeouts: { closed: 10d }\n",
    "services[0].timeouts.closed",
    "10d",
    /from 1s to 168h/,
  ],
  [
    "port: 80\n",
    "port: 80\n    timeouts: { closed: 999h }\n",
    "services[0].timeouts.closed",
    "999h",
    /from 1s to 168h/,
  ],
  [
    "port: 80\n",
    "port: 80\n    health: { path: healthz }\n",
    "services[0].health.path",
    "healthz",
    /\/healthz/,
  ],
  [
    "port: 80\n",
    "port: 80\n    health:\n",
    "services[0].health",
    null,
    /mapping with the keys type, path/,
  ],
  [
    "192.0.2.10",
    "192.0.2.010",
    "services[0].vip",
    "192.0.2.010",
    /an IPv4 or IPv6 address/,
  ],
  [
    "192.0.2.10",
    '"::ffff:192.0.2.10"',
    "services[0].vip",
    "::ffff:192.0.2.10",
    /an IPv4 or IPv6 address/,
  ],
  ["    vip: 192.0.2.10\n", "", "services[0].vip", null, /an IPv4 or IPv6/],
  [
    "name: web",
    "name: Web Shop",
    "services[0].name",
    "Web Shop",
    /a-z, 0-9 and hyphen/,
  ],
  [
    "10.200.0.0/28",
    "10.200.0.0",
    "nodes.d1.pool",
    "10.200.0.0",
    /an address and a length/,
  ],
  [
    "interfaces: [eth1]",
    "interfaces: eth1",
    "nodes.d1.interfaces",
    "eth1",
    /write a list/,
  ],
  [
    "interfaces: [eth1]",
    "interfaces: [an_interface_of_a_long_name]",
    "nodes.d1.interfaces[0]",
    "an_interface_of_a_long_name",
    /1 to 15/,
  ],
  [
    "interfaces: [eth1]",
    "interfaces: [eth1]\n    ports: 2000-1000",
    "nodes.d1.ports",
    "2000-1000",
    /lowest and highest/,
  ],
  [
    "asn: 65000",
    "asn: 4294967296",
    "nodes.d1.routing.neighbors[0].asn",
    4294967296,
    /4294967295/,
  ],
  [
    "listen: []",
    "listen: [], socket: gobgpd.sock",
    "nodes.d1.routing.socket",
    "gobgpd.sock",
    /absolute path/,
  ],
  [
    "listen: []",
    "listen: [], routerId: 1",
    "nodes.d1.routing.routerId",
    1,
    /did you mean "router_id"/,
  ],
  [
    "port: 80\n",
    "port: 80\n    sync: establish\n",
    "services[0].sync",
    "establish",
    /did you mean "established"/,
  ],
  [
    "port: 80\n",
    "port: 80\n    sync: sometimes\n",
    "services[0].sync",
    "sometimes",
    /immediate, established, off or \{ after: 1s to 1h \}/,
  ],
  [
    "port: 80\n",
    "port: 80\n    sync: { after: 999ms }\n",
    "services[0].sync",
    { after: "999ms" },
    /\{ after: 1s to 1h \}/,
  ],
  [
    "port: 80\n",
    "port: 80\n    sync: { after: 61m }\n",
    "services[0].sync",
    { after: "61m" },
    /\{ after: 1s to 1h \}/,
  ],
  [
    "port: 80\n",
    "port: 80\n    sync: { after: 5s, before: 9s }\n",
    "services[0].sync",
    { after: "5s", before: "9s" },
    /\{ after: 1s to 1h \}/,
  ],
  [
    "interfaces: [eth1]",
    "interfaces: [eth1]\n    bus: { address: fe80::1%eth1 }",
    "nodes.d1.bus.address",
    "fe80::1%eth1",
    /an IPv4 or IPv6 address/,
  ],
  [
    "interfaces: [eth1]",
    "interfaces: [eth1]\n    bus: { address: bus.example.net }",
    "nodes.d1.bus.address",
    "bus.example.net",
    /an IPv4 or IPv6 address/,
  ],
  [
    "interfaces: [eth1]",
    "interfaces: [eth1]\n    bus: { address: 10.1.1.2, client_port: 65536 }",
    "nodes.d1.bus.client_port",
    65536,
    /from 1 to 65535/,
  ],
  [
    "interfaces: [eth1]",
    "interfaces: [eth1]\n    bus: { adress: 10.1.1.2, address: 10.1.1.2 }",
    "nodes.d1.bus.adress",
    "10.1.1.2",
    /did you mean "address"/,
  ],
  [
    "interfaces: [eth1]",
    "interfaces: [eth1]\n    bus:",
    "nodes.d1.bus",
    null,
    /mapping with the keys address, client_port/,
  ],
  ...["9550", "127.0.0.1", "localhost:9550", "127.0.0.1:0", "::1:9550"].map(
    (listen) =>
      [
        "interfaces: [eth1]",
        `interfaces: [eth1]\n    metrics: { listen: "${listen}" }`,
        "nodes.d1.metrics.listen",
        listen,
        /such as 127\.0\.0\.1:9550/,
      ] as const,
  ),
  ...["10.0.0.1:4222", "nats://10.0.0.1", "nats://a:b@10.0.0.1:4222"].map(
    (url) =>
      [
        "cluster: rack",
        `cluster: rack\nbus: { servers: ["${url}"] }`,
        "bus.servers[0]",
        url,
        /nats:\/\/10\.0\.0\.1:4222/,
      ] as const,
  ),
  [
    "cluster: rack",
    "cluster: rack\nbus: { tls: { ca: /ca.pem, cert: /node.pem } }",
    "bus.tls.key",
    null,
    /an absolute path/,
  ],
  [
    "cluster: rack",
    "cluster: rack\nbus: { tls: { ca: ca.pem, cert: /node.pem, key: /k } }",
    "bus.tls.ca",
    "ca.pem",
    /an absolute path/,
  ],
  ["  d1:\n", "  D_1:\n", "nodes.D_1", "D_1", /a-z, 0-9 and hyphen/],
];

for (const [found, replacement, path, value, hint] of MALFORMED) {
  test(`loadConfig() refuses ${JSON.stringify(replacement.trim() || `no ${found.trim()}`)}`, (t) => {
    const error = errorOf(t, found, replacement);
    t.is(error.path, path);
    t.deepEqual(error.value, value);
    t.regex(error.hint, hint);
    t.true(error.message.length > 0);
  });
}
