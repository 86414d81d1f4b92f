// SPDX-License-Identifier: Apache-2.0
// What the demo makes of curl's output, and when it is content.

import test from "ava";
import {
  judge,
  renderResult,
  tally,
  type Tally,
} from "../../ops/demo/result.ts";
import type { Cut } from "../../ops/demo/cut.ts";
import { readRound, roundCommand } from "../../ops/demo/round.ts";
import { fileHash } from "../../ops/lab/rack/files.ts";
import { Progress } from "../../ops/progress.ts";

const HASH = fileHash("files/1k");
const GOOD = ["0", "200", "1", "10.200.0.18", "s3", ""];

/** The output of a round of one file. */
function output(fields: readonly string[], hash = HASH): string {
  return `curl\tfiles-1k-1\t${fields.join("\t")}\n${hash}  files-1k-1\n`;
}

test("roundCommand() gives each fetch a file of its own", (t) => {
  const command = roundCommand("192.0.2.10", { "files/1k": 2, "files/8m": 1 });
  t.deepEqual(command.slice(-6), [
    ...["--output", "files-1k-#1", "http://192.0.2.10/files/1k?[1-2]"],
    ...["--output", "files-8m-#1", "http://192.0.2.10/files/8m?[1-1]"],
  ]);
  t.true(
    command.includes(
      "curl\\t%{filename_effective}\\t%{exitcode}\\t%{http_code}\\t%{num_connects}\\t%header{x-lip}\\t%header{x-real-server}\\t%{errormsg}\\n",
    ),
    "the report is another one",
  );
});

test("readRound() finds director and real server of a good fetch", (t) => {
  t.deepEqual(readRound(output(GOOD), { "files/1k": 1 }), [
    { director: "d2", server: "s3", bytesVerified: 1024, failure: undefined },
  ]);
});

for (const { title, text, failure } of [
  { title: "no report", text: "", failure: "no answer from curl" },
  {
    title: "a failed curl",
    text: output(["28", "000", "0", "", "", "Connection timed out"]),
    failure: "curl: Connection timed out (28)",
  },
  {
    title: "another status",
    text: output(["0", "404", "1", "10.200.0.18", "s3", ""]),
    failure: "HTTP status 404",
  },
  {
    title: "a connection that was used before",
    text: output(["0", "200", "0", "10.200.0.18", "s3", ""]),
    failure: "the connection was not a new one",
  },
  {
    title: "other content",
    text: output(GOOD, fileHash("files/64k")),
    failure: "the content is not what was sent",
  },
  {
    title: "content that was not hashed",
    text: output(GOOD).split("\n")[0] ?? "",
    failure: "the content is not what was sent",
  },
  {
    title: "a strange local address",
    text: output(["0", "200", "1", "10.200.0.48", "s3", ""]),
    failure: `no director's pool has the local address "10.200.0.48"`,
  },
  {
    title: "a strange real server",
    text: output(["0", "200", "1", "10.200.0.18", "s9", ""]),
    failure: 'there is no real server "s9"',
  },
])
  test(`readRound() counts ${title} as a failure`, (t) => {
    const [fetch] = readRound(text, { "files/1k": 1 });
    t.is(fetch?.failure, failure);
    t.is(fetch?.bytesVerified, 0, "bytes of a failure count as verified");
  });

test("tally() counts by director, real server and reason", (t) => {
  const round = { "files/1k": 3 };
  const text = `${output(GOOD)}curl\tfiles-1k-2\t7\t000\t0\t\t\trefused\n`;
  t.deepEqual(tally(readRound(text, round)), {
    requests: 3,
    failed: 2,
    failures: { "curl: refused (7)": 1, "no answer from curl": 1 },
    perDirector: { d1: 0, d2: 1, d3: 0 },
    perServer: { s1: 0, s2: 0, s3: 1 },
    bytesVerified: 1024,
  });
});

const COUNTED: Tally = {
  requests: 300,
  failed: 0,
  failures: {},
  perDirector: { d1: 100, d2: 155, d3: 45 },
  perServer: { s1: 90, s2: 100, s3: 110 },
  bytesVerified: 50_000_000,
};
const CUT: Cut = {
  director: "d2",
  ...{ connections: 322, carried: 120, broken: 0, excused: 0 },
  stallMs: { p50: 170, p99: 280, max: 290 },
  tookOver: { forward: { d1: 60, d3: 50 }, reply: { d1: 70 } },
  byKind: {
    streams: { opened: 300, broken: 0 },
    storm: { opened: 0, broken: 0 },
    curl: { opened: 14, broken: 0 },
    redis: { opened: 4, broken: 0 },
    shell: { opened: 4, broken: 0 },
  },
  bytesVerified: 1_000,
};
const TIMES = { deploySeconds: 3, trafficSeconds: 2, seconds: 6 };

test("judge() is content with what lies on the bounds", (t) => {
  const result = judge(COUNTED, COUNTED.perDirector, TIMES, CUT);
  t.deepEqual(result.problems, []);
  t.true(result.ok);
  t.deepEqual(result.directorShares, { d1: 0.333, d2: 0.517, d3: 0.15 });
  t.regex(renderResult(result), /d3 +45 +15\.0 %/);
  t.regex(renderResult(result), /^ok: /m);
  t.regex(renderResult(result), /from clients: d1 60, d3 50; .*: d1 70$/m);
});

for (const { title, changes, created, cut, problem } of [
  {
    title: "one failure",
    changes: { failed: 1, failures: { "HTTP status 502": 1 } },
    problem: "1 requests failed: HTTP status 502",
  },
  {
    title: "too few requests",
    changes: { requests: 299 },
    problem: "only 299 requests were sent, not 300",
  },
  {
    title: "too few bytes",
    changes: { bytesVerified: 49_999_999 },
    problem: "only 49,999,999 bytes were verified, not 50,000,000",
  },
  {
    title: "a director with too little to do",
    changes: { perDirector: { d1: 101, d2: 155, d3: 44 } },
    created: { d1: 101, d2: 155, d3: 44 },
    problem: "d3 carried 14.7 % of the requests, less than 15.0 %",
  },
  {
    title: "a real server without a request",
    changes: { perServer: { s1: 0, s2: 150, s3: 150 } },
    problem: "s1 carried 0.0 % of the requests, less than 15.0 %",
  },
  {
    title: "a director that counts other sessions",
    changes: {},
    created: { d1: 100, d2: 156, d3: 45 },
    problem:
      "d2 made 156 sessions, but its local addresses were seen with 155 requests",
  },
  {
    title: "a connection that broke when the power went",
    changes: {},
    cut: { ...CUT, broken: 1 },
    problem: "1 of 322 connections broke when d2 lost its power",
  },
  {
    title: "a power cut that nobody could notice",
    changes: {},
    cut: { ...CUT, carried: 0 },
    problem: "d2 carried nothing when its power went",
  },
  {
    title: "no power cut",
    changes: {},
    cut: null,
    problem: "no director has lost its power",
  },
])
  test(`judge() complains of ${title}`, (t) => {
    const counted = { ...COUNTED, ...changes };
    const result = judge(
      counted,
      created ?? COUNTED.perDirector,
      TIMES,
      cut === undefined ? CUT : cut,
    );
    t.deepEqual(result.problems, [problem]);
    t.false(result.ok);
    t.true(renderResult(result).includes(`NOT ok:\n  ${problem}`));
  });

/** What is written to a stream, and a clock. */
function fakeTerminal(isTTY: boolean) {
  const written: string[] = [];
  const stream = Object.assign(Object.create(process.stderr), {
    isTTY,
    columns: 10,
    write: (text: string) => written.push(text) > 0,
  });
  return { stream, written };
}

test("Progress moves one line on a terminal and removes it for a step", (t) => {
  const { stream, written } = fakeTerminal(true);
  const progress = new Progress(stream);
  progress.live("longer than the terminal");
  progress.step("done");
  t.deepEqual(written, ["\r\u001B[Klonger th", "\r\u001B[K", "done\n"]);
});

test("Progress prints a plain line now and then elsewhere", (t) => {
  const { stream, written } = fakeTerminal(false);
  let nowMs = 0;
  const progress = new Progress(stream, () => nowMs);
  for (; nowMs < 6_500; nowMs += 500) progress.live(`at ${nowMs}`);
  progress.clear();
  t.deepEqual(written, ["at 3000\n", "at 6000\n"]);
});
