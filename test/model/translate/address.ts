// SPDX-License-Identifier: Apache-2.0
/**
 * Addresses as the model compares them: lower-case hexadecimal digits, 8 for IPv4 and 32 for IPv6, so that equal addresses
 * are equal strings and a prefix is all strings between two others.
 */
import {
  addressBytes,
  addressFromBytes,
  parsePrefix,
} from "../../../src/model.ts";

export type Version = 4 | 6;
export type Address = string;
export type Endpoint = { readonly address: Address; readonly port: number };
/** Both are inside. */
export type AddressRange = { readonly first: Address; readonly last: Address };

const IPV4_DIGITS = 8;

export function versionOf(address: Address): Version {
  return address.length === IPV4_DIGITS ? 4 : 6;
}

/** @throws RangeError for a text that is no address. */
export function address(text: string): Address {
  const digits = Buffer.from(addressBytes(text)).toString("hex");
  return text.includes(":") ? digits : digits.slice(-IPV4_DIGITS);
}

export function format(given: Address): string {
  return addressFromBytes(
    Buffer.from(given.padStart(32, `${"0".repeat(20)}ffff`), "hex"),
  );
}

/** @throws RangeError for a text that is no prefix. */
export function rangeOf(text: string): AddressRange {
  const prefix = parsePrefix(text);
  if (prefix === undefined)
    throw new RangeError(`Cannot read a prefix: current value is ${text}`);
  const digits = address(prefix.address);
  const hosts = BigInt(4 * digits.length - prefix.length);
  const first = (BigInt(`0x${digits}`) >> hosts) << hosts;
  const last = first + (1n << hosts) - 1n;
  const hex = (value: bigint) =>
    value.toString(16).padStart(digits.length, "0");
  return { first: hex(first), last: hex(last) };
}

export function isWithin(
  { first, last }: AddressRange,
  given: Address,
): boolean {
  return given.length === first.length && first <= given && given <= last;
}

export function readAddress(
  bytes: Buffer,
  at: number,
  version: Version,
): Address {
  return bytes.toString("hex", at, at + (version === 4 ? 4 : 16));
}

export function writeAddress(bytes: Buffer, at: number, given: Address): void {
  bytes.write(given, at, "hex");
}

export function formatEndpoint({ address: given, port }: Endpoint): string {
  return `[${format(given)}]:${port}`;
}

/** An address that is not one host's. */
export function isNobody(address: Address): boolean {
  if (versionOf(address) === 6)
    return address.startsWith("ff") || /^0{31}[01]$/.test(address);
  const first = Number.parseInt(address.slice(0, 2), 16);
  return first === 0 || first === 127 || first >= 224;
}
