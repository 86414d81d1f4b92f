// SPDX-License-Identifier: Apache-2.0
import { RECORD_BYTES } from "./table.ts";
import type { Range } from "./sequence.ts";

/** What an envelope costs beside its records, roughly: small ones must not fill the memory. */
const HELD_BYTES = 256;

export type Held = {
  readonly seq: bigint;
  /** Of the publisher's clock. */
  readonly readAtMs: number;
  readonly records: Uint8Array;
  /** Bytes of all records that were published before these. */
  readonly before: number;
};

/** What a node has published last, in order and without a gap, up to a number of bytes: the oldest go first. */
export class ResendBuffer {
  readonly #bytesMax: number;
  readonly #held: (Held | undefined)[] = [];
  /** Index of the oldest: the array is cut now and then only. */
  #start = 0;
  #last = 0n;
  /** Bytes of all records ever published. */
  #total = 0;
  /** Bytes of the records that are held. */
  #kept = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Number of the envelope that was added last; 0: none was. */
  get last(): bigint {
    return this.#last;
  }

  /** Number of the oldest one that is held; last + 1 if none is. */
  get first(): bigint {
    return this.#last - BigInt(this.#held.length - this.#start) + 1n;
  }

  get bytes(): number {
    return this.#kept + (this.#held.length - this.#start) * HELD_BYTES;
  }

  get records(): number {
    return this.#kept / RECORD_BYTES;
  }

  add(readAtMs: number, records: Uint8Array): Held {
    this.#last++;
    const held = { seq: this.#last, readAtMs, records, before: this.#total };
    this.#held.push(held);
    this.#total += records.length;
    this.#kept += records.length;
    while (this.bytes > this.#bytesMax) this.#drop();
    return held;
  }

  /** Records that are held and came after the envelope `seq`. */
  recordsAfter(seq: bigint): number {
    const next = this.#at(seq < this.first ? this.first : seq + 1n);
    return next === undefined ? 0 : (this.#total - next.before) / RECORD_BYTES;
  }

  /** Those of the range that are held. */
  *range({ from, to }: Range): Generator<Held> {
    for (let seq = from > this.first ? from : this.first; seq <= to; seq++) {
      const held = this.#at(seq);
      if (held === undefined) return;
      yield held;
    }
  }

  /** The number of the first that was read at that time or later; last + 1 if none was. */
  since(readAtMs: number): bigint {
    let seq = this.#last + 1n;
    for (; seq > this.first; seq--)
      if ((this.#at(seq - 1n)?.readAtMs ?? -Infinity) < readAtMs) break;
    return seq;
  }

  #at(seq: bigint): Held | undefined {
    return seq < this.first || seq > this.#last
      ? undefined
      : this.#held[this.#start + Number(seq - this.first)];
  }

  #drop(): void {
    this.#kept -= this.#held[this.#start]?.records.length ?? 0;
    this.#held[this.#start] = undefined;
    this.#start++;
    if (this.#start < 1024 || this.#start < this.#held.length / 2) return;
    this.#held.splice(0, this.#start);
    this.#start = 0;
  }
}
