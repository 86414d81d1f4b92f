// SPDX-License-Identifier: Apache-2.0
/** What each `Announcer` must do, whatever daemon is behind it: one suite, to be run on each implementation. */
import type { ExecutionContext, TestFn } from "ava";
import { formatPrefix, parsePrefix } from "../../src/model.ts";
import { GRACEFUL_SHUTDOWN } from "../../src/routing/announcer.ts";
import type { Announcer, Route } from "../../src/routing/announcer.ts";
import type { RouterSession } from "./bgp-router.ts";
import { eventually } from "./eventually.ts";

/** A daemon of a node, and a router to which it has one session or more. */
export interface AnnouncerRig {
  /**
   * A new announcer for the daemon, which may be running, and may have been used by others before. Closed when the test
   * ends: two at a time would undo each other's work.
   */
  announcer(t: ExecutionContext): Announcer;
  killDaemon(): Promise<void>;
  startDaemon(): Promise<void>;
  /** Takes the routes away in the daemon, behind the announcer's back. */
  emptyDaemon(): Promise<void>;
  routerTable(): Promise<readonly string[]>;
  routerSession(): Promise<RouterSession>;
  routerAttributes(
    prefix: string,
  ): Promise<{ readonly med?: number; readonly communities?: string }>;
}

export const VIP = "192.0.2.10/32";
export const VIP6 = "2001:db8:ffff::10/128";
export const AGGREGATE = "10.200.0.0/24";

/** Of both families: a VIP, a pool, an aggregate. */
export const PREFIXES = [
  ...[VIP, "10.200.0.0/28", AGGREGATE],
  ...[VIP6, "2001:db8:200::/124", "2001:db8:200::/64"],
];
/** From the moment that a lost daemon is back until the router has its routes again. */
const BACK_MS_MAX = 10_000;

export const ROUTES = PREFIXES.map(route);

export function route(text: string): Route {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw new Error(`Not a prefix: ${text}`);
  return { prefix };
}

/** Resolves, with the milliseconds that it took, when the router's kernel has exactly these towards the node. */
export function routerHas(
  rig: AnnouncerRig,
  prefixes: readonly string[],
): Promise<number> {
  const wanted = prefixes.toSorted().join(" ");
  return eventually(
    `the router's kernel has exactly [${wanted}] towards the node`,
    async () => (await rig.routerTable()).join(" ") === wanted,
  );
}

export function announcerSuite(test: TestFn, getRig: () => AnnouncerRig): void {
  test.serial("set() brings routes to the router", async (t) => {
    const rig = getRig();
    const announcer = rig.announcer(t);
    await announcer.set(ROUTES);
    const ms = await routerHas(rig, PREFIXES);
    t.log(`on the router ${ms.toFixed()} ms after set()`);

    const status = await announcer.status();
    t.is(status.state, "up", "the session is established, but not reported");
    t.deepEqual(
      status.neighbors
        .flatMap(({ families }) => families)
        .toSorted((a, b) => a - b),
      [4, 6],
      "the sessions do not carry both families",
    );
    t.deepEqual(
      status.announced.map(({ prefix }) => formatPrefix(prefix)).toSorted(),
      PREFIXES.toSorted(),
      "status() does not list what is announced",
    );
    t.is(status.lastError, undefined, "an error is reported, but all is well");
  });

  test.serial("set() changes only what differs", async (t) => {
    const rig = getRig();
    const announcer = rig.announcer(t);
    await announcer.set(ROUTES);
    await routerHas(rig, PREFIXES);
    for (const [vip, other] of [
      [VIP, "192.0.2.11/32"],
      [VIP6, "2001:db8:ffff::11/128"],
    ] as const) {
      const changed = [...PREFIXES.filter((prefix) => prefix !== vip), other];
      await announcer.set(changed.map(route));
      await routerHas(rig, changed);

      const before = await rig.routerSession();
      await announcer.set(changed.toReversed().map(route));
      await announcer.set(ROUTES);
      await routerHas(rig, PREFIXES);
      const after = await rig.routerSession();
      t.true(
        after.updatesReceived - before.updatesReceived <= 2,
        "the router got more than the new route and the withdrawal of the old one",
      );
      t.is(
        after.establishments,
        before.establishments,
        "a session was interrupted",
      );
    }
  });

  test.serial("set() with an empty list withdraws all", async (t) => {
    const rig = getRig();
    const announcer = rig.announcer(t);
    await announcer.set(ROUTES);
    await routerHas(rig, PREFIXES);
    await announcer.set([]);
    const ms = await routerHas(rig, []);
    t.log(`gone from the router ${ms.toFixed()} ms after set()`);
    t.deepEqual((await announcer.status()).announced, [], "something is left");
  });

  test.serial("set() carries MED and communities", async (t) => {
    const rig = getRig();
    const announcer = rig.announcer(t);
    const vips = [VIP, VIP6];
    const received = async (med: number, communities: string | undefined) => {
      for (const vip of vips)
        await eventually(
          `the router has ${vip} with MED ${med} and communities ${communities}`,
          async () => {
            const found = await rig.routerAttributes(vip);
            return (
              (found.med ?? 0) === med && found.communities === communities
            );
          },
        );
    };
    const communities = [GRACEFUL_SHUTDOWN, "65001:7"];
    await announcer.set(
      vips.map((vip) => ({ ...route(vip), med: 50, communities })),
    );
    await received(50, "65001:7 graceful-shutdown");
    await announcer.set(vips.map(route));
    await received(0, undefined);
    t.pass();
  });

  test.serial(
    "close() leaves the routes, and a new announcer adopts them",
    async (t) => {
      const rig = getRig();
      const first = rig.announcer(t);
      await first.set(ROUTES);
      await routerHas(rig, PREFIXES);
      const before = await rig.routerSession();
      await first.close();

      const second = rig.announcer(t);
      await eventually(
        "the new announcer finds all in order before it is told anything",
        async () => (await second.status()).state === "up",
      );
      t.is(
        (await second.status()).announced.length,
        ROUTES.length,
        "the routes did not survive the change of announcers",
      );
      await second.set(ROUTES);
      t.deepEqual(
        await rig.routerSession(),
        before,
        "the router saw an update, or a new session",
      );
      await second.set([route(VIP), route(VIP6)]);
      await routerHas(rig, [VIP, VIP6]);
    },
  );

  test.serial("set() survives a kill of the daemon", async (t) => {
    const rig = getRig();
    const announcer = rig.announcer(t);
    await announcer.set(ROUTES);
    await routerHas(rig, PREFIXES);
    await rig.killDaemon();
    const goneMs = await routerHas(rig, []);
    t.is(
      (await announcer.status()).state,
      "down",
      "the daemon is dead, and not reported as down",
    );
    await rig.startDaemon();
    const backMs = await routerHas(rig, PREFIXES);
    t.log(
      `gone after ${goneMs.toFixed()} ms, back after ${backMs.toFixed()} ms`,
    );
    t.true(backMs < BACK_MS_MAX, `it took ${backMs} ms to restore the routes`);
  });

  test.serial(
    "set() during an outage of the daemon is made up for",
    async (t) => {
      const rig = getRig();
      const announcer = rig.announcer(t);
      await announcer.set(ROUTES);
      await rig.killDaemon();
      const late = announcer.set([route(VIP)]);
      await rig.startDaemon();
      await late;
      await routerHas(rig, [VIP]);
      t.pass();
    },
  );

  test.serial(
    "set() is repeated when the daemon has lost its routes",
    async (t) => {
      const rig = getRig();
      const announcer = rig.announcer(t);
      await announcer.set(ROUTES);
      await routerHas(rig, PREFIXES);
      await rig.emptyDaemon();
      const goneMs = await routerHas(rig, []);
      const backMs = await routerHas(rig, PREFIXES);
      t.log(
        `gone after ${goneMs.toFixed()} ms, back after ${backMs.toFixed()} ms`,
      );
      t.true(
        backMs < BACK_MS_MAX,
        `it took ${backMs} ms to restore the routes`,
      );
    },
  );

  test.serial("set() after close() is refused", async (t) => {
    const announcer = getRig().announcer(t);
    await announcer.close();
    await t.throwsAsync(announcer.set(ROUTES), { message: /is closed/ });
  });
}
