// SPDX-License-Identifier: Apache-2.0
import test, { type ExecutionContext } from "ava";
import { SYNC_NOTES } from "../../src/admin/sync-notes.ts";
import { syncMessageOf } from "../../src/node/admin-sync.ts";
import { zeroCounters } from "../../src/sync/counters.ts";
import { GENERATION, makeSource, serve } from "./admin-source.ts";
import { run } from "./cli-run.ts";

async function ask(
  t: ExecutionContext,
  ...args: readonly string[]
): Promise<string> {
  const socket = await serve(t, makeSource());
  const { code, stdout, stderr } = await run(
    "sync",
    ...args,
    "--socket",
    socket,
  );
  t.is(code, 0, stderr);
  return stdout;
}

test("sync --json tells nodes, pairs, risk and counters, and null for what only others know", async (t) => {
  t.deepEqual(JSON.parse(await ask(t, "--json")), {
    state: "synced",
    bus: "up",
    nodes: [
      {
        name: "d1",
        self: true,
        state: "synced",
        incarnation: String(GENERATION),
        silentMs: null,
        roundTripMs: null,
        problems: [],
      },
      {
        name: "d2",
        self: false,
        state: "synced",
        incarnation: String(GENERATION + 1n),
        silentMs: 120,
        roundTripMs: 0.4,
        problems: ["poolsDiffer"],
      },
      {
        name: "d3",
        self: false,
        state: "unheard",
        incarnation: "0",
        silentMs: null,
        roundTripMs: null,
        problems: [],
      },
    ],
    pairs: [
      {
        from: "d2",
        to: "d1",
        lagMs: 0.8,
        lagP99Ms: 12.5,
        seq: 5000,
        applied: 4998,
        behind: 2,
        behindRecords: null,
        gaps: 3,
        resends: 2,
        digestEqual: true,
        queue: 9600,
        recordsPerSecond: 1234.5,
        bytesPerSecond: 120000,
      },
      {
        from: "d1",
        to: "d2",
        lagMs: null,
        lagP99Ms: null,
        seq: 7000,
        applied: 6999,
        behind: 1,
        behindRecords: 40,
        gaps: null,
        resends: null,
        digestEqual: true,
        queue: 0,
        recordsPerSecond: 10,
        bytesPerSecond: 1000,
      },
    ],
    risk: { ifDies: "d1", sessions: 12, notOnAll: 40, onNone: 0 },
    counters: {
      publishedRecords: 70000,
      conflicts: 0,
      counterOfANewerAgent: 5,
    },
  });
});

test("sync --fingerprint adds the table's sums", async (t) => {
  t.deepEqual(JSON.parse(await ask(t, "--fingerprint", "--json")).fingerprint, {
    sessions: 12,
    truth: "00c0ffee00c0ffee",
    index: "0123456789abcdef",
  });
  t.regex(
    await ask(t, "--fingerprint"),
    /^Fingerprint: sessions 12, truth 00c0ffee00c0ffee, index 0123456789abcdef$/m,
  );
});

test("sync prints its tables, and only counters that are not 0", async (t) => {
  t.is(
    await ask(t),
    `Session sync: synced, bus up

NODE  STATE    SILENT FOR  ROUND TRIP  PROBLEMS
d1 *  synced            -           -  -
d2    synced       120 ms     0.40 ms  poolsDiffer
d3    unheard           -           -  -

FROM  TO      LAG    P99    SEQ  BEHIND  GAPS  RESENDS  EQUAL   QUEUE  RECORDS/S  BYTES/S
d2    d1  0.80 ms  13 ms  5,000       2     3        2  yes    9.6 kB      1.2 k   120 kB
d1    d2        -      -  7,000       1     -        -  yes       0 B         10   1.0 kB

If d1 died now: of what it has published, 40 records are not on all nodes that are heard, 0 on none. It holds 12 sessions.

COUNTER                COUNT  MEANING
publishedRecords      70,000  Records of sessions that this node has published.
counterOfANewerAgent       5
`,
  );
});

test("sync says that it is off without a bus", async (t) => {
  const off = syncMessageOf({
    names: ["d1", "d2"],
    self: "d1",
    status: undefined,
    sessions: 3n,
    fingerprint: null,
  });
  const socket = await serve(t, makeSource({ sync: async () => off }));
  const { stdout } = await run("sync", "--socket", socket);
  t.is(stdout, "Session sync: off. The config has no bus, or no other node.\n");
  const { stdout: json } = await run("sync", "--json", "--socket", socket);
  t.deepEqual(JSON.parse(json), {
    state: "off",
    bus: "",
    nodes: [],
    pairs: [],
    risk: null,
    counters: {},
  });
});

test("SYNC_NOTES says something about each counter of session sync and of nothing else", (t) => {
  t.deepEqual(Object.keys(SYNC_NOTES), Object.keys(zeroCounters()));
});
