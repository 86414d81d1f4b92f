// SPDX-License-Identifier: Apache-2.0
/** Calls that wait until a certain revision of the desired state is in place. */

type Waiter = {
  readonly revision: number;
  readonly end: (error?: Error) => void;
};

export class Waiters {
  readonly #waiters = new Set<Waiter>();

  /** Resolves when this revision, or a later one, is reached; rejects with what `expire` returns if that takes too long. */
  wait(
    revision: number,
    timeoutMs: number,
    expire: () => Error,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        revision,
        end: (error) => {
          clearTimeout(timer);
          this.#waiters.delete(waiter);
          if (error) reject(error);
          else resolve();
        },
      };
      const timer = setTimeout(() => waiter.end(expire()), timeoutMs);
      this.#waiters.add(waiter);
    });
  }

  reached(revision: number): void {
    for (const waiter of this.#waiters)
      if (waiter.revision <= revision) waiter.end();
  }

  rejectAll(error: Error): void {
    for (const waiter of this.#waiters) waiter.end(error);
  }
}
