// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from "node:timers/promises";
import type { Dataplane } from "./dataplane.ts";

/** Nothing has been forwarded for so long: nothing comes any more. */
const QUIET_MS = 300;
const LIMIT_MS = 5000;

/** Resolves when no packet comes to the dataplane any more, or when that takes too long. */
export async function untilQuiet(dataplane: Dataplane): Promise<void> {
  const limit = Date.now() + LIMIT_MS;
  let forwarded = dataplane.readCounters().forwarded;
  while (Date.now() < limit) {
    await sleep(QUIET_MS);
    const now = dataplane.readCounters().forwarded;
    if (now === forwarded) return;
    forwarded = now;
  }
}
