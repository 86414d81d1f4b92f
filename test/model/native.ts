// SPDX-License-Identifier: Apache-2.0
/** The C of dataplane/table_jobs.c in a process of its own (dataplane/merge_test.c), on the test's clock. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import * as layout from "../../src/node/layout.ts";
import { decode, decodeAll, encode, encodeAll } from "../../src/node/struct.ts";
import {
  RECORD_BYTES,
  type Records,
  WIDE_RECORD_BYTES,
} from "../../src/sync/table.ts";
import type { Session } from "./session.ts";
import {
  decodeAll as decodeRecords,
  encodeKeys,
  type WireKey,
} from "./wire.ts";

const PROGRAM = join(import.meta.dirname, "../../build/merge-test");
/** In place of a job: empty tables. */
const BEGIN = 0;
const REQUEST_BYTES = 16;
const ANSWER_BYTES = 8;
/** Room for the records of an answer. */
const RECORDS_MAX = 4096;
const ROOM_BYTES = RECORDS_MAX * (RECORD_BYTES + WIDE_RECORD_BYTES);
const ALL = 0xffff_ffff;
const END = 2n ** 64n - 1n;

type Waiting = {
  readonly resolve: (output: Buffer) => void;
  readonly reject: (error: Error) => void;
};

export class NativeTable {
  /** Added to the test's ticks, so that the C's 32 bits may wrap. */
  #offset = 0;
  #positions = 0n;
  readonly #process: ChildProcess;
  readonly #waiting: Waiting[] = [];
  #received = Buffer.alloc(0);

  constructor(program = PROGRAM) {
    this.#process = spawn(program, { stdio: ["pipe", "pipe", "inherit"] });
    this.#process.stdout?.on("data", (chunk: Buffer) => this.#take(chunk));
    this.#process.on("error", (error) => this.#fail(error));
    this.#process.on("close", (code) =>
      this.#fail(new Error(`Cannot go on: merge-test has ended: ${code}`)),
    );
  }

  close(): void {
    this.#process.stdin?.end();
  }

  /** Empties all tables; each has so many buckets. `hashKey` decides who meets in one. */
  async begin(hashKey: bigint, buckets: number, offset: number): Promise<void> {
    const tables = new DataView(new ArrayBuffer(24));
    tables.setBigUint64(0, hashKey, true);
    tables.setUint32(16, buckets, true);
    this.#offset = offset;
    this.#positions = BigInt(2 * buckets * layout.WEIR_SLOTS);
    await this.submit(BEGIN, 0, new Uint8Array(tables.buffer), 0);
  }

  async merge(
    { narrow, wide }: Records,
    now: number,
    delay: number,
  ): Promise<layout.WeirMergeResult> {
    const count = BigInt(narrow.length / RECORD_BYTES);
    const job = encode(layout.weirMergeJob, { delay, narrow: count });
    const input = Buffer.concat([job, narrow, wide]);
    const { size } = layout.weirMergeResult;
    const output = await this.submit(layout.WEIR_JOB_MERGE, now, input, size);
    return decode(layout.weirMergeResult, output);
  }

  /** No real server has timeouts of its own here, so the defaults apply. */
  async sweep(now: number, origin: number): Promise<layout.WeirSweepResult> {
    const order = { now: 0, origin, weak: 0, hold: 0 };
    const { size } = layout.weirSweepResult;
    const output = await this.submit(
      layout.WEIR_JOB_SWEEP,
      now,
      encode(layout.weirSweepOrder, order),
      size + ROOM_BYTES,
    );
    return decode(layout.weirSweepResult, output.subarray(0, size));
  }

  async collect(now: number): Promise<readonly Session[]> {
    const sessions: Session[] = [];
    for (let from = 0n; from < this.#positions;) {
      const [result, rest] = await this.#walk(
        layout.WEIR_JOB_COLLECT,
        now,
        from,
      );
      sessions.push(...sessionsOf(recordsOf(rest, result.narrow), now));
      from = result.next;
    }
    return sessions;
  }

  /** The number of the real server of each session, by its generation. */
  async reals(): Promise<ReadonlyMap<bigint, number>> {
    const reals = new Map<bigint, number>();
    for (let from = 0n; from !== END;) {
      const [result, rest] = await this.#walk(
        layout.WEIR_JOB_SNAPSHOT,
        0,
        from,
      );
      const wide = Number(result.narrow) * layout.weirRecord4.size;
      for (const { truth } of [
        ...decodeAll(layout.weirRecord4, rest.subarray(0, wide)),
        ...decodeAll(layout.weirRecord6, rest.subarray(wide)),
      ])
        reals.set(truth.entry.generation, truth.entry.real);
      from = result.next;
    }
    return reals;
  }

  async useBackends(backends: readonly layout.WeirBackend[]): Promise<void> {
    const input = encodeAll(layout.weirBackend, backends);
    await this.submit(layout.WEIR_JOB_BACKENDS, 0, input, 0);
  }

  async #walk(
    job: number,
    now: number,
    from: bigint,
  ): Promise<readonly [layout.WeirCollectResult, Buffer]> {
    const range = { from, to: END, changed_within: ALL };
    const { size } = layout.weirCollectResult;
    const output = await this.submit(
      job,
      now,
      encode(layout.weirCollectJob, range),
      size + ROOM_BYTES,
    );
    const result = decode(layout.weirCollectResult, output.subarray(0, size));
    return [result, output.subarray(size)];
  }

  async find(
    keys: readonly WireKey[],
    now: number,
  ): Promise<readonly Session[]> {
    const { narrow, wide } = encodeKeys(keys);
    const count = { narrow: BigInt(keys.filter((key) => !key.wide).length) };
    const { size } = layout.weirNarrowCount;
    const output = await this.submit(
      layout.WEIR_JOB_FIND,
      now,
      Buffer.concat([encode(layout.weirNarrowCount, count), narrow, wide]),
      size + ROOM_BYTES,
    );
    const found = decode(layout.weirNarrowCount, output.subarray(0, size));
    return sessionsOf(recordsOf(output.subarray(size), found.narrow), now);
  }

  async digest(now: number): Promise<layout.WeirDigest> {
    const { size } = layout.weirDigest;
    const none = new Uint8Array();
    const output = await this.submit(layout.WEIR_JOB_DIGEST, now, none, size);
    return decode(layout.weirDigest, output);
  }

  async sums(): Promise<layout.WeirTableSums> {
    const { size } = layout.weirTableSums;
    const all = encode(layout.weirSumsJob, { since: 0n });
    const output = await this.submit(layout.WEIR_JOB_SUMS, 0, all, size);
    return decode(layout.weirTableSums, output);
  }

  /** One job. Jobs are done in the order of these calls. Rejects with the job's error. */
  submit(
    job: number,
    now: number,
    input: Uint8Array,
    room: number,
  ): Promise<Buffer> {
    const request = new DataView(new ArrayBuffer(REQUEST_BYTES));
    request.setUint32(0, job, true);
    request.setUint32(4, now + this.#offset, true);
    request.setUint32(8, input.length, true);
    request.setUint32(12, room, true);
    const bytes = Buffer.concat([new Uint8Array(request.buffer), input]);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#process.stdin?.write(bytes);
    });
  }

  #take(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    while (this.#received.length >= ANSWER_BYTES) {
      const error = this.#received.readInt32LE(0);
      const end = ANSWER_BYTES + this.#received.readUint32LE(4);
      if (this.#received.length < end) return;
      const output = this.#received.subarray(ANSWER_BYTES, end);
      this.#received = this.#received.subarray(end);
      const waiting = this.#waiting.shift();
      if (error === 0) waiting?.resolve(output);
      else waiting?.reject(new Error(`Cannot do the job: errno ${-error}`));
    }
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}

function recordsOf(bytes: Uint8Array, narrow: bigint): Records {
  const end = Number(narrow) * RECORD_BYTES;
  return { narrow: bytes.subarray(0, end), wide: bytes.subarray(end) };
}

function sessionsOf(records: Records, now: number): readonly Session[] {
  return decodeRecords(records, now, 0).map((session) => {
    if (session === undefined) throw new Error("Cannot decode a C record");
    return session;
  });
}
