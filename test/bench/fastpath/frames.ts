// SPDX-License-Identifier: Apache-2.0
/**
 * The frames of `./weir bench fastpath`. Checksums are zero, but for that of an ICMP error: the director corrects the others by
 * differences, and looks at none of them.
 */
import { addressBytes } from "../../../src/model.ts";

export type Family = 4 | 6;

/** With which of its fields a flow differs from the others: offsets in bytes, as in flows.h. */
export type FrameKind = {
  readonly bytes: Uint8Array;
  readonly addressAt: number;
  readonly portAt: number;
  /** Of flow 0, host order: its last 32 bits. */
  readonly address: number;
};

export type Ends = {
  readonly family: Family;
  readonly protocol: "tcp" | "udp";
  readonly source: string;
  readonly sport: number;
  readonly target: string;
  readonly dport: number;
};

const ETHERNET = 14;
const FRAME_BYTES = 128;
const SYN = 0x02;
const ACK = 0x10;

const PROTOCOLS = { tcp: 6, udp: 17, icmp: 1, icmp6: 58 } as const;
const HEADER_BYTES = { 4: 20, 6: 40 } as const;
/** Of the last 32 bits of the addresses, from the IP header on. */
const SOURCE_AT = { 4: 12, 6: 20 } as const;
const TARGET_AT = { 4: 16, 6: 36 } as const;
/** Of IPv4: first of several, at offset 0. */
const MORE_FRAGMENTS = 0x2000;

/** A segment or datagram, `syn` for the first one of a session; flows differ in `varying`. */
export function packet(
  ends: Ends,
  varying: "source" | "target",
  { syn = false } = {},
): FrameKind {
  const bytes = new Uint8Array(FRAME_BYTES);
  putPacket(bytes, ETHERNET, ends, { syn, fragment: false });
  return { bytes, ...variation(ends, ETHERNET, varying) };
}

/** The first fragment of an IPv4 datagram; each number stands for another datagram: source address, and identification. */
export function firstFragment(ends: Ends): FrameKind {
  const bytes = new Uint8Array(FRAME_BYTES);
  putPacket(bytes, ETHERNET, ends, { syn: false, fragment: true });
  // All but the last one carry a multiple of 8 bytes.
  new DataView(bytes.buffer).setUint16(ETHERNET + 2, HEADER_BYTES[4] + 88);
  return {
    bytes,
    ...variation(ends, ETHERNET, "source"),
    portAt: ETHERNET + 4,
  };
}

/** What a router says of a packet of `ends`, to its source: it was too big. Its checksum is right for this one flow. */
export function tooBig(router: string, ends: Ends): FrameKind {
  const bytes = new Uint8Array(FRAME_BYTES);
  const { family, source } = ends;
  const protocol = family === 4 ? PROTOCOLS.icmp : PROTOCOLS.icmp6;
  putHeader(bytes, ETHERNET, family, protocol, router, source);
  const message = ETHERNET + HEADER_BYTES[family];
  bytes.set(family === 4 ? [3, 4] : [2, 0], message);
  bytes.set([1280 >> 8, 1280 & 0xff], message + 6);
  putPacket(bytes, message + 8, ends, { syn: false, fragment: false });
  const pseudo = family === 4 ? 0 : pseudoSum(bytes, message);
  const sum = pseudo + sumOf(bytes.subarray(message));
  new DataView(bytes.buffer).setUint16(message + 2, ~folded(sum));
  return { bytes, ...variation(ends, message + 8, "target") };
}

function variation(
  { family, source, target }: Ends,
  ip: number,
  varying: "source" | "target",
): Omit<FrameKind, "bytes"> {
  const transport = ip + HEADER_BYTES[family];
  const [at, portAt, address] =
    varying === "source"
      ? [SOURCE_AT[family], transport, source]
      : [TARGET_AT[family], transport + 2, target];
  return {
    addressAt: ip + at,
    portAt,
    address: new DataView(addressBytes(address).buffer).getUint32(12),
  };
}

/** Of the IPv6 header in front of the message (RFC 8200 section 8.1). */
function pseudoSum(bytes: Uint8Array, message: number): number {
  const addresses = bytes.subarray(message - 32, message);
  return sumOf(addresses) + PROTOCOLS.icmp6 + (bytes.length - message);
}

/** Of 16-bit words (RFC 1071), not folded yet. */
function sumOf(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += view.getUint16(at);
  return sum;
}

function folded(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
}

function putPacket(
  bytes: Uint8Array,
  at: number,
  ends: Ends,
  { syn, fragment }: { readonly syn: boolean; readonly fragment: boolean },
): void {
  const { family, protocol, source, sport, target, dport } = ends;
  putHeader(bytes, at, family, PROTOCOLS[protocol], source, target);
  const view = new DataView(bytes.buffer);
  const transport = at + HEADER_BYTES[family];
  if (fragment && family === 4) view.setUint16(at + 6, MORE_FRAGMENTS);
  view.setUint16(transport, sport);
  view.setUint16(transport + 2, dport);
  if (protocol === "udp") {
    view.setUint16(transport + 4, bytes.length - transport);
    view.setUint16(transport + 6, 0xbeef);
  } else if (transport + 14 <= bytes.length) {
    view.setUint8(transport + 12, 5 << 4);
    view.setUint8(transport + 13, syn ? SYN : ACK);
  }
}

function putHeader(
  bytes: Uint8Array,
  at: number,
  family: Family,
  protocol: number,
  source: string,
  target: string,
): void {
  const view = new DataView(bytes.buffer);
  const length = bytes.length - at;
  if (at === ETHERNET) view.setUint16(12, family === 4 ? 0x0800 : 0x86dd);
  if (family === 4) {
    view.setUint8(at, 0x45);
    view.setUint16(at + 2, length);
    view.setUint8(at + 8, 64);
    view.setUint8(at + 9, protocol);
    bytes.set(addressBytes(source).subarray(12), at + 12);
    bytes.set(addressBytes(target).subarray(12), at + 16);
  } else {
    view.setUint8(at, 0x60);
    view.setUint16(at + 4, length - HEADER_BYTES[6]);
    view.setUint8(at + 6, protocol);
    view.setUint8(at + 7, 64);
    bytes.set(addressBytes(source), at + 8);
    bytes.set(addressBytes(target), at + 24);
  }
}
