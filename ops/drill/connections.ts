// SPDX-License-Identifier: Apache-2.0
// What became of the connections of a run. Pure.

import type { Exchange, Outcome } from "./events.ts";
import type { Window } from "./route-watch.ts";

export type Connections = {
  readonly opened: number;
  /** Those that did not deliver all that they should: the next four, and early ends. */
  readonly broken: number;
  readonly reset: number;
  readonly timedOut: number;
  readonly corrupted: number;
  /** Flows of datagrams that went on as another session: from another real server, or local address and port. */
  readonly moved: number;
};

/** Whatever has an outcome: an exchange, a stream, a dialogue. */
type Ended = { readonly outcome: Outcome };

export function countConnections(exchanges: readonly Ended[]): Connections {
  const count = (outcome: Outcome) =>
    exchanges.filter((exchange) => exchange.outcome === outcome).length;
  return {
    opened: exchanges.length,
    broken: exchanges.filter(isBroken).length,
    reset: count("reset"),
    timedOut: count("timedOut"),
    corrupted: count("corrupted"),
    moved: count("moved"),
  };
}

export function isBroken({ outcome }: Ended): boolean {
  return outcome !== "complete" && outcome !== "stopped";
}

/** Those that were open at some moment of one of the windows. */
export function openDuring(
  exchanges: readonly Exchange[],
  windows: readonly Window[],
): readonly Exchange[] {
  return exchanges.filter(({ beginMs, endMs }) =>
    windows.some(({ fromMs, toMs }) => beginMs <= toMs && endMs >= fromMs),
  );
}

/** From the beginning of the slowest of the complete ones to its end. */
export function slowestMs(exchanges: readonly Exchange[]): number {
  const durations = exchanges
    .filter(({ outcome }) => outcome === "complete")
    .map(({ beginMs, endMs }) => Math.round(endMs - beginMs));
  return Math.max(0, ...durations);
}

export function sumBytes(exchanges: readonly Exchange[]): number {
  return exchanges.reduce((sum, one) => sum + one.bytesVerified, 0);
}
