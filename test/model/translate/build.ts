// SPDX-License-Identifier: Apache-2.0
/** Builds frames from their fields, with right lengths and checksums. Nothing of it is used to judge one. */
import { type Address, versionOf, writeAddress } from "./address.ts";
import { pseudoHeader, setChecksum } from "./checksum.ts";
import { icmpProtocol } from "./icmp.ts";
import { ETHERTYPE, PROTOCOL, TPID } from "./protocols.ts";
import type { TransportProtocol } from "./transport.ts";

export const MACS = "020000000001020000000002";

export type IpFields = {
  readonly saddr: Address;
  readonly daddr: Address;
  readonly protocol: number;
  readonly ttl?: number;
  readonly trafficClass?: number;
  /** IPv6. */
  readonly flowLabel?: number;
  /** IPv4, or of an IPv6 fragment. */
  readonly id?: number;
  /** IPv4. */
  readonly dontFragment?: boolean;
  /** In bytes. */
  readonly offset?: number;
  readonly more?: boolean;
  /** IPv6: a fragment header also for what is whole. */
  readonly atomic?: boolean;
  /** IPv4: a multiple of 4 bytes. */
  readonly options?: Buffer;
  /** IPv6: without the first byte of each, which follows. */
  readonly extensions?: readonly {
    readonly type: number;
    readonly bytes: Buffer;
  }[];
};

export type TransportFields = {
  readonly protocol: TransportProtocol;
  readonly sport: number;
  readonly dport: number;
  readonly data?: Buffer;
  /** TCP. */
  readonly flags?: number;
  readonly seq?: number;
  readonly ack?: number;
  readonly options?: Buffer;
  /** UDP: a checksum of zero. */
  readonly unchecked?: boolean;
};

export const none = Buffer.alloc(0);

export function buildFrame(
  packet: Buffer,
  {
    vlans = [],
    trailer = none,
    macs = MACS,
  }: {
    readonly vlans?: readonly number[];
    readonly trailer?: Buffer;
    readonly macs?: string;
  } = {},
): Buffer {
  const tags = vlans.map((vlan, i) => {
    const tag = Buffer.alloc(4);
    const isOuter = i + 1 < vlans.length;
    tag.writeUInt16BE(isOuter ? TPID.service : TPID.customer, 0);
    tag.writeUInt16BE(vlan, 2);
    return tag;
  });
  const ethertype = Buffer.alloc(2);
  const version = (packet[0] ?? 0) >> 4;
  ethertype.writeUInt16BE(version === 6 ? ETHERTYPE.ipv6 : ETHERTYPE.ipv4, 0);
  return Buffer.concat([
    Buffer.from(macs, "hex"),
    ...tags,
    ethertype,
    packet,
    trailer,
  ]);
}

export function buildIp(fields: IpFields, payload: Buffer): Buffer {
  return versionOf(fields.daddr) === 4
    ? buildIpv4(fields, payload)
    : buildIpv6(fields, payload);
}

function buildIpv4(fields: IpFields, payload: Buffer): Buffer {
  const { options = none, offset = 0, more = false } = fields;
  const header = Buffer.alloc(20 + options.length);
  header.writeUInt8(0x40 | (header.length / 4), 0);
  header.writeUInt8(fields.trafficClass ?? 0, 1);
  header.writeUInt16BE((header.length + payload.length) & 0xffff, 2);
  header.writeUInt16BE((fields.id ?? 0) & 0xffff, 4);
  header.writeUInt16BE(
    (fields.dontFragment ? 0x4000 : 0) | (more ? 0x2000 : 0) | (offset >> 3),
    6,
  );
  header.writeUInt8(fields.ttl ?? 64, 8);
  header.writeUInt8(fields.protocol, 9);
  writeAddress(header, 12, fields.saddr);
  writeAddress(header, 16, fields.daddr);
  options.copy(header, 20);
  setChecksum(header, 10, 0);
  return Buffer.concat([header, payload]);
}

function buildIpv6(fields: IpFields, payload: Buffer): Buffer {
  const { offset = 0, more = false, atomic = false } = fields;
  const chain = [...(fields.extensions ?? [])];
  if (offset > 0 || more || atomic) {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt16BE(offset | (more ? 1 : 0), 2);
    bytes.writeUInt32BE((fields.id ?? 0) >>> 0, 4);
    chain.push({ type: PROTOCOL.fragment, bytes });
  }
  const extensions = chain.map(({ bytes }, i) => {
    const linked = Buffer.from(bytes);
    linked.writeUInt8(chain[i + 1]?.type ?? fields.protocol, 0);
    return linked;
  });
  const rest = Buffer.concat([...extensions, payload]);
  const header = Buffer.alloc(40);
  const first = (6 << 28) | ((fields.trafficClass ?? 0) << 20);
  header.writeUInt32BE((first | (fields.flowLabel ?? 0)) >>> 0, 0);
  header.writeUInt16BE(rest.length & 0xffff, 4);
  header.writeUInt8(chain[0]?.type ?? fields.protocol, 6);
  header.writeUInt8(fields.ttl ?? 64, 7);
  writeAddress(header, 8, fields.saddr);
  writeAddress(header, 24, fields.daddr);
  return Buffer.concat([header, rest]);
}

export function buildTransport(
  saddr: Address,
  daddr: Address,
  fields: TransportFields,
): Buffer {
  const { protocol, data = none } = fields;
  const segment =
    protocol === PROTOCOL.tcp ? buildTcp(fields, data) : buildUdp(fields, data);
  if (fields.unchecked) return segment;
  const checksumAt = protocol === PROTOCOL.tcp ? 16 : 6;
  const pseudo = pseudoHeader(saddr, daddr, protocol, segment.length);
  const checksum = setChecksum(segment, checksumAt, 0, pseudo);
  if (protocol === PROTOCOL.udp && checksum === 0)
    segment.writeUInt16BE(0xffff, checksumAt);
  return segment;
}

function buildTcp(fields: TransportFields, data: Buffer): Buffer {
  const { options = none } = fields;
  const header = Buffer.alloc(20 + options.length);
  header.writeUInt16BE(fields.sport, 0);
  header.writeUInt16BE(fields.dport, 2);
  header.writeUInt32BE((fields.seq ?? 0) >>> 0, 4);
  header.writeUInt32BE((fields.ack ?? 0) >>> 0, 8);
  header.writeUInt8((header.length / 4) << 4, 12);
  header.writeUInt8(fields.flags ?? 0, 13);
  header.writeUInt16BE(0xfaf0, 14);
  options.copy(header, 20);
  return Buffer.concat([header, data]);
}

function buildUdp(fields: TransportFields, data: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(fields.sport, 0);
  header.writeUInt16BE(fields.dport, 2);
  header.writeUInt16BE((8 + data.length) & 0xffff, 4);
  return Buffer.concat([header, data]);
}

export function buildIcmp(
  saddr: Address,
  daddr: Address,
  fields: {
    readonly type: number;
    readonly code: number;
    readonly rest: Buffer;
    readonly body: Buffer;
  },
): Buffer {
  const message = Buffer.concat([Buffer.alloc(4), fields.rest, fields.body]);
  message.writeUInt8(fields.type, 0);
  message.writeUInt8(fields.code, 1);
  const pseudo =
    versionOf(daddr) === 4
      ? none
      : pseudoHeader(saddr, daddr, icmpProtocol(6), message.length);
  setChecksum(message, 2, 0, pseudo);
  return message;
}
