// SPDX-License-Identifier: Apache-2.0
/** Reads TCP and UDP headers (RFC 9293, RFC 768). */
import { isWhole, type Ip, payloadOf } from "./ip.ts";
import { PROTOCOL, TCP_FLAG } from "./protocols.ts";
import { Finding } from "./reason.ts";

export type TransportProtocol = typeof PROTOCOL.tcp | typeof PROTOCOL.udp;

export type Transport = {
  readonly protocol: TransportProtocol;
  readonly sport: number;
  readonly dport: number;
  /** Of TCP; 0 for UDP. */
  readonly flags: number;
  /** Where the checksum is, in the payload of IP. */
  readonly checksumAt: number;
  /** Undefined: a quote ends before it. */
  readonly checksum: number | undefined;
};

const TCP_HEADER = 20;
const UDP_HEADER = 8;
/** Source and destination port. */
const PORTS = 4;
const CHECKSUM_AT = { [PROTOCOL.tcp]: 16, [PROTOCOL.udp]: 6 } as const;

const { fin, syn, rst, ack } = TCP_FLAG;
const URGENT = 0x20;
const JUDGED = fin | syn | rst | ack | URGENT;
/** What a TCP sends, PSH and the ECN flags aside: Linux's tcp_valid_flags (nf_conntrack_proto_tcp.c). */
const VALID: readonly number[] = [
  ...[syn, syn | ack, rst, rst | ack, fin | ack, ack],
  ...[syn | URGENT, fin | ack | URGENT, ack | URGENT],
];

export function isTransportProtocol(
  protocol: number,
): protocol is TransportProtocol {
  return protocol === PROTOCOL.tcp || protocol === PROTOCOL.udp;
}

/** Of a packet's beginning, whose protocol is TCP or UDP. No transport: it is too short for ports. */
export function readTransport(
  ip: Ip,
  protocol: TransportProtocol,
): { readonly finding: Finding; readonly transport?: Transport } {
  const payload = payloadOf(ip);
  const finding = new Finding();
  const short = isWhole(ip)
    ? (["drop_malformed"] as const)
    : (["drop_fragment_tiny", "drop_malformed"] as const);
  const header =
    protocol === PROTOCOL.udp
      ? UDP_HEADER
      : Math.max(TCP_HEADER, ((payload[12] ?? 0) >> 4) * 4);
  if (payload.length < header) finding.fault(...short);
  if (payload.length >= UDP_HEADER && protocol === PROTOCOL.udp)
    judgeUdpLength(ip, payload, finding);
  if (payload.length >= TCP_HEADER && protocol === PROTOCOL.tcp) {
    if ((payload[12] ?? 0) >> 4 < TCP_HEADER / 4)
      finding.fault("drop_malformed");
    if (!VALID.includes((payload[13] ?? 0) & JUDGED))
      finding.fault("drop_tcp_flags");
  }
  const transport = quotedTransport(ip, protocol);
  return transport === undefined ? { finding } : { finding, transport };
}

/** Of what an ICMP error quotes, which need not have more than the ports. */
export function quotedTransport(
  ip: Ip,
  protocol: TransportProtocol,
): Transport | undefined {
  const payload = payloadOf(ip);
  if (payload.length < PORTS) return undefined;
  const checksumAt = CHECKSUM_AT[protocol];
  const isThere = payload.length >= checksumAt + 2;
  return {
    protocol,
    sport: payload.readUInt16BE(0),
    dport: payload.readUInt16BE(2),
    flags: protocol === PROTOCOL.tcp ? (payload[13] ?? 0) : 0,
    checksumAt,
    checksum: isThere ? payload.readUInt16BE(checksumAt) : undefined,
  };
}

/** A datagram without checksum (RFC 768). */
export function isWithoutChecksum({ protocol, checksum }: Transport): boolean {
  return protocol === PROTOCOL.udp && checksum === 0;
}

/** RFC 768: the length includes the header. What is behind it is surplus, and no fault of the datagram. */
function judgeUdpLength(ip: Ip, payload: Buffer, finding: Finding): void {
  const length = payload.readUInt16BE(4);
  if (length < UDP_HEADER) finding.fault("drop_malformed");
  else if (isWhole(ip) && length > payload.length)
    finding.fault("drop_malformed");
  else if (isWhole(ip) ? length < payload.length : length <= payload.length)
    finding.doubt("drop_malformed");
}
