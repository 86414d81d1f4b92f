// SPDX-License-Identifier: Apache-2.0
// The drill that matters most, and its negative control; the others are run by hand.

import test, { type ExecutionContext } from "ava";
import {
  runDrill,
  type DrillResult,
  type Transport,
} from "../../ops/drill/drill.ts";
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
  { family, protocol }: Transport,
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
      ...{ family, protocol, control, connections: CONNECTIONS },
    },
    new Progress(stream),
  );
  t.deepEqual(await leftoversOf(name), []);
  return result;
}

for (const transport of [
  { family: 4, protocol: "tcp" },
  { family: 6, protocol: "tcp" },
  { family: 4, protocol: "udp" },
  { family: 6, protocol: "udp" },
] as const) {
  const { family, protocol } = transport;
  const words = `IPv${family} and ${protocol.toUpperCase()}`;
  const lab = (what: string) =>
    `drill${what}${family}${protocol}${process.pid}`;

  test.serial(
    `power-off breaks no connection, and leaves equal tables, with ${words}`,
    async (t) => {
      const result = await powerOff(t, lab("Test"), transport, false);
      t.deepEqual(result.problems, []);
      t.like(result, {
        ...{ ok: true, broken: 0, sync: "on", tablesEqual: true },
        ...transport,
      });
    },
  );

  // Each family and each protocol once.
  if ((family === 4) !== (protocol === "tcp")) continue;
  test.serial(
    `power-off breaks connections when the directors share no sessions, with ${words}`,
    async (t) => {
      const result = await powerOff(t, lab("Control"), transport, true);
      t.deepEqual(result.problems, []);
      t.true(result.ok && result.broken >= CONNECTIONS / 4);
    },
  );
}

test.serial("Faults leave the router as it was", async (t) => {
  await withRack({ name: `drillFaults${process.pid}` }, async (rack) => {
    await rack.ready();
    const state = () =>
      rack.output(RACK.router, [
        ...["bash", "-c"],
        `for family in 4 6; do
          ip -$family rule; ip -$family route; cat /proc/sys/net/ipv$family/fib_multipath_hash_fields
        done`,
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
