// SPDX-License-Identifier: Apache-2.0
// What the drills under load make of what they have measured.

import test from "ava";
import {
  summarise,
  type Examined,
  type Scenario,
} from "../../ops/drill/drill.ts";
import { readDownload } from "../../ops/drill/downloads.ts";
import { Faults, type Fault } from "../../ops/drill/faults.ts";
import { readHalves, type Halves } from "../../ops/drill/halves.ts";
import {
  BOUNDS,
  countCarried,
  countDatagrams,
  hitBy,
  isExcused,
  judge,
  movedShare,
  partedShare,
  percentiles,
  sharesOf,
  tookOver,
  type Carried,
  type LoadRun,
  type View,
} from "../../ops/drill/load-run.ts";
import { LOAD_SCENARIOS } from "../../ops/drill/scenarios.ts";
import { parseStreamEvent } from "../../ops/drill/stream-events.ts";
import type { ClientStream } from "../../ops/drill/streams.ts";
import { tablesOf } from "../../ops/drill/tables.ts";
import { fileHash } from "../../ops/lab/rack/files.ts";
import { LabError } from "../../ops/lab/errors.ts";
import type { Director } from "../../ops/lab/rack.ts";

const FAULT_MS = 10_000;

function carried(
  outcome: Carried["outcome"],
  beginMs: number,
  endMs = beginMs + 20_000,
): Carried {
  return {
    ...{ kind: "streams", who: "c1", outcome, beginMs, endMs },
    bytesVerified: 10,
  };
}

test("isExcused() is for those that broke and began less than 50 ms before the fault", (t) => {
  const excused = (outcome: Carried["outcome"], beginMs: number) =>
    isExcused(carried(outcome, beginMs), [FAULT_MS - 5_000, FAULT_MS]);
  t.true(excused("timedOut", FAULT_MS - 49.9));
  t.true(excused("reset", FAULT_MS));
  t.true(excused("moved", FAULT_MS - 5_010));
  t.false(excused("timedOut", FAULT_MS - 50), "it was old enough");
  t.false(excused("timedOut", FAULT_MS + 0.1), "it began after the fault");
  t.false(excused("complete", FAULT_MS - 10), "it did not break");
});

test("countCarried() counts excused ones apart, and tells when the others broke", (t) => {
  const all = [
    carried("complete", 0),
    carried("timedOut", 0, FAULT_MS + 3_999),
    carried("timedOut", 0, FAULT_MS + 5_100),
    carried("reset", FAULT_MS - 10),
    { ...carried("corrupted", 0), kind: "redis" } as const,
  ];
  const counted = countCarried(all, FAULT_MS);
  t.like(counted, {
    connections: { opened: 5, broken: 3, reset: 0, timedOut: 2, corrupted: 1 },
    excused: 1,
    brokenBefore: 1,
    bytesVerified: 50,
  });
  t.deepEqual(counted.brokenFirst[0], {
    ...{ kind: "streams", who: "c1", outcome: "timedOut" },
    ...{ beginMs: -FAULT_MS, silentSinceMs: -1_001 },
  });
  t.deepEqual(counted.byKind.streams, { opened: 4, broken: 2 });
  t.deepEqual(counted.byKind.redis, { opened: 1, broken: 1 });
  const { connections, excused } = countCarried(all, undefined);
  t.like(connections, { broken: 4, reset: 1 }, "there was no fault");
  t.is(excused, 0);
});

/** One connection for each [origin, forward, reply]. */
function viewOf(
  ...roles: readonly (readonly [Director, Director?, Director?])[]
): View {
  const lips = { d1: "10.200.0.1", d2: "10.200.0.17", d3: "10.200.0.33" };
  return {
    streams: roles.map(([origin], id) => ({
      ...({ client: "c1", id, lip: lips[origin] } as ClientStream),
    })),
    halves: roles.map(([origin, forward, reply = origin]) => ({
      ...{ forward, reply },
    })),
  };
}

const VIEW = viewOf(
  ["d1", "d1"],
  ["d1", "d2"],
  ["d2", "d1"],
  ["d2", "d1"],
  ["d3", "d3"],
);

test("sharesOf() tells origin from forward half", (t) => {
  t.deepEqual(sharesOf("d1", VIEW), {
    ...{ origin: 0.4, forward: 0.6, originOnly: 0.2, forwardOnly: 0.4 },
  });
  t.deepEqual(sharesOf("d1", { streams: [], halves: [] }), {
    ...{ origin: 0, forward: 0, originOnly: 0, forwardOnly: 0 },
  });
});

test("hitBy() names those of which a half is lost", (t) => {
  const hit = hitBy("d2", VIEW).map(({ id }) => id);
  t.deepEqual(hit, [1, 2, 3]);
});

test("partedShare() and movedShare() compare halves", (t) => {
  t.is(partedShare(VIEW), 0.6);
  const after = viewOf(
    ["d1", "d1"],
    ["d1", "d3"],
    ["d2", "d1"],
    ["d2", "d2"],
    ["d3", "d3"],
  );
  t.is(movedShare(VIEW, after), 0.4);
  const later = { ...after, streams: after.streams.slice(0, 2) };
  t.is(movedShare(VIEW, later), 0.5, "a connection that ended was counted");
});

test("tookOver() counts who carries what the director carried", (t) => {
  const after: readonly Halves[] = [
    { forward: "d2", reply: "d3" },
    { forward: "d2", reply: "d3" },
    { forward: "d3", reply: "d2" },
    { forward: undefined, reply: "d2" },
    { forward: "d3", reply: "d3" },
  ];
  t.deepEqual(tookOver("d1", VIEW.halves, after), {
    forward: { d2: 1, d3: 1 },
    reply: { d3: 2 },
  });
});

test("countDatagrams() leaves out flows that broke", (t) => {
  const flow = (outcome: ClientStream["outcome"]) => ({
    ...{ outcome, datagrams: 100, datagramsLost: 3 },
  });
  const flows = [flow("complete"), flow("moved"), flow("complete")];
  t.deepEqual(countDatagrams(flows), { sent: 200, lost: 6 });
});

test("percentiles() are by nearest rank", (t) => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
  t.deepEqual(percentiles(hundred), { p50: 50, p99: 99, max: 100 });
  t.deepEqual(percentiles([7]), { p50: 7, p99: 7, max: 7 });
  t.deepEqual(percentiles([]), { p50: 0, p99: 0, max: 0 });
});

/** As tcpdump 4.99 and SCRIPT print them. */
const PACKETS = {
  4: `eth1 10.10.1.2.40000 192.0.2.10.7001:
eth3 10.3.2.2.7001 10.200.0.1.1024:
eth2 10.3.1.2.7001 10.200.0.17.1025:
`,
  6: `eth1 2001:db8:10:1::2.40000 2001:db8:ffff::10.7001:
eth3 2001:db8:3:2::2.7001 2001:db8:200::1:1.1024:
eth2 2001:db8:3:1::2.7001 2001:db8:200::2:1.1025:
`,
} as const;

for (const { family, lips } of [
  { family: 4, lips: ["10.200.0.1", "10.200.0.17"] },
  { family: 6, lips: ["2001:db8:200::1:1", "2001:db8:200::2:1"] },
] as const)
  test(`readHalves() finds the last packets of each connection, with IPv${family}`, (t) => {
    const streams = [
      { client: "c1", port: 40000, server: "s2", lip: lips[0], lport: 1024 },
      { client: "c2", port: 40000, server: "s1", lip: lips[1], lport: 1025 },
    ] as ClientStream[];
    const transport = { family, protocol: "udp" } as const;
    t.deepEqual(readHalves(PACKETS[family], transport, streams), [
      { forward: "d1", reply: "d3" },
      { forward: undefined, reply: "d2" },
    ]);
    t.throws(() => readHalves("", transport, streams), {
      instanceOf: LabError,
    });
  });

test("readDownload() takes the begin from curl, and compares the hash", (t) => {
  const read = (code: number, hash: string) =>
    readDownload(`${code} 2.5 40001 12500 ${hash}  -\n`, "c1");
  t.like(read(0, fileHash("steady/2m")), {
    ...{ outcome: "complete", who: "c1:40001", beginMs: 10_000 },
    bytesVerified: 2 * 2 ** 20,
  });
  t.like(read(0, "0"), { outcome: "corrupted", bytesVerified: 0 });
  t.like(read(28, "0"), { outcome: "timedOut" });
  t.like(read(56, "0"), { outcome: "reset" });
  t.like(read(18, "0"), { outcome: "endedEarly" });
});

test("parseStreamEvent() refuses what is not an event", (t) => {
  t.deepEqual(parseStreamEvent('{"event":"marked"}'), { event: "marked" });
  for (const line of ["", "{}", '{"event":"connection","id":1}'])
    t.throws(() => parseStreamEvent(line), { instanceOf: LabError });
});

const ZERO = { p50: 0, p99: 0, max: 0 };
const NONE = { opened: 0, broken: 0 };

const RUN: Examined<LoadRun> = {
  director: "d2",
  connections: {
    ...{ opened: 1000, broken: 0, reset: 0, timedOut: 0, corrupted: 0 },
    moved: 0,
  },
  excused: 10,
  bytesVerified: 1,
  stallMs: { p50: 200, p99: 400, max: 4_900 },
  hit: 300,
  hitStallMs: { p50: 200, p99: 400, max: 4_900 },
  restored: true,
  msToRestore: 1_000,
  ownDelayMs: 5,
  byKind: {
    ...{ streams: { opened: 1000, broken: 0 }, storm: NONE },
    ...{ curl: NONE, redis: NONE, shell: NONE },
  },
  brokenBefore: 0,
  brokenFirst: [],
  shares: { origin: 0.25, forward: 0.25, originOnly: 0.1, forwardOnly: 0.05 },
  tookOver: { forward: {}, reply: {} },
  datagrams: { sent: 0, lost: 0 },
  evidence: { moved: 0.5 },
  ...{ sync: "on", lagMs: { p50: 1, p99: 4 } },
  ...{ tablesEqual: true, msToEqual: 300, fingerprints: {}, seconds: 9 },
};

test("judge() is content with what lies within its bounds", (t) => {
  t.deepEqual(judge(RUN, { moved: 0.5 }), []);
  t.deepEqual(judge({ ...RUN, shares: null }, {}), []);
});

for (const { changed, problem } of [
  {
    changed: {
      connections: { ...RUN.connections, broken: 1, reset: 1 },
      byKind: { ...RUN.byKind, streams: { opened: 1000, broken: 1 } },
    },
    problem: "1 of 1000 connections broke: 1 of streams",
  },
  {
    changed: { excused: 11 },
    problem: "11 of 1000 connections need an excuse, more than 1 %",
  },
  {
    changed: {
      shares: { ...RUN.shares, originOnly: 0.099 } as LoadRun["shares"],
    },
    problem:
      "the run shows too little: the director's share (oneHalf) was 14.9 %, less than 15 %",
  },
  {
    changed: { shares: { ...RUN.shares, origin: 0.249 } as LoadRun["shares"] },
    problem:
      "the run shows too little: the director's share (origin) was 24.9 %, less than 25 %",
  },
  {
    changed: { evidence: {} },
    problem: "the run shows nothing: moved is 0, not 0.5 or more",
  },
  {
    changed: { restored: false },
    problem: "the rack did not become whole again",
  },
])
  test(`judge() says that ${problem}`, (t) => {
    t.deepEqual(judge({ ...RUN, ...changed }, { moved: 0.5 }), [problem]);
  });

const SCENARIO: Scenario<LoadRun> = {
  name: "some",
  bounds: BOUNDS,
  control: {
    brokenShare: 0.25,
    brokenBy: ({ connections, brokenBefore }) =>
      connections.broken - brokenBefore,
  },
  begin: () => {
    throw new Error("is not begun");
  },
  judge: (run) => judge(run, {}),
  worst: () => ({ stallMs: ZERO }),
  ...{ headings: [], cells: () => [], notes: () => [] },
};

const PLAIN = {
  ...{ seed: 1, control: false },
  ...({ family: 4, protocol: "udp" } as const),
};

test("summarise() is not content when the directors share nothing", (t) => {
  const run = { ...RUN, tablesEqual: null };
  t.like(summarise(SCENARIO, PLAIN, [run], []), {
    ...{ ok: false, tablesEqual: null },
    problems: ["d2: the directors do not share their sessions"],
  });
});

test("summarise() wants a control to fail, and to break enough", (t) => {
  const control = { ...PLAIN, control: true };
  const broken = (count: number) => ({
    ...RUN,
    connections: { ...RUN.connections, broken: count },
    tablesEqual: false,
  });
  t.like(summarise(SCENARIO, control, [broken(250)], []), {
    ...{ ok: true, sync: "off", control: true, broken: 250 },
  });
  t.like(summarise(SCENARIO, control, [broken(249)], []), {
    ok: false,
    problems: [
      "d2: without shared sessions the failure broke only 249 of 1000 connections, less than 250",
    ],
  });
  const early = { ...broken(250), brokenBefore: 1 };
  t.false(summarise(SCENARIO, control, [early], []).ok);
  const { ok, problems } = summarise(SCENARIO, control, [RUN], []);
  t.false(ok);
  t.regex(problems.join(), /without shared sessions the drill has not failed/);
});

function report(director: string, truth: string, lagMs: number | null = null) {
  const pair = { lagMs, lagP99Ms: lagMs === null ? null : 2 * lagMs };
  return {
    state: "synced",
    nodes: [],
    pairs: [
      { from: "d9", to: director, ...pair },
      { from: director, to: "d9", lagMs: 1_000, lagP99Ms: 1_000 },
    ],
    fingerprint: { sessions: 1, truth, index: "a" },
  };
}

test("tablesOf() compares all directors, and takes the lags from those who merged", (t) => {
  const equal = tablesOf({
    d1: report("d1", "x", 2),
    d2: report("d2", "x", 3),
  });
  t.like(equal, { sync: "on", tablesEqual: true, lagMs: { p50: 3, p99: 6 } });
  const other = tablesOf({ d1: report("d1", "x"), d2: report("d2", "y") });
  t.like(other, { sync: "on", tablesEqual: false, lagMs: null });
  const off = { ...report("d1", "x", 2), state: "off" };
  t.like(tablesOf({ d1: off }), { sync: "off", tablesEqual: null });
});

test("Faults are undone once, the last one first, whatever happens", async (t) => {
  const done: string[] = [];
  const fault = (what: string, problem?: Error): Fault => ({
    what,
    inject: async () => done.push(what),
    undo: async () => {
      const count = done.push(`no ${what}`);
      if (problem !== undefined) throw problem;
      return count;
    },
  });
  const faults = new Faults();
  const [first, second] = [fault("first"), fault("second")];
  const third = fault("third", new LabError("it stays"));
  for (const one of [first, second, third]) await faults.inject(one);
  await faults.undo(second);
  await faults.undo(second);
  await t.throwsAsync(faults.undoAll(), { message: "it stays" });
  await faults.undoAll();
  t.deepEqual(done, [
    ...["first", "second", "third"],
    ...["no second", "no third", "no first"],
  ]);
});

test("LOAD_SCENARIOS have names of their own, and a control", (t) => {
  const names = LOAD_SCENARIOS.map(({ name }) => name);
  t.is(new Set(names).size, names.length);
  t.is(names.length, 12);
  t.true(LOAD_SCENARIOS.every(({ control }) => control !== undefined));
});
