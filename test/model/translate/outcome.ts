// SPDX-License-Identifier: Apache-2.0
/** What the program has done with a frame. */
import type { Counter } from "./reason.ts";
import type { Expectation } from "./task.ts";

export type Verdict = "aborted" | "drop" | "pass" | "tx" | "redirect";

export type Outcome = {
  readonly verdict: Verdict;
  /** As the program has left it. */
  readonly frame: Buffer;
  /** By how much each counter rose; those that did not are missing. */
  readonly counted: ReadonlyMap<Counter, number>;
};

/** What a frame can end as. All other counters but `received` are of events. */
export function isEnd(counter: Counter): boolean {
  return (
    counter === "forwarded" ||
    counter === "answered_echo" ||
    counter.startsWith("passed_") ||
    counter.startsWith("drop_")
  );
}

/** The one counter that says how the frame ended; a sentence if there is not exactly one. */
export function endOf({
  counted,
}: Outcome): Counter | { readonly complaint: string } {
  const received = counted.get("received") ?? 0;
  if (received !== 1)
    return { complaint: `the frame was received ${received} times` };
  const ends = [...counted].filter(([counter]) => isEnd(counter));
  const [end] = ends;
  if (end === undefined || ends.length > 1 || end[1] !== 1) {
    const names = ends.map(([counter, rise]) => `${counter} +${rise}`);
    return { complaint: `the frame ended as [${names.join(", ")}]` };
  }
  return end[0];
}

/** The program has sent something out. */
export function isSent({ verdict }: Outcome): boolean {
  return verdict === "tx" || verdict === "redirect";
}

export function unexpected(
  end: Counter,
  { reasons, tasks }: Expectation,
): string {
  const expected = [...tasks.map(({ kind }) => kind), ...reasons];
  return `the frame ended as ${end}, not as one of [${expected.join(" ")}]`;
}
