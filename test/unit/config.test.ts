// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import { isLeft, isRight } from "fp-ts/lib/Either.js";
import { type Cluster, formatPrefix } from "../../src/model.ts";
import { formatPlace, loadConfig, readConfig } from "../../src/node/config.ts";
import { errorOf, errorsOf, MINIMAL } from "./config-file.ts";

function clusterOf(t: ExecutionContext, text: string): Cluster {
  const loaded = loadConfig(text);
  if (isRight(loaded)) return loaded.right;
  return t.fail(JSON.stringify(loaded.left, null, 2));
}

test("loadConfig() fills in every default", (t) => {
  t.deepEqual(clusterOf(t, MINIMAL), {
    name: "rack",
    aggregates: [{ address: "10.200.0.0", length: 24 }],
    unknownPort: "drop",
    ipOptions: "pass",
    limits: {
      sessions: 131072,
      wideSessions: 1024,
      services: 256,
      realServers: 1024,
    },
    bus: { servers: [] },
    nodes: [
      {
        name: "d1",
        origin: 0x881d13e6,
        interfaces: ["eth1"],
        pools: [{ address: "10.200.0.0", length: 28 }],
        ports: { min: 1024, max: 65535 },
        routing: {
          backend: "gobgp",
          socket: "/run/gobgpd.sock",
          asn: 65001,
          routerId: "10.1.1.2",
          listen: [],
          neighbors: [{ address: "10.1.1.1", asn: 65000, holdTimeMs: 9_000 }],
        },
      },
    ],
    services: [
      {
        name: "web",
        vip: "192.0.2.10",
        ports: { min: 80, max: 80 },
        protocol: "tcp",
        scheduler: "maglev",
        timeouts: {
          handshakeMs: 60_000,
          establishedMs: 900_000,
          closedMs: 60_000,
          resetMs: 10_000,
        },
        health: {
          type: "tcp",
          path: "/",
          intervalMs: 1_000,
          timeoutMs: 1_000,
          rise: 2,
          fall: 3,
        },
        sync: { policy: "immediate" },
        servers: [{ address: "10.3.1.2", port: 8080, weight: 1 }],
      },
    ],
  });
});

test("loadConfig() accepts the sample, whose optional keys show their defaults", (t) => {
  const sample = clusterOf(
    t,
    readFileSync(
      new URL("../../ops/config/weir.yaml", import.meta.url),
      "utf8",
    ),
  );
  const minimal = clusterOf(t, MINIMAL);
  const { sessions, services, realServers } = minimal.limits;
  t.deepEqual(sample.limits, {
    sessions,
    wideSessions: sessions,
    services,
    realServers,
  });
  t.is(sample.unknownPort, minimal.unknownPort);
  t.is(sample.ipOptions, minimal.ipOptions);
  t.deepEqual(sample.nodes[0]?.ports, minimal.nodes[0]?.ports);
  t.is(sample.nodes[0]?.routing.backend, minimal.nodes[0]?.routing.backend);
  t.is(sample.nodes[0]?.routing.socket, minimal.nodes[0]?.routing.socket);
  t.is(
    sample.nodes[0]?.routing.neighbors[0]?.holdTimeMs,
    minimal.nodes[0]?.routing.neighbors[0]?.holdTimeMs,
  );
  t.deepEqual(sample.services[0]?.timeouts, minimal.services[0]?.timeouts);
  t.deepEqual(sample.services[0]?.sync, minimal.services[0]?.sync);
  t.is(sample.services[0]?.scheduler, minimal.services[0]?.scheduler);
  t.is(
    sample.services[0]?.servers[0]?.weight,
    minimal.services[0]?.servers[0]?.weight,
  );
  const { health } = sample.services[0] ?? {};
  t.like(health, { intervalMs: 1_000, timeoutMs: 1_000, rise: 2, fall: 3 });
});

test("loadConfig() reads the bus, the metrics address and each sync policy", (t) => {
  const cluster = clusterOf(
    t,
    MINIMAL.replace(
      "cluster: rack",
      "cluster: rack\nbus: { tls: { ca: /ca, cert: /cert, key: /key } }",
    )
      .replace(
        "interfaces: [eth1]",
        "interfaces: [eth1]\n    bus: { address: 2001:DB8:0::2, cluster_port: 7000 }\n    metrics: { listen: '[::1]:9550' }",
      )
      .replace("port: 80\n", "port: 80\n    sync: { after: 5s }\n"),
  );
  t.deepEqual(cluster.bus, {
    servers: [],
    tls: { ca: "/ca", cert: "/cert", key: "/key" },
  });
  t.deepEqual(cluster.nodes[0]?.bus, {
    address: "2001:db8::2",
    clientPort: 4222,
    clusterPort: 7000,
  });
  t.deepEqual(cluster.nodes[0]?.metrics, { address: "::1", port: 9550 });
  t.deepEqual(cluster.services[0]?.sync, { policy: "after", afterMs: 5_000 });
  for (const policy of ["immediate", "established", "off"] as const)
    t.deepEqual(
      clusterOf(
        t,
        MINIMAL.replace("port: 80\n", `port: 80\n    sync: ${policy}\n`),
      ).services[0]?.sync,
      { policy },
    );
});

test("loadConfig() has defaults of its own for UDP", (t) => {
  const [service] = clusterOf(
    t,
    MINIMAL.replace("port: 80\n", "port: 80\n    protocol: udp\n"),
  ).services;
  t.like(service, {
    protocol: "udp",
    timeouts: { handshakeMs: 30_000, establishedMs: 120_000 },
    health: { type: "none" },
  });
});

test("loadConfig() reads one port, a range, and all of them", (t) => {
  for (const [text, ports] of [
    ["port: 53", { min: 53, max: 53 }],
    ["ports: 8000-8999", { min: 8000, max: 8999 }],
    ["ports: 80-80", { min: 80, max: 80 }],
    ["ports: all", { min: 0, max: 65535 }],
  ] as const)
    t.deepEqual(
      clusterOf(t, MINIMAL.replace("port: 80", text)).services[0]?.ports,
      ports,
    );
});

test("loadConfig() takes the client's port for a real server without one", (t) => {
  const portOf = (service: string) =>
    clusterOf(
      t,
      MINIMAL.replace("port: 80\n", `${service}\n`).replace(", port: 8080", ""),
    ).services[0]?.servers[0]?.port;
  t.is(portOf("port: 80"), 80);
  t.is(portOf("ports: 80-80"), 80);
  t.is(portOf("ports: all\n    health: { port: 80 }"), 0);
});

test("loadConfig() reads prefixes of both families, IPv4 first, and canonical addresses", (t) => {
  const cluster = clusterOf(
    t,
    MINIMAL.replace(
      "aggregate: 10.200.0.0/24",
      "aggregate: [2001:DB8:200:0::/64, 10.200.0.0/24]",
    )
      .replace(
        "pool: 10.200.0.0/28",
        "pool: [2001:db8:200:0::/112, 10.200.0.0/28]",
      )
      .replace("10.1.1.1", "2001:DB8:1::0:1")
      .replace("10.3.1.2", "2001:db8:3:0:0::2"),
  );
  t.deepEqual(cluster.aggregates.map(formatPrefix), [
    "10.200.0.0/24",
    "2001:db8:200::/64",
  ]);
  t.deepEqual(cluster.nodes[0]?.pools.map(formatPrefix), [
    "10.200.0.0/28",
    "2001:db8:200::/112",
  ]);
  t.is(cluster.nodes[0]?.routing.neighbors[0]?.address, "2001:db8:1::1");
  t.is(cluster.services[0]?.servers[0]?.address, "2001:db8:3::2");
});

test("loadConfig() has room for as many wide sessions as narrow ones where there is IPv6", (t) => {
  const wideOf = (...changes: readonly (readonly [string, string])[]) =>
    clusterOf(
      t,
      changes.reduce((text, change) => text.replace(...change), MINIMAL),
    ).limits.wideSessions;
  const [aggregate, pool] = [
    ["10.200.0.0/24", "[10.200.0.0/24, 2001:db8:200::/64]"],
    ["10.200.0.0/28", "[10.200.0.0/28, 2001:db8:200::/112]"],
  ] as const;
  t.is(wideOf(), 1_024);
  t.is(wideOf(["192.0.2.10", "2001:db8::10"]), 131_072);
  t.is(wideOf(aggregate, pool, ["10.3.1.2", "2001:db8:3::2"]), 131_072);
  t.is(wideOf(aggregate), 131_072);
  const given =
    "cluster: rack\nlimits: { sessions: 2000, wide_sessions: 5000 }";
  t.is(wideOf(["cluster: rack", given]), 5_000);
});

test("loadConfig() reads how unknown ports and IP options are treated", (t) => {
  const cluster = clusterOf(
    t,
    MINIMAL.replace(
      "cluster: rack",
      "cluster: rack\nunknown_port: reject\nip_options: drop",
    ),
  );
  t.like(cluster, { unknownPort: "reject", ipOptions: "drop" });
});

test("loadConfig() tells the line and the column of a value", (t) => {
  const { line, column } = errorOf(t, "port: 80\n", "port: 70000\n");
  t.deepEqual({ line, column }, { line: 12, column: 11 });
});

test("loadConfig() tells all errors at once, in the order of the lines", (t) => {
  const errors = errorsOf(
    MINIMAL.replace("10.200.0.0/28", "10.201.0.0/28")
      .replace("asn: 65000", "asn: none")
      .replace("port: 80\n", "port: 0\n    prot: tcp\n"),
  );
  t.deepEqual(
    errors.map(({ path }) => path),
    [
      "nodes.d1.pool",
      "nodes.d1.routing.neighbors[0].asn",
      "services[0].port",
      "services[0].prot",
    ],
  );
});

for (const [what, text] of [
  ["an empty file", ""],
  ["a file of comments", "# nothing\n---\n# here\n"],
] as const) {
  test(`loadConfig() refuses ${what}`, (t) => {
    t.like(errorsOf(text), [
      { path: "", value: null, message: "the file is empty" },
    ]);
  });
}

for (const text of [
  "cluster: [1, 2\nnodes: }",
  "\tcluster: rack",
  "a: *nowhere",
  "%YAML 9\n---\n{",
  "a: 1\n---\nb: 2",
]) {
  test(`loadConfig() says that ${JSON.stringify(text)} is not YAML`, (t) => {
    const [first] = errorsOf(text);
    t.is(first?.path, "");
    t.regex(first?.message ?? "", /^the file is not YAML: /);
  });
}

test("loadConfig() tells the line of what is not YAML", (t) => {
  t.like(errorsOf("cluster: rack\nnodes: }"), [{ line: 2, column: 8 }]);
});

test("loadConfig() refuses YAML that is no mapping", (t) => {
  t.like(errorsOf("hello"), [
    { path: "", value: "hello", message: "the file is not a mapping" },
  ]);
  t.like(errorsOf("- cluster: rack"), [
    { path: "", message: "the file is not a mapping" },
  ]);
});

test("loadConfig() refuses a key that stands twice, and still tells the other errors", (t) => {
  const errors = errorsOf(
    MINIMAL.replace("port: 80\n", "port: 80\n    port: 70000\n"),
  );
  t.is(errors.length, 2);
  t.true(errors.some(({ message }) => /must be unique/.test(message)));
  t.true(errors.some(({ value }) => value === 70000));
});

test("loadConfig() survives a value that contains itself", (t) => {
  const error = errorOf(t, "interfaces: [eth1]", "interfaces: &all [*all]");
  t.like(error, {
    path: "nodes.d1.interfaces[0]",
    value: "a value that contains itself",
  });
});

test("loadConfig() gives the same answer for whatever text, without throwing", (t) => {
  const pieces = fc.constantFrom(
    ...MINIMAL.split(/(?<=[\n:,])/),
    "- ",
    "[",
    "&a ",
    "*a",
    "!!str ",
    "null",
    "__proto__: ",
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 40 }), (parts) => {
      t.deepEqual(loadConfig(parts.join("")), loadConfig(parts.join("")));
    }),
    { numRuns: 200 },
  );
});

test("readConfig() tells of a file that it cannot read", async (t) => {
  const loaded = await readConfig("/nonexistent/weir.yaml");
  t.true(
    isLeft(loaded) &&
      /cannot be read: ENOENT/.test(loaded.left[0]?.message ?? ""),
  );
});

test("formatPlace() quotes keys that are not plain", (t) => {
  t.is(
    formatPlace(["nodes", "d 1", "interfaces", 0]),
    'nodes["d 1"].interfaces[0]',
  );
  t.is(formatPlace([]), "");
});
