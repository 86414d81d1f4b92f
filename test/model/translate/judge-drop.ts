// SPDX-License-Identifier: Apache-2.0
/** Holds a drop against its reasons. What is dropped stays as it was; only what is answered is replaced by its answer. */
import { difference } from "./compare.ts";
import { isWhole } from "./ip.ts";
import { exceededMtu, type ForwardTask } from "./judge-task.ts";
import { isOwedReply, judgeReply } from "./judge-reply.ts";
import { type Outcome, unexpected } from "./outcome.ts";
import type { Counter } from "./reason.ts";
import type { Expectation } from "./task.ts";
import type { World } from "./world.ts";

/** They mean that a session is no longer what it was. */
const SESSION_EVENTS: readonly Counter[] = [
  "session_created",
  "session_replaced",
  "session_established",
  "session_closed",
  "session_reset",
];

/** @returns what was wrong, as a sentence; undefined: nothing. Then `world` knows of the frame. */
export function judgeDrop(
  end: Counter,
  bytes: Buffer,
  outcome: Outcome,
  expectation: Expectation,
  world: World,
): string | undefined {
  const { ip, tasks, reasons } = expectation;
  const { counted, verdict, frame } = outcome;
  const created = counted.get("session_created") ?? 0;
  const big =
    end === "drop_too_big" && ip !== undefined
      ? tasks.find(
          (task): task is ForwardTask =>
            task.kind !== "echo" &&
            (created === 0 || task.kind === "open") &&
            exceededMtu(task, ip, world) !== undefined,
        )
      : undefined;
  if (big === undefined && !reasons.has(end))
    return unexpected(end, expectation);
  const events = SESSION_EVENTS.filter((event) => counted.has(event));
  if (events.length > 0 && big === undefined && end !== "drop_no_route")
    return `a frame that ended as ${end} has changed a session: ${events.join(", ")}`;
  const isAnswered = counted.has("rst_sent") || counted.has("icmp_sent");
  if (
    !isAnswered &&
    !counted.has("reply_limited") &&
    isOwedReply(end, expectation, world)
  )
    return `a frame that ended as ${end} was not answered`;
  if (!isAnswered && verdict !== "drop")
    return `a frame that ended as ${end} was not dropped: ${verdict}`;
  const limit = big && ip && exceededMtu(big, ip, world);
  const complaint = isAnswered
    ? judgeReply(end, outcome, expectation, world, limit)
    : difference("the dropped frame", frame, bytes);
  if (complaint !== undefined) return complaint;
  if (big !== undefined) learn(big, created > 0, expectation, world);
  const fragment = ip?.fragment;
  const datagram =
    ip === undefined || fragment === undefined
      ? undefined
      : world.datagrams.of(ip, fragment);
  if (datagram !== undefined) datagram.isBroken = true;
  return undefined;
}

/** It was known whose the packet is, before it was too big to be sent. */
function learn(
  task: ForwardTask,
  isCreated: boolean,
  { ip }: Expectation,
  { sessions, datagrams }: World,
): void {
  if (task.kind === "error" || task.kind === "fragment") return;
  if (task.kind === "open" && !isCreated) return;
  const session =
    task.kind === "open" ? sessions.add(task.flow, task.service) : task.session;
  const direction = task.kind === "open" ? "inbound" : task.direction;
  sessions.note(session, direction, task.transport.flags);
  session.isUncertain = true;
  if (ip?.fragment !== undefined && !isWhole(ip))
    datagrams.begin(ip, ip.fragment, session, direction);
}
