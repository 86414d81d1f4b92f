// SPDX-License-Identifier: Apache-2.0
/**
 * The Internet checksum from scratch (RFC 1071). A sum is taken modulo 65535, in which 0 and 0xffff are the same: the
 * residue of a part of a packet is the sum of all that its checksum covers and of the checksum, 0 if that is right. A
 * translation that keeps the residue leaves a right checksum right, and a wrong one wrong by as much.
 */
import { type Address, writeAddress } from "./address.ts";

const MODULUS = 0xffff;

/** Each part but the last has an even length. */
export function sumOf(...parts: readonly Buffer[]): number {
  let sum = 0;
  for (const part of parts) {
    const even = part.length & ~1;
    for (let at = 0; at < even; at += 2)
      sum += ((part[at] ?? 0) << 8) | (part[at + 1] ?? 0);
    if (even < part.length) sum += (part[even] ?? 0) << 8;
  }
  return sum % MODULUS;
}

/** What the checksum of a transport covers besides it: RFC 9293 section 3.1, RFC 8200 section 8.1. */
export function pseudoHeader(
  saddr: Address,
  daddr: Address,
  protocol: number,
  length: number,
): Buffer {
  const width = saddr.length / 2;
  const bytes = Buffer.alloc(2 * width + 8);
  writeAddress(bytes, 0, saddr);
  writeAddress(bytes, width, daddr);
  bytes.writeUInt32BE(length, 2 * width);
  bytes.writeUInt32BE(protocol, 2 * width + 4);
  return bytes;
}

/** Writes the checksum that gives the covered bytes, `bytes` and `others`, this residue; returns it. */
export function setChecksum(
  bytes: Buffer,
  at: number,
  residue: number,
  ...others: readonly Buffer[]
): number {
  bytes.writeUInt16BE(0, at);
  const sum = sumOf(...others, bytes);
  const checksum = (residue - sum + MODULUS) % MODULUS;
  bytes.writeUInt16BE(checksum, at);
  return checksum;
}
