// SPDX-License-Identifier: Apache-2.0

/** Both ends are meant. */
export type Range = { readonly from: bigint; readonly to: bigint };

/** Which envelopes of one incarnation of a publisher have arrived: all up to `top`, but the missing ones. */
export class Sequence {
  readonly #rangesMax: number;
  #top = 0n;
  /** Ascending, with something between each two. */
  #missing: Range[] = [];

  constructor(rangesMax: number) {
    this.#rangesMax = rangesMax;
  }

  get top(): bigint {
    return this.#top;
  }

  get missing(): readonly Range[] {
    return this.#missing;
  }

  /** All up to here have arrived. */
  get contiguous(): bigint {
    const first = this.#missing[0];
    return first === undefined ? this.#top : first.from - 1n;
  }

  /** False: it is known already. */
  arrive(seq: bigint): boolean {
    if (seq > this.#top) {
      this.expect(seq - 1n);
      this.#top = seq;
      return true;
    }
    const at = this.#missing.findIndex(({ to }) => seq <= to);
    const range = this.#missing[at];
    if (range === undefined || seq < range.from) return false;
    this.#missing.splice(
      at,
      1,
      ...nonEmpty({ from: range.from, to: seq - 1n }),
      ...nonEmpty({ from: seq + 1n, to: range.to }),
    );
    return true;
  }

  /** The publisher has published all up to `top`. */
  expect(top: bigint): void {
    if (top <= this.#top) return;
    this.#add({ from: this.#top + 1n, to: top });
    this.#top = top;
  }

  /** What had arrived could not be used: it is missing again. */
  lose(seq: bigint): void {
    this.expect(seq);
    this.#add({ from: seq, to: seq });
  }

  /** What came with envelopes up to `seq` is known from elsewhere. */
  forgive(seq: bigint): void {
    this.#missing = this.#missing.flatMap(({ from, to }) =>
      nonEmpty({ from: from > seq ? from : seq + 1n, to }),
    );
    if (seq > this.#top) this.#top = seq;
  }

  #add(added: Range): void {
    const ranges: Range[] = [];
    const all = [...this.#missing, added].toSorted((a, b) =>
      a.from < b.from ? -1 : 1,
    );
    for (const range of all) {
      const last = ranges.at(-1);
      if (last !== undefined && range.from <= last.to + 1n)
        ranges[ranges.length - 1] = union(last, range);
      else ranges.push(range);
    }
    // Too many to tell apart: the newest two become one, and what lies between them is asked for again.
    const [a, b] = ranges.slice(-2);
    if (ranges.length > this.#rangesMax && a !== undefined && b !== undefined)
      ranges.splice(-2, 2, union(a, b));
    this.#missing = ranges;
  }
}

function union(a: Range, b: Range): Range {
  return { from: a.from, to: a.to > b.to ? a.to : b.to };
}

function nonEmpty(range: Range): readonly Range[] {
  return range.from <= range.to ? [range] : [];
}
