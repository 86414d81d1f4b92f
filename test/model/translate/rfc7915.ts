// SPDX-License-Identifier: Apache-2.0
/** What corresponds to an IPv4 header in IPv6, and the other way round: RFC 7915, sections 4.1 and 5.1. */
import {
  type Address,
  type Version,
  versionOf,
  writeAddress,
} from "./address.ts";
import { setChecksum } from "./checksum.ts";
import { hasSegmentsLeft, type Ip } from "./ip.ts";
import { PROTOCOL } from "./protocols.ts";

export type NewHeader = {
  readonly saddr: Address;
  readonly daddr: Address;
  readonly ttl: number;
  /** Of a whole IPv4 packet: the translator's choice. */
  readonly id: number;
};

const IPV4_HEADER = 20;
const IPV6_HEADER = 40;
const FRAGMENT_HEADER = 8;
const DONT_FRAGMENT = 0x4000;
const MORE_FRAGMENTS = 0x2000;
/** Longer IPv4 packets must not be fragmented on their way (section 5.1). */
const FRAGMENTABLE_MAX = 1260;
/** Loose and strict source route (RFC 791 section 3.1). */
const SOURCE_ROUTES: readonly number[] = [131, 137];

/** The IP header, of the other version than the packet's, that goes before `payload`. */
export function translatedHeader(ip: Ip, to: NewHeader): Buffer {
  return ip.version === 4 ? ipv6Header(ip, to) : ipv4Header(ip, to);
}

function ipv6Header(ip: Ip, { saddr, daddr, ttl }: NewHeader): Buffer {
  const { fragment } = ip;
  const extra = fragment === undefined ? 0 : FRAGMENT_HEADER;
  const bytes = Buffer.alloc(IPV6_HEADER + extra);
  const protocol = translatedProtocol(ip.protocol);
  bytes.writeUInt32BE(((6 << 28) | (ip.trafficClass << 20)) >>> 0, 0);
  bytes.writeUInt16BE((ip.totalLength - ip.headerLength + extra) & 0xffff, 4);
  bytes.writeUInt8(fragment === undefined ? protocol : PROTOCOL.fragment, 6);
  bytes.writeUInt8(ttl, 7);
  writeAddress(bytes, 8, saddr);
  writeAddress(bytes, 24, daddr);
  if (fragment === undefined) return bytes;
  bytes.writeUInt8(protocol, IPV6_HEADER);
  bytes.writeUInt16BE(
    fragment.offset | (fragment.more ? 1 : 0),
    IPV6_HEADER + 2,
  );
  bytes.writeUInt32BE(fragment.id, IPV6_HEADER + 4);
  return bytes;
}

function ipv4Header(ip: Ip, { saddr, daddr, ttl, id }: NewHeader): Buffer {
  const { fragment } = ip;
  const bytes = Buffer.alloc(IPV4_HEADER);
  const totalLength = ip.totalLength - ip.headerLength + IPV4_HEADER;
  bytes.writeUInt8(0x45, 0);
  bytes.writeUInt8(ip.trafficClass, 1);
  bytes.writeUInt16BE(totalLength & 0xffff, 2);
  bytes.writeUInt16BE(fragment === undefined ? id : fragment.id & 0xffff, 4);
  if (fragment === undefined)
    bytes.writeUInt16BE(totalLength > FRAGMENTABLE_MAX ? DONT_FRAGMENT : 0, 6);
  else
    bytes.writeUInt16BE(
      (fragment.offset >> 3) | (fragment.more ? MORE_FRAGMENTS : 0),
      6,
    );
  bytes.writeUInt8(ttl, 8);
  bytes.writeUInt8(translatedProtocol(ip.protocol), 9);
  writeAddress(bytes, 12, saddr);
  writeAddress(bytes, 16, daddr);
  setChecksum(bytes, 10, 0);
  return bytes;
}

function translatedProtocol(protocol: number): number {
  if (protocol === PROTOCOL.icmp) return PROTOCOL.icmpv6;
  return protocol === PROTOCOL.icmpv6 ? PROTOCOL.icmp : protocol;
}

/** It has something that must not get lost, and that the other version has not: a route that it has yet to follow. */
export function isUntranslatable(ip: Ip): boolean {
  return hasSourceRoute(ip.options) || ip.extensions.some(hasSegmentsLeft);
}

/** That has not expired. Options that cannot be read are none (RFC 7915 section 4.1 leaves all but routes out). */
function hasSourceRoute(options: Buffer): boolean {
  let at = 0;
  while (at < options.length) {
    const type = options.readUInt8(at);
    if (type === 0) return false;
    if (type === 1) {
      at += 1;
      continue;
    }
    const length = options[at + 1] ?? 0;
    if (length < 2 || at + length > options.length) return false;
    if (SOURCE_ROUTES.includes(type) && (options[at + 2] ?? 0) <= length)
      return true;
    at += length;
  }
  return false;
}

export function otherVersion(version: Version): Version {
  return version === 4 ? 6 : 4;
}

export function isTranslation(ip: Ip, { daddr }: Pick<NewHeader, "daddr">) {
  return ip.version !== versionOf(daddr);
}
