// SPDX-License-Identifier: Apache-2.0
/** Time as sync sees it: of this node alone, never compared with another node's. Tests pass a clock of their own. */
export interface Clock {
  /** Milliseconds since some fixed moment; never goes back. */
  now(): number;
  /** Calls `act` once, `ms` milliseconds from now. Returns what cancels it. */
  after(ms: number, act: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after: (ms, act) => {
    const timer = setTimeout(act, ms);
    return () => clearTimeout(timer);
  },
};
