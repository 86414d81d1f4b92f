// SPDX-License-Identifier: Apache-2.0
import {
  chmod,
  mkdtemp,
  readFile,
  rename,
  rm,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { ExecutionContext } from "ava";
import test from "ava";
import { WeirError } from "../../src/errors.ts";
import type { Log, LogFields } from "../../src/log.ts";
import { silentLog } from "../../src/log.ts";
import type { EgressGroup } from "../../src/node/egress.ts";
import { CLIENTS } from "../../src/node/egress.ts";
import { EgressWatcher } from "../../src/node/egress-watcher.ts";

const TIME_LIMIT_MS = 10_000;
const LINK = {
  ifindex: 2,
  ifname: "eth1",
  flags: ["UP", "LOWER_UP"],
  mtu: 1500,
  link_type: "ether",
  address: "02:00:00:00:00:01",
};
const ROUTE = { dst: "10.3.0.0/16", gateway: "10.1.1.1", dev: "eth1" };
const NEIGHBOUR = {
  dst: "10.1.1.1",
  dev: "eth1",
  lladdr: "02:00:00:00:00:aa",
  managed: null,
  state: ["REACHABLE"],
};
const DESIRE = { interfaces: ["eth1"], destinations: ["10.3.1.2"] };

/**
 * Stands in for `ip`: answers a batch from files named after the query's first two words (and the family, if it is told), keeps a record of what it was
 * asked, and prints as monitor what is appended to the file `events`. A file `broken` makes it fail, a file `refuse` makes
 * it stumble over the word "managed".
 */
const FAKE_IP = `#!/bin/sh
cd "$(dirname "$0")" || exit
case "$*" in
monitor*) echo $$ >>monitors; exec tail -n +1 -f --pid=$PPID events ;;
esac
case "$*" in
-6*) family=-6 ;;
esac
[ -e broken ] && { echo "Cannot talk to rtnetlink" >&2; exit 2; }
number=0
while read -r line; do
	number=$((number + 1))
	echo "$line" >>asked
	case "$line" in
	"link show" | "neigh show" | "route show"* | "route get"*)
		set -- $line
		cat "$1-$2$family" 2>/dev/null || echo "Command failed -:$number" >&2 ;;
	*managed*)
		[ -e refuse ] && { echo 'Error: "managed" is a garbage.' >&2; exit 255; } ;;
	esac
done
`;

test("set() hands over the groups of all destinations", async (t) => {
  const { watcher, groups } = await watch(t);
  await watcher.set({ ...DESIRE, destinations: ["10.3.1.2", CLIENTS[4]] });
  t.deepEqual([...(groups.at(-1) ?? [])].map(summary), [
    "10.3.1.2 02:00:00:00:00:aa",
    `${CLIENTS[4]} 02:00:00:00:00:aa`,
  ]);
});

test("set() prefers the default route of the lowest metric", async (t) => {
  const { ip, watcher, groups } = await watch(t);
  const other = { ...NEIGHBOUR, dst: "10.1.1.9", lladdr: "02:00:00:00:00:99" };
  await ip.write("neigh-show", [NEIGHBOUR, other]);
  await ip.write("route-show", [
    { ...ROUTE, dst: "default", metric: 20 },
    { ...ROUTE, dst: "default", metric: 5, gateway: "10.1.1.9", tos: "0x10" },
    { ...ROUTE, dst: "default", metric: 10, gateway: "10.1.1.9" },
  ]);
  await watcher.set({ ...DESIRE, destinations: [CLIENTS[4]] });
  t.deepEqual([...(groups.at(-1) ?? [])].map(summary), [
    `${CLIENTS[4]} 02:00:00:00:00:99`,
  ]);
});

test("set() asks for the default routes of IPv6 by themselves", async (t) => {
  const { ip, watcher, groups } = await watch(t);
  const router = { ...NEIGHBOUR, dst: "fe80::1", lladdr: "02:00:00:00:00:06" };
  await ip.write("neigh-show", [NEIGHBOUR, router]);
  await ip.write("route-show-6", [
    { dst: "default", gateway: "fe80::1", dev: "eth1", metric: 1024 },
    { dst: "default", from: "2001:db8:77::/64", dev: "eth1", metric: 1 },
  ]);
  await watcher.set({ ...DESIRE, destinations: Object.values(CLIENTS) });
  t.deepEqual([...(groups.at(-1) ?? [])].map(summary), [
    `${CLIENTS[4]} 02:00:00:00:00:aa`,
    `${CLIENTS[6]} 02:00:00:00:00:06`,
  ]);
});

test("set() has no hops for a destination that the kernel refuses", async (t) => {
  const { ip, watcher } = await watch(t);
  await ip.remove("route-get");
  await watcher.set({ ...DESIRE, destinations: ["10.3.1.2", CLIENTS[4]] });
  t.deepEqual(watcher.status().destinations, [
    {
      destination: "10.3.1.2",
      hops: 0,
      problems: [{ reason: "noRoute", at: "10.3.1.2" }],
    },
    { destination: CLIENTS[4], hops: 1, problems: [] },
  ]);
});

test("set() refuses what is no address before it reaches a command line", async (t) => {
  const { watcher } = await watch(t);
  const set = () =>
    watcher.set({ ...DESIRE, destinations: ["10.3.1.2\nlink del eth1"] });
  t.throws(set, { instanceOf: RangeError });
});

test("onChange() is not called while nothing changes", async (t) => {
  const { watcher, groups } = await watch(t, { repairMs: 10 });
  await watcher.set(DESIRE);
  const { readings } = watcher.status();
  await until(() => watcher.status().readings > readings + 3);
  t.is(groups.length, 1);
});

test("onChange() follows a neighbour event that says something new", async (t) => {
  const { ip, watcher, groups } = await watch(t);
  await watcher.set(DESIRE);
  await until(() => watcher.status().readings === 2); // the first, and one for what it may have missed
  const asked = await ip.asked();
  await ip.heard("[NEIGH]10.1.1.1 dev eth1 lladdr 02:00:00:00:00:aa STALE");
  await ip.heard("[NEIGH]10.1.1.7 dev eth1 lladdr 02:00:00:00:00:77 STALE");
  await delay(50);
  await ip.write("neigh-show", [{ ...NEIGHBOUR, lladdr: "02:00:00:00:00:bb" }]);
  await ip.heard("[NEIGH]10.1.1.1 dev eth1 lladdr 02:00:00:00:00:bb REACHABLE");
  await until(() => groups.length === 2);
  t.deepEqual([...(groups.at(-1) ?? [])].map(summary), [
    "10.3.1.2 02:00:00:00:00:bb",
  ]);
  t.deepEqual(
    (await ip.asked()).slice(asked.length),
    ["neigh show"],
    "a neighbour event needs no other table, and confirmations none at all",
  );
});

test("onChange() follows a route event", async (t) => {
  const { ip, watcher, groups } = await watch(t);
  await watcher.set(DESIRE);
  await ip.remove("route-get");
  await ip.heard("[ROUTE]Deleted 10.3.0.0/16 via 10.1.1.1 dev eth1");
  await until(() => groups.length === 2);
  t.deepEqual([...(groups.at(-1) ?? [])].map(summary), ["10.3.1.2 "]);
});

test("onChange() follows a change that nobody reported, after a while", async (t) => {
  const { ip, watcher, groups } = await watch(t, { repairMs: 50 });
  await watcher.set(DESIRE);
  await ip.remove("route-get");
  await until(() => groups.length === 2);
  t.deepEqual([...(groups.at(-1) ?? [])].map(summary), ["10.3.1.2 "]);
});

test("onChange() still follows events after the monitor was killed", async (t) => {
  const { ip, watcher, groups, logged } = await watch(t);
  await watcher.set(DESIRE);
  await until(async () => (await ip.monitors()).length === 1);
  const [monitor] = await ip.monitors();
  process.kill(monitor ?? Number.NaN, "SIGKILL");
  await until(async () => (await ip.monitors()).length === 2);
  t.true(logged.includes("ipMonitorEnded"), "nobody was told");
  await ip.remove("route-get");
  await until(() => groups.length === 2);
  t.pass();
});

test("status() tells that the tables cannot be read, and the groups stay", async (t) => {
  const { ip, watcher, groups, logged } = await watch(t, { repairMs: 20 });
  await watcher.set(DESIRE);
  await ip.write("broken", []);
  await until(() => watcher.status().error !== undefined);
  t.regex(watcher.status().error ?? "", /Cannot talk to rtnetlink/);
  const { readings } = watcher.status();
  await until(() => watcher.status().readings > readings + 2);
  t.is(groups.length, 1, "groups were changed for want of knowledge");
  await t.throwsAsync(watcher.set(DESIRE), { instanceOf: WeirError });
  await ip.remove("broken");
  await until(() => watcher.status().error === undefined);
  t.deepEqual(
    logged.filter(
      (word) => word.startsWith("egressRead") || word === "readKernel",
    ),
    ["readKernel", "egressReadable"],
    "a state was logged more than once",
  );
});

test("set() has the kernel keep next hops resolved", async (t) => {
  const { ip, watcher } = await watch(t);
  await ip.write("neigh-show", []);
  await watcher.set(DESIRE);
  const line = "neigh replace 10.1.1.1 dev eth1 managed protocol 87";
  await until(async () => (await ip.asked()).includes(line));
  t.false((await ip.asked()).some((asked) => asked.endsWith(" use")));
});

test("set() probes next hops that the kernel refuses to keep resolved", async (t) => {
  const { ip, watcher, logged } = await watch(t, { repairMs: 20 });
  await ip.write("neigh-show", []);
  await ip.write("refuse", []);
  await watcher.set(DESIRE);
  const line = "neigh replace 10.1.1.1 dev eth1 use";
  const probes = async () =>
    (await ip.asked()).filter((asked) => asked === line).length;
  await until(async () => (await probes()) >= 3);
  t.is(logged.filter((word) => word === "manageNeighbours").length, 1);
});

test("close() ends the monitor and refuses what still waits", async (t) => {
  const { ip, watcher } = await watch(t);
  await until(async () => (await ip.monitors()).length === 1);
  const waiting = watcher.set(DESIRE);
  watcher.close();
  await t.throwsAsync(waiting, { instanceOf: WeirError });
  await t.throwsAsync(watcher.set(DESIRE), { instanceOf: WeirError });
  const [monitor] = await ip.monitors();
  await until(() => !isAlive(monitor ?? Number.NaN));
  t.is((await ip.monitors()).length, 1, "a monitor was started again");
});

/** A watcher on a fake `ip` with one resolved gateway, what it has reported, and the words that it has logged. */
async function watch(
  t: ExecutionContext,
  options: { readonly repairMs?: number } = {},
) {
  const folder = await mkdtemp(join(tmpdir(), "weir-egress-"));
  const ip = fakeIp(folder);
  await writeFile(join(folder, "ip"), FAKE_IP);
  await chmod(join(folder, "ip"), 0o755);
  await writeFile(join(folder, "events"), "");
  await ip.write("link-show", [LINK]);
  await ip.write("neigh-show", [NEIGHBOUR]);
  await ip.write("route-get", [ROUTE]);
  await ip.write("route-show", [{ ...ROUTE, dst: "default" }]);
  const groups: ReadonlyMap<string, EgressGroup>[] = [];
  const logged: string[] = [];
  const watcher = new EgressWatcher({
    log: recordingLog(logged),
    onChange: (all) => groups.push(all),
    ip: [join(folder, "ip")],
    repairMs: 60_000,
    ...options,
  });
  t.teardown(async () => {
    watcher.close();
    await rm(folder, { recursive: true });
  });
  return { ip, watcher, groups, logged };
}

function fakeIp(folder: string) {
  const linesOf = async (name: string): Promise<readonly string[]> => {
    const text = await readFile(join(folder, name), "utf8").catch(() => "");
    return text.split("\n").filter((line) => line !== "");
  };
  return {
    write: async (name: string, answer: readonly object[]) => {
      const draft = join(folder, `${name}.draft`);
      await writeFile(draft, `${JSON.stringify(answer)}\n`);
      await rename(draft, join(folder, name));
    },
    remove: (name: string) => rm(join(folder, name)),
    heard: (event: string) =>
      writeFile(join(folder, "events"), `${event}\n`, { flag: "a" }),
    asked: () => linesOf("asked"),
    monitors: async () => (await linesOf("monitors")).map(Number),
  };
}

function recordingLog(words: string[]): Log {
  const note = (_msg: string, fields?: LogFields): void => {
    words.push(fields?.event ?? fields?.op ?? "");
  };
  return { ...silentLog, error: note, warn: note, info: note };
}

function summary([destination, { hops }]: readonly [string, EgressGroup]) {
  return `${destination} ${hops.map(({ dmac }) => dmac).join()}`;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function until(
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + TIME_LIMIT_MS;
  while (!(await condition())) {
    if (performance.now() > deadline)
      throw new Error(
        `Still not so after ${TIME_LIMIT_MS} ms: ${condition.toString()}`,
      );
    await delay(5);
  }
}
