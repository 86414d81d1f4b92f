// SPDX-License-Identifier: Apache-2.0
/** Holds what the program has done with a frame against what it may do, and learns from it what the program has chosen. */
import { difference } from "./compare.ts";
import { judgeDrop } from "./judge-drop.ts";
import { judgeTask } from "./judge-task.ts";
import { endOf, type Outcome, unexpected } from "./outcome.ts";
import type { Expectation } from "./task.ts";
import { expectedVerdict } from "./verdict.ts";
import type { World } from "./world.ts";

/** @returns what was wrong, as a sentence; undefined: nothing. Then `world` knows of the frame. */
export function judge(
  bytes: Buffer,
  outcome: Outcome,
  world: World,
): string | undefined {
  const end = endOf(outcome);
  if (typeof end === "object") return end.complaint;
  const expectation = expectedVerdict(bytes, world);
  if (end === "passed_foreign")
    return judgeForeign(bytes, outcome, expectation);
  if (end.startsWith("drop_"))
    return judgeDrop(end, bytes, outcome, expectation, world);
  if (expectation.tasks.length === 0) return unexpected(end, expectation);
  const complaints: string[] = [];
  for (const task of expectation.tasks) {
    const complaint = judgeTask(task, end, outcome, expectation, world);
    if (complaint === undefined) return undefined;
    complaints.push(complaint);
  }
  return complaints.join("; or else: ");
}

function judgeForeign(
  bytes: Buffer,
  { verdict, frame }: Outcome,
  expectation: Expectation,
): string | undefined {
  if (!expectation.reasons.has("passed_foreign"))
    return unexpected("passed_foreign", expectation);
  if (verdict !== "pass") return `a foreign frame was not passed: ${verdict}`;
  return difference("the foreign frame", frame, bytes);
}
