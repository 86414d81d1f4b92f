// SPDX-License-Identifier: Apache-2.0
/**
 * Frames for the packet tests: `build` writes an Ethernet, IPv4 and TCP frame from its fields, `parse` reads one back and
 * computes each checksum from scratch (RFC 1071), so that a test compares fields and never bytes at offsets.
 */
import { formatIpv4, parseIpv4 } from "../../src/model.ts";

export const TCP = 6;
const ETHERNET = 14;
const VLAN_TAG = 4;
const IP_HEADER = 20;
const TCP_HEADER = 20;

/** TCP flags by letter, as tcpdump prints them, from bit 0. */
const FLAG_LETTERS = "FSRPAUEC";

export type Packet = {
  readonly destination: string;
  readonly source: string;
  /** VLAN identifiers, outermost first. */
  readonly vlans: readonly number[];
  readonly ethertype: number;
  readonly saddr: string;
  readonly daddr: string;
  readonly ttl: number;
  readonly tos: number;
  readonly id: number;
  /** Flags and offset as in the header: 0x4000 = don't fragment. */
  readonly fragment: number;
  readonly protocol: number;
  readonly ipOptions: Uint8Array;
  /** Total length as the header says; undefined = the true one. */
  readonly totalLength?: number;
  readonly sport: number;
  readonly dport: number;
  readonly seq: number;
  readonly ack: number;
  readonly flags: string;
  readonly window: number;
  readonly urgent: number;
  readonly tcpOptions: Uint8Array;
  readonly payload: Uint8Array;
};

export type ParsedPacket = Packet & {
  readonly ipChecksumRight: boolean;
  readonly tcpChecksumRight: boolean;
};

export const none = new Uint8Array(0);

const DEFAULTS: Packet = {
  destination: "02:00:00:00:00:01",
  source: "02:00:00:00:00:02",
  vlans: [],
  ethertype: 0x0800,
  saddr: "198.51.100.1",
  daddr: "192.0.2.10",
  ttl: 64,
  tos: 0,
  id: 0x1234,
  fragment: 0x4000,
  protocol: TCP,
  ipOptions: none,
  sport: 40000,
  dport: 80,
  seq: 0x01020304,
  ack: 0,
  flags: "S",
  window: 64240,
  urgent: 0,
  tcpOptions: none,
  payload: none,
};

export function build(fields: Partial<Packet> = {}): Uint8Array {
  const packet = { ...DEFAULTS, ...fields };
  const ip = ipv4(packet, tcp(packet));
  return Buffer.concat([ethernet(packet), ip]);
}

export function parse(frame: Uint8Array): ParsedPacket {
  const view = viewOf(frame);
  const vlans: number[] = [];
  let offset = ETHERNET;
  let ethertype = view.getUint16(12);
  while (ethertype === 0x8100 || ethertype === 0x88a8) {
    vlans.push(view.getUint16(offset) & 0x0fff);
    ethertype = view.getUint16(offset + 2);
    offset += VLAN_TAG;
  }
  const ip = frame.subarray(offset);
  const ipView = viewOf(ip);
  const ipHeader = (ipView.getUint8(0) & 15) * 4;
  const totalLength = ipView.getUint16(2);
  const segment = ip.subarray(
    ipHeader,
    Math.max(totalLength, ipHeader + TCP_HEADER),
  );
  const tcpView = viewOf(segment);
  const tcpHeader = (tcpView.getUint8(12) >> 4) * 4;
  return {
    destination: formatMac(frame.subarray(0, 6)),
    source: formatMac(frame.subarray(6, 12)),
    vlans,
    ethertype,
    saddr: formatIpv4(ipView.getUint32(12)),
    daddr: formatIpv4(ipView.getUint32(16)),
    ttl: ipView.getUint8(8),
    tos: ipView.getUint8(1),
    id: ipView.getUint16(4),
    fragment: ipView.getUint16(6),
    protocol: ipView.getUint8(9),
    ipOptions: ip.slice(IP_HEADER, ipHeader),
    totalLength,
    sport: tcpView.getUint16(0),
    dport: tcpView.getUint16(2),
    seq: tcpView.getUint32(4),
    ack: tcpView.getUint32(8),
    flags: formatFlags(tcpView.getUint8(13)),
    window: tcpView.getUint16(14),
    urgent: tcpView.getUint16(18),
    tcpOptions: segment.slice(TCP_HEADER, tcpHeader),
    payload: segment.slice(tcpHeader),
    ipChecksumRight: checksum(ip.subarray(0, ipHeader)) === 0,
    tcpChecksumRight:
      checksum(
        Buffer.concat([pseudoHeader(ip, segment.byteLength), segment]),
      ) === 0,
  };
}

function ethernet(packet: Packet): Uint8Array {
  const bytes = new Uint8Array(ETHERNET + packet.vlans.length * VLAN_TAG);
  const view = viewOf(bytes);
  bytes.set(parseMac(packet.destination), 0);
  bytes.set(parseMac(packet.source), 6);
  let at = 12;
  packet.vlans.forEach((vlan, i) => {
    const outermostOfTwo = packet.vlans.length === 2 && i === 0;
    view.setUint16(at, outermostOfTwo ? 0x88a8 : 0x8100);
    view.setUint16(at + 2, vlan);
    at += VLAN_TAG;
  });
  view.setUint16(at, packet.ethertype);
  return bytes;
}

function ipv4(packet: Packet, segment: Uint8Array): Uint8Array {
  const headerLength = IP_HEADER + packet.ipOptions.byteLength;
  const bytes = new Uint8Array(headerLength + segment.byteLength);
  const view = viewOf(bytes);
  view.setUint8(0, 0x40 | (headerLength / 4));
  view.setUint8(1, packet.tos);
  view.setUint16(2, packet.totalLength ?? bytes.byteLength);
  view.setUint16(4, packet.id);
  view.setUint16(6, packet.fragment);
  view.setUint8(8, packet.ttl);
  view.setUint8(9, packet.protocol);
  view.setUint32(12, parseIpv4(packet.saddr) ?? 0);
  view.setUint32(16, parseIpv4(packet.daddr) ?? 0);
  bytes.set(packet.ipOptions, IP_HEADER);
  view.setUint16(10, checksum(bytes.subarray(0, headerLength)));
  bytes.set(segment, headerLength);
  const sum = checksum(
    Buffer.concat([pseudoHeader(bytes, segment.byteLength), segment]),
  );
  view.setUint16(headerLength + 16, sum);
  return bytes;
}

function tcp(packet: Packet): Uint8Array {
  const headerLength = TCP_HEADER + packet.tcpOptions.byteLength;
  const bytes = new Uint8Array(headerLength + packet.payload.byteLength);
  const view = viewOf(bytes);
  view.setUint16(0, packet.sport);
  view.setUint16(2, packet.dport);
  view.setUint32(4, packet.seq);
  view.setUint32(8, packet.ack);
  view.setUint8(12, (headerLength / 4) << 4);
  view.setUint8(13, parseFlags(packet.flags));
  view.setUint16(14, packet.window);
  view.setUint16(18, packet.urgent);
  bytes.set(packet.tcpOptions, TCP_HEADER);
  bytes.set(packet.payload, headerLength);
  return bytes;
}

function pseudoHeader(ip: Uint8Array, length: number): Uint8Array {
  const bytes = new Uint8Array(12);
  bytes.set(ip.subarray(12, 20), 0);
  bytes[9] = ip[9] ?? 0;
  viewOf(bytes).setUint16(10, length);
  return bytes;
}

function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.byteLength; i += 2)
    sum += ((bytes[i] ?? 0) << 8) + (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

function parseFlags(letters: string): number {
  return Array.from(letters).reduce(
    (bits, letter) => bits | (1 << FLAG_LETTERS.indexOf(letter)),
    0,
  );
}

function formatFlags(bits: number): string {
  return Array.from(FLAG_LETTERS)
    .filter((_, i) => bits & (1 << i))
    .join("");
}

function parseMac(text: string): Uint8Array {
  return Uint8Array.from(text.split(":"), (byte) => Number.parseInt(byte, 16));
}

function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(
    ":",
  );
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
