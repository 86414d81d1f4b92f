// SPDX-License-Identifier: Apache-2.0
import { UsageError } from "../../src/errors.ts";
import { readArgs } from "../program.ts";

/** The suites of a run without arguments, in their order: what fails fast comes first. */
const DEFAULT_SUITES = [
  "static",
  "unit",
  "histories",
  "dataplane",
  "table",
  "lab",
] as const;

const SUITES = [...DEFAULT_SUITES, "kernels"] as const;

export type Suite = (typeof SUITES)[number];

/** Operations of the table's test unless --operations says otherwise: some seconds. */
const TABLE_OPERATIONS = 20_000_000;

/** Histories of simulated clusters unless --count says otherwise: some seconds. */
const HISTORIES = 20;

export type Options = {
  readonly help: boolean;
  readonly suites: readonly Suite[];
  readonly match: string | undefined;
  readonly repeat: number;
  readonly operations: number;
  readonly count: number;
  readonly seed: number;
  readonly format: "text" | "tap";
};

export const USAGE = `Usage: ./weir test [SUITE...] [--match NAME] [--repeat N] [--operations N] [--count N] [--seed N] [--tap]

Suites; without one, all but the last run:
  static      types, lint, formatting, compiler warnings
  unit        no root, no network
  histories   simulated clusters with random packets and faults, whose tables must become equal
  dataplane   packets through the real XDP program
  table       the session table, two processors against each other
  lab         network namespaces with the real daemons
  kernels     loads the programs and runs dataplane and table on Debian's 6.1 and 6.12, in qemu

Options:
  --match NAME     only tests whose title contains NAME
  --repeat N       run everything N times
  --operations N   operations of the table's test (default ${TABLE_OPERATIONS})
  --count N        histories to run (default ${HISTORIES})
  --seed N         of the first of them (default 1); the same seed gives the same history
  --tap            print TAP, for other test runners

Examples:
  ./weir test
  ./weir test unit --match 'parsePrefix()'
  ./weir test table --operations 100000000
  ./weir test histories --count 10000 --seed 1`;

/** @throws UsageError */
export function parseOptions(args: readonly string[]): Options {
  const { values, positionals } = readArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      help: { type: "boolean", short: "h" },
      tap: { type: "boolean" },
      match: { type: "string" },
      repeat: { type: "string", default: "1" },
      operations: { type: "string", default: String(TABLE_OPERATIONS) },
      count: { type: "string", default: String(HISTORIES) },
      seed: { type: "string", default: "1" },
    },
  });
  return {
    help: values.help ?? false,
    suites: positionals.length > 0 ? positionals.map(suite) : DEFAULT_SUITES,
    match: values.match,
    format: values.tap ? "tap" : "text",
    repeat: positive("--repeat", values.repeat),
    operations: positive("--operations", values.operations),
    count: positive("--count", values.count),
    seed: positive("--seed", values.seed),
  };
}

function suite(name: string): Suite {
  const found = SUITES.find((known) => known === name);
  if (found === undefined)
    throw new UsageError(
      `Cannot test "${name}": the suites are ${SUITES.join(", ")}`,
    );
  return found;
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || !Number.isSafeInteger(value))
    throw new UsageError(
      `Cannot use ${option} ${text}: it must be a whole number of at least 1`,
    );
  return value;
}
