// SPDX-License-Identifier: Apache-2.0
import { UsageError } from "../../src/errors.ts";
import { readArgs } from "../program.ts";

/** The suites of a run without arguments, in their order: what fails fast comes first. */
const DEFAULT_SUITES = [
  "static",
  "unit",
  "histories",
  "dataplane",
  "fuzz",
  "table",
  "lab",
] as const;

const SUITES = [...DEFAULT_SUITES, "kernels"] as const;

export type Suite = (typeof SUITES)[number];

/** Operations of the table's test unless --operations says otherwise: some seconds. */
const TABLE_OPERATIONS = 20_000_000;

/** Histories of simulated clusters unless --count says otherwise: some seconds. */
const HISTORIES = 20;

/** Packets of the fuzzer unless --packets says otherwise: some seconds. */
const PACKETS = 200_000;

export type Options = {
  readonly help: boolean;
  readonly suites: readonly Suite[];
  readonly match: string | undefined;
  readonly repeat: number;
  readonly operations: number;
  readonly count: number;
  readonly packets: number;
  readonly seed: number;
  /** Not as a suite, but alone. */
  readonly fuzz: {
    readonly json: boolean;
    readonly break: boolean;
    /** Of all packets, this one and those before it that belong to it. */
    readonly only: number | undefined;
  };
  readonly format: "text" | "tap";
};

export const USAGE = `Usage: ./weir test [SUITE...] [--match NAME] [--repeat N] [--operations N] [--count N] [--packets N] [--seed N] [--tap]
       ./weir test fuzz [--packets N] [--seed N] [--json] [--break] [--only INDEX]

Suites; without one, all but the last run:
  static      types, lint, formatting, compiler warnings
  unit        no root, no network
  histories   simulated clusters with random packets and faults, whose tables must become equal
  dataplane   packets through the real XDP programs, and properties of their translation
  fuzz        random packets through them, each held against a model
  table       the session table, two processors against each other
  lab         network namespaces with the real daemons
  kernels     loads the programs and runs dataplane and table on Debian's 6.1 and 6.12, in qemu

Options:
  --match NAME     only tests whose title contains NAME
  --repeat N       run everything N times
  --operations N   operations of the table's test (default ${TABLE_OPERATIONS})
  --count N        histories to run (default ${HISTORIES})
  --packets N      packets of the fuzzer (default ${PACKETS})
  --seed N         of the first history, and of the fuzzer (default 1); the same seed gives the same ones
  --tap            print TAP, for other test runners
  --json           fuzz: print figures as JSON
  --break          fuzz: spoil what comes out; this has to fail
  --only INDEX     fuzz: run this packet alone, with those before it that belong to it

Examples:
  ./weir test
  ./weir test unit --match 'parsePrefix()'
  ./weir test table --operations 100000000
  ./weir test histories --count 10000 --seed 1
  ./weir test fuzz --packets 2000000 --seed 7 --json`;

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
      packets: { type: "string", default: String(PACKETS) },
      seed: { type: "string", default: "1" },
      json: { type: "boolean", default: false },
      break: { type: "boolean", default: false },
      only: { type: "string" },
    },
  });
  const suites =
    positionals.length > 0 ? positionals.map(suite) : DEFAULT_SUITES;
  const fuzz = {
    json: values.json,
    break: values.break,
    only:
      values.only === undefined ? undefined : whole("--only", values.only, 0),
  };
  if (isFuzzAlone(fuzz) && suites.join() !== "fuzz")
    throw new UsageError(
      `Cannot use --json, --break or --only: they are of fuzz alone, and the suites are ${suites.join(", ")}`,
    );
  return {
    help: values.help ?? false,
    suites,
    fuzz,
    match: values.match,
    format: values.tap ? "tap" : "text",
    repeat: positive("--repeat", values.repeat),
    operations: positive("--operations", values.operations),
    count: positive("--count", values.count),
    packets: positive("--packets", values.packets),
    seed: positive("--seed", values.seed),
  };
}

export function isFuzzAlone(fuzz: Options["fuzz"]): boolean {
  return fuzz.json || fuzz.break || fuzz.only !== undefined;
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
  return whole(option, text, 1);
}

function whole(option: string, text: string, least: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least || !Number.isSafeInteger(value))
    throw new UsageError(
      `Cannot use ${option} ${text}: it must be a whole number of at least ${least}`,
    );
  return value;
}
