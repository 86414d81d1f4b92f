// SPDX-License-Identifier: Apache-2.0
// What the drills make of what they have measured.

import test from "ava";
import { AGENT_KILL, type AgentKillRun } from "../../ops/drill/agent-kill.ts";
import {
  countConnections,
  openDuring,
  slowestMs,
  sumBytes,
} from "../../ops/drill/connections.ts";
import {
  DAEMON_KILL,
  type DaemonKillRun,
} from "../../ops/drill/daemon-kill.ts";
import { inTurn, summarise } from "../../ops/drill/drill.ts";
import {
  parseEvent,
  type Exchange,
  type Outcome,
} from "../../ops/drill/events.ts";
import { GapRecorder, stallOf, worstStall } from "../../ops/drill/gaps.ts";
import { randomFrom } from "../../ops/drill/random.ts";
import { parseRouteChange, windowOf } from "../../ops/drill/route-watch.ts";
import { LabError } from "../../ops/lab/errors.ts";
import type { Family } from "../../src/model.ts";

test("stallOf() gives the 99th percentile by nearest rank, and the longest", (t) => {
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1);
  t.deepEqual(stallOf(hundred), { p99: 99, max: 100 });
  t.deepEqual(stallOf([7.04]), { p99: 7, max: 7 });
  t.deepEqual(stallOf([]), { p99: 0, max: 0 });
});

test("GapRecorder counts the gap that is still open", (t) => {
  const recorder = new GapRecorder();
  t.deepEqual(recorder.stall(50), { p99: 0, max: 0 }, "nothing was read yet");
  for (const atMs of [100, 110, 130]) recorder.read(atMs);
  t.is(recorder.stall(131).max, 20);
  t.is(recorder.stall(530).max, 400);
  t.is(recorder.stall(131).max, 20, "asking has changed something");
});

test("worstStall() is never better than one of its parts", (t) => {
  const stalls = [
    { p99: 11, max: 20 },
    { p99: 10, max: 90 },
  ];
  t.deepEqual(worstStall(stalls), { p99: 11, max: 90 });
  t.deepEqual(worstStall([]), { p99: 0, max: 0 });
});

test("randomFrom() repeats itself for the same seed only", (t) => {
  const draw = (seed: number) => Array.from({ length: 50 }, randomFrom(seed));
  t.deepEqual(draw(7), draw(7));
  t.notDeepEqual(draw(7), draw(8));
  t.true(draw(7).every((value) => value >= 0 && value < 1));
  const mean = draw(7).reduce((a, b) => a + b, 0) / 50;
  t.true(mean > 0.3 && mean < 0.7, `the mean is ${mean}`);
});

test("inTurn() gives each director its turn", (t) => {
  const order = inTurn(4, () => 0.99);
  t.deepEqual(order, ["d3", "d1", "d2", "d3"]);
  t.deepEqual(
    inTurn(1, () => 0),
    ["d1"],
  );
});

/** Recorded from iproute2 6.1 while FRR 8.4 took d1 out and in again. */
const MONITOR = `[2026-11-20T07:40:03.615422] blackhole 198.51.100.0/24
[2026-11-20T07:40:04.399543] 10.200.0.0/24 proto bgp metric 20 \\\tnexthop via 10.1.2.2 dev eth2 weight 1 \\\tnexthop via 10.1.3.2 dev eth3 weight 1
[2026-11-20T07:40:04.399601] Deleted 10.200.0.0/28 via 10.1.1.2 dev eth1 proto bgp metric 20
[2026-11-20T07:40:04.399611] 192.0.2.10 proto bgp metric 20 \\\tnexthop via 10.1.2.2 dev eth2 weight 1 \\\tnexthop via 10.1.3.2 dev eth3 weight 1
[2026-11-20T07:40:11.413731] 192.0.2.10 proto bgp metric 20 \\\tnexthop via 10.1.1.2 dev eth1 weight 1 \\\tnexthop via 10.1.2.2 dev eth2 weight 1
[2026-11-20T07:40:11.413797] 10.200.0.0/28 via 10.1.1.2 dev eth1 proto bgp metric 20
[2026-11-20T07:40:11.413807] 10.200.0.0/24 proto bgp metric 20 \\\tnexthop via 10.1.1.2 dev eth1 weight 1 \\\tnexthop via 10.1.2.2 dev eth2 weight 1
[2026-11-20T07:40:12.000000] local fe80::1 dev eth22 table local proto kernel metric 0 pref medium
[2026-11-20T07:40:28.799086] Deleted 2001:db8:200::1:0/124 via 2001:db8:1:1::2 dev eth1 proto bgp metric 20 pref medium
[2026-11-20T07:40:28.869552] 2001:db8:200::/64 proto bgp metric 20 pref medium\\\tnexthop via 2001:db8:1:2::2 dev eth2 weight 1 \\\tnexthop via 2001:db8:1:3::2 dev eth3 weight 1
[2026-11-20T07:40:28.869560] 2001:db8:ffff::10 proto bgp metric 20 pref medium\\\tnexthop via 2001:db8:1:2::2 dev eth2 weight 1 \\\tnexthop via 2001:db8:1:3::2 dev eth3 weight 1
`;
const MINUTE_MS = Date.parse("2026-11-20T07:40:00Z");
const changes = MONITOR.split("\n").flatMap(
  (line) => parseRouteChange(`${line} `) ?? [],
);

test("parseRouteChange() reads time, prefix and gateways", (t) => {
  t.is(changes.length, 10, "not exactly the routes were read");
  t.deepEqual(
    changes.slice(1, 3).map((change) => ({
      ...change,
      atMs: Math.round((change.atMs - MINUTE_MS) * 1000),
    })),
    [
      {
        atMs: 4_399_543,
        prefix: "10.200.0.0/24",
        gateways: ["10.1.2.2", "10.1.3.2"],
      },
      { atMs: 4_399_601, prefix: "10.200.0.0/28", gateways: [] },
    ],
  );
  t.deepEqual(
    changes.slice(7, 9).map(({ prefix, gateways }) => [prefix, ...gateways]),
    [
      ["2001:db8:200::1:0/124"],
      ["2001:db8:200::/64", "2001:db8:1:2::2", "2001:db8:1:3::2"],
    ],
  );
});

test("windowOf() spans the changes of all three routes", (t) => {
  const window = (present: boolean, sinceMs: number, family: Family = 4) => {
    const found = windowOf(
      changes,
      { director: "d1", family },
      present,
      MINUTE_MS + sinceMs,
    );
    return (
      found &&
      [found.fromMs, found.toMs].map((ms) => (ms - MINUTE_MS).toFixed(3))
    );
  };
  t.deepEqual(window(false, 4_000), ["4399.543", "4399.611"]);
  t.deepEqual(window(true, 5_000), ["11413.731", "11413.807"]);
  t.is(window(true, 11_413.8), undefined, "an older change was counted");
  t.deepEqual(window(false, 20_000, 6), ["28799.086", "28869.560"]);
  const d3 = { director: "d3", family: 4 } as const;
  t.is(windowOf(changes, d3, false, MINUTE_MS), undefined);
});

function exchange(
  outcome: Outcome,
  beginMs: number,
  endMs: number,
  bytesVerified = 0,
): Exchange {
  return {
    ...{ id: 0, path: "/", outcome, beginMs, endMs, bytesVerified },
    ...{ port: 1, lip: "", server: "", stallMs: { p99: 0, max: 0 } },
  };
}

const EXCHANGES = [
  exchange("complete", 0, 10.4, 1024),
  exchange("stopped", 0, 900, 2_000),
  exchange("reset", 95, 105),
  exchange("timedOut", 50, 5_050),
  exchange("corrupted", 300, 310),
  exchange("endedEarly", 100, 120),
  exchange("moved", 400, 410),
];

test("countConnections() counts what did not deliver, by reason", (t) => {
  t.deepEqual(countConnections(EXCHANGES), {
    ...{ opened: 7, broken: 5, reset: 1, timedOut: 1, corrupted: 1, moved: 1 },
  });
  t.is(sumBytes(EXCHANGES), 3_024);
  t.is(slowestMs(EXCHANGES), 10, "one that is not complete was counted");
});

test("openDuring() is about the edges too", (t) => {
  const ends = (fromMs: number, toMs: number) =>
    openDuring(EXCHANGES, [{ fromMs, toMs }]).map(({ outcome }) => outcome);
  t.deepEqual(ends(105, 105), ["stopped", "reset", "timedOut", "endedEarly"]);
  t.deepEqual(ends(106, 106), ["stopped", "timedOut", "endedEarly"]);
  t.deepEqual(ends(0, 49), ["complete", "stopped"]);
});

test("parseEvent() refuses what is not an event", (t) => {
  t.deepEqual(parseEvent('{"event":"ready"}'), { event: "ready" });
  for (const line of ["", "Error: no", '{"event":"begun"}'])
    t.throws(() => parseEvent(line), { instanceOf: LabError });
});

const RUN = {
  director: "d1",
  connections: {
    ...{ opened: 100, broken: 0, reset: 0, timedOut: 0, corrupted: 0 },
    moved: 0,
  },
  excused: 0,
  bytesVerified: 1,
  stallMs: { p99: 12, max: 199.9 },
  restored: true,
  msToRestore: 1_000,
  ownDelayMs: 5,
  slowestRequestMs: 9,
} as const;

const AGENT_RUN: AgentKillRun = {
  ...RUN,
  client: "10.10.1.2:40000",
  awayMs: 10_000,
  forwardedPerSecond: [345, 900],
  sessionKept: true,
};

const DAEMON_RUN: DaemonKillRun = {
  ...RUN,
  msToWithdraw: 72,
  inFlightBroken: 0,
  inFlightOpen: 9,
  brokenAfterChange: 0,
  agentUntouched: true,
};

test("AGENT_KILL is content with what lies within its bounds", (t) => {
  t.deepEqual(AGENT_KILL.judge(AGENT_RUN), []);
});

for (const { changed, problem } of [
  {
    changed: { connections: { ...RUN.connections, broken: 1, reset: 1 } },
    problem: "1 of 100 connections broke",
  },
  {
    changed: { stallMs: { p99: 12, max: 200 } },
    problem: "a transfer stood still for 200 ms, not less than 200 ms",
  },
  {
    changed: { forwardedPerSecond: [900, 344, 900] },
    problem:
      "in one second without the agent 344 packets were forwarded, less than 345",
  },
  { changed: { restored: false }, problem: "the agent did not come back" },
  {
    changed: { sessionKept: false },
    problem: "the transfer's session is not there any more",
  },
])
  test(`AGENT_KILL says that ${problem}`, (t) => {
    t.deepEqual(AGENT_KILL.judge({ ...AGENT_RUN, ...changed }), [problem]);
  });

test("DAEMON_KILL is content with what lies within its bounds", (t) => {
  t.deepEqual(DAEMON_KILL.judge(DAEMON_RUN), []);
});

for (const { changed, problem } of [
  {
    changed: { inFlightBroken: 2 },
    problem:
      "2 connections broke that were open while the router's routes changed",
  },
  {
    changed: { brokenAfterChange: 1 },
    problem:
      "1 connections broke that were not open while the router's routes changed",
  },
  {
    changed: { connections: { ...RUN.connections, broken: 1, corrupted: 1 } },
    problem: "1 connections got wrong bytes",
  },
  { changed: { restored: false }, problem: "the routes did not come back" },
  {
    changed: { msToRestore: 10_001 },
    problem: "the routes came back after 10001 ms, not within 10000 ms",
  },
  {
    changed: { agentUntouched: false },
    problem: "the agent is not the same process",
  },
])
  test(`DAEMON_KILL says that ${problem}`, (t) => {
    t.deepEqual(DAEMON_KILL.judge({ ...DAEMON_RUN, ...changed }), [problem]);
  });

const EXAMINED = {
  sync: "on",
  tablesEqual: true,
  msToEqual: 300,
  fingerprints: {},
  seconds: 9,
  lagMs: { p50: 1, p99: 4 },
} as const;

const PLAIN = { seed: 7, control: false, family: 6, protocol: "tcp" } as const;

test("summarise() tells the worst of all runs", (t) => {
  const worse = {
    ...{ ...AGENT_RUN, ...EXAMINED },
    lagMs: { p50: 2, p99: 3 },
    excused: 1,
    director: "d2",
    connections: { ...RUN.connections, broken: 3, timedOut: 3 },
    stallMs: { p99: 11, max: 250 },
    forwardedPerSecond: [400],
  } as const;
  const runs = [{ ...AGENT_RUN, ...EXAMINED }, worse];
  const result = summarise(AGENT_KILL, PLAIN, runs, []);
  t.like(result, {
    scenario: "agent-kill",
    ...{ family: 6, protocol: "tcp", seed: 7 },
    ...{ sync: "on", tablesEqual: true, broken: 3, excused: 1 },
    lagMs: { p50: 2, p99: 4 },
    ok: false,
    worst: {
      ...{ broken: 3, reset: 0, timedOut: 3, corrupted: 0 },
      stallMs: { p99: 12, max: 250 },
      restored: true,
      forwardedPerSecond: { min: 345 },
    },
    problems: [
      "d2: 3 of 100 connections broke",
      "d2: a transfer stood still for 250 ms, not less than 200 ms",
    ],
  });
  t.deepEqual(result.runs[0]?.problems, []);
});

test("summarise() is not content without a run, or with a failure", (t) => {
  t.like(summarise(DAEMON_KILL, PLAIN, [], []), {
    ...{ ok: false, tablesEqual: null, lagMs: null },
    problems: ["there was no run"],
  });
  const run = { ...DAEMON_RUN, ...EXAMINED };
  t.like(summarise(DAEMON_KILL, PLAIN, [run], ["no rack"]), {
    ok: false,
    problems: ["no rack"],
  });
});

test("summarise() is not content with tables that differ", (t) => {
  const run = { ...DAEMON_RUN, ...EXAMINED, tablesEqual: false, msToEqual: 9 };
  t.like(summarise(DAEMON_KILL, PLAIN, [run], []), {
    ...{ ok: false, tablesEqual: false },
    problems: ["d1: the directors' tables still differ 9 ms after the traffic"],
  });
});
