// SPDX-License-Identifier: Apache-2.0
/** One session that carries the routes of both families, and several nodes that announce the same. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { silentLog } from "../../src/log.ts";
import { RoutingTimeoutError } from "../../src/routing/announcer.ts";
import { GobgpAnnouncer } from "../../src/routing/gobgp.ts";
import {
  AGGREGATE,
  PREFIXES,
  route,
  routerHas,
  ROUTES,
  VIP,
  VIP6,
} from "./announcer-suite.ts";
import { BgpNode } from "./bgp-node.ts";
import { BgpRouter, linkTo } from "./bgp-router.ts";
import { BgpSandbox } from "./bgp-sandbox.ts";
import { eventually } from "./eventually.ts";
import { GobgpRig } from "./gobgp-rig.ts";

for (const sessions of ["overIpv4", "overIpv6"] as const)
  test.serial(
    `GobgpAnnouncer announces both families ${sessions}`,
    async (t) => {
      const rig = await GobgpRig.create(sessions);
      t.teardown(() => rig.destroy());
      const announcer = rig.announcer(t);
      await announcer.set(ROUTES);
      await routerHas(rig, PREFIXES);
      const { neighbors } = await announcer.status();
      t.deepEqual(
        neighbors.map(({ families }) => families),
        [[4, 6]],
        "it is not one session for both",
      );

      const before = await rig.routerSession();
      await announcer.set([route(VIP), route(VIP6)]);
      await routerHas(rig, [VIP, VIP6]);
      await announcer.set(ROUTES);
      await routerHas(rig, PREFIXES);
      const { establishments } = await rig.routerSession();
      t.is(
        establishments,
        before.establishments,
        "the session was interrupted",
      );

      await rig.killDaemon();
      await routerHas(rig, []);
      await rig.startDaemon();
      await routerHas(rig, PREFIXES);
      await announcer.set([]);
      await routerHas(rig, []);
    },
  );

test.serial("set() says which family has no next hop", async (t) => {
  const rig = await GobgpRig.create("overIpv4");
  t.teardown(() => rig.destroy());
  const { eth1 = [] } = rig.node.interfaces();
  let addresses: typeof eth1 = eth1.slice(0, 1);
  const announcer = new GobgpAnnouncer({
    routing: rig.node.routing,
    interfaces: () => ({ eth1: addresses }),
    log: silentLog,
    setTimeoutMs: 1000,
    readBackMs: 100,
  });
  t.teardown(() => announcer.close());
  await t.throwsAsync(announcer.set(ROUTES), {
    instanceOf: RoutingTimeoutError,
    message: /IPv6 routes to 10\.0\.1\.1: eth1 has no IPv6 address/,
  });
  await routerHas(
    rig,
    PREFIXES.filter((prefix) => !prefix.includes(":")),
  );
  addresses = eth1;
  await routerHas(rig, PREFIXES);
});

test.serial(
  "GobgpAnnouncer warns of a router that does not take a family",
  async (t) => {
    const rig = await GobgpRig.create("ipv4Alone");
    t.teardown(() => rig.destroy());
    const warnings: object[] = [];
    const announcer = new GobgpAnnouncer({
      routing: rig.node.routing,
      interfaces: rig.node.interfaces,
      log: { ...silentLog, warn: (_, fields = {}) => warnings.push(fields) },
      readBackMs: 100,
    });
    t.teardown(() => announcer.close());
    const narrow = PREFIXES.filter((prefix) => !prefix.includes(":"));
    await announcer.set(narrow.map(route));
    await routerHas(rig, narrow);
    t.deepEqual(warnings, [], "there is a warning of what nobody needs");
    await announcer.set(ROUTES);
    await announcer.set(ROUTES.toReversed());
    t.deepEqual(warnings, [
      { event: "familyRefused", neighbor: "10.0.1.1", family: "IPv6" },
    ]);
    await routerHas(rig, narrow);
    const [neighbor] = (await announcer.status()).neighbors;
    t.deepEqual(neighbor?.families, [4], "status() does not tell");
  },
);

test.serial("routers spread both families over all nodes", async (t) => {
  const sandbox = await BgpSandbox.create();
  t.teardown(() => sandbox.destroy());
  const numbers = [1, 2, 3];
  const router = await BgpRouter.create(sandbox, "own");
  const announcers: GobgpAnnouncer[] = [];
  for (const number of numbers) {
    const node = await BgpNode.create(sandbox, router, number);
    announcers.push(startAnnouncer(t, node));
  }
  await router.start(numbers.length);
  const pools = numbers.flatMap((number) => [
    `10.200.0.${16 * number}/28`,
    `2001:db8:200::${number}:0/124`,
  ]);
  const shared = [VIP, AGGREGATE, VIP6, "2001:db8:200::/64"];
  const announce = async (index: number) =>
    announcers[index]?.set(
      [...shared, ...pools.slice(2 * index, 2 * index + 2)].map(route),
    );
  await Promise.all(numbers.map((_, index) => announce(index)));
  await untilTable(t, router, shared, pools, numbers);

  await announcers[1]?.set([]);
  await untilTable(t, router, shared, pools, [1, 3]);
  await announce(1);
  await untilTable(t, router, shared, pools, numbers);
  t.pass();
});

function startAnnouncer(t: ExecutionContext, node: BgpNode): GobgpAnnouncer {
  const { routing, interfaces } = node;
  const announcer = new GobgpAnnouncer({ routing, interfaces, log: silentLog });
  t.teardown(() => announcer.close());
  return announcer;
}

/** The shared prefixes by all of `numbers`, each pool by its own node. */
async function untilTable(
  t: ExecutionContext,
  router: BgpRouter,
  shared: readonly string[],
  pools: readonly string[],
  numbers: readonly number[],
): Promise<void> {
  const gateway = (number: number, prefix: string) =>
    linkTo(number).node[prefix.includes(":") ? 6 : 4];
  const wanted = new Map([
    ...shared.map((prefix): [string, readonly string[]] => [
      prefix,
      numbers.map((number) => gateway(number, prefix)),
    ]),
    ...numbers.flatMap((number) =>
      pools
        .slice(2 * number - 2, 2 * number)
        .map((pool): [string, readonly string[]] => [
          pool,
          [gateway(number, pool)],
        ]),
    ),
  ]);
  const text = (table: ReadonlyMap<string, readonly string[]>) =>
    [...table]
      .map(([prefix, gateways]) => `${prefix} ${gateways.join(" ")}`)
      .toSorted()
      .join("\n");
  const ms = await eventually(
    `the router's kernel has exactly\n${text(wanted)}`,
    async () => text(await router.table()) === text(wanted),
  );
  t.log(`nodes ${numbers.join(", ")} after ${ms.toFixed()} ms`);
}
