// SPDX-License-Identifier: Apache-2.0
/**
 * EgressWatcher on real kernels: a director with two interfaces, a router at the end of each, in network namespaces of
 * their own. Needs root.
 */
import { execFile } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import type { ExecutionContext } from "ava";
import test from "ava";
import { silentLog } from "../../src/log.ts";
import type { EgressGroup, EgressHop } from "../../src/node/egress.ts";
import { CLIENTS } from "../../src/node/egress.ts";
import { EgressWatcher } from "../../src/node/egress-watcher.ts";

const TIME_LIMIT_MS = 20_000;
const INTERFACES = ["eth1", "eth2"];
const READING_MAX_MS = 200;

const run = promisify(execFile);
let racks = 0;

test("set() finds the MACs of real neighbours", async (t) => {
  const rack = await deploy(t);
  const { watcher, hopsTo } = watch(t, rack);
  await watcher.set({
    interfaces: INTERFACES,
    destinations: ["10.1.1.50", "10.3.1.2", "192.0.2.10", "10.9.9.9"],
  });
  await until(() => ["10.1.1.50", "10.3.1.2"].every((to) => hopsTo(to).length));
  const [eth1, far] = [
    await rack.link("d", "eth1"),
    await rack.link("r1", "far"),
  ];
  const hop = { dmac: far.mac, smac: eth1.mac, ifindex: eth1.ifindex, vlan: 0 };
  t.deepEqual(hopsTo("10.1.1.50"), [{ ...hop, mtu: 1500 }], "on the link");
  t.deepEqual(hopsTo("10.3.1.2"), [{ ...hop, mtu: 1400 }], "by the gateway");
  t.deepEqual(hopsTo("192.0.2.10"), [], "a blackhole has a way out");
  t.deepEqual(hopsTo("10.9.9.9"), [], "a way out of another interface");
  t.deepEqual(
    watcher.status().destinations.flatMap(({ problems }) => problems),
    [
      { reason: "noRoute", at: "192.0.2.10" },
      { reason: "foreignInterface", at: "10.9.9.9 dev other" },
    ],
  );
});

test("set() has the kernel keep next hops resolved, and release them", async (t) => {
  const rack = await deploy(t);
  const { watcher, hopsTo } = watch(t, rack);
  const managed = async () => {
    const text = await rack.ip("d", "neigh show");
    return text
      .split("\n")
      .filter((line) => line.includes("managed"))
      .map((line) => line.split(" ")[0])
      .toSorted((a = "", b = "") => a.localeCompare(b));
  };
  await rack.ip("d", "neigh replace 10.1.1.9 dev eth1 managed");
  await rack.ip(
    "d",
    "neigh replace 10.1.1.50 lladdr 02:00:00:00:00:50 dev eth1",
  );
  const destinations = ["10.1.1.50", "10.3.1.2"];
  await watcher.set({ interfaces: INTERFACES, destinations });
  await until(() => hopsTo("10.3.1.2").length === 1);
  t.is(
    hopsTo("10.1.1.50")[0]?.dmac,
    "02:00:00:00:00:50",
    "an entry that was set by hand was lost",
  );
  t.deepEqual(await managed(), ["10.1.1.1", "10.1.1.9"]);
  await rack.ip("d", "neigh flush all");
  await until(async () => (await managed()).includes("10.1.1.1"));
  await watcher.set({ interfaces: INTERFACES, destinations: ["10.1.1.50"] });
  await until(async () => !(await managed()).includes("10.1.1.1"));
  t.true(
    (await managed()).every((address) => address === "10.1.1.9"),
    "a neighbour that somebody else manages was released",
  );
});

test("onChange() follows a neighbour's new MAC", async (t) => {
  const rack = await deploy(t);
  const { watcher, hopsTo } = watch(t, rack);
  await watcher.set({ interfaces: INTERFACES, destinations: ["10.1.1.50"] });
  await until(() => hopsTo("10.1.1.50").length === 1);
  const mac = "02:00:00:00:00:99";
  await rack.announceMac("r1", "far", mac);
  const delayMs = await until(() => hopsTo("10.1.1.50")[0]?.dmac === mac);
  t.log(`a new MAC was in use ${delayMs} ms after it was announced`);
  t.pass();
});

test("onChange() follows a route to another gateway", async (t) => {
  const rack = await deploy(t);
  const { watcher, hopsTo } = watch(t, rack);
  await watcher.set({
    interfaces: INTERFACES,
    destinations: ["10.3.1.2", "10.1.2.1"],
  });
  await until(() => hopsTo("10.1.2.1").length === 1);
  await rack.ip("d", "route replace 10.3.1.0/24 via 10.1.2.1");
  const { mac } = await rack.link("r2", "far");
  const delayMs = await until(() => hopsTo("10.3.1.2")[0]?.dmac === mac);
  t.log(`a new route was in use ${delayMs} ms after the command that made it`);
  await rack.ip("d", "rule add to 10.3.1.2 lookup 7");
  await rack.ip("d", "route add 10.3.1.2 via 10.1.1.1 table 7");
  const old = await rack.link("r1", "far");
  await until(() => hopsTo("10.3.1.2")[0]?.dmac === old.mac);
  t.pass();
});

test("onChange() follows the links and neighbours of an ECMP default route", async (t) => {
  const rack = await deploy(t);
  const { watcher, hopsTo } = watch(t, rack);
  const indexes = () => hopsTo(CLIENTS[4]).map(({ ifindex }) => ifindex);
  const eth1 = await rack.link("d", "eth1");
  const eth2 = await rack.link("d", "eth2");
  await watcher.set({ interfaces: INTERFACES, destinations: [CLIENTS[4]] });
  await until(() => indexes().length === 2);
  t.deepEqual(indexes(), [eth1.ifindex, eth2.ifindex]);

  await rack.ip("r2", "link set far down");
  const delayMs = await until(() => indexes().length === 1);
  t.log(`a dead link was out of use after ${delayMs} ms`);
  t.deepEqual(indexes(), [eth1.ifindex]);
  await rack.ip("r2", "link set far up");
  await until(() => indexes().length === 2);

  await rack.ip("r1", "link set far down");
  await rack.ip("r2", "link set far down");
  await until(() => indexes().length === 0);
  t.deepEqual(
    watcher.status().destinations[0]?.problems.map(({ reason }) => reason),
    ["linkDown", "linkDown"],
  );
});

test("set() finds the MACs of real IPv6 neighbours, and has the kernel keep them resolved", async (t) => {
  const rack = await deploy(t);
  const { watcher, hopsTo } = watch(t, rack);
  const ways = ["2001:db8:1:1::50", "2001:db8:3::2"];
  await watcher.set({
    interfaces: INTERFACES,
    destinations: [...ways, "2001:db8::10", CLIENTS[6]],
  });
  await until(() => [...ways, CLIENTS[6]].every((to) => hopsTo(to).length > 0));
  const [eth1, far] = [
    await rack.link("d", "eth1"),
    await rack.link("r1", "far"),
  ];
  const hop = { dmac: far.mac, smac: eth1.mac, ifindex: eth1.ifindex, vlan: 0 };
  t.deepEqual(hopsTo(ways[0] ?? ""), [{ ...hop, mtu: 1500 }], "on the link");
  t.deepEqual(hopsTo(ways[1] ?? ""), [{ ...hop, mtu: 1400 }], "by the gateway");
  t.deepEqual(hopsTo("2001:db8::10"), [], "a blackhole has a way out");
  t.deepEqual(
    watcher.status().destinations.flatMap(({ problems }) => problems),
    [{ reason: "noRoute", at: "2001:db8::10" }],
  );
  const managed = async () =>
    (await rack.ip("d", "-6 neigh show"))
      .split("\n")
      .filter((line) => line.includes("managed"))
      .map((line) => line.split(" ")[0]);
  const all = ["2001:db8:1:1::1", "2001:db8:1:1::50", "2001:db8:1:2::1"];
  await until(async () => {
    const kept = await managed();
    return kept.length === 3 && all.every((one) => kept.includes(one));
  });
  await watcher.set({ interfaces: INTERFACES, destinations: ways.slice(0, 1) });
  await until(async () => (await managed()).length === 1);
  t.pass();
});

test("onChange() follows the links and neighbours of an IPv6 ECMP default route", async (t) => {
  const rack = await deploy(t);
  const { watcher, hopsTo } = watch(t, rack);
  const macs = () => hopsTo(CLIENTS[6]).map(({ dmac }) => dmac);
  await watcher.set({ interfaces: INTERFACES, destinations: [CLIENTS[6]] });
  await until(() => macs().length === 2);

  await rack.ip("r2", "link set far down");
  await until(() => macs().length === 1);
  await rack.ip("r2", "link set far up");
  await rack.ip("r2", "address add 2001:db8:1:2::1/64 dev far nodad");
  await until(() => macs().length === 2);

  const mac = "02:00:00:00:00:99";
  await rack.announceMac("r1", "far", mac);
  const delayMs = await until(() => macs().includes(mac));
  t.log(`a new MAC was in use ${delayMs} ms after it was announced`);
  await rack.ip("d", "-6 route replace default via 2001:db8:1:1::1");
  await until(() => macs().length === 1);
  t.deepEqual(macs(), [mac]);
});

test("set() reads the ways to 1000 destinations quickly", async (t) => {
  const rack = await deploy(t);
  const { watcher, hopsTo } = watch(t, rack);
  // 200 neighbours on the link, all of them r1, and 800 destinations behind routes of their own.
  await rack.ip("r1", "route add local 10.4.0.0/17 dev lo");
  await rack.ip("d", "address add 10.4.255.254/16 dev eth1");
  const near = Array.from({ length: 200 }, (_, n) => `10.4.${n % 7}.${n + 1}`);
  const far = Array.from(
    { length: 800 },
    (_, n) => `10.5.${n % 11}.${n % 250}`,
  );
  await rack.batch("d", [
    ...new Set(far.map((address) => `route replace ${address} via 10.1.2.1`)),
  ]);
  const destinations = [...near, ...far];
  const startMs = performance.now();
  await watcher.set({ interfaces: INTERFACES, destinations });
  const firstMs = Math.round(performance.now() - startMs);
  await until(() => destinations.every((to) => hopsTo(to).length === 1));
  const allMs = Math.round(performance.now() - startMs);
  const before = watcher.status().readings;
  await rack.ip("d", "route add 10.99.0.0/16 via 10.1.1.1");
  await until(() => watcher.status().readings > before);
  const { durationMs = Infinity } = watcher.status();
  t.log(
    `1000 destinations: first groups after ${firstMs} ms, all resolved after ${allMs} ms, one reading ${Math.round(durationMs)} ms`,
  );
  t.true(durationMs < READING_MAX_MS, `a reading took ${durationMs} ms`);
});

type Rack = Awaited<ReturnType<typeof deploy>>;

function watch(t: ExecutionContext, rack: Rack) {
  let groups: ReadonlyMap<string, EgressGroup> = new Map();
  const watcher = new EgressWatcher({
    log: silentLog,
    onChange: (all) => (groups = all),
    ip: rack.enter("d"),
  });
  t.teardown(() => watcher.close());
  const hopsTo = (destination: string): readonly EgressHop[] =>
    groups.get(destination)?.hops ?? [];
  return { watcher, hopsTo };
}

/** d eth1 10.1.1.2 - far 10.1.1.1 r1, d eth2 10.1.2.2 - far 10.1.2.1 r2; removed when the test ends. */
async function deploy(t: ExecutionContext) {
  const prefix = `weirEgress${process.pid}x${racks++}`;
  const nameOf = (node: string) => `${prefix}${node}`;
  // "ip netns exec" would remount /sys.
  const enter = (node: string) =>
    ["nsenter", `--net=/run/netns/${nameOf(node)}`, "ip"] as const;
  const ip = async (node: string, line: string): Promise<string> => {
    const [file, ...args] = enter(node);
    const { stdout } = await run(file, [...args, ...line.split(" ")]);
    return stdout;
  };
  const batch = async (node: string, lines: readonly string[]) => {
    const [file, ...args] = enter(node);
    const child = run(file, [...args, "-batch", "-"]);
    child.child.stdin?.end(lines.map((line) => `${line}\n`).join(""));
    await child;
  };
  const link = async (node: string, device: string) => {
    const text = await ip(node, `-o link show ${device}`);
    const [, ifindex, mac] =
      /^(\d+):.*link\/ether ([0-9a-f:]+)/.exec(text) ?? [];
    return { ifindex: Number(ifindex), mac: mac ?? "" };
  };
  /** The new owner of an address says so by a gratuitous ARP, and by an unsolicited neighbour advertisement. */
  const announceMac = async (node: string, device: string, mac: string) => {
    const [nsenter, net] = enter(node);
    for (const notify of [
      "ipv4.conf.?.arp_notify",
      "ipv6.conf.?.ndisc_notify",
    ]) {
      const sysctl = `net.${notify.replace("?", device)}=1`;
      await run(nsenter, [net, "sysctl", "-q", sysctl]);
    }
    await ip(node, `link set ${device} address ${mac}`);
  };

  for (const node of ["d", "r1", "r2"]) {
    t.teardown(() => run("ip", ["netns", "del", nameOf(node)]));
    await run("ip", ["netns", "add", nameOf(node)]);
    await ip(node, "link set lo up");
  }
  for (const n of [1, 2]) {
    const router = `r${n}`;
    await batch("d", [
      `link add eth${n} type veth peer name far netns ${nameOf(router)}`,
      `address add 10.1.${n}.2/24 dev eth${n}`,
      `address add 2001:db8:1:${n}::2/64 dev eth${n} nodad`,
      `link set eth${n} up`,
    ]);
    await batch(router, [
      `address add 10.1.${n}.1/24 dev far`,
      `address add 10.1.${n}.50/24 dev far`,
      `address add 2001:db8:1:${n}::1/64 dev far nodad`,
      `address add 2001:db8:1:${n}::50/64 dev far nodad`,
      "link set far up",
    ]);
  }
  await batch("d", [
    "link add other type veth peer name other2",
    "address add 10.9.9.1/24 dev other",
    "link set other up",
    "link set other2 up",
    "route add default nexthop via 10.1.1.1 nexthop via 10.1.2.1",
    "route add 10.3.1.0/24 via 10.1.1.1 mtu 1400",
    "route add blackhole 192.0.2.10",
    "route add ::/0 nexthop via 2001:db8:1:1::1 nexthop via 2001:db8:1:2::1",
    "route add 2001:db8:3::/64 via 2001:db8:1:1::1 mtu 1400",
    "route add blackhole 2001:db8::10",
  ]);
  return { enter, ip, batch, link, announceMac };
}

/** Resolves to the milliseconds that it took. */
async function until(
  condition: () => boolean | Promise<boolean>,
): Promise<number> {
  const startMs = performance.now();
  while (!(await condition())) {
    if (performance.now() > startMs + TIME_LIMIT_MS)
      throw new Error(
        `Still not so after ${TIME_LIMIT_MS} ms: ${condition.toString()}`,
      );
    await delay(1);
  }
  return Math.round(performance.now() - startMs);
}
