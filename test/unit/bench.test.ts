// SPDX-License-Identifier: Apache-2.0
import { execFile } from "node:child_process";
import { join } from "node:path";
import test from "ava";
import { elapsed, total } from "../bench/cpu.ts";
import { wireBytes } from "../bench/link.ts";
import { spacingOf } from "../bench/marks.ts";
import { isMet, median, quantile, render, Samples } from "../bench/rows.ts";

test("median() is the one in the middle, or the mean of the two there", (t) => {
  t.is(median([9, 1, 5]), 5);
  t.is(median([4, 1, 2, 3]), 2.5);
  t.throws(() => median([]), { instanceOf: RangeError });
});

test("quantile() lies between the samples beside it", (t) => {
  const samples = Array.from({ length: 101 }, (_, i) => i);
  t.is(quantile(samples, 0.99), 99);
  t.is(quantile([0, 10], 0.25), 2.5);
});

test("Samples.rows() keeps the order of rounds and names", (t) => {
  const samples = new Samples();
  for (const sample of [3, 1, 2]) {
    samples.add("b", sample);
    samples.add("a", 10 * sample);
  }
  const target = { is: "at most", value: 2 } as const;
  t.deepEqual(samples.rows({ b: target }), [
    { name: "b", rounds: 3, median: 2, samples: [3, 1, 2], target },
    { name: "a", rounds: 3, median: 20, samples: [30, 10, 20] },
  ]);
});

test("Samples.addRatio() divides round by round, and keeps what it divided", (t) => {
  const samples = new Samples();
  for (const sample of [3, 8]) samples.add("ours", sample);
  for (const sample of [2, 4]) samples.add("theirs", sample);
  samples.addRatio("ratio", "ours", "theirs");
  t.deepEqual(samples.rows({})[2], {
    name: "ratio",
    rounds: 2,
    median: 1.75,
    samples: [1.5, 2],
    pairs: [
      [3, 2],
      [8, 4],
    ],
  });
});

test("isMet() compares the median with the target, whichever way it goes", (t) => {
  const row = { name: "x", rounds: 1, median: 5, samples: [5] };
  t.is(isMet(row), undefined);
  t.true(isMet({ ...row, target: { is: "at most", value: 5 } }));
  t.false(isMet({ ...row, target: { is: "at most", value: 4.9 } }));
  t.true(isMet({ ...row, target: { is: "at least", value: 5 } }));
  t.false(isMet({ ...row, target: { is: "at least", value: 5.1 } }));
});

test("render() says of each target whether it is met, and how far the rounds lie apart", (t) => {
  const text = render({
    bench: "sync",
    setting: ["Links are veth."],
    rows: [
      {
        name: "lag p99, ms",
        rounds: 3,
        median: 12.345,
        samples: [11, 12.345, 4000],
        target: { is: "at most", value: 10 },
      },
    ],
    seconds: 61.4,
  });
  t.is(
    text,
    [
      "MEASUREMENT  MEDIAN  LEAST   MOST  ROUNDS  TARGET",
      "lag p99, ms    12.3     11  4,000       3  at most 10: NOT met",
      "",
      "Links are veth.",
      "bench sync: 61 s",
      "",
    ].join("\n"),
  );
});

test("render() prints all pairs of a ratio", (t) => {
  const ratio = {
    name: "ours / theirs",
    rounds: 2,
    median: 1.75,
    samples: [1.5, 2],
    pairs: [
      [3, 2],
      [8, 4],
    ],
  } as const;
  const text = render({
    bench: "rack",
    setting: [],
    rows: [ratio],
    seconds: 1,
  });
  t.true(text.includes("\nours / theirs: 3/2  8/4\n"), text);
});

test("wireBytes() adds the headers that a network card would send for a large TCP segment", (t) => {
  const none = { bytes: 0, packets: 0 };
  t.is(wireBytes(none, { bytes: 300, packets: 2 }), 300, "small packets");
  const large = { bytes: 66 + 3 * 1448, packets: 1 };
  t.is(wireBytes(none, large), 3 * 1514, "three full frames");
});

test("spacingOf() gives about a thousand marks a second, and never too many", (t) => {
  t.is(spacingOf(200_000, 100_000), 101);
  t.is(spacingOf(20_000, 10_000), 11);
  t.true(1_000_000 / spacingOf(1_000_000, 0) <= 65_536);
});

test("elapsed() counts a process that has come meanwhile from zero", (t) => {
  const times = elapsed({ a: 5, kernel: 1 }, { a: 7, b: 3, kernel: 1 });
  t.deepEqual(times, { a: 2, b: 3, kernel: 0 });
  t.is(total(times), 5);
});

for (const [line, complaint] of [
  ["", "give exactly one benchmark: sync"],
  ["forward", "give exactly one benchmark: sync"],
  ["sync --rounds 4", "--rounds takes a number from 5 to 1000"],
  ["rack --rounds 6", "--rounds takes a number from 7 to 1000"],
  ["sync --nope", "Unknown option '--nope'"],
] as const)
  test(`weir bench answers "${line}" with a sentence and an exit code of 2`, async (t) => {
    const args = line.split(" ").filter((word) => word !== "");
    const { code, stderr } = await bench(args);
    t.is(code, 2);
    t.true(stderr.startsWith(`weir bench: ${complaint}`), stderr);
    t.true(stderr.endsWith("\nSee: weir bench --help\n"));
  });

function bench(
  args: readonly string[],
): Promise<{ readonly code: unknown; readonly stderr: string }> {
  const main = join(import.meta.dirname, "../bench/main.ts");
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], (error, _stdout, stderr) =>
      resolve({ code: error?.code ?? 0, stderr }),
    );
  });
}
