// SPDX-License-Identifier: Apache-2.0

/** The last so many of a series of numbers. */
export class Samples {
  readonly #values: number[] = [];
  readonly #max: number;
  #next = 0;

  constructor(max: number) {
    this.#max = max;
  }

  add(value: number): void {
    this.#values[this.#next] = value;
    this.#next = (this.#next + 1) % this.#max;
  }

  /** The values below which such a part of the samples lies; undefined if there is none. */
  percentiles(...parts: readonly number[]): readonly (number | undefined)[] {
    const sorted = this.#values.toSorted((a, b) => a - b);
    return parts.map(
      (part) => sorted[Math.min(sorted.length - 1, sorted.length * part) | 0],
    );
  }
}

type Measured = { readonly roundTripMs: number; readonly offsetMs: number };

/** How many exchanges are compared: clocks drift, so an old one is no help. */
const EXCHANGES = 16;

/** How far a peer's clock is ahead of ours, from exchanges of hellos: that with the shortest round trip lies the least. */
export class ClockOffset {
  #exchanges: Measured[] = [];

  /** Our message left at `leftMs` and its answer came back at `backMs`; the peer sent that at `sentAtMs`, after `heldMs`. */
  add(leftMs: number, backMs: number, sentAtMs: number, heldMs: number): void {
    const roundTripMs = backMs - leftMs - heldMs;
    // An answer to our last run, whose clock was another one.
    if (roundTripMs < 0) return;
    const offsetMs = sentAtMs + roundTripMs / 2 - backMs;
    this.#exchanges = [...this.#exchanges, { roundTripMs, offsetMs }].slice(
      -EXCHANGES,
    );
  }

  get best(): Measured | undefined {
    return this.#exchanges.reduce<Measured | undefined>(
      (best, one) =>
        best === undefined || one.roundTripMs < best.roundTripMs ? one : best,
      undefined,
    );
  }
}
