// SPDX-License-Identifier: Apache-2.0
/** What the agent does over and over again. A failure is logged, and the next time comes all the same. */
import type { Log } from "../log.ts";

export class Periodic {
  readonly #log: Log;
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(log: Log) {
    this.#log = log;
  }

  /** Acts each `ms`, but not while the last act is still going on. */
  every(ms: number, act: () => void | Promise<void>): void {
    let acting = false;
    const tick = async (): Promise<void> => {
      if (acting) return;
      acting = true;
      try {
        await act();
      } catch (error) {
        this.#log.error("periodic work failed", { op: "timer", error });
      }
      acting = false;
    };
    this.#timers.push(setInterval(() => void tick(), ms));
  }

  /** Starts nothing any more. What is going on ends by itself. */
  close(): void {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
  }
}
