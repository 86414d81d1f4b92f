// SPDX-License-Identifier: Apache-2.0
/** Reads IPv4 and IPv6 headers (RFC 791, RFC 8200) of packets, and of what ICMP errors quote of them. */
import { type Address, readAddress, type Version } from "./address.ts";
import { PROTOCOL } from "./protocols.ts";
import type { Faults, Reason } from "./reason.ts";

export type Fragment = {
  readonly id: number;
  /** In bytes. */
  readonly offset: number;
  readonly more: boolean;
};

export type Extension = { readonly type: number; readonly bytes: Buffer };

export type Ip = {
  readonly version: Version;
  /** From the header on; what follows the packet in its frame is cut off. Shorter than `totalLength` only in a quote. */
  readonly bytes: Buffer;
  /** With options, or extension headers. */
  readonly headerLength: number;
  /** As the header says. */
  readonly totalLength: number;
  readonly saddr: Address;
  readonly daddr: Address;
  readonly ttl: number;
  readonly trafficClass: number;
  /** Of what follows the header, extension headers included. */
  readonly protocol: number;
  /** IPv4 only. */
  readonly id: number;
  /** IPv4 only. */
  readonly dontFragment: boolean;
  /** It is a part of a datagram, or has an IPv6 fragment header (which may say that it is whole, RFC 6946). */
  readonly fragment: Fragment | undefined;
  /** IPv6 only, without the fragment header. */
  readonly extensions: readonly Extension[];
  /** IPv4 only. */
  readonly options: Buffer;
};

export type IpReading = Faults & {
  /** Undefined: it is no packet of that version at all, so it is for nobody. */
  readonly daddr?: Address;
  /** Undefined if it is malformed. */
  readonly ip?: Ip;
};

const IPV4_HEADER = 20;
const IPV6_HEADER = 40;
const MORE_FRAGMENTS = 0x2000;
const DONT_FRAGMENT = 0x4000;
const OPTION_BEARERS: readonly number[] = [
  PROTOCOL.hopByHop,
  PROTOCOL.routing,
  PROTOCOL.destination,
];
/** A routing header with addresses that the packet has yet to go to. */
export function hasSegmentsLeft({ type, bytes }: Extension): boolean {
  return type === PROTOCOL.routing && bytes.readUInt8(3) > 0;
}

/** So many, if they are no longer, have to be read; of others that is at the program's discretion. */
const EXTENSIONS_USUAL = 3;
const EXTENSION_BYTES_USUAL = 256;
/** The lengths and offsets of fragments are in units of 8 bytes. */
const UNIT = 8;

/** It is whole: no fragment, or one that is all of its datagram. */
export function isWhole({ fragment }: Ip): boolean {
  return fragment === undefined || (fragment.offset === 0 && !fragment.more);
}

export function isLaterFragment({ fragment }: Ip): boolean {
  return fragment !== undefined && fragment.offset > 0;
}

export function payloadOf({ bytes, headerLength }: Ip): Buffer {
  return bytes.subarray(headerLength);
}

/** Options, or extension headers that carry options or routes. */
export function hasOptions({ options, extensions }: Ip): boolean {
  return options.length > 0 || extensions.length > 0;
}

/** `isQuote`: it may have been cut off. */
export function readIp(
  bytes: Buffer,
  version: Version,
  isQuote = false,
): IpReading {
  return version === 4 ? readIpv4(bytes, isQuote) : readIpv6(bytes, isQuote);
}

function readIpv4(bytes: Buffer, isQuote: boolean): IpReading {
  if (bytes.length < IPV4_HEADER || bytes.readUInt8(0) >> 4 !== 4)
    return nobody;
  const daddr = readAddress(bytes, 16, 4);
  const headerLength = (bytes.readUInt8(0) & 15) * 4;
  const totalLength = bytes.readUInt16BE(2);
  const isCut = totalLength > bytes.length && !isQuote;
  if (
    headerLength < IPV4_HEADER ||
    headerLength > totalLength ||
    headerLength > bytes.length ||
    isCut
  )
    return malformed(daddr, ["drop_protocol"]);
  const word = bytes.readUInt16BE(6);
  const id = bytes.readUInt16BE(4);
  const offset = (word & 0x1fff) * UNIT;
  const more = (word & MORE_FRAGMENTS) !== 0;
  const ip: Ip = {
    version: 4,
    bytes: bytes.subarray(0, totalLength),
    headerLength,
    totalLength,
    saddr: readAddress(bytes, 12, 4),
    daddr,
    ttl: bytes.readUInt8(8),
    trafficClass: bytes.readUInt8(1),
    protocol: bytes.readUInt8(9),
    id,
    dontFragment: (word & DONT_FRAGMENT) !== 0,
    fragment: more || offset > 0 ? { id, offset, more } : undefined,
    extensions: [],
    options: bytes.subarray(IPV4_HEADER, headerLength),
  };
  return { daddr, ip, faults: [], doubts: [] };
}

function readIpv6(bytes: Buffer, isQuote: boolean): IpReading {
  if (bytes.length < IPV6_HEADER || bytes.readUInt8(0) >> 4 !== 6)
    return nobody;
  const daddr = readAddress(bytes, 24, 6);
  const totalLength = IPV6_HEADER + bytes.readUInt16BE(4);
  if (totalLength > bytes.length && !isQuote)
    return malformed(daddr, ["drop_protocol", "drop_extension"]);
  const packet = bytes.subarray(0, totalLength);
  const chain = readChain(packet);
  if (chain === undefined)
    return malformed(daddr, ["drop_extension", "drop_fragment_tiny"]);
  const ip: Ip = {
    version: 6,
    bytes: packet,
    headerLength: chain.end,
    totalLength,
    saddr: readAddress(bytes, 8, 6),
    daddr,
    ttl: bytes.readUInt8(7),
    trafficClass: (bytes.readUInt16BE(0) >> 4) & 0xff,
    protocol: chain.protocol,
    id: 0,
    dontFragment: true,
    fragment: chain.fragment,
    extensions: chain.extensions,
    options: Buffer.alloc(0),
  };
  const faults: readonly Reason[] = chain.isReadable
    ? []
    : ["drop_extension", "drop_malformed"];
  return { daddr, ip, faults, doubts: chain.isUsual ? [] : ["drop_extension"] };
}

type Chain = {
  readonly protocol: number;
  readonly end: number;
  readonly fragment: Fragment | undefined;
  readonly extensions: readonly Extension[];
  readonly isReadable: boolean;
  /** In the order, and of the number, that RFC 8200 section 4.1 recommends. */
  readonly isUsual: boolean;
};

/** The extension headers of an IPv6 packet; undefined if it ends within them. */
function readChain(packet: Buffer): Chain | undefined {
  const extensions: Extension[] = [];
  let fragment: Fragment | undefined;
  let isReadable = true;
  let protocol = packet.readUInt8(6);
  let at = IPV6_HEADER;
  const order: number[] = [];
  while (OPTION_BEARERS.includes(protocol) || protocol === PROTOCOL.fragment) {
    if (fragment !== undefined && fragment.offset > 0) break;
    if (at + UNIT > packet.length) return undefined;
    const length =
      protocol === PROTOCOL.fragment
        ? UNIT
        : (packet.readUInt8(at + 1) + 1) * UNIT;
    if (at + length > packet.length) return undefined;
    order.push(protocol);
    if (protocol === PROTOCOL.fragment) {
      isReadable = fragment === undefined && isReadable;
      const word = packet.readUInt16BE(at + 2);
      fragment = {
        id: packet.readUInt32BE(at + 4),
        offset: word & 0xfff8,
        more: (word & 1) !== 0,
      };
    } else {
      extensions.push({
        type: protocol,
        bytes: packet.subarray(at, at + length),
      });
    }
    protocol = packet.readUInt8(at);
    at += length;
  }
  const isUsual =
    order.length <= EXTENSIONS_USUAL &&
    !extensions.some(hasSegmentsLeft) &&
    at - IPV6_HEADER <= EXTENSION_BYTES_USUAL &&
    order.lastIndexOf(PROTOCOL.hopByHop) <= 0;
  return { protocol, end: at, fragment, extensions, isReadable, isUsual };
}

const nobody: IpReading = { faults: ["drop_malformed"], doubts: [] };

function malformed(daddr: Address, also: readonly Reason[] = []): IpReading {
  return { daddr, faults: ["drop_malformed", ...also], doubts: [] };
}
