// SPDX-License-Identifier: Apache-2.0
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { runChild, type Exit } from "./child.ts";
import { TapReader, type TestResult } from "./tap.ts";

/** What each suite gets: where it runs, what it may run, and whom it tells. */
export type Context = {
  /** The repo's root. */
  readonly root: string;
  /** For files that do not outlive the run. */
  readonly temporary: string;
  readonly match: string | undefined;
  readonly operations: number;
  /** Of the histories suite: how many. */
  readonly count: number;
  /** Of the fuzz suite: how many. */
  readonly packets: number;
  /** Of the first history, and of the fuzzer. */
  readonly seed: number;
  readonly signal: AbortSignal;
  readonly onResult: (result: TestResult) => void;
  /** A line of progress. */
  readonly onNote: (line: string) => void;
};

/** The ava arguments by which suites with shared kernel state run one test at a time. */
export const ONE_AT_A_TIME = ["--serial", "--concurrency", "1"];

/** Runs test/<directory>/*.test.ts of each directory. */
export async function runAva(
  directories: readonly string[],
  extraArgs: readonly string[],
  context: Context,
): Promise<void> {
  const results: TestResult[] = [];
  const reader = new TapReader((result) => {
    results.push(result);
    context.onResult(result);
  });
  const exit = await runChild(
    join(context.root, "node_modules/.bin/ava"),
    avaArgs(directories, context.match, extraArgs),
    {
      env: { TMPDIR: context.temporary },
      signal: context.signal,
      onLine: (line) => reader.line(line),
    },
  );
  reader.end();
  for (const result of earlyEnd(exit, results)) context.onResult(result);
}

function avaArgs(
  directories: readonly string[],
  match: string | undefined,
  extraArgs: readonly string[],
): readonly string[] {
  const matching = match === undefined ? [] : ["--match", `*${match}*`];
  const files = directories.map((directory) => `test/${directory}/*.test.ts`);
  return ["--tap", ...extraArgs, ...matching, ...files];
}

/**
 * A failure for tests that never came to a result, if there are any. ava also exits with 1 and without a word when no
 * title matches; and its TAP reporter crashes when a test hangs or ends its process.
 */
export function earlyEnd(
  exit: Exit,
  results: readonly TestResult[],
): readonly TestResult[] {
  const explained =
    exit.status === 0 ||
    results.some(({ outcome }) => outcome === "failed") ||
    (results.length === 0 && exit.errors.length === 0);
  if (explained) return [];
  return [
    {
      title: `ava ended early (${exit.status}): a test hung or ended its process`,
      outcome: "failed",
      detail: exit.errors,
    },
  ];
}

/** Of a failed check's output. */
const DETAIL_LINES_MAX = 60;

type Check = {
  readonly title: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
};

/** What can be said about the sources without running them. */
export async function runStatic(context: Context): Promise<void> {
  for (const check of staticChecks(context)) {
    if (!matches(check.title, context.match)) continue;
    const output: string[] = [];
    const exit = await runChild(check.program, check.args, {
      ...(check.env && { env: check.env }),
      signal: context.signal,
      onLine: (line) => output.push(line),
    });
    context.onResult({
      title: check.title,
      outcome: exit.status === 0 ? "passed" : "failed",
      detail: exit.status === 0 ? [] : shortened([...output, ...exit.errors]),
    });
  }
}

function shortened(lines: readonly string[]): readonly string[] {
  if (lines.length <= DETAIL_LINES_MAX) return lines;
  const left = lines.length - DETAIL_LINES_MAX;
  return [...lines.slice(0, DETAIL_LINES_MAX), `... and ${left} more lines`];
}

function staticChecks({ root, temporary }: Context): readonly Check[] {
  const bin = join(root, "node_modules/.bin");
  const sources = C_DIRECTORIES.flatMap((directory) =>
    readdirSync(join(root, directory))
      .filter((name) => /\.[ch]$/.test(name))
      .map((name) => join(directory, name)),
  );
  const compile = (step: string): Check => ({
    title: `${step} compiles without a warning`,
    program: "sh",
    args: ["-eu", `ops/setup/${step}.sh`, process.arch, temporary],
    env: { CFLAGS: "-Werror" },
  });
  return [
    {
      title: "tsc finds no error",
      program: join(bin, "tsc"),
      args: ["-p", "."],
    },
    {
      title: "oxlint finds no error",
      program: join(bin, "oxlint"),
      args: ["--type-aware", "src", "ops", "test"],
    },
    {
      title: "prettier changes nothing",
      program: join(bin, "prettier"),
      args: ["--check", "."],
    },
    {
      title: "clang-format changes nothing",
      program: "clang-format-19",
      args: ["--dry-run", "--Werror", ...sources],
    },
    compile("bpf"),
    compile("addon"),
    compile("table-test"),
    compile("streams"),
  ];
}

/** Where there is C. */
const C_DIRECTORIES = [
  "dataplane",
  "ops/drill/streams",
  "test/bench/fastpath",
  "test/bench/load",
  "test/bench/rack",
] as const;

/** Ways to break the table's rules that its test must notice. */
const TABLE_BREAKS = [
  "plain-store",
  "no-recheck",
  "plain-merge",
  "lost-record",
] as const;
const TABLE_BREAK_OPERATIONS = 2_000_000;

/** One for each family of sessions. */
const TABLE_TESTS = ["table-test4", "table-test6"] as const;

/** The session table's own test, C programs; then the same with its rules broken, which has to fail. */
export async function runTable(context: Context): Promise<void> {
  for (const program of TABLE_TESTS) {
    await runTableTest(
      program,
      `loses nothing in ${context.operations} operations`,
      ["--operations", String(context.operations)],
      0,
      context,
    );
    for (const rule of TABLE_BREAKS)
      await runTableTest(
        program,
        `notices a broken rule: ${rule}`,
        ["--operations", String(TABLE_BREAK_OPERATIONS), "--break", rule],
        1,
        context,
      );
  }
}

async function runTableTest(
  program: (typeof TABLE_TESTS)[number],
  behaviour: string,
  args: readonly string[],
  expected: number,
  context: Context,
): Promise<void> {
  const title = `${program} ${behaviour}`;
  if (!matches(title, context.match)) return;
  const figures: string[] = [];
  const exit = await runChild(join(context.root, "build", program), args, {
    signal: context.signal,
    onLine: (line) => figures.push(line),
    onErrorLine: context.onNote, // its progress
  });
  if (exit.status === expected)
    context.onResult({
      title,
      outcome: "passed",
      detail: expected === 0 ? figures : [],
    });
  else
    context.onResult({
      title,
      outcome: "failed",
      detail: [
        `exit ${exit.status} in place of ${expected}`,
        ...figures,
        ...exit.errors,
      ],
    });
}

/** As ava compares: any part of the title, whatever its case. */
export function matches(title: string, match: string | undefined): boolean {
  return (
    match === undefined || title.toLowerCase().includes(match.toLowerCase())
  );
}
