// SPDX-License-Identifier: Apache-2.0
// The queue before the one thread that writes the session table.
import { performance } from "node:perf_hooks";
import test, { type ExecutionContext } from "ava";
import { loadAddon } from "../../src/node/addon.ts";
import * as layout from "../../src/node/layout.ts";
import { decode, encode } from "../../src/node/struct.ts";
import {
  type Family,
  FAMILIES,
  loadRing,
  ringOptions,
  TURN_MAX,
  Turns,
  upTo,
} from "./addon-ring.ts";
import { TCP } from "./packet.ts";

/** As addon_jobs.h says. */
const JOBS_MAX = 1024;
const JOBS_INPUT_MAX = 256 << 20;
const none = new Uint8Array(0);

test.serial(
  "submit() does the jobs in order, each with its own output",
  async (t) => {
    loadRing(t);
    const settled: number[] = [];
    const numbers = upTo(500);
    await Promise.all(
      numbers.map(async (number) => settled.push(await echo(number))),
    );
    t.deepEqual(settled, numbers);
  },
);

test.serial("submit() copies its input", async (t) => {
  loadBigTable(t);
  // The thread is at these when the next ones are submitted.
  const ahead = upTo(10).map(() => digest());
  const changed = order(7);
  const first = answer(
    loadAddon().submit(layout.WEIR_JOB_COLLECT, changed, ECHO_BYTES),
  );
  changed.fill(0xff);
  const detached = order(8);
  const second = answer(
    loadAddon().submit(layout.WEIR_JOB_COLLECT, detached, ECHO_BYTES),
  );
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  t.is(await first, 7, "the job saw what came after it was submitted");
  t.is(await second, 8);
  await Promise.all(ahead);
});

test.serial("submit() rejects with what the job says", async (t) => {
  loadRing(t);
  await t.throwsAsync(loadAddon().submit(4711, none, 0), {
    code: "EINVAL",
    message: /submit operation 4711/,
  });
  await t.throwsAsync(loadAddon().submit(layout.WEIR_JOB_COLLECT, none, 8), {
    code: "EINVAL",
  });
  t.is(await echo(1), 1, "a job that fails ends the thread");
});

test.serial(
  "submit() takes so many jobs and so many bytes, and not more",
  async (t) => {
    loadRing(t);
    const jobs = Array.from({ length: JOBS_MAX }, () => echo(1));
    await t.throwsAsync(echo(1), { code: "EAGAIN" });
    await Promise.all(jobs);
    t.is(await echo(2), 2, "what is settled still counts");

    const half = new Uint8Array(JOBS_INPUT_MAX / 2);
    const big = [half, half].map((input) =>
      t.throwsAsync(loadAddon().submit(layout.WEIR_JOB_COLLECT, input, 8), {
        code: "EINVAL",
      }),
    );
    await t.throwsAsync(
      loadAddon().submit(layout.WEIR_JOB_COLLECT, new Uint8Array(1), 8),
      { code: "EAGAIN" },
    );
    await Promise.all(big);
    t.is(await echo(3), 3);
  },
);

test.serial("submit() gives small outputs and large ones", async (t) => {
  loadBigTable(t);
  const [narrow, wide] = FAMILIES.map((family) =>
    Buffer.concat(upTo(2000).map((number) => record(number, family))),
  );
  const merge = encode(layout.weirMergeJob, { delay: 0, narrow: 2000n });
  const { size } = layout.weirMergeResult;
  const result = decode(
    layout.weirMergeResult,
    await loadAddon().submit(layout.WEIR_JOB_MERGE, merge, size, narrow, wide),
  );
  t.is(result.inserted, 4000n);
  const head = layout.weirCollectResult;
  let from = 0n;
  for (const { recordBytes, keyBytes } of FAMILIES) {
    const all = { from, to: 2n ** 64n - 1n, changed_within: 2 ** 32 - 1 };
    const collected = await loadAddon().submit(
      layout.WEIR_JOB_COLLECT,
      encode(layout.weirCollectJob, all),
      1 << 20,
    );
    from = decode(head, collected.subarray(0, head.size)).next;
    t.is(collected.length, head.size + 2000 * recordBytes);
    const generations = [];
    for (let at = head.size; at < collected.length; at += recordBytes)
      generations.push(Number(collected.readBigUInt64LE(at + keyBytes)));
    t.deepEqual(
      generations.toSorted((a, b) => a - b),
      upTo(2000),
    );
  }
});

test.serial("close() finishes the jobs that are queued", async (t) => {
  const options = ringOptions(t);
  for (let round = 0; round < 20; round++) {
    loadAddon().load(options);
    loadAddon().events(() => {});
    const jobs = Promise.all(upTo(200).map(echo));
    loadAddon().close();
    t.throws(() => loadAddon().submit(1, none, 0), { code: "EBADF" });
    t.throws(() => loadAddon().events(undefined), { code: "EBADF" });
    t.deepEqual(await jobs, upTo(200));
  }
});

test.serial(
  "submit() leaves the event loop its turns, however many jobs there are",
  async (t) => {
    loadRing(t);
    const turns = await Turns.begin();
    const end = performance.now() + 300;
    let jobs = 0;
    const chains = upTo(JOBS_MAX).map(async (number) => {
      for (; performance.now() < end; jobs++) {
        await echo(number);
        turns.count();
      }
    });
    await Promise.all(chains);
    t.log(`${jobs} jobs in 300 ms, ${turns.end()}`);
    t.true(turns.most <= 2 * TURN_MAX, `${turns.most} jobs in one turn`);
  },
);

const ECHO_BYTES = layout.weirCollectResult.size;

/** An empty range: the job answers with its beginning. */
function order(position: number): Uint8Array<ArrayBuffer> {
  const at = BigInt(position);
  return Uint8Array.from(
    encode(layout.weirCollectJob, { from: at, to: at, changed_within: 0 }),
  );
}

function echo(number: number): Promise<number> {
  return answer(
    loadAddon().submit(layout.WEIR_JOB_COLLECT, order(number), ECHO_BYTES),
  );
}

async function answer(output: Promise<Buffer>): Promise<number> {
  return Number((await output).readBigUInt64LE());
}

/** An established session, as the wire has it. Addresses are zeros. */
function record(number: number, family: Family): Buffer {
  const { recordBytes, keyBytes, addressBytes } = family;
  const bytes = Buffer.alloc(recordBytes);
  bytes.writeUInt16BE(number, keyBytes - 6); // LIP:port
  bytes[keyBytes - 4] = TCP;
  bytes[keyBytes - 3] = layout.WEIR_ESTABLISHED;
  bytes.writeUInt16LE(layout.WEIR_FLAG_SHARED, keyBytes - 2);
  bytes.writeBigUInt64LE(BigInt(number), keyBytes); // generation
  const ports = keyBytes + 16 + 2 * addressBytes;
  bytes.writeUInt16BE(number, ports + 2); // the client's
  bytes.writeUInt32LE(7, ports + 4); // origin
  bytes.writeUInt32LE(2 ** 32 - 1, ports + 12); // no RST
  return bytes;
}

function digest(): Promise<Buffer> {
  return loadAddon().submit(layout.WEIR_JOB_DIGEST, none, 1 << 20);
}

/** A pass over it takes half a millisecond. */
function loadBigTable(t: ExecutionContext): void {
  const { maxEntries, ...options } = ringOptions(t);
  loadAddon().load({
    ...options,
    maxEntries: {
      ...maxEntries,
      weir_inbound4: 20_000,
      weir_outbound4: 20_000,
      weir_inbound6: 20_000,
      weir_outbound6: 20_000,
    },
  });
}
