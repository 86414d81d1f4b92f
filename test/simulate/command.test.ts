// SPDX-License-Identifier: Apache-2.0
// The command `simulate`: its options, what it refuses, and that it leaves nothing behind.
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { readCapture } from "../../src/simulate/capture.ts";
import { ICMP } from "../model/translate/protocols.ts";
import { run } from "../unit/cli-run.ts";
import { type Answer, CONFIG, Files } from "./files.ts";
import {
  CLIENT,
  CLIENT6,
  LIP,
  WEB,
  WEB6,
  WEB6_REAL,
  WEB_REAL,
} from "./hosts.ts";
import { ODD_FILE } from "./odd.ts";
import { frame, icmp, tcp } from "./packets.ts";

const CLI = join(import.meta.dirname, "../../src/cli/main.ts");
/** How long a process may take to come into a state, or to end. */
const LIMIT_MS = 60_000;

const SYN = frame(tcp(CLIENT, WEB, "S"));

test("simulate prints a line for each packet, with the reason in words", async (t) => {
  const files = new Files(t);
  const { code, stdout, stderr } = await run(
    "simulate",
    ...["--config", CONFIG, "--out", files.out],
    ...["--pcap", files.capture([SYN, frame(tcp(CLIENT, WEB, "SF"))])],
  );
  t.is(stderr, "");
  t.is(code, 0);
  t.deepEqual(stdout.split("\n"), [
    "N  IN    VERDICT  OUT   CLIENT              SERVER         COUNTER         REASON",
    "1  eth1  forward  eth2  198.51.100.1:40000  10.3.1.2:8080  forwarded       Translated and sent. Expected.",
    "2  eth1  drop           198.51.100.1:40000  10.3.1.2:8080  drop_tcp_flags  A combination of TCP flags that no TCP sends. Expected from scans.",
    "",
  ]);
  const left = readCapture(readFileSync(files.out));
  t.deepEqual(
    left.map(({ iface, timeNs }) => [iface, timeNs]),
    [["eth2", 1_700_000_000_000_000_000n]],
  );
});

test("simulate has packets come in where --iface says", async (t) => {
  const files = new Files(t);
  const { stdout } = await run(
    "simulate",
    ...["--config", CONFIG, "--out", files.out, "--json"],
    ...["--pcap", files.capture([SYN], "elsewhere"), "--iface", "eth2"],
  );
  const answers: readonly Answer[] = JSON.parse(stdout);
  t.like(answers, [{ n: 1, iface: "eth2", verdict: "forward" }]);
});

test("simulate has all behind one router if the config says nothing of the network", async (t) => {
  const files = new Files(t);
  const text = readFileSync(CONFIG, "utf8");
  const network = text.slice(
    text.indexOf("    simulate:"),
    text.indexOf("services:"),
  );
  const six = frame(tcp(CLIENT6, WEB6, "S"));
  const { stdout } = await run(
    "simulate",
    ...["--config", files.config(network, ""), "--out", files.out, "--json"],
    ...["--pcap", files.capture([SYN, frame(tcp(WEB_REAL, LIP, "SA")), six])],
  );
  const answers: readonly Answer[] = JSON.parse(stdout);
  t.deepEqual(
    answers.map(({ verdict, server, out }) => [verdict, server, out[0]?.iface]),
    [
      ["forward", WEB_REAL, "eth1"],
      ["forward", WEB_REAL, "eth1"],
      ["forward", WEB6_REAL, "eth1"],
    ],
  );
});

test("simulate plays the node that is asked for", async (t) => {
  const files = new Files(t);
  const config = files.config(
    "services:\n",
    `  d2:
    interfaces: [wan0]
    pool: [10.200.0.2/32, "2001:db8:200::2/128"]
    routing: { asn: 65001, router_id: 10.1.1.3, listen: [], neighbors: [{ address: 10.1.1.1, asn: 65000 }] }
services:
`,
  );
  const { stdout } = await run(
    "simulate",
    ...["--config", config, "--node", "d2", "--out", files.out, "--json"],
    ...["--pcap", files.capture([SYN], "wan0")],
  );
  const answers: readonly Answer[] = JSON.parse(stdout);
  const [{ session } = { session: null }] = answers;
  t.regex(session?.local ?? "", /^10\.200\.0\.2:/);
});

test("simulate knows no too much at once", async (t) => {
  const files = new Files(t);
  const unknown = frame(tcp(CLIENT, "192.0.2.10:8888", "S"));
  const echo = frame(icmp("198.51.100.1", "192.0.2.10", ICMP.echoRequest));
  const frames = Array.from({ length: 2_000 }, () => [unknown, echo]).flat();
  const { stdout } = await run(
    "simulate",
    ...["--config", CONFIG, "--out", files.out, "--json"],
    ...["--pcap", files.capture(frames)],
  );
  const answers: readonly Answer[] = JSON.parse(stdout);
  t.is(answers.length, frames.length);
  t.deepEqual(
    new Set(answers.map(({ verdict }) => verdict)),
    new Set(["answer"]),
  );
});

test("simulate says what the kernel refuses, and writes nothing", async (t) => {
  const files = new Files(t);
  // It is there already, in each network namespace.
  const config = files.config("[eth1, eth2]", "[lo, eth1, eth2]");
  const { code, stdout, stderr } = await run(
    "simulate",
    ...["--config", config, "--out", files.out],
    ...["--pcap", files.capture([SYN])],
  );
  t.is(code, 1);
  t.is(stdout, "");
  t.regex(
    stderr,
    /^Cannot make the simulated network: .*exists: current value is ip link add name lo /,
  );
  t.false(existsSync(files.out));
});

test("simulate says which file it cannot write", async (t) => {
  const files = new Files(t);
  const { code, stdout, stderr } = await run(
    "simulate",
    ...["--config", CONFIG, "--out", join(files.directory, "no/out.pcapng")],
    ...["--pcap", files.capture([SYN])],
  );
  t.is(code, 1);
  t.is(stdout, "");
  t.regex(stderr, /^Cannot write .*no\/out\.pcapng: ENOENT/);
});

for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const)
  test(`simulate leaves nothing behind when it is ended by ${signal}`, async (t) => {
    const files = new Files(t);
    const frames = Array.from({ length: 5_000 }, () => SYN);
    const command = [CLI, "simulate", "--config", CONFIG, "--out", files.out];
    const child = spawn(
      process.execPath,
      [...command, "--pcap", files.capture(frames)],
      { stdio: "ignore" },
    );
    const ended = new Promise((resolve) =>
      child.once("exit", (_code, by) => resolve(by)),
    );
    t.teardown(() => child.kill("SIGKILL"));
    // It is in the midst of it: its interfaces are there.
    const inside = await eventually(t, "a process in namespaces", () =>
      childrenOf(child.pid).find((pid) =>
        read(`/proc/${pid}/net/dev`).includes("eth2:"),
      ),
    );
    const namespaces = namespacesOf(inside);
    t.notDeepEqual(namespaces, namespacesOf(process.pid));
    child.kill(signal);
    t.is(await ended, signal);
    await eventually(t, "nobody in the namespaces", () =>
      processes().every((pid) =>
        namespacesOf(pid).every((one) => !namespaces.includes(one)),
      ),
    );
    t.false(existsSync(files.out));
  });

test("simulate leaves no process behind when it has ended", async (t) => {
  const files = new Files(t);
  await run(
    "simulate",
    ...["--config", CONFIG, "--out", files.out, "--pcap", ODD_FILE],
  );
  t.deepEqual(childrenOf(process.pid), []);
});

async function eventually<T>(
  t: ExecutionContext,
  what: string,
  probe: () => T | undefined | false,
): Promise<T> {
  const deadline = performance.now() + LIMIT_MS;
  for (;;) {
    const found = probe();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) return t.fail(`there never was ${what}`);
    await delay(10);
  }
}

/** Network and mounts; none of a process that has ended. */
function namespacesOf(pid: number): readonly string[] {
  return ["net", "mnt"].flatMap((kind) => {
    try {
      return readlinkSync(`/proc/${pid}/ns/${kind}`);
    } catch {
      return [];
    }
  });
}

function childrenOf(pid: number | undefined): readonly number[] {
  return processes().filter((one) =>
    read(`/proc/${one}/status`).includes(`\nPPid:\t${pid}\n`),
  );
}

function processes(): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** Empty if it has gone. */
function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
