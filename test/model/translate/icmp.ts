// SPDX-License-Identifier: Apache-2.0
/** Reads ICMP (RFC 792) and ICMPv6 (RFC 4443), and what their errors quote. */
import type { Version } from "./address.ts";
import { pseudoHeader, sumOf } from "./checksum.ts";
import { type Ip, isLaterFragment, payloadOf, readIp } from "./ip.ts";
import { ICMP, ICMPV6, PROTOCOL } from "./protocols.ts";
import { Finding } from "./reason.ts";
import {
  isTransportProtocol,
  quotedTransport,
  type Transport,
} from "./transport.ts";

/** `doubtful`: an error by its number, but one that says nothing to the sender of a packet, or that nobody has defined. */
export type IcmpKind = "echoRequest" | "error" | "doubtful" | "other";

export type Icmp = {
  readonly kind: IcmpKind;
  readonly type: number;
  readonly code: number;
  /** What is between checksum and body: 4 bytes. */
  readonly rest: Buffer;
  readonly body: Buffer;
};

export type Quote = {
  readonly ip: Ip;
  readonly transport: Transport;
  /** What is behind it in the message's body. */
  readonly behind: Buffer;
  /** The message says how long the quote is, because extensions are behind it (RFC 4884). */
  readonly isExtended: boolean;
};

const ICMP_HEADER = 8;
/** Of the transport: what each error has to quote (RFC 792). */
const QUOTED_MIN = 8;
/** More than that no packet has: an IPv6 header can say so all the same. */
const PACKET_MAX = 65_535;
/** Of a quote with extensions behind it, in bytes. */
const EXTENDED_MIN = 128;
const KINDS: Readonly<Record<Version, Readonly<Record<number, IcmpKind>>>> = {
  4: {
    [ICMP.echoRequest]: "echoRequest",
    [ICMP.unreachable]: "error",
    [ICMP.timeExceeded]: "error",
    [ICMP.parameterProblem]: "error",
    [ICMP.quench]: "doubtful",
    [ICMP.redirect]: "doubtful",
  },
  6: {
    [ICMPV6.echoRequest]: "echoRequest",
    [ICMPV6.unreachable]: "error",
    [ICMPV6.tooBig]: "error",
    [ICMPV6.timeExceeded]: "error",
    [ICMPV6.parameterProblem]: "error",
  },
};
/** Below it are the errors of ICMPv6, known and unknown. */
const ICMPV6_INFORMATIONAL = 128;

export function icmpProtocol(version: Version): number {
  return version === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6;
}

/** What the checksum covers besides the message: nothing in ICMP (RFC 4443 section 2.3). */
export function icmpPseudoHeader(
  { version, saddr, daddr }: Pick<Ip, "version" | "saddr" | "daddr">,
  length: number,
): Buffer {
  return version === 4
    ? Buffer.alloc(0)
    : pseudoHeader(saddr, daddr, PROTOCOL.icmpv6, length);
}

/** Its checksum is right. */
export function isRight(ip: Ip): boolean {
  const payload = payloadOf(ip);
  return sumOf(icmpPseudoHeader(ip, payload.length), payload) === 0;
}

/** Of a packet whose protocol is ICMP or ICMPv6, as its version demands. Undefined: it is too short. */
export function readIcmp(ip: Ip): Icmp | undefined {
  const payload = payloadOf(ip);
  if (payload.length < ICMP_HEADER) return undefined;
  const type = payload.readUInt8(0);
  const unknown =
    ip.version === 6 && type < ICMPV6_INFORMATIONAL ? "doubtful" : "other";
  return {
    kind: KINDS[ip.version][type] ?? unknown,
    type,
    code: payload.readUInt8(1),
    rest: payload.subarray(4, ICMP_HEADER),
    body: payload.subarray(ICMP_HEADER),
  };
}

/**
 * The packet that an error is about. More than one quote: the message says how long it is, but gives it less than the 128
 * bytes that it must have then (RFC 4884 section 3), so that a reader may take no notice of that.
 */
export function readQuotes(
  version: Version,
  icmp: Icmp,
): { readonly finding: Finding; readonly quotes: readonly Quote[] } {
  const length = quotedLength(version, icmp);
  const { body } = icmp;
  if (length === 0) return readQuote(version, body, body.length, false);
  const readings = [
    ...(length <= body.length ? [readQuote(version, body, length, true)] : []),
    ...(length < EXTENDED_MIN || length > body.length
      ? [readQuote(version, body, body.length, false)]
      : []),
  ];
  const finding = new Finding();
  for (const reading of readings)
    if (reading.quotes.length > 0) finding.doubt(...reading.finding.doubts);
    else finding.doubt(...reading.finding.faults);
  if (length > body.length || length < EXTENDED_MIN)
    finding.doubt("drop_icmp_inner", "drop_malformed");
  const quotes = readings.flatMap((reading) => reading.quotes);
  if (quotes.length === 0) finding.fault("drop_icmp_inner");
  return { finding, quotes };
}

/** The packet that is quoted in the first `length` bytes. */
function readQuote(
  version: Version,
  body: Buffer,
  length: number,
  isExtended: boolean,
): { readonly finding: Finding; readonly quotes: readonly Quote[] } {
  const finding = new Finding();
  const { ip, faults, doubts } = readIp(
    body.subarray(0, length),
    version,
    true,
  );
  // Extension headers that need not be read in a packet need not be read in a quote.
  if (doubts.length > 0) finding.doubt("drop_icmp_inner");
  if (
    ip === undefined ||
    faults.length > 0 ||
    isLaterFragment(ip) ||
    ip.headerLength > ip.bytes.length
  ) {
    finding.fault("drop_icmp_inner");
    return { finding, quotes: [] };
  }
  if (!isTransportProtocol(ip.protocol)) {
    finding.fault("drop_icmp_inner", "drop_icmp_no_session");
    return { finding, quotes: [] };
  }
  const transport = quotedTransport(ip, ip.protocol);
  if (transport === undefined) {
    finding.fault("drop_icmp_inner");
    return { finding, quotes: [] };
  }
  if (payloadOf(ip).length < QUOTED_MIN || ip.totalLength > PACKET_MAX)
    finding.doubt("drop_icmp_inner");
  const behind = body.subarray(ip.bytes.length);
  return { finding, quotes: [{ ip, transport, behind, isExtended }] };
}

/** In bytes, as the message says; 0: it says nothing (RFC 4884 sections 4 and 5). */
function quotedLength(version: Version, { type, rest }: Icmp): number {
  const types: readonly number[] = LENGTH_BEARERS[version];
  if (!types.includes(type)) return 0;
  return version === 4 ? rest.readUInt8(1) * 4 : rest.readUInt8(0) * 8;
}

const LENGTH_BEARERS = {
  4: [ICMP.unreachable, ICMP.timeExceeded, ICMP.parameterProblem],
  6: [ICMPV6.unreachable, ICMPV6.timeExceeded],
} as const;
