// SPDX-License-Identifier: Apache-2.0
/** Holds a translated packet against the one that had to come out. */
import { type Version, versionOf } from "./address.ts";
import { leastDifference } from "./compare.ts";
import { type Frame, headFor, headTo, readFrame } from "./ethernet.ts";
import { type Ip, isWhole } from "./ip.ts";
import { judgeEcho } from "./judge-echo.ts";
import { isSent, type Outcome, unexpected } from "./outcome.ts";
import type { Counter } from "./reason.ts";
import { anyChoice, readChoice, type Route, routeOf } from "./route.ts";
import type { Choice, Direction, Session } from "./sessions.ts";
import {
  type Liberty,
  translatedErrors,
  translatedPacket,
  wholes,
} from "./translate.ts";
import type { Expectation, Task } from "./task.ts";
import type { World } from "./world.ts";

export type ForwardTask = Exclude<Task, { readonly kind: "echo" }>;

/** Identification, flags and fragment offset of IPv4. */
const ID_AT = 4;
/** From an ICMP error's IPv4 header on: the identification of the packet that it quotes. */
const QUOTED_ID_AT = 20 + 8 + ID_AT;
/** From an ICMPv6 error's IPv6 header on: the lower half of the MTU. */
const MTU_AT = 40 + 6;

/** @returns what was wrong, as a sentence; undefined: nothing. Then `world` knows of the frame. */
export function judgeTask(
  task: Task,
  end: Counter,
  outcome: Outcome,
  expectation: Expectation,
  world: World,
): string | undefined {
  const { frame, ip } = expectation;
  if (frame === undefined || ip === undefined)
    throw new Error("there is a task for what is no packet");
  if (task.kind === "echo") return judgeEcho(end, outcome, frame, ip);
  if (end !== "forwarded" && end !== "passed_too_big")
    return unexpected(end, expectation);
  const out = readFrame(outcome.frame);
  if (out === undefined) return "what came out is no IP packet";
  const choice = chosen(task, out, world);
  if (choice === undefined) return undefined; // its session has shown nothing of itself yet
  if ("complaint" in choice) return choice.complaint;
  const route = routeFor(task, choice, world);
  return (
    judgeEvents(task, outcome) ??
    judgePacket(task, end, outcome, { frame, ip, out, route }) ??
    learn(task, ip, choice, world)
  );
}

/** What the session's packets are translated by: known before, or seen now for the first time. */
function chosen(
  task: ForwardTask,
  out: Frame,
  world: World,
): ReturnType<typeof readChoice> | undefined {
  if (task.kind === "open")
    return readChoice(out, task.service, task.flow.to.port, world);
  const { session, direction } = sessionOf(task);
  if (session.choice !== undefined) return session.choice;
  return task.kind === "flow" && direction === "inbound"
    ? readChoice(out, session.service, session.virtual.port, world)
    : undefined;
}

function sessionOf(task: Exclude<ForwardTask, { readonly kind: "open" }>): {
  readonly session: Session;
  readonly direction: Direction;
} {
  return task.kind === "fragment" ? task.datagram : task;
}

export function routeFor(
  task: ForwardTask,
  choice: Choice,
  world: World,
): Route {
  if (task.kind !== "open") {
    const { session, direction } = sessionOf(task);
    return routeOf(session, choice, direction, world);
  }
  const { from, to } = task.flow;
  return routeOf({ client: from, virtual: to }, choice, "inbound", world);
}

function judgeEvents(
  { kind }: ForwardTask,
  { counted }: Outcome,
): string | undefined {
  const created = counted.get("session_created") ?? 0;
  if (created !== (kind === "open" ? 1 : 0))
    return `session_created rose by ${created} for a packet of kind ${kind}`;
  const translated = counted.get("icmp_translated") ?? 0;
  if (translated !== (kind === "error" ? 1 : 0))
    return `icmp_translated rose by ${translated} for a packet of kind ${kind}`;
  return undefined;
}

type Passage = {
  readonly frame: Frame;
  readonly ip: Ip;
  readonly out: Frame;
  readonly route: Route;
};

function judgePacket(
  task: ForwardTask,
  end: Counter,
  outcome: Outcome,
  { frame, ip, out, route }: Passage,
): string | undefined {
  const { hop } = route;
  const version = versionOf(route.tuple.to.address);
  if (out.version !== version) return `IPv${out.version} came out`;
  const packets = translations(task, ip, route, libertyTaken(ip, out));
  if (packets.length === 0) return "it was translated, and cannot be";
  const isTooBig = packets.every((packet) => exceeds(packet.length, hop.mtu));
  if (isTooBig !== (end === "passed_too_big"))
    return `it ended as ${end} with an MTU of ${hop.mtu}`;
  if (isTooBig && !isFragmentable(ip, version))
    return "the kernel was given what it cannot fragment";
  if (isTooBig ? outcome.verdict !== "pass" : !isSent(outcome))
    return `it ended as ${end} with the verdict ${outcome.verdict}`;
  const head = isTooBig ? headFor(frame, version) : headTo(hop, version);
  const trailer = frame.body.subarray(ip.bytes.length);
  return leastDifference(
    "the packet",
    outcome.frame,
    packets.flatMap((packet) => [
      Buffer.concat([head, packet, trailer]),
      // What is behind a packet is none of it; an error may lose it with its own end.
      ...(task.kind === "error" ? [Buffer.concat([head, packet])] : []),
    ]),
  );
}

/** What may come out. */
function translations(
  task: ForwardTask,
  ip: Ip,
  route: Route,
  liberty: Liberty,
): readonly Buffer[] {
  const { tuple } = route;
  const isOther = ip.version !== versionOf(tuple.to.address);
  if (task.kind === "fragment") {
    const { protocol } = task.datagram.session;
    const fragment = isOther ? { ...ip, protocol } : ip;
    return [translatedPacket(fragment, undefined, tuple, liberty)];
  }
  return wholes(ip, isOther).flatMap((each) =>
    task.kind === "error"
      ? translatedErrorsOf(task, each, route, isOther, liberty)
      : [translatedPacket(each, task.transport, tuple, liberty)],
  );
}

/** In one version the error may also keep its source: the router that it is from. */
function translatedErrorsOf(
  { icmp, quotes }: Extract<Task, { readonly kind: "error" }>,
  ip: Ip,
  { tuple, reverse, hop }: Route,
  isOther: boolean,
  liberty: Liberty,
): readonly Buffer[] {
  const router = { address: ip.saddr, port: 0 };
  const froms = isOther ? [tuple.from] : [tuple.from, router];
  return froms.flatMap((from) =>
    quotes.flatMap((quote) =>
      translatedErrors(
        { ip, icmp, quote },
        { from, to: tuple.to },
        reverse,
        hop.mtu,
        liberty,
      ),
    ),
  );
}

const NO_LIBERTY: Liberty = { id: 0, quotedId: 0, mtu: 0 };

function libertyTaken(ip: Ip, { body, version }: Frame): Liberty {
  if (ip.version === version) return NO_LIBERTY;
  const take = (at: number): number =>
    body.length >= at + 2 ? body.readUInt16BE(at) : 0;
  return version === 4
    ? { id: take(ID_AT), quotedId: take(QUOTED_ID_AT), mtu: 0 }
    : { ...NO_LIBERTY, mtu: take(MTU_AT) };
}

/** The MTU of the next hop, if the packet's translation is larger, and by how much that is longer than the packet. */
export type Limit = { readonly mtu: number; readonly growth: number };

export function exceededMtu(
  task: ForwardTask,
  ip: Ip,
  world: World,
): Limit | undefined {
  const choice =
    task.kind === "open"
      ? anyChoice(task.service, task.flow.to.port, world)
      : (sessionOf(task).session.choice ??
        anyChoice(sessionOf(task).session.service, 0, world));
  if (choice === undefined) return undefined;
  const route = routeFor(task, choice, world);
  const { mtu } = route.hop;
  const packets = translations(task, ip, route, NO_LIBERTY);
  const long = packets.find(({ length }) => exceeds(length, mtu));
  return long && { mtu, growth: long.length - ip.totalLength };
}

function exceeds(length: number, mtu: number): boolean {
  return mtu !== 0 && length > mtu;
}

/** The kernel may cut it up on its way out. */
function isFragmentable(ip: Ip, version: Version): boolean {
  if (version === 6) return false;
  return ip.version === 4 ? !ip.dontFragment : ip.fragment !== undefined;
}

function learn(
  task: ForwardTask,
  ip: Ip,
  choice: Choice,
  world: World,
): string | undefined {
  if (task.kind === "error") return undefined;
  if (task.kind === "fragment") {
    world.datagrams.extend(task.datagram, ip, task.fragment);
    return undefined;
  }
  const { sessions, datagrams } = world;
  const session =
    task.kind === "open" ? sessions.add(task.flow, task.service) : task.session;
  const direction = task.kind === "open" ? "inbound" : task.direction;
  sessions.note(session, direction, task.transport.flags);
  if (ip.fragment !== undefined && !isWhole(ip))
    datagrams.begin(ip, ip.fragment, session, direction);
  return session.choice === undefined
    ? sessions.reveal(session, choice)
    : undefined;
}
