// SPDX-License-Identifier: Apache-2.0
/** `./weir bench`: measures weir beside what one would use in its place, on this machine and in one run. */
import { performance } from "node:perf_hooks";
import { dirname } from "node:path";
import { UsageError } from "../../src/errors.ts";
import { run } from "../../ops/lab/host.ts";
import { readArgs, runProgram } from "../../ops/program.ts";
import { Progress } from "../../ops/progress.ts";
import { benchFastpath, FASTPATH_SETTING } from "./fastpath/fastpath.ts";
import { benchRack, RACK_SETTING } from "./rack/rack.ts";
import type { Result, Row } from "./rows.ts";
import { isMet, render } from "./rows.ts";
import { Sandbox } from "./sandbox.ts";
import { benchSync, SETTING } from "./sync.ts";

const HELP = `Usage: ./weir bench sync|fastpath|rack [--json] [--rounds N]

Measures weir beside what one would use in its place, in turn, in namespaces on this machine. What is printed are medians.
Nothing else should run meanwhile. The first use installs what is compared with (conntrackd), and starts no daemon.

Benchmarks:
  sync   new sessions from one node into another one's table, and conntrackd with the same ones: rate, lag, processor time,
         bytes, repair, and a node that joins; some fifteen minutes
  fastpath
         what a packet costs in the XDP program beside one look-up in the kernel's hash, with 1 K to 8 M sessions of each
         family, and the memory of a session; some ten minutes, 12 GB
  rack   a director with two arms, and in its place bare XDP_REDIRECT, the kernel's forwarding, and nftables that translates
         both addresses: Gbit/s of a TCP stream, 64-byte packets, processor time of one; some four minutes

Options:
  --rounds N   measure so many times (default and least: sync 5, fastpath and rack 7)
  --json       print one JSON object: {bench, setting, rows: [{name, rounds, median, samples, pairs, target}], seconds}
  -h, --help   this text

Exits with 0 if all targets are met, else with 1.

Examples:
  ./weir bench sync
  ./weir bench sync --json | jq '.rows[] | select(.target)'
`;

type Benchmark = {
  readonly roundsMin: number;
  readonly setting: readonly string[];
  readonly run: (
    sandbox: Sandbox,
    rounds: number,
    progress: Progress,
  ) => Promise<readonly Row[]>;
};

const BENCHMARKS: Readonly<Record<string, Benchmark>> = {
  sync: { roundsMin: 5, setting: SETTING, run: benchSync },
  fastpath: { roundsMin: 7, setting: FASTPATH_SETTING, run: benchFastpath },
  rack: { roundsMin: 7, setting: RACK_SETTING, run: benchRack },
};

const EXIT_NOT_MET = 1;
const EXIT_INTERRUPTED = 130;
const ROUNDS_MAX = 1_000;

const OPTIONS = {
  json: { type: "boolean", default: false },
  rounds: { type: "string" },
  help: { type: "boolean", short: "h", default: false },
} as const;

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArgs({
    args: [...args],
    allowPositionals: true,
    options: OPTIONS,
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const [name = "", ...rest] = positionals;
  const benchmark = BENCHMARKS[name];
  if (benchmark === undefined || rest.length > 0)
    throw new UsageError(
      `give exactly one benchmark: ${Object.keys(BENCHMARKS).join(", ")}`,
    );
  const rounds = roundsOf(values.rounds, benchmark.roundsMin);

  process.chdir(dirname(dirname(import.meta.dirname)));
  const progress = new Progress();
  progress.step("preparing");
  await run("prepare", ["sh", "-eu", "test/bench/prepare.sh"]);
  const result = await bench(name, benchmark, rounds, progress);
  progress.clear();
  process.stdout.write(
    values.json ? `${JSON.stringify(result, null, 2)}\n` : render(result),
  );
  return result.rows.some((row) => isMet(row) === false) ? EXIT_NOT_MET : 0;
}

async function bench(
  name: string,
  { setting, run: measure }: Benchmark,
  rounds: number,
  progress: Progress,
): Promise<Result> {
  const begin = performance.now();
  const sandbox = new Sandbox();
  const interrupt = (): void =>
    void sandbox.close().finally(() => process.exit(EXIT_INTERRUPTED));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.once(signal, interrupt);
  try {
    const rows = await measure(sandbox, rounds, progress);
    const seconds = (performance.now() - begin) / 1_000;
    return { bench: name, setting, rows, seconds };
  } finally {
    await sandbox.close();
  }
}

function roundsOf(text: string | undefined, least: number): number {
  if (text === undefined) return least;
  const rounds = /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN;
  if (!(rounds >= least && rounds <= ROUNDS_MAX))
    throw new UsageError(
      `--rounds takes a number from ${least} to ${ROUNDS_MAX}: current value is ${text}`,
    );
  return rounds;
}

await runProgram("bench", main);
