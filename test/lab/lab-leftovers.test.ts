// SPDX-License-Identifier: Apache-2.0
// Nothing of a lab stays behind, however it ends.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import test from "ava";
import {
  deployLab,
  destroyLab,
  LabCommandError,
  LabNotFoundError,
  openLab,
} from "../../ops/lab/lab.ts";
import { findLeftovers, leftoversOf } from "./leftovers.ts";
import { deployPair, newName, output, PAIR } from "./pair.ts";

const MAIN = fileURLToPath(new URL("../../ops/lab/main.ts", import.meta.url));

/** Counted from when the runner has taken the lab's name; the rest of a deploy of the pair takes about 120 ms. */
const KILL_MOMENTS_MS = [0, 10, 20, 30, 45, 60, 80, 100, 130, 170];
const CLAIM_LIMIT_MS = 10_000;
const POLL_MS = 5;

test.serial(
  "deployLab() fails when an exec line fails, names it, and leaves nothing",
  async (t) => {
    const name = newName(t);
    const env = { PAIR_EXEC: "ip route add 10.99.0.0/16 via 10.88.0.1" };
    const error = await t.throwsAsync(deployLab(PAIR, { name, env }), {
      instanceOf: LabCommandError,
    });
    t.regex(
      error.message,
      /node browser: `ip route add .*Nexthop/s,
      "node, command and reason are not named",
    );
    t.deepEqual(await leftoversOf(name), [], "a failed deploy left something");
  },
);

test.serial("deployLab() can be aborted and leaves nothing", async (t) => {
  const name = newName(t);
  const abort = new AbortController();
  const deployed = deployLab(PAIR, { name, signal: abort.signal });
  const rejected = t.throwsAsync(deployed, { name: "AbortError" });
  await until(
    () => existsSync(`/run/netns/clab-${name}-web`),
    "a node has its namespace",
  );
  abort.abort();
  await rejected;
  t.deepEqual(await leftoversOf(name), [], "an aborted deploy left something");
});

test.serial("destroy() leaves nothing, and twice is harmless", async (t) => {
  const lab = await deployPair(t);
  await output(
    lab,
    "web",
    "mkdir -p /sys/fs/cgroup/deep/er; setsid sleep 3600 >/dev/null 2>&1 & sleep 0; echo ok",
  );
  t.not(
    findLeftovers(lab.name).length,
    0,
    "the search for leftovers does not see a lab that is there",
  );
  await lab.destroy();
  t.deepEqual(findLeftovers(lab.name), [], "destroy left something");
  await lab.destroy();
  t.throws(() => openLab(lab.name), { instanceOf: LabNotFoundError });
});

test.serial(
  "destroyLab() leaves nothing after the runner was killed at any moment of a deploy",
  async (t) => {
    for (const moment of KILL_MOMENTS_MS) {
      const name = newName(t);
      const { runner, printed } = startDeploy(name);
      await claimed(name);
      await delay(moment);
      runner.kill("SIGKILL");
      await printed;
      await destroyLab(name);
      const what = `destroy left something of a deploy killed after ${moment} ms`;
      t.deepEqual(await leftoversOf(name), [], what);
    }
  },
);

test.serial("deploy leaves nothing after Ctrl-C at any moment", async (t) => {
  for (const moment of KILL_MOMENTS_MS) {
    const name = newName(t);
    const { runner, printed } = startDeploy(name);
    await claimed(name);
    await delay(moment);
    // A terminal sends the signal to the whole process group.
    if (runner.exitCode === null) process.kill(-(runner.pid ?? 0), "SIGINT");
    // A runner that has said that the lab is there was done before the signal came, and its lab stays.
    if ((await printed).includes("deployed lab")) await destroyLab(name);
    const what = `a deploy interrupted after ${moment} ms left something`;
    t.deepEqual(await leftoversOf(name), [], what);
  }
});

test.serial(
  "a program that is killed takes its commands in the lab along",
  async (t) => {
    const lab = await deployPair(t);
    const argv = [
      MAIN,
      "exec",
      "--name",
      lab.name,
      "browser",
      "--",
      "sleep",
      "2718",
    ];
    const runner = spawn(process.execPath, argv, { stdio: "ignore" });
    const sleeping = () =>
      lab
        .pids("browser")
        .some((process) => process.argv.join(" ") === "sleep 2718");
    await until(sleeping, "the command runs in the node");
    runner.kill("SIGKILL");
    await until(() => !sleeping(), "the command has ended");
    t.pass();
  },
);

/** `printed`: what it has written to its standard output, once it has ended. */
function startDeploy(name: string) {
  const runner = spawn(
    process.execPath,
    [MAIN, "deploy", "-t", PAIR, "--name", name],
    { stdio: ["ignore", "pipe", "ignore"], detached: true },
  );
  const ended = new Promise((resolve) => runner.on("exit", resolve));
  const text = runner.stdout.setEncoding("utf8").toArray();
  return {
    runner,
    printed: ended.then(async () => (await text).join("")),
  };
}

/** Waits until the runner has begun to make the lab. */
async function claimed(lab: string): Promise<void> {
  await until(
    () => existsSync(`/run/weir-lab/${lab}/lab.json`),
    `lab ${lab} is being made`,
  );
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (
    const deadline = Date.now() + CLAIM_LIMIT_MS;
    !condition();
    await delay(POLL_MS)
  ) {
    if (Date.now() > deadline)
      throw new Error(
        `It did not happen within ${CLAIM_LIMIT_MS} ms that ${what}`,
      );
  }
}
