// SPDX-License-Identifier: Apache-2.0
// Session sync between the agents of a rack when a nats-server dies, stands still, or is started again, under load: the gap
// shows, is filled, and the sums of all settled sessions are equal afterwards.

import test from "ava";
import { kill } from "../../ops/drill/kill.ts";
import { Load } from "../../ops/drill/load-process.ts";
import { destroyLab } from "../../ops/lab/lab.ts";
import {
  deployRack,
  DIRECTORS,
  RACK,
  type Rack,
  until,
} from "../../ops/lab/rack.ts";
import type { SyncReport } from "../../ops/lab/reports.ts";

const NAME = `syncTest${process.pid}`;
const VICTIM = "d1";
const NATS_PID = "/run/weir/nats/nats-server.pid";
/** A session counts in the sums 10 s after its last change, and rounds come each 5 s. */
const EQUAL_LIMIT_MS = 40_000;
const GAP_LIMIT_MS = 15_000;
const REQUEST_EVERY_MS = 4;
/** The agent is back on the bus, by a peer's server, within some 5 ms: it takes a few kills to lose a message for sure. */
const KILLS_MAX = 5;
/** Transfers that live through it all, so that there is something to sum up. */
const TRANSFERS = 6;

let rack: Rack;

test.before(async () => {
  rack = await deployRack({ name: NAME });
  await rack.ready();
});

test.after.always(async () => {
  await destroyLab(NAME);
});

for (const [what, harm] of [
  ["killed", killUntilGap],
  ["frozen", freeze],
] as const)
  test.serial(
    `a nats-server that is ${what} under load leaves a gap, which is filled`,
    async (t) => {
      const load = await Load.start(rack, "c1");
      t.teardown(() => load.kill());
      for (let count = 0; count < TRANSFERS; count++) await load.open();
      load.request(REQUEST_EVERY_MS);
      await untilEqual("before");
      const before = gaps(await rack.sync(VICTIM));
      await harm(before);
      t.true(gaps(await rack.sync(VICTIM)) > before, "no gap was counted");
      await untilEqual("afterwards");
      await load.finish();
      t.deepEqual(
        load.ended.filter(
          ({ outcome }) => outcome !== "stopped" && outcome !== "complete",
        ),
        [],
        "connections broke, though no packet went another way",
      );
    },
  );

async function serverPid(): Promise<string> {
  return (await rack.output(VICTIM, ["cat", NATS_PID])).trim();
}

async function killUntilGap(before: number): Promise<void> {
  for (let kills = 0; kills < KILLS_MAX; kills++) {
    await untilHome();
    const pid = await serverPid();
    await kill(rack, VICTIM, NATS_PID);
    await untilReplaced(pid);
    if (gaps(await rack.sync(VICTIM)) > before) return;
  }
}

async function freeze(before: number): Promise<void> {
  await untilHome();
  const pid = await serverPid();
  await rack.output(VICTIM, ["kill", "-STOP", pid]);
  await until(
    "see the gap",
    async () =>
      gaps(await rack.sync(VICTIM)) > before ? undefined : "there is none",
    GAP_LIMIT_MS,
  );
  await untilReplaced(pid);
}

/** The agent goes back to its own server after some seconds. */
async function untilHome(): Promise<void> {
  const server = `${RACK.directors[VICTIM].address}:4222`;
  await until(
    "use its own nats-server",
    async () => {
      const connections = await rack.output(VICTIM, [
        ...["ss", "-Htn", "state", "established", "dst", server],
      ]);
      return connections === "" ? "it has no connection to it" : undefined;
    },
    GAP_LIMIT_MS,
  );
}

async function untilReplaced(pid: string): Promise<void> {
  await until(
    "have a nats-server again",
    async () =>
      (await serverPid()) === pid
        ? "it is the process that was there before"
        : undefined,
    GAP_LIMIT_MS,
  );
}

/** Of all that the peers have sent to this node. */
function gaps({ pairs }: SyncReport): number {
  return pairs
    .filter(({ to }) => to === VICTIM)
    .reduce((sum, pair) => sum + Number(pair.gaps ?? 0), 0);
}

async function untilEqual(when: string): Promise<void> {
  await until(
    `find all directors with equal sums ${when}`,
    async () => {
      for (const director of DIRECTORS) {
        const { state, pairs } = await rack.sync(director);
        if (state !== "synced") return `${director} is ${state}`;
        const known = pairs.filter(
          ({ to, digestEqual }) => to === director && digestEqual === true,
        );
        if (known.length < DIRECTORS.length - 1)
          return `${director} has not the sums of all`;
      }
      return undefined;
    },
    EQUAL_LIMIT_MS,
  );
}
