// SPDX-License-Identifier: Apache-2.0
/** The packet that goes back, and what of a packet a translation must not touch. */
import { type Version, versionOf } from "../model/translate/address.ts";
import { pseudoHeader, sumOf } from "../model/translate/checksum.ts";
import { type Ip, payloadOf } from "../model/translate/ip.ts";
import { PROTOCOL } from "../model/translate/protocols.ts";

const ADDRESSES: Readonly<Record<Version, readonly [number, number]>> = {
  4: [12, 4],
  6: [8, 16],
};
const PORTS = [0, 2] as const;

/** Source and destination exchanged, and nothing else: all checksums stay as right as they were. */
export function mirrored(ip: Ip): Buffer {
  const bytes = Buffer.from(ip.bytes);
  const [at, width] = ADDRESSES[ip.version];
  exchange(bytes, at, width);
  const payload = bytes.subarray(ip.headerLength);
  if (payload.length >= PORTS[1] + 2) exchange(payload, PORTS[0], PORTS[1]);
  return bytes;
}

function exchange(bytes: Buffer, at: number, width: number): void {
  const first = Buffer.from(bytes.subarray(at, at + width));
  bytes.copy(bytes, at, at + width, at + 2 * width);
  first.copy(bytes, at + width);
}

/** The packet as it was before `hops` routers took one from its TTL. */
export function younger(ip: Ip, hops: number): Buffer {
  const bytes = Buffer.from(ip.bytes);
  const at = ip.version === 4 ? 8 : 7;
  bytes.writeUInt8(bytes.readUInt8(at) + hops, at);
  if (ip.version === 6) return bytes;
  const header = bytes.subarray(0, ip.headerLength);
  const residue = sumOf(ip.bytes.subarray(0, ip.headerLength));
  const sum = sumOf(header);
  const checksum = (header.readUInt16BE(10) + residue - sum + 0xffff) % 0xffff;
  header.writeUInt16BE(checksum, 10);
  return bytes;
}

/** By how much the checksums of header and transport are wrong: 0 and 0 if they are right. */
export function wrongness(ip: Ip): readonly [number, number] {
  const { version, saddr, daddr, protocol } = ip;
  const payload = payloadOf(ip);
  const isIcmp4 = protocol === PROTOCOL.icmp;
  const pseudo = isIcmp4
    ? Buffer.alloc(0)
    : pseudoHeader(saddr, daddr, protocol, payload.length);
  return [
    version === 4 ? sumOf(ip.bytes.subarray(0, ip.headerLength)) : 0,
    sumOf(pseudo, payload),
  ];
}

/** What survives a change of the version. */
export function essence(ip: Ip): readonly unknown[] {
  const { saddr, daddr, trafficClass } = ip;
  const rest = payloadOf(ip);
  return [versionOf(saddr), saddr, daddr, trafficClass, rest.toString("hex")];
}
