// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import path from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { eventually } from "./eventually.ts";

const PORT = 6222;
const SERVER = `require("node:net").createServer((one) => one.resume()).listen(${PORT}, () => console.log("listening"))`;

const ip = (...args: readonly string[]) => execFileSync("ip", args);

/** A program in a network namespace, and what it has printed. */
function start(t: ExecutionContext, namespace: string, ...args: string[]) {
  const command = ["netns", "exec", namespace, process.execPath, ...args];
  const child: ChildProcess = spawn("ip", command, {
    stdio: ["pipe", "pipe", "inherit"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  const lines: string[] = [];
  if (child.stdout)
    createInterface(child.stdout).on("line", (line) => lines.push(line));
  return { lines, tell: (line: string) => child.stdin?.write(`${line}\n`) };
}

test("endDeadRoutes() ends a connection whose other end is gone, though it is written to, and no other", async (t) => {
  const [own, other] = ["own", "other"].map(
    (one) => `weirDead-${process.pid}-${one}`,
  );
  if (own === undefined || other === undefined) throw new Error("unreachable");
  for (const name of [own, other]) {
    ip("netns", "add", name);
    t.teardown(() => ip("netns", "del", name));
  }
  ip(
    ..."-n".split(" "),
    own,
    ..."link add v type veth peer name v netns".split(" "),
    other,
  );
  ip("-n", own, ..."address add 192.0.2.1/30 dev v".split(" "));
  ip("-n", other, ..."address add 192.0.2.2/30 dev v".split(" "));
  for (const name of [own, other])
    ip("-n", name, ..."link set v up".split(" "));

  const server = start(t, other, "-e", SERVER);
  await eventually("the server listens", () =>
    server.lines.includes("listening"),
  );
  const program = path.join(import.meta.dirname, "dead-routes-node.ts");
  const node = start(t, own, program, "192.0.2.2", String(PORT));
  await eventually("they are connected", () =>
    node.lines.includes("connected"),
  );
  const ask = async () => {
    const before = node.lines.length;
    node.tell("end");
    await eventually("it has looked", () =>
      node.lines.slice(before).some((line) => line.startsWith("dead")),
    );
    return node.lines.slice(before).find((line) => line.startsWith("dead"));
  };

  t.is(await ask(), "dead 0", "it lives");
  ip("-n", other, ..."link set v down".split(" "));
  t.is(await ask(), "dead 0", "it has been silent for no time");
  await eventually("it counts as dead", async () => (await ask()) === "dead 1");
  await eventually("its program knows", () =>
    node.lines.some((line) => line.startsWith("ended")),
  );
  t.is(await ask(), "dead 0", "there is no other");
});
