// SPDX-License-Identifier: Apache-2.0
// Which ports a node gives out that starts without a table. It has no bus here, and no peer, so it joins alone at once.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { isLeft } from "fp-ts/lib/Either.js";
import { silentLog } from "../../src/log.ts";
import { loadConfig } from "../../src/node/config.ts";
import { Sharing } from "../../src/node/sharing.ts";
import { ModelTable } from "../model/table.ts";
import { MINIMAL } from "./config-file.ts";

/** The ports after a start, with an empty table after a reboot. */
async function portsAfter(
  t: ExecutionContext,
  start: "reboot" | "restart",
  directory: string,
) {
  const loaded = loadConfig(MINIMAL);
  const cluster = isLeft(loaded) ? undefined : loaded.right;
  const [node] = cluster?.nodes ?? [];
  if (cluster === undefined || node === undefined)
    return t.fail("no node in the test's file");
  const sharing = await Sharing.start({
    cluster,
    node,
    dataplane: {
      sharedTable: () => new ModelTable({ now: () => 0, origin: 1 }),
    },
    stateDir: mkdtempSync(join(directory, "run-")),
    dataDir: join(directory, "lib/weir"),
    log: silentLog,
  });
  await sharing.join(start === "reboot");
  const { ports } = sharing.allocation;
  await sharing.close();
  return ports;
}

test("Sharing.join() gives out one half of the ports after the other when nobody knows more", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "weir-sharing-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const all = await portsAfter(t, "restart", directory);
  const first = await portsAfter(t, "reboot", directory);
  const second = await portsAfter(t, "reboot", directory);
  const third = await portsAfter(t, "reboot", directory);
  if (!all || !first || !second) return;
  t.deepEqual([first.min, second.max], [all.min, all.max]);
  t.is(first.max + 1, second.min);
  t.deepEqual(third, first);
});
