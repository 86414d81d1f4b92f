// SPDX-License-Identifier: Apache-2.0
import { bytesOf, countRecords, NO_RECORDS } from "./records.ts";
import type { Range } from "./sequence.ts";
import type { Records } from "./table.ts";

/** What an envelope costs beside its records, roughly: small ones must not fill the memory. */
const HELD_BYTES = 256;

export type Held = {
  readonly seq: bigint;
  /** Of the publisher's clock. */
  readonly readAtMs: number;
  readonly records: Records;
  /** How many records were published before these. */
  readonly before: number;
};

/** What a node has published last, in order and without a gap, up to a number of bytes: the oldest go first. */
export class ResendBuffer {
  readonly #bytesMax: number;
  readonly #held: (Held | undefined)[] = [];
  /** Index of the oldest: the array is cut now and then only. */
  #start = 0;
  #last = 0n;
  /** Records ever published. */
  #total = 0;
  /** Of those, the ones that are held. */
  #records = 0;
  #recordBytes = 0;

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
    return this.#recordBytes + (this.#held.length - this.#start) * HELD_BYTES;
  }

  get records(): number {
    return this.#records;
  }

  /** Buffers that hold nothing else are kept, and what is a view copied: it would keep all that it is a part of. */
  add(readAtMs: number, { narrow, wide }: Records): Held {
    const records = { narrow: owned(narrow), wide: owned(wide) };
    this.#last++;
    const held = { seq: this.#last, readAtMs, records, before: this.#total };
    const count = countRecords(records);
    this.#held.push(held);
    this.#total += count;
    this.#records += count;
    this.#recordBytes += bytesOf(records);
    while (this.bytes > this.#bytesMax) this.#drop();
    return held;
  }

  /** Records that are held and came after the envelope `seq`. */
  recordsAfter(seq: bigint): number {
    const next = this.#at(seq < this.first ? this.first : seq + 1n);
    return next === undefined ? 0 : this.#total - next.before;
  }

  /** Those of the range that are held. */
  *range({ from, to }: Range): Generator<Held> {
    for (let seq = from > this.first ? from : this.first; seq <= to; seq++) {
      const held = this.#at(seq);
      if (held === undefined) return;
      yield held;
    }
  }

  #at(seq: bigint): Held | undefined {
    return seq < this.first || seq > this.#last
      ? undefined
      : this.#held[this.#start + Number(seq - this.first)];
  }

  #drop(): void {
    const gone = this.#held[this.#start]?.records ?? NO_RECORDS;
    this.#records -= countRecords(gone);
    this.#recordBytes -= bytesOf(gone);
    this.#held[this.#start] = undefined;
    this.#start++;
    if (this.#start < 1024 || this.#start < this.#held.length / 2) return;
    this.#held.splice(0, this.#start);
    this.#start = 0;
  }
}

function owned(bytes: Uint8Array): Uint8Array {
  return bytes.length === bytes.buffer.byteLength
    ? bytes
    : new Uint8Array(bytes);
}
