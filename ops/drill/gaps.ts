// SPDX-License-Identifier: Apache-2.0
// The gaps between the reads of a transfer: what a viewer of a live stream would notice. Pure.

/** In ms. */
export type Stall = { readonly p99: number; readonly max: number };

const NO_STALL: Stall = { p99: 0, max: 0 };

/** The 99th percentile (nearest rank) and the longest of some gaps in ms; zeros for none. */
export function stallOf(gapsMs: readonly number[]): Stall {
  if (gapsMs.length === 0) return NO_STALL;
  const sorted = gapsMs.toSorted((a, b) => a - b);
  const rank = Math.ceil(sorted.length * 0.99);
  return {
    p99: round(sorted[rank - 1] ?? 0),
    max: round(sorted.at(-1) ?? 0),
  };
}

/** Element by element: no statement about all reads together, but never better than any of its parts. */
export function worstStall(stalls: readonly Stall[]): Stall {
  return {
    p99: Math.max(0, ...stalls.map(({ p99 }) => p99)),
    max: Math.max(0, ...stalls.map(({ max }) => max)),
  };
}

/** Notes when something was read. The gap that is still open counts: a transfer that never goes on has no next read. */
export class GapRecorder {
  readonly #gapsMs: number[] = [];
  #lastMs: number | undefined;

  read(nowMs: number): void {
    if (this.#lastMs !== undefined) this.#gapsMs.push(nowMs - this.#lastMs);
    this.#lastMs = nowMs;
  }

  stall(nowMs: number): Stall {
    const open = this.#lastMs === undefined ? [] : [nowMs - this.#lastMs];
    return stallOf([...this.#gapsMs, ...open]);
  }
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
