// SPDX-License-Identifier: Apache-2.0
/** What a benchmark prints: rows of medians, with the samples that they are of. Pure. */
import type { Column } from "../../src/cli/table.ts";
import { renderTable } from "../../src/cli/table.ts";

export type Row = {
  /** Stays the same from version to version. Units come last: `weir: lag p99 at 100k/s, ms`. */
  readonly name: string;
  readonly rounds: number;
  readonly median: number;
  /** In the order of the rounds. */
  readonly samples: readonly number[];
  /** Of samples that are ratios: what was divided by what. */
  readonly pairs?: readonly Pair[];
  /** What the project promises of the median. */
  readonly target?: Target;
};

export type Pair = readonly [ours: number, theirs: number];

export type Target = {
  readonly is: "at least" | "at most";
  readonly value: number;
};

export type Result = {
  readonly bench: string;
  /** What was real and what was not, for whoever reads the numbers. */
  readonly setting: readonly string[];
  readonly rows: readonly Row[];
  readonly seconds: number;
};

/** @throws RangeError for no samples. */
export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

/** The sample below which `share` of all are, or the mean of the two beside it. @throws RangeError for no samples. */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const [below, above] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  if (below === undefined || above === undefined)
    throw new RangeError("Cannot take a quantile: there are no samples");
  return below + (above - below) * (at - Math.floor(at));
}

/** Collects what each round measured, by name. */
export class Samples {
  readonly #byName = new Map<string, number[]>();
  readonly #pairs = new Map<string, readonly Pair[]>();

  add(name: string, sample: number): void {
    const samples = this.#byName.get(name);
    if (samples === undefined) this.#byName.set(name, [sample]);
    else samples.push(sample);
  }

  /** The ratio of two measurements, for each round. */
  addRatio(name: string, ours: string, theirs: string): void {
    const divisors = this.#byName.get(theirs) ?? [];
    const pairs = (this.#byName.get(ours) ?? []).map((our, round): Pair => [
      our,
      divisors[round] ?? Number.NaN,
    ]);
    this.#pairs.set(name, pairs);
    for (const [our, their] of pairs) this.add(name, our / their);
  }

  /** In the order of the first samples. */
  rows(targets: Readonly<Record<string, Target>>): readonly Row[] {
    return [...this.#byName].map(([name, samples]) => {
      const target = targets[name];
      const pairs = this.#pairs.get(name)?.map(roundedPair);
      return {
        name,
        rounds: samples.length,
        median: rounded(median(samples)),
        samples: samples.map(rounded),
        ...(pairs && { pairs }),
        ...(target && { target }),
      };
    });
  }
}

export function isMet({ median, target }: Row): boolean | undefined {
  if (target === undefined) return undefined;
  return target.is === "at least"
    ? median >= target.value
    : median <= target.value;
}

export function render({ bench, setting, rows, seconds }: Result): string {
  const columns: readonly Column<Row>[] = [
    { title: "MEASUREMENT", value: ({ name }) => name },
    { title: "MEDIAN", value: (row) => figure(row.median), align: "right" },
    { title: "LEAST", value: leastOf, align: "right" },
    { title: "MOST", value: mostOf, align: "right" },
    { title: "ROUNDS", value: ({ rounds }) => `${rounds}`, align: "right" },
    { title: "TARGET", value: targetOf },
  ];
  return [
    renderTable(columns, rows),
    "\n",
    ...rows.flatMap(pairsOf),
    ...setting.map((line) => `${line}\n`),
    `bench ${bench}: ${seconds.toFixed(0)} s\n`,
  ].join("");
}

/** A line of all pairs, of a row that has some. */
function pairsOf({ name, pairs }: Row): readonly string[] {
  if (pairs === undefined) return [];
  const each = pairs.map((pair) => pair.map(figure).join("/"));
  return [`${name}: ${each.join("  ")}\n`];
}

function leastOf({ samples }: Row): string {
  return figure(Math.min(...samples));
}

function mostOf({ samples }: Row): string {
  return figure(Math.max(...samples));
}

function targetOf(row: Row): string {
  if (row.target === undefined) return "";
  const { is, value } = row.target;
  return `${is} ${figure(value)}: ${isMet(row) ? "met" : "NOT met"}`;
}

/** Three digits, or all of a whole number. */
function figure(value: number): string {
  return value >= 100
    ? Math.round(value).toLocaleString("en-US")
    : `${Number(value.toPrecision(3))}`;
}

function roundedPair([ours, theirs]: Pair): Pair {
  return [rounded(ours), rounded(theirs)];
}

/** To four digits. */
export function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
