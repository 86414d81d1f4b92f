// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { connect } from "node:net";
import test, { type ExecutionContext } from "ava";
import { COUNTER_NOTES } from "../../src/admin/counter-notes.ts";
import { WeirError } from "../../src/errors.ts";
import { silentLog } from "../../src/log.ts";
import type { AdminSource } from "../../src/node/admin.ts";
import { syncMessageOf } from "../../src/node/admin-sync.ts";
import { type MetricsServer, serveMetrics } from "../../src/node/metrics.ts";
import { makeSource } from "./admin-source.ts";

const ANY_PORT = { address: "127.0.0.1", port: 0 };

async function serve(
  t: ExecutionContext,
  overrides: Partial<AdminSource> = {},
): Promise<MetricsServer> {
  const server = await serveMetrics(makeSource(overrides), ANY_PORT, silentLog);
  t.teardown(() => server.close());
  return server;
}

async function get(
  { port }: MetricsServer,
  path = "/metrics",
  method = "GET",
): Promise<{
  readonly status: number;
  readonly type: string | null;
  readonly text: string;
}> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method });
  return {
    status: response.status,
    type: response.headers.get("content-type"),
    text: await response.text(),
  };
}

/** The value behind `name{labels}`; NaN if the text does not have it. */
function valueOf(text: string, sample: string): number {
  const line = text.split("\n").find((one) => one.startsWith(`${sample} `));
  return Number(line?.slice(sample.length + 1) ?? NaN);
}

test("serveMetrics() answers a scrape with what its source says", async (t) => {
  const { status, type, text } = await get(await serve(t));
  t.is(status, 200);
  t.is(type, "text/plain; version=0.0.4; charset=utf-8");
  const server = 'service="web",server="10.3.1.2:80"';
  const values = {
    weir_received_total: 10_000,
    weir_forwarded_total: 9_999,
    weir_drop_ttl_total: 1,
    weir_counter_of_a_newer_agent_total: 5,
    weir_forwarding: 1,
    weir_agent_start_time_seconds: Date.UTC(2026, 0, 2, 3, 4, 5) / 1_000,
    'weir_interface_attached{interface="eth1"}': 1,
    'weir_sessions{state="half_open"}': 2,
    'weir_sessions{state="established"}': 9,
    'weir_sessions{state="closing"}': 1,
    'weir_table_load{table="narrow"}': 0.015,
    'weir_table_load{table="wide"}': 0.625,
    weir_table_entries: 12,
    weir_table_slots: 1_200,
    'weir_service_announced{service="web"}': 1,
    'weir_service_servers_up{service="web"}': 2,
    'weir_service_sessions{service="web"}': 1_234,
    [`weir_server_up{${server}}`]: 1,
    'weir_server_up{service="web",server="10.3.2.2:80"}': 0,
    'weir_server_weight{service="web",server="10.3.3.2:80"}': 0,
    'weir_server_up{service="dns",server="2001:db8:3::2"}': 1,
    [`weir_server_sessions{${server}}`]: 7,
    [`weir_server_sessions_created_total{${server}}`]: 4_000,
    [`weir_server_packets_total{${server},direction="in"}`]: 1_234_567,
    [`weir_server_packets_total{${server},direction="out"}`]: 99,
    [`weir_server_bytes_total{${server},direction="in"}`]: 2 ** 63,
    weir_routing_up: 1,
    'weir_bgp_neighbor_up{neighbor="10.1.1.1"}': 1,
    'weir_route_announced{prefix="10.200.0.0/28",kind="pool"}': 0,
  };
  for (const [sample, value] of Object.entries(values))
    t.is(valueOf(text, sample), value, sample);
});

test("serveMetrics() tells of session sync, without what only others know", async (t) => {
  const { text } = await get(await serve(t));
  const values = {
    weir_sync_synced: 1,
    weir_sync_bus_up: 1,
    'weir_sync_peer_heard{peer="d2"}': 1,
    'weir_sync_peer_heard{peer="d3"}': 0,
    'weir_sync_peer_synced{peer="d2"}': 1,
    'weir_sync_peer_problems{peer="d2"}': 1,
    'weir_sync_lag_seconds{from="d2",to="d1",quantile="0.5"}': 0.0008,
    'weir_sync_lag_seconds{from="d2",to="d1",quantile="0.99"}': 0.0125,
    'weir_sync_lag_seconds{from="d1",to="d2",quantile="0.5"}': NaN,
    'weir_sync_behind_messages{from="d2",to="d1"}': 2,
    'weir_sync_behind_messages{from="d1",to="d2"}': 1,
    'weir_sync_queue_bytes{from="d2",to="d1"}': 9_600,
    'weir_sync_digest_equal{from="d1",to="d2"}': 1,
    'weir_sync_pair_gaps_total{from="d2",to="d1"}': 3,
    'weir_sync_pair_gaps_total{from="d1",to="d2"}': NaN,
    'weir_sync_pair_resends_total{from="d2",to="d1"}': 2,
    weir_sync_records_not_on_all: 40,
    weir_sync_records_on_none: 0,
    weir_sync_published_records_total: 70_000,
    weir_sync_conflicts_total: 0,
  };
  for (const [sample, value] of Object.entries(values))
    t.is(valueOf(text, sample), value, sample);
});

test("serveMetrics() says nothing of session sync without a bus", async (t) => {
  const server = await serve(t, {
    sync: async () =>
      syncMessageOf({
        names: ["d1"],
        self: "d1",
        status: undefined,
        sessions: 1,
        fingerprint: null,
      }),
  });
  t.false((await get(server)).text.includes("weir_sync"));
});

test("serveMetrics() gives each metric a help text and a type, each once", async (t) => {
  const { text } = await get(await serve(t));
  t.true(
    text.includes(
      `# HELP weir_received_total ${COUNTER_NOTES["received"]}\n# TYPE weir_received_total counter\n`,
    ),
  );
  const lines = text.split("\n").filter((line) => line !== "");
  const described = lines.flatMap(
    (line) => /^# HELP (\S+) \S/.exec(line)?.[1] ?? [],
  );
  const sampled = lines
    .filter((line) => !line.startsWith("#"))
    .map((line) => /^[a-z_]+/.exec(line)?.[0]);
  t.deepEqual([...new Set(sampled)], described);
  t.is(
    new Set(described).size,
    described.length,
    "a metric stands there twice",
  );
});

test("serveMetrics() makes no sample of what there is none of", async (t) => {
  const server = await serve(t, { servers: async () => [] });
  t.false((await get(server)).text.includes("weir_server_"));
});

test("serveMetrics() tells the state of each scrape, not the sum of all", async (t) => {
  let received = 7;
  const server = await serve(t, {
    counters: async () => [{ name: "received", value: received }],
  });
  t.is(valueOf((await get(server)).text, "weir_received_total"), 7);
  received = 9;
  t.is(valueOf((await get(server)).text, "weir_received_total"), 9);
});

test("serveMetrics() tells how late the event loop was", async (t) => {
  const server = await serve(t);
  const sample = 'weir_event_loop_delay_seconds{quantile="1"}';
  const deadline = performance.now() + 10_000;
  let late = 0;
  // A block that begins just after a scrape is not measured.
  while (late < 0.1 && performance.now() < deadline) {
    const until = performance.now() + 150;
    while (performance.now() < until);
    late = valueOf((await get(server)).text, sample);
  }
  t.true(late >= 0.1 && late < 5, `a block of 150 ms shows as ${late} s`);
});

test("serveMetrics() tells CPU time and memory of the process", async (t) => {
  const { text } = await get(await serve(t));
  t.true(valueOf(text, "process_cpu_seconds_total") > 0.05);
  t.true(valueOf(text, "process_resident_memory_bytes") > 10_000_000);
});

test("serveMetrics() has nothing on other paths and takes nothing", async (t) => {
  const server = await serve(t);
  t.like(await get(server, "/"), {
    status: 404,
    text: "The metrics are at /metrics\n",
  });
  t.is((await get(server, "/metrics?x=1")).status, 200);
  t.is((await get(server, "/metrics", "POST")).status, 405);
  t.like(await get(server, "/metrics", "HEAD"), { status: 200, text: "" });
});

test("serveMetrics() answers 500 when the agent cannot tell, and goes on", async (t) => {
  let fails = true;
  const server = await serve(t, {
    counters: async () => {
      if (fails) throw new Error("the map is gone");
      return [];
    },
  });
  const failed = await get(server);
  t.is(failed.status, 500);
  t.false(failed.text.includes("the map is gone"), "the network is told why");
  fails = false;
  t.is((await get(server)).status, 200);
});

test("serveMetrics() names the address that it cannot have", async (t) => {
  const { port } = await serve(t);
  await t.throwsAsync(
    serveMetrics(makeSource(), { ...ANY_PORT, port }, silentLog),
    {
      instanceOf: WeirError,
      message: new RegExp(
        `^Cannot serve metrics: .*EADDRINUSE.*: current value is 127\\.0\\.0\\.1, port ${port}$`,
      ),
    },
  );
});

test("serveMetrics() listens on IPv6", async (t) => {
  const server = await serveMetrics(
    makeSource(),
    { address: "::1", port: 0 },
    silentLog,
  );
  t.teardown(() => server.close());
  t.is((await fetch(`http://[::1]:${server.port}/metrics`)).status, 200);
});

test("close() frees the port and does not wait for who says nothing", async (t) => {
  const server = await serveMetrics(makeSource(), ANY_PORT, silentLog);
  const silent = connect(server.port, "127.0.0.1");
  await once(silent, "connect");
  const gone = once(silent, "close");
  await get(server);
  await server.close();
  await gone;
  const again = await serveMetrics(
    makeSource(),
    { ...ANY_PORT, port: server.port },
    silentLog,
  );
  t.is(again.port, server.port);
  await again.close();
});
