// SPDX-License-Identifier: Apache-2.0
/** Holds a RST or an ICMP error that the program has made against RFC 9293, RFC 1122, RFC 1812 and RFC 4443. */
import { isNobody } from "./address.ts";
import { pseudoHeader, sumOf } from "./checksum.ts";
import { type Frame, headBack, isToMany, readFrame } from "./ethernet.ts";
import { icmpProtocol, readIcmp } from "./icmp.ts";
import { type Ip, isLaterFragment, payloadOf, readIp } from "./ip.ts";
import type { Limit } from "./judge-task.ts";
import { isSent, type Outcome } from "./outcome.ts";
import { ICMP, ICMPV6, PROTOCOL, TCP_FLAG } from "./protocols.ts";
import type { Counter } from "./reason.ts";
import type { Expectation } from "./task.ts";
import type { World } from "./world.ts";

/** Of an ICMP error: RFC 1812 section 4.3.2.3, RFC 4443 section 2.4. */
const LENGTH_MAX = { 4: 576, 6: 1280 } as const;
/** Of the transport: what an error quotes at least. */
const QUOTED_MIN = 8;
const TCP_HEADER = 20;
const ICMP_HEADER = 8;
const RST_REASONS: readonly Counter[] = ["drop_not_indexed", "drop_no_service"];
/** Type and code by what they say. */
const ERRORS: Partial<
  Record<Counter, Readonly<Record<4 | 6, readonly [number, number]>>>
> = {
  drop_ttl: { 4: [ICMP.timeExceeded, 0], 6: [ICMPV6.timeExceeded, 0] },
  drop_too_big: { 4: [ICMP.unreachable, 4], 6: [ICMPV6.tooBig, 0] },
  drop_no_service: { 4: [ICMP.unreachable, 3], 6: [ICMPV6.unreachable, 4] },
};

/** Its sender has to be told, as often as that is not too often. */
export function isOwedReply(
  end: Counter,
  { frame, ip }: Expectation,
  { settings }: World,
): boolean {
  if (frame === undefined || ip === undefined) return false;
  if (isToMany(frame) || isNobody(ip.saddr)) return false;
  if (end === "drop_not_indexed") return true;
  if (end === "drop_no_service" && settings.unknownPort === "drop")
    return false;
  const isReset =
    ip.protocol === PROTOCOL.tcp &&
    ((payloadOf(ip)[13] ?? 0) & TCP_FLAG.rst) !== 0;
  if (isReset) return false;
  if (end === "drop_no_service" && ip.protocol === PROTOCOL.tcp) return true;
  return ERRORS[end] !== undefined && isAnswerable(ip);
}

export function judgeReply(
  end: Counter,
  outcome: Outcome,
  { frame, ip }: Expectation,
  world: World,
  limit: Limit | undefined,
): string | undefined {
  if (frame === undefined || ip === undefined)
    return "there was an answer to what is no packet";
  if (!isSent(outcome)) return `the answer was not sent: ${outcome.verdict}`;
  const answer = readFrame(outcome.frame);
  if (answer === undefined) return "the answer is no IP packet";
  const { ip: about } = readIp(answer.body, answer.version);
  if (about === undefined) return "the answer is malformed";
  if (!answer.head.equals(headBack({ ...frame, version: answer.version })))
    return "the answer does not go back to where the packet came from";
  if (answer.version !== ip.version) return "the answer has another version";
  const complaint = judgeHeader(about, answer, ip);
  if (complaint !== undefined) return complaint;
  if (isToMany(frame) || isNobody(ip.saddr))
    return "what was not sent by one host to another is answered";
  return outcome.counted.has("rst_sent")
    ? judgeReset(end, about, ip, world)
    : judgeError(end, about, ip, world, limit);
}

function judgeHeader(answer: Ip, { body }: Frame, ip: Ip): string | undefined {
  const { saddr, daddr, version, headerLength } = answer;
  if (daddr !== ip.saddr) return "the answer is not for the packet's source";
  if (saddr !== ip.daddr)
    return "the answer is not from the packet's destination";
  if (answer.ttl < 2) return `the answer has a TTL of ${answer.ttl}`;
  if (body.length !== answer.totalLength)
    return "there is something behind the answer";
  if (version === 4 && sumOf(answer.bytes.subarray(0, headerLength)) !== 0)
    return "the answer's IP checksum is wrong";
  const payload = payloadOf(answer);
  const pseudo =
    version === 4 && answer.protocol === PROTOCOL.icmp
      ? Buffer.alloc(0)
      : pseudoHeader(saddr, daddr, answer.protocol, payload.length);
  return sumOf(pseudo, payload) === 0
    ? undefined
    : "the answer's checksum is wrong";
}

/** RFC 9293 section 3.10.7.1. */
function judgeReset(
  end: Counter,
  answer: Ip,
  ip: Ip,
  { settings }: World,
): string | undefined {
  if (!RST_REASONS.includes(end)) return `a RST was sent for ${end}`;
  if (end === "drop_no_service" && settings.unknownPort !== "reject")
    return "a RST was sent where packets are dropped";
  const segment = payloadOf(ip);
  const reset = payloadOf(answer);
  if (
    answer.protocol !== PROTOCOL.tcp ||
    ip.protocol !== PROTOCOL.tcp ||
    reset.length < TCP_HEADER
  )
    return "the RST is no TCP segment, or answers none";
  const flags = segment.readUInt8(13);
  if (flags & TCP_FLAG.rst) return "a RST answers a RST";
  if (
    reset.readUInt16BE(0) !== segment.readUInt16BE(2) ||
    reset.readUInt16BE(2) !== segment.readUInt16BE(0)
  )
    return "the RST's ports are not those of the segment";
  const acks = (flags & TCP_FLAG.ack) !== 0;
  const data = segment.length - (segment.readUInt8(12) >> 4) * 4;
  const length = data + ((flags & TCP_FLAG.syn) >> 1) + (flags & TCP_FLAG.fin);
  const { rst, ack } = TCP_FLAG;
  const expected = acks
    ? [segment.readUInt32BE(8), 0, rst]
    : [0, (segment.readUInt32BE(4) + length) >>> 0, rst | ack];
  const actual = [
    reset.readUInt32BE(4),
    reset.readUInt32BE(8),
    reset.readUInt8(13),
  ];
  return actual.join() === expected.join()
    ? undefined
    : `the RST has sequence, acknowledgement and flags ${actual.join(" ")} in place of ${expected.join(" ")}`;
}

function judgeError(
  end: Counter,
  answer: Ip,
  ip: Ip,
  { settings }: World,
  limit: Limit | undefined,
): string | undefined {
  const expected = ERRORS[end]?.[ip.version];
  if (expected === undefined) return `an ICMP error was sent for ${end}`;
  if (end === "drop_no_service" && settings.unknownPort !== "reject")
    return "an ICMP error was sent where packets are dropped";
  if (answer.protocol !== icmpProtocol(ip.version))
    return "the answer is no ICMP message";
  if (answer.totalLength > LENGTH_MAX[ip.version])
    return `the ICMP error has ${answer.totalLength} bytes`;
  const message = readIcmp(answer);
  if (message === undefined) return "the ICMP error is too short";
  const [type, code] = expected;
  if (message.type !== type || message.code !== code)
    return `the ICMP error is ${message.type}/${message.code} in place of ${type}/${code}`;
  if (limit !== undefined) {
    const told =
      ip.version === 4
        ? message.rest.readUInt16BE(2)
        : message.rest.readUInt32BE(0);
    const { mtu, growth } = limit;
    // The longest packet like this one whose translation fits.
    if (told !== mtu - growth)
      return `the ICMP error tells of an MTU of ${told}, where packets that grow by ${growth} meet one of ${mtu}`;
  }
  if (!isAnswerable(ip)) return "an ICMP error answers what must have none";
  const quoted = payloadOf(answer).subarray(ICMP_HEADER);
  const least = Math.min(ip.headerLength + QUOTED_MIN, ip.bytes.length);
  if (
    quoted.length < least ||
    !ip.bytes.subarray(0, quoted.length).equals(quoted)
  )
    return "the ICMP error does not quote the packet as it came";
  return undefined;
}

/** RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e). */
function isAnswerable(ip: Ip): boolean {
  if (isLaterFragment(ip)) return false;
  if (ip.protocol !== icmpProtocol(ip.version)) return true;
  return readIcmp(ip)?.kind === "echoRequest";
}
