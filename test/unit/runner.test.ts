// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import { parseOptions } from "../../ops/test/options.ts";
import { Report } from "../../ops/test/report.ts";
import { earlyEnd } from "../../ops/test/suites.ts";
import { TapReader, type TestResult } from "../../ops/test/tap.ts";

function read(lines: readonly string[]): readonly TestResult[] {
  const results: TestResult[] = [];
  const reader = new TapReader((result) => results.push(result));
  for (const line of lines) reader.line(line);
  reader.end();
  return results;
}

test("TapReader.line() hands over what passed, failed and was skipped", (t) => {
  const results = read([
    "TAP version 13",
    "ok 1 - a › f() # adds",
    "not ok 2 - a › f() subtracts",
    "#   a log line",
    "  ---",
    "    message: one less one makes one",
    "  ...",
    "ok 3 - a › f() divides # SKIP no divisor here",
    "ok 4 - a › f() waits # SKIP",
    "not ok 5 - f.test.ts exited",
    "",
    "1..4",
    "# pass 1",
  ]);
  t.deepEqual(results, [
    { title: "a › f() # adds", outcome: "passed", detail: [] },
    {
      title: "a › f() subtracts",
      outcome: "failed",
      detail: ["#   a log line", "    message: one less one makes one"],
    },
    {
      title: "a › f() divides",
      outcome: "skipped",
      detail: ["no divisor here"],
    },
    { title: "a › f() waits", outcome: "skipped", detail: [] },
    { title: "f.test.ts exited", outcome: "failed", detail: ["# pass 1"] },
  ]);
});

const ONE_OF_EACH: readonly TestResult[] = [
  { title: "f() adds", outcome: "passed", detail: [] },
  { title: "f() # hashes", outcome: "failed", detail: ["one", "two"] },
  { title: "f() waits", outcome: "skipped", detail: ["no clock"] },
];

test("Report.end() ends with the counts and fails if a test failed", (t) => {
  const lines: string[] = [];
  const report = new Report("text", (line) => lines.push(line));
  report.begin("unit");
  for (const result of ONE_OF_EACH) report.add(result);
  t.is(report.end(), 1);
  t.is(lines.at(-1), "1 passed, 1 failed, 1 skipped");
  t.true(
    lines.includes("  unit: f() # hashes"),
    "the failure is not repeated at the end",
  );
});

test("Report.end() fails if nothing passed", (t) => {
  const report = new Report("text", () => {});
  t.is(report.end(), 1);
});

test("Report.add() writes TAP that TapReader reads back", (t) => {
  const lines: string[] = [];
  const report = new Report("tap", (line) => lines.push(line));
  report.begin("unit");
  for (const result of ONE_OF_EACH) report.add(result);
  report.note("half of it");
  report.end();
  t.deepEqual(
    read(lines).map(({ title, outcome }) => [title, outcome]),
    ONE_OF_EACH.map(({ title, outcome }) => [title, outcome]),
  );
});

test("earlyEnd() adds a failure only where ava said nothing of it", (t) => {
  const [passed, failed] = ONE_OF_EACH;
  t.truthy(passed && failed);
  const crash = { status: 1, errors: ["AggregateError"] };
  const silent = { status: 1, errors: [] };
  t.deepEqual(earlyEnd({ status: 0, errors: [] }, []), []);
  t.deepEqual(earlyEnd(silent, []), [], "no title matched: that is no crash");
  t.deepEqual(earlyEnd(crash, failed ? [failed] : []), []);
  t.is(earlyEnd(crash, passed ? [passed] : []).length, 1);
  t.is(
    earlyEnd({ status: "SIGKILL", errors: [] }, passed ? [passed] : []).length,
    1,
  );
});

test("parseOptions() runs all but the kernels by default", (t) => {
  const { suites, repeat, match } = parseOptions([]);
  t.deepEqual(suites, [
    "static",
    "unit",
    "histories",
    "dataplane",
    "fuzz",
    "table",
    "lab",
  ]);
  t.is(repeat, 1);
  t.is(match, undefined);
});

test("parseOptions() reads what is of the fuzzer alone", (t) => {
  const args = ["fuzz", "--packets", "10", "--seed", "3", "--only", "0"];
  t.like(parseOptions([...args, "--json", "--break"]), {
    suites: ["fuzz"],
    packets: 10,
    seed: 3,
    fuzz: { json: true, break: true, only: 0 },
  });
});

for (const [args, message] of [
  [
    ["unti"],
    'Cannot test "unti": the suites are static, unit, histories, dataplane, fuzz, table, lab, kernels',
  ],
  [
    ["--repeat", "0"],
    "Cannot use --repeat 0: it must be a whole number of at least 1",
  ],
  [
    ["--operations", "1e9"],
    "Cannot use --operations 1e9: it must be a whole number of at least 1",
  ],
  [
    ["unit", "--json"],
    "Cannot use --json, --break or --only: they are of fuzz alone, and the suites are unit",
  ],
] as const)
  test(`parseOptions() refuses ${args.join(" ")}`, (t) => {
    t.throws(() => parseOptions(args), { message });
  });
