// SPDX-License-Identifier: Apache-2.0
/** Holds the answer to an echo request against RFC 792 and RFC 4443, section 4.2. */
import { sumOf } from "./checksum.ts";
import { difference } from "./compare.ts";
import { type Frame, headBack, readFrame } from "./ethernet.ts";
import { icmpPseudoHeader, readIcmp } from "./icmp.ts";
import { hasOptions, type Ip, isWhole, payloadOf, readIp } from "./ip.ts";
import { isSent, type Outcome } from "./outcome.ts";
import { ICMP, ICMPV6 } from "./protocols.ts";
import type { Counter } from "./reason.ts";

/** Type, code and checksum: all that is behind them is echoed. */
const ECHOED_AT = 4;

export function judgeEcho(
  end: Counter,
  outcome: Outcome,
  frame: Frame,
  ip: Ip,
): string | undefined {
  if (end !== "answered_echo") return `an echo request ended as ${end}`;
  if (!isSent(outcome)) return `an answer was not sent: ${outcome.verdict}`;
  const out = readFrame(outcome.frame);
  const answer = out && readIp(out.body, out.version).ip;
  if (out === undefined || answer === undefined)
    return "the answer is no packet";
  return (
    difference("the head of the answer", out.head, headBack(frame)) ??
    judgeHeader(answer, ip) ??
    judgeMessage(answer, ip)
  );
}

function judgeHeader(answer: Ip, ip: Ip): string | undefined {
  const { version, ttl, bytes, headerLength } = answer;
  if (answer.saddr !== ip.daddr || answer.daddr !== ip.saddr)
    return "the answer's addresses are not those of the request, exchanged";
  if (ttl < 2) return `the answer has a TTL of ${ttl}`;
  if (!isWhole(answer) || hasOptions(answer))
    return "the answer is a fragment, or has options";
  return version === 4 && sumOf(bytes.subarray(0, headerLength)) !== 0
    ? "the answer's IP checksum is wrong"
    : undefined;
}

/** A wrong checksum stays wrong by as much. */
function judgeMessage(answer: Ip, ip: Ip): string | undefined {
  const types = { 4: ICMP.echoReply, 6: ICMPV6.echoReply };
  const message = readIcmp(answer);
  if (message?.type !== types[ip.version])
    return `the answer is of type ${message?.type}`;
  const [sent, received] = [answer, ip].map((packet) => {
    const payload = payloadOf(packet);
    return {
      residue: sumOf(icmpPseudoHeader(packet, payload.length), payload),
      echoed: payload.subarray(ECHOED_AT),
    };
  });
  if (sent === undefined || received === undefined) return undefined;
  if (sent.residue !== received.residue)
    return "the answer's ICMP checksum is wrong";
  return difference("what is echoed", sent.echoed, received.echoed);
}
