// SPDX-License-Identifier: Apache-2.0
/** Packets by their endpoints as people write them, for captures. What is not said is as it should be. */
import { parseEndpoint } from "../../src/model.ts";
import {
  address,
  type Endpoint,
  versionOf,
} from "../model/translate/address.ts";
import {
  buildFrame,
  buildIcmp,
  buildIp,
  buildTransport,
  type IpFields,
  none,
  type TransportFields,
} from "../model/translate/build.ts";
import { icmpProtocol } from "../model/translate/icmp.ts";
import { PROTOCOL } from "../model/translate/protocols.ts";

type Header = Partial<Omit<IpFields, "saddr" | "daddr">>;
type Segment = Partial<Omit<TransportFields, "protocol" | "sport" | "dport">>;

/** TCP flags by letter, from bit 0. */
const FLAG_LETTERS = "FSRPAU";

export const frame = buildFrame;

/** A segment with these flags, such as "SA". */
export function tcp(
  from: string,
  to: string,
  flags: string,
  header: Header = {},
  segment: Segment = {},
): Buffer {
  const bits = Array.from(flags, (one) => 1 << FLAG_LETTERS.indexOf(one));
  return transport(PROTOCOL.tcp, from, to, header, {
    flags: bits.reduce((sum, bit) => sum | bit, 0),
    seq: 1_000,
    ack: flags.includes("A") ? 2_000 : 0,
    ...segment,
  });
}

export function udp(
  from: string,
  to: string,
  header: Header = {},
  segment: Segment = {},
): Buffer {
  const data = Buffer.from("a question");
  return transport(PROTOCOL.udp, from, to, header, { data, ...segment });
}

function transport(
  protocol: typeof PROTOCOL.tcp | typeof PROTOCOL.udp,
  from: string,
  to: string,
  header: Header,
  segment: Segment,
): Buffer {
  const [source, target] = [endpoint(from), endpoint(to)];
  const payload = buildTransport(source.address, target.address, {
    protocol,
    sport: source.port,
    dport: target.port,
    ...segment,
  });
  return ip(from, to, { protocol, ...header }, payload);
}

/** Between the addresses of two endpoints. */
export function ip(
  from: string,
  to: string,
  header: Header & { readonly protocol: number },
  payload: Buffer,
): Buffer {
  const fields = {
    saddr: endpoint(from).address,
    daddr: endpoint(to).address,
    ...header,
  };
  return buildIp(fields, payload);
}

/** ICMP, or ICMPv6, from one address to another. */
export function icmp(
  from: string,
  to: string,
  type: number,
  code = 0,
  body: Buffer = none,
  rest: Buffer = Buffer.alloc(4),
): Buffer {
  const [saddr, daddr] = [address(from), address(to)];
  return buildIp(
    { saddr, daddr, protocol: icmpProtocol(versionOf(daddr)) },
    buildIcmp(saddr, daddr, { type, code, rest, body }),
  );
}

/** The MTU of "fragmentation needed" and "packet too big". */
export function mtu(bytes: number): Buffer {
  const rest = Buffer.alloc(4);
  rest.writeUInt32BE(bytes);
  return rest;
}

/** A part of a packet's payload as a fragment of it. */
export function fragment(
  packet: Buffer,
  {
    from = 0,
    to = packet.length,
  }: { readonly from?: number; readonly to?: number },
  id: number,
): Buffer {
  const version = (packet[0] ?? 0) >> 4;
  const headerLength = version === 4 ? 20 : 40;
  const payload = packet.subarray(headerLength);
  const width = version === 4 ? 4 : 16;
  const at = version === 4 ? 12 : 8;
  return buildIp(
    {
      saddr: packet.toString("hex", at, at + width),
      daddr: packet.toString("hex", at + width, at + 2 * width),
      protocol: packet.readUInt8(version === 4 ? 9 : 6),
      id,
      offset: from,
      more: to < payload.length,
    },
    payload.subarray(from, to),
  );
}

/** The same with other bytes at one place, and wrong checksums for it. */
export function patched(
  packet: Buffer,
  at: number,
  ...bytes: number[]
): Buffer {
  const copy = Buffer.from(packet);
  copy.set(bytes, at);
  return copy;
}

function endpoint(text: string): Endpoint {
  const parsed = parseEndpoint(text);
  if (parsed === undefined)
    throw new RangeError(`Cannot read an endpoint: current value is ${text}`);
  return { address: address(parsed.address), port: parsed.port };
}
