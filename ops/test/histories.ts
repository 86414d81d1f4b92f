// SPDX-License-Identifier: Apache-2.0
import { join } from "node:path";
import { runChild } from "./child.ts";
import { earlyEnd, type Context } from "./suites.ts";
import { TapReader, type TestResult } from "./tap.ts";

/** Random histories of simulated clusters, each of which has to end in equal session tables. */
export async function runHistories(context: Context): Promise<void> {
  const { root, count, seed, match, signal } = context;
  if (match !== undefined) return; // they are one test, by their number
  const results: TestResult[] = [];
  const reader = new TapReader((result) => {
    results.push(result);
    context.onResult(result);
  });
  const exit = await runChild(
    process.execPath,
    [join(root, "test/histories/main.ts"), String(count), String(seed)],
    {
      signal,
      onLine: (line) => reader.line(line),
      onErrorLine: context.onNote,
    },
  );
  reader.end();
  for (const result of earlyEnd(exit, results)) context.onResult(result);
}
