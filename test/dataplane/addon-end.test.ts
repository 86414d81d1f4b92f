// SPDX-License-Identifier: Apache-2.0
// The ends of a process or a worker in which the addon's threads are at work.
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import test from "ava";
import { loadAddon } from "../../src/node/addon.ts";
import { ringOptions } from "./addon-ring.ts";
import type { Work } from "./addon-work.ts";

const SCRIPT = join(import.meta.dirname, "addon-work.ts");
const ROUNDS = 10;

function run(work: Work) {
  return spawnSync(process.execPath, [SCRIPT, JSON.stringify(work)], {
    encoding: "utf8",
    timeout: 20_000,
  });
}

test.serial("process.exit() ends a process that is at work", (t) => {
  const options = ringOptions(t);
  for (let round = 0; round < ROUNDS; round++) {
    const { status, signal, stderr } = run({ options, end: "exit" });
    t.deepEqual(
      { status, signal, stderr },
      { status: 3, signal: null, stderr: "" },
    );
  }
});

test.serial(
  "submit() keeps the process alive until the job is done, and no longer",
  (t) => {
    const { status, signal, stdout } = run({
      options: ringOptions(t),
      end: "last",
    });
    t.deepEqual(
      { status, signal, stdout },
      { status: 0, signal: null, stdout: "done\n" },
    );
  },
);

test.serial("events() leaves what the listener throws uncaught", (t) => {
  const { status, stderr } = run({ options: ringOptions(t), end: "throw" });
  t.is(status, 1);
  t.regex(stderr, /what the listener throws/);
});

test.serial(
  "terminate() of a worker that is at work releases the dataplane",
  async (t) => {
    const options = ringOptions(t);
    for (let round = 0; round < ROUNDS; round++) {
      const workerData: Work = { options, end: "stay" };
      const worker = new Worker(SCRIPT, { workerData });
      await once(worker, "message");
      t.throws(() => loadAddon().load(options), { code: "EBUSY" });
      t.throws(() => loadAddon().submit(1, new Uint8Array(0), 0), {
        code: "EBADF",
      });
      await worker.terminate();
      t.notThrows(() => loadAddon().load(options));
      loadAddon().close();
    }
  },
);

test.serial(
  "process.exit() of a worker that is at work releases the dataplane",
  async (t) => {
    const options = ringOptions(t);
    for (let round = 0; round < ROUNDS; round++) {
      const workerData: Work = { options, end: "exit" };
      const [status] = await once(new Worker(SCRIPT, { workerData }), "exit");
      t.is(status, 3);
      t.notThrows(() => loadAddon().load(options));
      loadAddon().close();
    }
  },
);
