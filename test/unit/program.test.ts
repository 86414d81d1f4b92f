// SPDX-License-Identifier: Apache-2.0
// What the commands in ops/ say to a command line that makes no sense.
import { execFile } from "node:child_process";
import { join } from "node:path";
import test from "ava";

const root = join(import.meta.dirname, "../..");

for (const [line, complaint] of [
  ["demo --nope", "Unknown option '--nope'"],
  ["demo --name", "Option '--name <value>' argument missing"],
  ["drill", "give exactly one scenario of agent-kill, daemon-kill"],
  ["drill agent-kill --runs 0", "--runs takes a number from 1 to 1000"],
  ["lab frobnicate", "there is no command frobnicate"],
  [
    "lab deploy other.clab.yml",
    "too many arguments for deploy: other.clab.yml",
  ],
  ["lab destroy -- true", "only exec takes a command after --, not destroy"],
  ["lab kill", "kill needs the name of a node"],
  ["preflight eth1", "Unexpected argument 'eth1'"],
  ["test unti", 'Cannot test "unti": the suites are static'],
] as const)
  test(`runProgram() answers "${line}" with a sentence and an exit code of 2`, async (t) => {
    const [name = "", ...args] = line.split(" ");
    const { code, stderr } = await run(name, args);
    t.is(code, 2);
    t.true(
      stderr.startsWith(`weir ${name}: ${complaint}`),
      `another complaint: ${stderr}`,
    );
    t.true(stderr.endsWith(`\nSee: weir ${name} --help\n`));
  });

for (const verb of ["inspect", "deploy"])
  test(`runProgram() refuses the lab name ../x for ${verb}, with an exit code of 1`, async (t) => {
    const { code, stderr } = await run("lab", [verb, "--name", "../x"]);
    t.is(code, 1);
    t.regex(stderr, /^weir lab: Cannot use .*\n?.*"\.\.\/x"/);
    t.notRegex(stderr, /\n {4}at /, "a stack trace is no sentence");
  });

function run(
  name: string,
  args: readonly string[],
): Promise<{ readonly code: unknown; readonly stderr: string }> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [join(root, "ops", name, "main.ts"), ...args],
      (error, _stdout, stderr) => resolve({ code: error?.code ?? 0, stderr }),
    );
  });
}
