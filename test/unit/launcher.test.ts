// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";

const root = join(import.meta.dirname, "../..");

type Answer = {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
};

/** Runs a shell script with `set -eu` in which the launcher's parts are defined. */
function shell(
  script: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const setup = join(root, "ops/setup");
  return run(
    "sh",
    ["-euc", `. '${setup}/checks.sh'; . '${setup}/steps.sh'; ${script}`],
    env,
  );
}

function run(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [out, err] = ["", ""];
    child.stdout
      .setEncoding("utf8")
      .on("data", (text: string) => (out += text));
    child.stderr
      .setEncoding("utf8")
      .on("data", (text: string) => (err += text));
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, out, err }));
  });
}

const BTF = "/proc/version"; // any file that can be read

for (const { machine, sentence } of [
  { machine: `Linux x86_64 6.1.0-44-amd64 0 ${BTF}`, sentence: "" },
  { machine: `Linux aarch64 6.12.1 0 ${BTF}`, sentence: "" },
  { machine: `Linux x86_64 7.0-rc1 0 ${BTF}`, sentence: "" },
  {
    machine: `Darwin arm64 24.1.0 0 ${BTF}`,
    sentence: "Cannot run weir: it needs Linux, and this system is Darwin",
  },
  {
    machine: `Linux riscv64 6.12.1 0 ${BTF}`,
    sentence:
      "Cannot run weir: it needs an amd64 or arm64 machine, and this one is riscv64",
  },
  {
    machine: `Linux x86_64 6.12.1 1000 ${BTF}`,
    sentence:
      "Cannot run weir: it needs root, and the current user has id 1000 (try sudo ./weir)",
  },
  {
    machine: `Linux x86_64 6.0.19 0 ${BTF}`,
    sentence:
      "Cannot run weir: it needs Linux 6.1 or later, and this kernel is 6.0.19",
  },
  {
    machine: `Linux x86_64 5.15.0-91-generic 0 ${BTF}`,
    sentence:
      "Cannot run weir: it needs Linux 6.1 or later, and this kernel is 5.15.0-91-generic",
  },
  {
    machine: "Linux x86_64 6.12.1 0 /nowhere/vmlinux",
    sentence:
      "Cannot run weir: the kernel must describe its types (CONFIG_DEBUG_INFO_BTF), and /nowhere/vmlinux is missing",
  },
])
  test(`refusal() says "${sentence}" of ${machine}`, async (t) => {
    const { code, out } = await shell(`refusal ${machine}`);
    t.is(out.trim(), sentence);
    t.is(code, 0, "refusal() itself failed");
  });

const byName = (a: string, b: string): number => a.localeCompare(b);

test("weir --help lists each command, with an exit code of 0", async (t) => {
  const launcher = readFileSync(join(root, "weir"), "utf8");
  const commands = [...launcher.matchAll(/^([a-z |]+)\) program=/gm)].flatMap(
    ([, names = ""]) => names.split(" | "),
  );
  t.true(commands.length >= 13, "the launcher's commands were not found");
  const { code, out } = await run(join(root, "weir"), ["--help"]);
  t.is(code, 0);
  const described = [...out.matchAll(/^ {2}([a-z]+) {2,}\S/gm)].flatMap(
    ([, name]) => name ?? [],
  );
  t.deepEqual(
    described.toSorted(byName),
    commands.toSorted(byName),
    "a command is not described, or one that is not there is",
  );
});

test("weir refuses an unknown command before it changes anything", async (t) => {
  const { code, err } = await run(join(root, "weir"), ["frobnicate"]);
  t.is(code, 2);
  t.is(
    err,
    'weir: Cannot run "frobnicate": there is no such command, ./weir --help lists them\n',
  );
});

/** A tree with one step, `demo`, that reads `input`, makes `build/product` and appends a line to `runs`. */
function treeWithStep(
  t: ExecutionContext,
  step: string,
): {
  readonly tree: string;
  readonly setUp: () => Promise<Answer>;
  readonly runs: () => number;
} {
  const tree = mkdtempSync(join(tmpdir(), "weir-launcher-"));
  t.teardown(() => rmSync(tree, { recursive: true }));
  mkdirSync(join(tree, "ops/setup"), { recursive: true });
  mkdirSync(join(tree, "build"));
  writeFileSync(
    join(tree, "ops/setup/demo.sh"),
    `echo run >>runs\n${step}\ntouch build/product\n`,
  );
  writeFileSync(join(tree, "input"), "first");
  writeFileSync(join(tree, "runs"), "");
  const script = `
    inputs_of() { cat input; }
    products_of() { echo "$root/build/product"; }
    set_up demo`;
  return {
    tree,
    setUp: () => shell(script, { root: tree, architecture: "x64" }),
    runs: () => readFileSync(join(tree, "runs"), "utf8").split("\n").length - 1,
  };
}

test("set_up() runs a step once, and again when its inputs or its products change", async (t) => {
  const { tree, setUp, runs } = treeWithStep(t, "");
  t.is((await setUp()).code, 0);
  t.is(
    (await setUp()).err,
    "",
    "a set-up that was done already said something",
  );
  t.is(runs(), 1, "the step ran again although nothing had changed");

  writeFileSync(join(tree, "input"), "second");
  await setUp();
  t.is(runs(), 2, "the step did not run for its changed input");

  rmSync(join(tree, "build/product"));
  await setUp();
  t.is(runs(), 3, "the step did not run for its missing product");
});

test("set_up() runs a step once when two launchers start at the same time", async (t) => {
  const { setUp, runs } = treeWithStep(t, "sleep 0.3");
  const answers = await Promise.all([setUp(), setUp(), setUp()]);
  t.deepEqual(
    answers.map(({ code }) => code),
    [0, 0, 0],
  );
  t.is(runs(), 1, "the lock did not hold");
});

test("set_up() names the step that failed, shows its output and tries again next time", async (t) => {
  const { tree, setUp, runs } = treeWithStep(
    t,
    "echo no such compiler >&2; test -e mended",
  );
  const { code, err } = await setUp();
  t.is(code, 1);
  t.regex(err, /the step "demo" failed/);
  t.regex(err, /no such compiler/);

  writeFileSync(join(tree, "mended"), "");
  t.is((await setUp()).code, 0);
  t.is(runs(), 2, "a failed step counted as done");
});

test("set_up() only reads a tree that is up to date", async (t) => {
  const { tree, setUp } = treeWithStep(t, "");
  await setUp();
  const locked = join(tree, "build/.lock");
  rmSync(locked);
  chmodSync(join(tree, "build"), 0o555);
  t.is((await setUp()).code, 0);
  t.throws(
    () => readFileSync(locked),
    { code: "ENOENT" },
    "the lock was taken for nothing",
  );
});
