// SPDX-License-Identifier: Apache-2.0
// What `simulate` refuses before it asks the kernel for anything.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { writeCapture } from "../../src/simulate/capture.ts";
import { run } from "./cli-run.ts";

const SAMPLE = fileURLToPath(
  new URL("../../ops/config/weir.yaml", import.meta.url),
);
const FRAME = new Uint8Array(60);

function capture(
  t: ExecutionContext,
  content: string | Uint8Array = inFile(FRAME),
): string {
  const directory = mkdtempSync(join(tmpdir(), "weir-simulate-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const file = join(directory, "in.pcapng");
  writeFileSync(file, content);
  return file;
}

function inFile(bytes: Uint8Array, iface = "eth1"): Uint8Array {
  return writeCapture([{ iface, bytes, timeNs: 0n }]);
}

function simulate(pcap: string, ...args: readonly string[]) {
  const files = ["--config", SAMPLE, "--pcap", pcap, "--out", "/dev/null"];
  return run("simulate", ...files, ...args);
}

for (const { args, message } of [
  { args: [], message: "--config is missing" },
  { args: ["--config", SAMPLE], message: "--pcap is missing" },
  {
    args: ["--config", SAMPLE, "--pcap", "in.pcap"],
    message: "--out is missing",
  },
  {
    args: ["--config", SAMPLE, "--pcap", "a.pcapng", "--out", "a.pcapng"],
    message: "--pcap and --out name one file",
  },
])
  test(`simulate ${args.join(" ")} exits 2: ${message}`, async (t) => {
    const { code, stdout, stderr } = await run("simulate", ...args);
    t.is(code, 2);
    t.is(stdout, "");
    t.is(stderr, `Cannot simulate: ${message}\nSee: weir simulate --help\n`);
  });

test("simulate says of a bad config what check says, and exits 2", async (t) => {
  const config = capture(t, "cluster: rack\naggregat: 10.200.0.0/24\n");
  const checked = await run("check", config);
  const { code, stdout, stderr } = await run(
    "simulate",
    ...["--config", config, "--pcap", "in.pcap", "--out", "/dev/null"],
  );
  t.is(code, 2);
  t.is(stdout, "");
  t.is(stderr, checked.stdout);
});

test("simulate refuses a node that the config does not have", async (t) => {
  const { code, stderr } = await simulate(capture(t), "--node", "d7");
  t.is(code, 2);
  t.regex(stderr, /has no node of the name d7/);
});

test("simulate refuses an interface that the node does not have", async (t) => {
  const { code, stderr } = await simulate(capture(t), "--iface", "eth7");
  t.is(code, 2);
  t.is(
    stderr,
    "Cannot simulate: d1 has no such interface, only eth1: current value of --iface is eth7\nSee: weir simulate --help\n",
  );
});

for (const { what, content, message } of [
  {
    what: "a capture of another interface",
    content: inFile(FRAME, "wlan0"),
    message:
      /^Cannot simulate packet 1 of .*: .* d1 does not have, name one of eth1 by --iface: current value is wlan0\n$/,
  },
  {
    what: "a frame that is none",
    content: inFile(FRAME.subarray(0, 9)),
    message:
      /packet 1 of .*: a frame has 14 to 65535 bytes: current value is 9/,
  },
  {
    what: "what is no capture",
    content: "cluster: rack\nnodes: {}\nservices: []\n",
    message: /^Cannot read the capture .*: the file is no capture/,
  },
  {
    what: "a capture cut short",
    content: inFile(FRAME).subarray(0, -20),
    message: /^Cannot read the capture .*: byte \d+: the file ends/,
  },
])
  test(`simulate refuses ${what}`, async (t) => {
    const { code, stdout, stderr } = await simulate(capture(t, content));
    t.is(code, 1);
    t.is(stdout, "");
    t.regex(stderr, message);
  });

test("simulate says that there is no capture", async (t) => {
  const { code, stderr } = await simulate("/nowhere/in.pcap");
  t.is(code, 1);
  t.regex(stderr, /^Cannot read the capture \/nowhere\/in.pcap: ENOENT/);
});

test.serial("simulate needs root", async (t) => {
  const { getuid } = process;
  t.teardown(() => Object.assign(process, { getuid }));
  Object.assign(process, { getuid: () => 1_000 });
  const { code, stderr } = await simulate(capture(t));
  t.is(code, 1);
  t.is(
    stderr,
    "Cannot simulate: it needs root, for namespaces and to load programs: the current user has id 1000\n",
  );
});
