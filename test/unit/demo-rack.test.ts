// SPDX-License-Identifier: Apache-2.0
// What programs know of the rack, and how they read what it prints.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isLeft } from "fp-ts/lib/Either.js";
import test from "ava";
import { LabError } from "../../ops/lab/errors.ts";
import {
  directorOf,
  DIRECTORS,
  missingRoutes,
  RACK,
  SERVICES,
  until,
} from "../../ops/lab/rack.ts";
import {
  parseCounters,
  parsePerCpuCounter,
  parseRoutes,
  parseServers,
} from "../../ops/lab/reports.ts";
import { type Cluster, formatPorts, formatPrefix } from "../../src/model.ts";
import { loadConfig } from "../../src/node/config.ts";

test("RACK is what the rack's config says", (t) => {
  const file = new URL("../../ops/lab/rack/weir.yaml", import.meta.url);
  const loaded = loadConfig(readFileSync(file, "utf8"));
  if (isLeft(loaded)) return t.fail(JSON.stringify(loaded.left));
  const { aggregates, nodes, services } = loaded.right;
  t.deepEqual(aggregates.map(formatPrefix), [
    RACK.aggregate,
    RACK.ipv6.aggregate,
  ]);
  for (const [index, { directors }] of [RACK, RACK.ipv6].entries())
    t.deepEqual(
      nodes.map(({ name, pools, routing }) => [
        name,
        {
          address: routing.listen[index],
          pool: pools.map(formatPrefix)[index],
        },
      ]),
      Object.entries(directors),
    );
  const { nat64, nat46 } = RACK.translatedPorts;
  const own = Object.entries(RACK.ports);
  t.deepEqual(
    services.map(({ name, vip, ports, servers }) => [
      [name, vip, formatPorts(ports)],
      servers.map(({ address }) => address),
    ]),
    [
      ...own.map(([name, port]) => listed(name, RACK, port, RACK)),
      ...own.map(([name, port]) =>
        listed(`${name}6`, RACK.ipv6, port, RACK.ipv6),
      ),
      listed("nat64", RACK.ipv6, nat64, RACK),
      listed("nat46", RACK, nat46, RACK.ipv6),
    ],
  );
  t.deepEqual(
    services.map(({ name }) => name),
    SERVICES,
  );
});

/** A service at the VIP of one family, with the real servers of one. */
function listed(
  name: string,
  { vip }: { readonly vip: string },
  port: number,
  { realServers }: { readonly realServers: Readonly<Record<string, string>> },
) {
  return [[name, vip, String(port)], Object.values(realServers)];
}

function variantOf(variant: string): Cluster {
  const rack = join(import.meta.dirname, "../../ops/lab/rack");
  const script = join(rack, "variants", `${variant}.sed`);
  const text = execFileSync("sed", ["-f", script, join(rack, "weir.yaml")]);
  const loaded = loadConfig(text.toString());
  if (isLeft(loaded)) throw new Error(JSON.stringify(loaded.left));
  return loaded.right;
}

for (const variant of ["sync-off", "short-timeouts"])
  test(`RACK's variant ${variant} changes every service, to something valid`, (t) => {
    for (const { sync, timeouts } of variantOf(variant).services)
      if (variant === "sync-off") t.is(sync.policy, "off");
      else t.is(timeouts.establishedMs, 4_000);
  });

test("RACK's variant packets has more services, and is valid", (t) => {
  const { services } = variantOf("packets");
  const more = services.map(({ name }) => name).slice(SERVICES.length);
  t.deepEqual(more, [
    ...["iperf", "iperf-udp", "trace", "iperf6", "iperf-udp6", "trace6"],
  ]);
});

test("directorOf() goes by the pools", (t) => {
  t.is(directorOf("10.200.0.15"), "d1");
  t.is(directorOf("10.200.0.16"), "d2");
  t.is(directorOf("10.200.0.48"), undefined);
  t.is(directorOf("2001:db8:200::3:f"), "d3");
  t.is(directorOf("2001:db8:200::3:10"), undefined);
  t.is(directorOf(""), undefined);
});

const ROUTES = JSON.stringify([
  { dst: "10.1.1.0/24", dev: "eth1", flags: [] },
  { dst: "10.200.0.0/28", gateway: "10.1.1.2", dev: "eth1" },
  { dst: "10.200.0.16/28", gateway: "10.1.2.2", dev: "eth2" },
  ...["192.0.2.10", "10.200.0.0/24"].map((dst) => ({
    dst,
    nexthops: [{ gateway: "10.1.2.2" }, { gateway: "10.1.1.2" }],
  })),
  { dst: "2001:db8:200::1:0/124", gateway: "2001:db8:1:1::2", dev: "eth1" },
  { dst: "2001:db8:200::2:0/124", gateway: "2001:db8:1:2::2", dev: "eth2" },
  ...["2001:db8:ffff::10", "2001:db8:200::/64"].map((dst) => ({
    dst,
    nexthops: [{ gateway: "2001:db8:1:2::2" }, { gateway: "2001:db8:1:1::2" }],
  })),
]);

test("parseRoutes() lists one gateway, several, or none", (t) => {
  const routes = parseRoutes(ROUTES);
  t.deepEqual(routes.get("10.1.1.0/24"), []);
  t.deepEqual(routes.get("10.200.0.0/28"), ["10.1.1.2"]);
  t.deepEqual(routes.get("192.0.2.10"), ["10.1.2.2", "10.1.1.2"]);
});

test("missingRoutes() wants the routes of exactly these directors", (t) => {
  const routes = parseRoutes(ROUTES);
  t.is(missingRoutes(routes, ["d1", "d2"]), undefined);
  t.is(
    missingRoutes(routes, DIRECTORS),
    "the router has 192.0.2.10 via 10.1.1.2, 10.1.2.2, not via 10.1.1.2, 10.1.2.2, 10.1.3.2",
  );
  const late = new Map([...routes, ["10.200.0.32/28", ["10.1.3.2"]]] as const);
  t.is(
    missingRoutes(late, ["d1", "d2"]),
    "the router has 10.200.0.32/28 via 10.1.3.2, not via nobody",
  );
  t.is(
    missingRoutes(new Map([...routes, ["2001:db8:ffff::10", []]]), [
      "d1",
      "d2",
    ]),
    "the router has 2001:db8:ffff::10 via nobody, not via 2001:db8:1:1::2, 2001:db8:1:2::2",
  );
});

test("parsePerCpuCounter() adds up what all CPUs have counted", (t) => {
  const value = (forwarded: number) => ({ value: { received: 9, forwarded } });
  const dump = [{ formatted: { key: 0, values: [value(3), value(4)] } }];
  t.is(parsePerCpuCounter(JSON.stringify(dump), "forwarded"), 7);
});

test("parseCounters() and parseServers() say what they cannot read", (t) => {
  t.throws(() => parseCounters("no agent"), {
    instanceOf: LabError,
    message:
      "Cannot read `weir counters --json`: it is not JSON: current value is no agent",
  });
  t.throws(() => parseServers('[{"address": 1}]'), {
    instanceOf: LabError,
    message: /^Cannot read `weir servers --json`: Invalid value 1 /,
  });
});

test("until() asks until nothing is missing", async (t) => {
  const answers = ["not yet", "still not", undefined];
  await until("have it", async () => answers.shift(), 1_000);
  t.deepEqual(answers, []);
});

test("until() takes a LabError for something missing, and gives up", async (t) => {
  const probe = async () => {
    throw new LabError("nobody listens");
  };
  await t.throwsAsync(until("have it", probe, 10), {
    instanceOf: LabError,
    message: "Cannot have it: after 0.01 s, nobody listens",
  });
});
