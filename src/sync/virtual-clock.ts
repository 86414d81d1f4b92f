// SPDX-License-Identifier: Apache-2.0
import type { Clock } from "./clock.ts";

type Timer = { readonly at: number; readonly act: () => void };

/** A clock that stands still until it is told to go on: for tests and simulations. The same run gives the same order. */
export class VirtualClock implements Clock {
  #now = 0;
  /** In the order of their making, which decides between those of the same moment. */
  readonly #timers = new Set<Timer>();

  now(): number {
    return this.#now;
  }

  after(ms: number, act: () => void): () => void {
    const timer = { at: this.#now + Math.max(ms, 0), act };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Goes on by `ms`, and stops at each timer on the way until all that it has set off waits for time again. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settled();
    for (
      let timer = this.#next(end);
      timer !== undefined;
      timer = this.#next(end)
    ) {
      this.#timers.delete(timer);
      this.#now = timer.at;
      timer.act();
      await settled();
    }
    this.#now = end;
  }

  #next(end: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers)
      if (timer.at <= end && (first === undefined || timer.at < first.at))
        first = timer;
    return first;
  }
}

/** Resolves when no promise is left that can go on by itself. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
