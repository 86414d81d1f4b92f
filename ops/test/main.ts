// SPDX-License-Identifier: Apache-2.0
// ./weir test: runs the suites and ends with `N passed, N failed, N skipped`.
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { runFuzz, runFuzzAlone } from "./fuzz.ts";
import { runHistories } from "./histories.ts";
import { runKernels } from "./kernels.ts";
import { runProgram } from "../program.ts";
import {
  isFuzzAlone,
  parseOptions,
  USAGE,
  type Options,
  type Suite,
} from "./options.ts";
import { Report } from "./report.ts";
import {
  ONE_AT_A_TIME,
  runAva,
  runStatic,
  runTable,
  type Context,
} from "./suites.ts";

const root = dirname(dirname(import.meta.dirname));

const RUNNERS: Readonly<Record<Suite, (context: Context) => Promise<void>>> = {
  static: runStatic,
  unit: (context) => runAva(["unit"], [], context),
  histories: runHistories,
  dataplane: (context) =>
    runAva(["dataplane", "properties", "simulate"], ONE_AT_A_TIME, context),
  fuzz: runFuzz,
  table: runTable,
  lab: (context) => runAva(["lab"], ONE_AT_A_TIME, context),
  kernels: runKernels,
};

async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (options.help) {
    console.log(USAGE);
    return 0;
  }

  process.chdir(root);
  const interrupted = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.once(name, () => interrupted.abort());
  const temporary = mkdtempSync(join(tmpdir(), "weir-test-"));
  // Daemons that drop root, such as FRR's, have sockets below it.
  chmodSync(temporary, 0o711);
  const report = new Report(options.format, (line) => console.log(line));
  const { signal } = interrupted;
  try {
    if (isFuzzAlone(options.fuzz))
      return await runFuzzAlone(options, { root, temporary, signal });
    await runAll(options, temporary, report, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    report.add({
      title: "the run was interrupted",
      outcome: "failed",
      detail: [],
    });
  } finally {
    removeTemporary(temporary, report);
  }
  return report.end();
}

async function runAll(
  options: Options,
  temporary: string,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  const context: Context = {
    root,
    temporary,
    match: options.match,
    operations: options.operations,
    count: options.count,
    packets: options.packets,
    seed: options.seed,
    signal,
    onResult: (result) => report.add(result),
    onNote: (line) => report.note(line),
  };
  for (let run = 1; run <= options.repeat; run++) {
    for (const suite of options.suites) {
      report.begin(
        options.repeat > 1
          ? `${suite} (run ${run} of ${options.repeat})`
          : suite,
      );
      await runSuite(suite, context);
      if (report.inSuite === 0 && options.match === undefined)
        report.add({
          title: "the suite ran no test",
          outcome: "failed",
          detail: [],
        });
    }
  }
  if (report.total === 0)
    report.add({
      title: `no test matches "${options.match}"`,
      outcome: "failed",
      detail: [],
    });
}

/** A suite that cannot even run is a failure like others, and does not keep the rest from running. */
async function runSuite(suite: Suite, context: Context): Promise<void> {
  try {
    await RUNNERS[suite](context);
  } catch (error) {
    context.signal.throwIfAborted();
    context.onResult({
      title: "the suite runs to its end",
      outcome: "failed",
      detail: [error instanceof Error ? error.message : String(error)],
    });
  }
}

/** A mount that a test left below must not be emptied: it may show the repo itself. */
function removeTemporary(temporary: string, report: Report): void {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((point) => point.startsWith(`${temporary}/`));
  if (mounts.length === 0) rmSync(temporary, { recursive: true });
  else
    report.add({
      title: "the tests unmounted what they mounted",
      outcome: "failed",
      detail: mounts,
    });
}

await runProgram("test", main);
