// SPDX-License-Identifier: Apache-2.0
// The drill that matters most, and its negative control; the others are run by hand.

import test, { type ExecutionContext } from "ava";
import { runDrill, type DrillResult } from "../../ops/drill/drill.ts";
import { busCut, Faults, rehash, splitHalves } from "../../ops/drill/faults.ts";
import type { LoadRun } from "../../ops/drill/load-run.ts";
import { POWER_OFF } from "../../ops/drill/scenarios/power-off.ts";
import { RACK, withRack } from "../../ops/lab/rack.ts";
import { Progress } from "../../ops/progress.ts";
import { leftoversOf } from "./leftovers.ts";

const CONNECTIONS = 500;

async function powerOff(
  t: ExecutionContext,
  name: string,
  control: boolean,
): Promise<DrillResult<LoadRun>> {
  const stream = Object.assign(Object.create(process.stderr), {
    isTTY: false,
    write: () => true,
  });
  const result = await runDrill(
    POWER_OFF,
    {
      ...{ name, runs: 1, seed: 1, sabotage: false },
      ...{ control, connections: CONNECTIONS },
    },
    new Progress(stream),
  );
  t.deepEqual(await leftoversOf(name), []);
  return result;
}

test.serial(
  "power-off breaks no connection, and leaves equal tables",
  async (t) => {
    const result = await powerOff(t, `drillTest${process.pid}`, false);
    t.deepEqual(result.problems, []);
    t.like(result, { ok: true, broken: 0, sync: "on", tablesEqual: true });
  },
);

test.serial(
  "power-off breaks connections when the directors share no sessions",
  async (t) => {
    const result = await powerOff(t, `drillControl${process.pid}`, true);
    t.deepEqual(result.problems, []);
    t.true(result.ok && result.broken >= CONNECTIONS / 4);
  },
);

test.serial("Faults leave the router as it was", async (t) => {
  await withRack({ name: `drillFaults${process.pid}` }, async (rack) => {
    await rack.ready();
    const state = () =>
      rack.output(RACK.router, [
        ...["bash", "-c"],
        "ip rule; ip route; cat /proc/sys/net/ipv4/fib_multipath_hash_fields",
      ]);
    const before = await state();
    const faults = new Faults();
    await faults.inject(busCut(rack));
    await faults.inject(busCut(rack, "d1"));
    await faults.inject(rehash(rack));
    await faults.inject(splitHalves(rack, "d1", "d2"));
    t.not(await state(), before, "nothing has changed");
    await faults.undoAll();
    t.is(await state(), before);
  });
});
