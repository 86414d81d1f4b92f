// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import { RoutingError } from "../../src/errors.ts";
import { silentLog } from "../../src/log.ts";
import { Reachability } from "../../src/node/reachability.ts";
import type { Announcer, Route } from "../../src/routing/announcer.ts";
import { BlackholeRoutes } from "../../src/routing/blackhole.ts";

const VIP = { address: "192.0.2.10", length: 32 };
const POOL = { address: "10.200.0.0", length: 28 };

/** An announcer whose daemon fails as often as `failures` says. Notes what it is told. */
function fake(failures = 0): { told: string[]; reachability: Reachability } {
  const told: string[] = [];
  let left = failures;
  const announcer: Announcer = {
    set: async (routes: readonly Route[]) => {
      told.push(routes.map(({ prefix }) => prefix.address).join(" "));
      if (left-- > 0) throw new RoutingError("Cannot announce: no daemon");
    },
    status: async () => ({ state: "up", neighbors: [], announced: [] }),
    close: async () => {},
  };
  const blackholes = new BlackholeRoutes(["false"]);
  return {
    told,
    reachability: new Reachability(announcer, blackholes, silentLog),
  };
}

function routes(wanted: boolean) {
  return [
    { prefix: VIP, kind: "vip", wanted },
    { prefix: POOL, kind: "pool", wanted: true },
  ] as const;
}

test("announce() tells the announcer what is wanted, and the same only once", async (t) => {
  const { told, reachability } = fake();
  t.true(await reachability.announce(routes(true)));
  t.true(await reachability.announce(routes(true)));
  t.true(await reachability.announce(routes(false)));
  t.deepEqual(told, ["192.0.2.10 10.200.0.0", "10.200.0.0"]);
});

test("announce() asks again for what was not in place in time", async (t) => {
  const { told, reachability } = fake(1);
  t.false(await reachability.announce(routes(true)));
  t.true(
    await reachability.announce(routes(true)),
    "routes that came late count as missing for ever",
  );
  t.is(told.length, 2);
});
