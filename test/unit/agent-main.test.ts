// SPDX-License-Identifier: Apache-2.0
// What `weir agent` says when it cannot even begin.
import { execFile } from "node:child_process";
import { join } from "node:path";
import test from "ava";

const root = join(import.meta.dirname, "../..");
const MAIN = join(root, "src/node/main.ts");
const SAMPLE = join(root, "ops/config/weir.yaml");
const CONFIG = ["--config", SAMPLE];

for (const { args, code, complaint } of [
  { args: [], code: 2, complaint: "Cannot run the agent: --config is missing" },
  {
    args: ["--nope"],
    code: 2,
    complaint: "Cannot run the agent: Unknown option '--nope'",
  },
  {
    args: [...CONFIG, "--log-level", "loud"],
    code: 2,
    complaint: "Cannot run the agent: --log-level must be error, warn",
  },
  {
    args: [...CONFIG, "--log", join(SAMPLE, "log")],
    code: 1,
    complaint: `Cannot write the log ${join(SAMPLE, "log")}: `,
  },
  {
    args: ["--config", join(root, "no-such-file"), "--node", "d1"],
    code: 1,
    complaint: `Cannot use config ${join(root, "no-such-file")}: the file cannot be read`,
  },
  {
    args: [...CONFIG, "--node", "d9"],
    code: 1,
    complaint: `Cannot use config ${SAMPLE}: nodes has no node of the name d9 (the nodes of this file: d1, d2)`,
  },
])
  test(`main() of the agent refuses "${args.join(" ").replaceAll(root, "")}" with a sentence`, async (t) => {
    const answer = await run(args);
    t.true(
      answer.stderr.startsWith(`weir: ${complaint}`),
      `another complaint: ${answer.stderr}`,
    );
    t.notRegex(answer.stderr, /\n {4}at /, "a stack trace is no sentence");
    t.is(answer.code, code);
  });

function run(
  args: readonly string[],
): Promise<{ readonly code: unknown; readonly stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], (error, _stdout, stderr) =>
      resolve({ code: error?.code ?? 0, stderr }),
    );
  });
}
