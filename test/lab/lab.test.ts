// SPDX-License-Identifier: Apache-2.0
// The lab runner on a topology of two nodes: what a node is, and what can be done with it.

import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import test from "ava";
import {
  deployLab,
  type Lab,
  LabExistsError,
  LabNotFoundError,
  LabTimeoutError,
} from "../../ops/lab/lab.ts";
import { findLeftovers } from "./leftovers.ts";
import { deployPair, output, PAIR } from "./pair.ts";

const WEB_LIMIT_MS = 10_000;
const POLL_MS = 5;

async function fetchFromWeb(lab: Lab): Promise<string> {
  const argv = ["curl", "-sf", "--max-time", "1", "http://10.77.0.1/"];
  for (const deadline = Date.now() + WEB_LIMIT_MS; ; await delay(POLL_MS)) {
    const { code, stdout } = await lab.exec("browser", argv);
    if (code === 0 || Date.now() > deadline) return stdout.trim();
  }
}

test.serial(
  "deployLab() makes nodes that reach each other over their link",
  async (t) => {
    const lab = await deployPair(t);
    t.is(
      await fetchFromWeb(lab),
      "web",
      "the web server was not reached over the link",
    );
    const link: unknown = JSON.parse(
      await output(lab, "web", "ip -j link show eth1"),
    );
    t.like(
      link,
      [{ mtu: 1500, address: lab.topology.links[0]?.endpoints[0].mac }],
      "the link is not as the file says",
    );
    t.regex(
      await output(lab, "web", "ethtool -k eth1"),
      /tx-checksumming: off/,
      "checksum offload is on",
    );
  },
);

test.serial("deployLab() gives each node a system of its own", async (t) => {
  const lab = await deployPair(t);
  const marker = `/var/tmp/${lab.name}`;
  await output(
    lab,
    "web",
    `touch ${marker} /run/own /tmp/own && mkdir /sys/fs/bpf/own /sys/fs/cgroup/own`,
  );
  t.false(existsSync(marker), "a file that a node wrote is on the host");
  const others = `ls ${marker} /run/own /tmp/own /sys/fs/bpf/own /sys/fs/cgroup/own 2>/dev/null | wc -l`;
  t.is(
    await output(lab, "browser", others),
    "0",
    "a node sees what another node has written",
  );
  t.is(
    await output(lab, "browser", "hostname; echo $HOSTNAME; cat /etc/hostname"),
    "reader\nreader\nreader",
  );
  t.is(
    await output(lab, "browser", "echo $LAB"),
    `clab-${lab.name}`,
    "the variable of the file is not set",
  );
  t.is(
    await output(lab, "web", "cat /proc/sys/net/ipv4/ip_forward"),
    "1",
    "the sysctl of the file is not set",
  );
  t.is(
    await output(lab, "browser", "cat /proc/sys/net/ipv4/ip_forward"),
    "0",
    "a sysctl reached another node",
  );
  t.is(
    await output(
      lab,
      "browser",
      "touch /opt/weir/x 2>/dev/null || echo refused",
    ),
    "refused",
    "the bind is not read-only",
  );
  t.is(
    await output(lab, "browser", "cut -d: -f3 /proc/self/cgroup | tail -n 1"),
    "/",
    "the node sees the host's cgroups",
  );
  t.true(
    Number(await output(lab, "browser", "ls -d /proc/[0-9]* | wc -l")) < 10,
    "the node sees the host's processes",
  );
});

test.serial(
  "exec() returns exit code and output, and passes the input on",
  async (t) => {
    const lab = await deployPair(t);
    const script = "cat; echo err >&2; exit 7";
    const result = await lab.exec("browser", ["sh", "-c", script], {
      input: "in",
    });
    t.deepEqual(result, { code: 7, stdout: "in", stderr: "err\n" });
    const killed = await lab.exec("browser", ["sh", "-c", "kill -9 $$"]);
    t.is(killed.code, 137, "death by signal 9 is not told as 137");
    const background = await lab.exec("browser", [
      "sh",
      "-c",
      "sleep 30 & echo started",
    ]);
    t.is(
      background.stdout,
      "started\n",
      "a command that leaves something in the background did not end",
    );
    await t.throwsAsync(lab.exec("nobody", ["true"]), {
      instanceOf: LabNotFoundError,
      message: /its nodes are web, browser/,
    });
  },
);

test.serial(
  "exec() kills a command whose time is up, or that was aborted",
  async (t) => {
    const lab = await deployPair(t);
    const argv = ["sh", "-c", "echo begun; sleep 3141 & wait"];
    const error = await t.throwsAsync(
      lab.exec("browser", argv, { timeoutMs: 300 }),
      { instanceOf: LabTimeoutError },
    );
    t.is(error.stdout, "begun\n", "the output before the limit is lost");
    await t.throwsAsync(
      lab.exec("browser", argv, { signal: AbortSignal.timeout(200) }),
      { name: "TimeoutError" },
    );
    t.deepEqual(
      lab.pids("browser").filter((process) => process.argv.includes("3141")),
      [],
      "a killed command's child lives",
    );
  },
);

test.serial(
  "spawn() runs a command that streams until it is killed",
  async (t) => {
    const lab = await deployPair(t);
    const command = lab.spawn("browser", [
      "sh",
      "-c",
      "while read line; do echo got $line; done",
    ]);
    command.stdin.write("one\n");
    const [first] = await command.stdout.setEncoding("utf8").take(1).toArray();
    t.is(first, "got one\n", "the command did not answer");
    command.kill();
    t.is(await command.exited, 137, "the command was not killed");
  },
);

test.serial(
  "deployLab() refuses a lab that exists, unless it may replace it",
  async (t) => {
    const lab = await deployPair(t);
    await t.throwsAsync(deployLab(PAIR, { name: lab.name }), {
      instanceOf: LabExistsError,
      message: /lab destroy/,
    });
    t.is(
      await fetchFromWeb(lab),
      "web",
      "the refused deploy has harmed the lab",
    );
    await output(lab, "web", "touch /old");
    const again = await deployLab(PAIR, { name: lab.name, reconfigure: true });
    t.is(
      await output(again, "web", "ls /old 2>/dev/null || echo new"),
      "new",
      "the old lab is still there",
    );
  },
);

test.serial(
  "killNode() cuts a node off, startNode() brings it back as new",
  async (t) => {
    const lab = await deployPair(t);
    await output(
      lab,
      "web",
      "touch /kept-file; ip address add 10.78.0.1/24 dev eth1",
    );
    await lab.killNode("web");
    t.false(lab.isRunning("web"), "the node is running");
    t.regex(
      await output(lab, "browser", "ip link show eth1"),
      /NO-CARRIER/,
      "the peer still has a carrier",
    );
    await t.throwsAsync(lab.exec("web", ["true"]), {
      instanceOf: LabNotFoundError,
    });
    await lab.startNode("web");
    t.is(await fetchFromWeb(lab), "web", "the node does not serve again");
    t.notRegex(
      await output(lab, "web", "ls / && ip address"),
      /kept-file|10\.78/,
      "the node has kept something",
    );
    await lab.destroy();
    const what = "destroy left something of a restarted node";
    t.deepEqual(findLeftovers(lab.name), [], what);
  },
);
