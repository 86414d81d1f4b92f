// SPDX-License-Identifier: Apache-2.0
import test, { type ExecutionContext } from "ava";
import { silentLog } from "../../src/log.ts";
import { RouterWatch } from "../../src/node/router-watch.ts";

/** A watch of one router, with what it does in words. */
function watching(t: ExecutionContext) {
  const told: string[] = [];
  let state: string | undefined;
  let looks = 0;
  const watch: RouterWatch = new RouterWatch({
    lookMs: 1,
    status: () => {
      looks++;
      const neighbor = {
        address: "10.1.1.1",
        asn: 65000,
        uptimeMs: 0,
        families: [],
      };
      const neighbors = state === undefined ? [] : [{ ...neighbor, state }];
      return Promise.resolve({ state: "starting", neighbors, announced: [] });
    },
    onChange: () => void told.push(watch.lost ? "lost" : "there"),
    catchUp: () => {
      told.push("catchUp");
      return watching.isFailing
        ? Promise.reject(new Error("no bus"))
        : Promise.resolve();
    },
    log: silentLog,
  });
  t.teardown(() => watch.close());
  watch.start();
  const watching = {
    watch,
    told,
    isFailing: false,
    /** What the daemon says of the router from now on; undefined: it knows none. Resolves when the watch has seen it. */
    says: async (next: string | undefined): Promise<void> => {
      state = next;
      const enough = looks + 3;
      while (looks < enough)
        await new Promise((resolve) => setTimeout(resolve, 1));
    },
  };
  return watching;
}

test("RouterWatch lets a node that has a router at once announce", async (t) => {
  const { watch, told, says } = watching(t);
  t.true(watch.isUnknown);
  t.false(watch.lost);
  await says("established");
  t.false(watch.isUnknown);
  t.false(watch.lost);
  t.deepEqual(told, ["there"]);
});

test("RouterWatch has a node catch up that starts before its router is there", async (t) => {
  const { watch, told, says } = watching(t);
  await says("active");
  t.true(watch.lost);
  await says("established");
  t.false(watch.lost);
  t.deepEqual(told, ["lost", "catchUp", "there"]);
});

test("RouterWatch has a node catch up whose last router was lost", async (t) => {
  const { watch, told, says } = watching(t);
  await says("established");
  await says("idle");
  t.true(watch.lost);
  await says("established");
  t.deepEqual(told, ["there", "lost", "catchUp", "there"]);
});

test("RouterWatch takes a daemon that does not answer, or knows no router, for no news", async (t) => {
  const { watch, told, says } = watching(t);
  await says("unknown");
  await says(undefined);
  t.true(watch.isUnknown);
  await says("established");
  await says("unknown");
  await says(undefined);
  t.false(watch.lost);
  await says("established");
  t.deepEqual(told, ["there"]);
});

test("RouterWatch tries again when catching up has failed", async (t) => {
  const watched = watching(t);
  await watched.says("idle");
  watched.isFailing = true;
  await watched.says("established");
  t.true(watched.watch.lost);
  watched.isFailing = false;
  await watched.says("established");
  t.false(watched.watch.lost, "it counts as lost for good");
});
