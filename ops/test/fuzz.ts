// SPDX-License-Identifier: Apache-2.0
import { join } from "node:path";
import { runChild } from "./child.ts";
import type { Options } from "./options.ts";
import { matches, type Context } from "./suites.ts";

/** Packets of the negative control: it spoils one in 1,000 that are translated. */
const CONTROL_PACKETS = 50_000;

type Fuzz = Pick<Context, "root" | "signal" | "temporary">;

/** Random packets through the real programs, each held against a model of the translation; then the same, spoilt. */
export async function runFuzz(context: Context): Promise<void> {
  const { packets, seed, match, onResult, onNote } = context;
  const run = async (
    title: string,
    args: readonly string[],
    expected: number,
  ): Promise<void> => {
    if (!matches(title, match)) return;
    const figures: string[] = [];
    const exit = await start(
      args,
      context,
      (line) => figures.push(line),
      // What the negative control says of spoilt packets tells nobody anything.
      expected === 0 ? onNote : () => {},
    );
    const isGood = exit.status === expected;
    onResult({
      title,
      outcome: isGood ? "passed" : "failed",
      detail: isGood
        ? []
        : [
            `exit ${exit.status} in place of ${expected}`,
            ...figures,
            ...exit.errors,
          ],
    });
  };
  await run(
    `fuzz finds nothing in ${packets} packets of seed ${seed}`,
    [String(packets), String(seed)],
    0,
  );
  await run(
    "fuzz notices packets that come out spoilt",
    [String(CONTROL_PACKETS), String(seed), "--break"],
    1,
  );
}

/** The fuzzer alone, whose output and exit code are those of the command: it is asked for figures, or for one packet. */
export async function runFuzzAlone(
  { packets, seed, fuzz }: Options,
  context: Fuzz,
): Promise<number> {
  const args = [
    ...[String(packets), String(seed)],
    ...(fuzz.only === undefined ? [] : ["--only", String(fuzz.only)]),
    ...(fuzz.break ? ["--break"] : []),
    ...(fuzz.json ? ["--json"] : []),
  ];
  const { status } = await start(
    args,
    context,
    (line) => console.log(line),
    (line) => console.error(line),
  );
  return status === 0 ? 0 : 1;
}

/** In a network and with mounts of its own, of which nothing is left. */
function start(
  args: readonly string[],
  { root, signal, temporary }: Fuzz,
  onLine: (line: string) => void,
  onErrorLine: (line: string) => void,
) {
  const program = join(root, "test/properties/main.ts");
  return runChild(
    "unshare",
    ["--net", "--mount", process.execPath, program, ...args],
    { env: { TMPDIR: temporary }, signal, onLine, onErrorLine },
  );
}
