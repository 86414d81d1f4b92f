// SPDX-License-Identifier: Apache-2.0
/** From what the program returned and counted to what it has done with a packet. Pure. */
import type { Counters, TestRun } from "../node/dataplane.ts";

export type Verdict = "forward" | "pass" | "drop" | "answer";

/** The counters of which each frame raises one; all others but `received` are of events. */
const OUTCOMES = /^(forwarded|answered_|passed_|drop_)/;

/**
 * The one outcome that was counted between two readings of the counters.
 *
 * @throws RangeError if it is not one
 */
export function outcomeOf(before: Counters, after: Counters): keyof Counters {
  const [outcome, ...others] = namesOf(after).filter(
    (name) => OUTCOMES.test(name) && after[name] > before[name],
  );
  if (outcome === undefined || others.length > 0)
    throw new RangeError(
      `Cannot name a packet's outcome: current value is ${[outcome, ...others].join(", ")}`,
    );
  return outcome;
}

/** Object.keys() forgets the names. */
function namesOf(counters: Counters): readonly (keyof Counters)[] {
  return Object.keys(counters).filter(
    (name): name is keyof Counters => name in counters,
  );
}

/** A packet that was dropped for a reason, and came out as something to be sent, was answered. */
export function verdictOf(
  outcome: keyof Counters,
  { verdict }: Pick<TestRun, "verdict">,
): Verdict {
  switch (verdict) {
    case "pass":
      return "pass";
    case "drop":
      return "drop";
    case "tx":
    case "redirect":
      return outcome === "forwarded" ? "forward" : "answer";
    case "aborted":
      throw new RangeError(
        `Cannot name a packet's verdict: the program was aborted at ${outcome}`,
      );
  }
}
