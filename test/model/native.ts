// SPDX-License-Identifier: Apache-2.0
/** The C of dataplane/table_user.c in a process of its own (dataplane/merge_test.c), on the test's clock. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import * as layout from "../../src/node/layout.ts";
import { decode, encode } from "../../src/node/struct.ts";
import { RECORD_BYTES } from "../../src/sync/table.ts";
import type { Session } from "./session.ts";
import { decodeAll, encodeKey, type WireKey } from "./wire.ts";

const PROGRAM = join(import.meta.dirname, "../../build/merge-test");
/** In place of a job: empty tables. */
const BEGIN = 0;
const REQUEST_BYTES = 16;
const ANSWER_BYTES = 8;
const RECORDS_MAX = 4096;
const ALL = 0xffff_ffff;

type Waiting = {
  readonly resolve: (output: Buffer) => void;
  readonly reject: (error: Error) => void;
};

export class NativeTable {
  /** Added to the test's ticks, so that the C's 32 bits may wrap. */
  #offset = 0;
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

  /** Empties both tables. `hashKey` decides who meets in a bucket. */
  async begin(hashKey: bigint, buckets: number, offset: number): Promise<void> {
    const tables = new DataView(new ArrayBuffer(24));
    tables.setBigUint64(0, hashKey, true);
    tables.setUint32(16, buckets, true);
    tables.setUint32(20, buckets, true);
    this.#offset = offset;
    await this.submit(BEGIN, 0, new Uint8Array(tables.buffer), 0);
  }

  async merge(
    records: Uint8Array,
    now: number,
    delay: number,
  ): Promise<layout.WeirMergeResult> {
    const job = new DataView(new ArrayBuffer(8));
    job.setUint32(0, delay, true);
    const input = Buffer.concat([new Uint8Array(job.buffer), records]);
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
      size + RECORDS_MAX * RECORD_BYTES,
    );
    return decode(layout.weirSweepResult, output.subarray(0, size));
  }

  async collect(now: number): Promise<readonly Session[]> {
    const job = new DataView(new ArrayBuffer(24));
    job.setBigUint64(8, 1n << 62n, true);
    job.setUint32(16, ALL, true);
    const output = await this.submit(
      layout.WEIR_JOB_COLLECT,
      now,
      new Uint8Array(job.buffer),
      8 + RECORDS_MAX * RECORD_BYTES,
    );
    return sessionsOf(output.subarray(8), now);
  }

  async find(
    keys: readonly WireKey[],
    now: number,
  ): Promise<readonly Session[]> {
    const output = await this.submit(
      layout.WEIR_JOB_FIND,
      now,
      Buffer.concat(keys.map(encodeKey)),
      keys.length * RECORD_BYTES,
    );
    return sessionsOf(output, now);
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

function sessionsOf(records: Uint8Array, now: number): readonly Session[] {
  return decodeAll(records, now, 0).map((session) => {
    if (session === undefined) throw new Error("Cannot decode a C record");
    return session;
  });
}
