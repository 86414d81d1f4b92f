// SPDX-License-Identifier: Apache-2.0
// node test/properties/main.ts PACKETS SEED [--only INDEX] [--break] [--json]: the fuzzer. Exits with 1 if it found something.
import { parseArgs } from "node:util";
import { BLOCK_FRAMES } from "./block.ts";
import { type Failure, fuzz, type FuzzResult } from "./fuzz.ts";

const NOTE_MS = 10_000;
/** Of different blocks: the first ones tell enough. */
const FAILURES_SHOWN = 10;

function main(args: readonly string[]): number {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      only: { type: "string" },
      break: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  const [packets, seed] = positionals.map(Number);
  if (packets === undefined || seed === undefined)
    throw new RangeError(
      "Cannot fuzz: a number of packets and a seed is needed",
    );
  const only = values.only === undefined ? undefined : Number(values.only);
  let failures = 0;
  const blocks = new Set<number>();
  let notedAtMs = performance.now();
  const result = fuzz(
    { packets, seed, only, isBroken: values.break },
    {
      onFailure: (failure) => {
        failures++;
        // What follows in the same block may be a consequence.
        const block = Math.floor(failure.index / BLOCK_FRAMES);
        if (blocks.has(block)) return;
        blocks.add(block);
        if (blocks.size <= FAILURES_SHOWN)
          console.error(describe(failure, seed));
      },
      onProgress: (done) => {
        if (performance.now() - notedAtMs < NOTE_MS) return;
        notedAtMs = performance.now();
        console.error(`${done} packets, ${failures} failures`);
      },
    },
  );
  console.log(values.json ? JSON.stringify(result) : summary(result));
  return result.ok ? 0 : 1;
}

function describe(
  { index, complaint, frame, outcome }: Failure,
  seed: number,
): string {
  const counted = [...outcome.counted].map(([name, by]) => `${name} +${by}`);
  return [
    `packet ${index} of seed ${seed}: ${complaint}`,
    `  in   ${frame.toString("hex")}`,
    `  out  ${outcome.frame.toString("hex")}`,
    `  ${outcome.verdict}: ${counted.join(", ")}`,
    `  ./weir test fuzz --seed ${seed} --only ${index}`,
  ].join("\n");
}

function summary(result: FuzzResult): string {
  const lines = (title: string, counts: Readonly<Record<string, number>>) => [
    title,
    ...Object.entries(counts).map(
      ([name, number]) => `  ${name.padEnd(24)}${String(number).padStart(12)}`,
    ),
  ];
  return [
    ...lines("by verdict", result.byVerdict),
    ...lines("by counter", result.byCounter),
    "",
    `${result.packets} packets of seed ${result.seed}: ${result.wrongRewrites} wrong, ${result.unaccounted} unaccounted`,
  ].join("\n");
}

process.exitCode = main(process.argv.slice(2));
