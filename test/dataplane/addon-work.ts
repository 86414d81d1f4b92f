// SPDX-License-Identifier: Apache-2.0
/**
 * A process or worker with the addon in the midst of work, for the tests: events come in, jobs are queued. It ends as it is
 * told to.
 */
import { setImmediate } from "node:timers/promises";
import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { loadAddon } from "../../src/node/addon.ts";
import { WEIR_JOB_DIGEST } from "../../src/node/layout.ts";
import { Ring, type LoadOptions } from "./addon-ring.ts";

export type Work = {
  readonly options: LoadOptions;
  /**
   * `exit`: process.exit(3). `throw`: the listener throws. `last`: only a job is left to wait for. `stay`: until somebody
   * ends it.
   */
  readonly end: "exit" | "throw" | "last" | "stay";
};

const work: Work = isMainThread
  ? JSON.parse(process.argv[2] ?? "")
  : workerData;
const addon = loadAddon();
const none = new Uint8Array(0);

function digest(): Promise<Buffer> {
  return addon.submit(WEIR_JOB_DIGEST, none, 1 << 14);
}

addon.load(work.options);
if (work.end === "last") {
  await digest();
  await digest();
  console.log("done");
} else {
  const ring = new Ring();
  let events = 0;
  addon.events((records) => {
    if (work.end === "throw") throw new Error("what the listener throws");
    events += records.length;
  });
  for (let turn = 0; ; turn++) {
    ring.write(1000);
    for (let i = 0; i < 100; i++) digest().catch(() => {}); // EAGAIN, when it is full
    await setImmediate();
    if (turn === 10) parentPort?.postMessage("busy");
    if (work.end === "exit" && turn > 10 && events > 0) process.exit(3);
  }
}
