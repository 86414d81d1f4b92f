// SPDX-License-Identifier: Apache-2.0
/**
 * Whose packet a frame is: the addresses and ports by which its session is looked up afterwards. What becomes of a frame
 * is the dataplane's business alone, so nothing is checked here: a frame that makes no sense has no flow, or a wrong one,
 * which no session has.
 */
import { addressFromBytes, type Endpoint, type Protocol } from "../model.ts";

/** One direction, as its packets carry it. */
export type Flow = {
  readonly protocol: Protocol;
  readonly source: Endpoint;
  readonly destination: Endpoint;
};

type Packet = {
  readonly source: string;
  readonly destination: string;
  /** Of the header behind IP's ones. */
  readonly protocol: number;
  /** From that header on; of a later fragment, none of it. */
  readonly payload: DataView;
  readonly fragment: Fragment | undefined;
};
type Fragment = { readonly id: number; readonly isFirst: boolean };

const ETHERNET = 14;
const VLAN_TAG = 4;
const VLAN_TYPES = [0x8100, 0x88a8];
const IPV4 = 0x0800;
const IPV6 = 0x86dd;
const IPV6_HEADER = 40;
const ICMP_HEADER = 8;

const PROTOCOLS: Readonly<Record<number, Protocol>> = { 6: "tcp", 17: "udp" };
const ICMP = 1;
const ICMPV6 = 58;
const ICMP_ERRORS: Readonly<Record<number, readonly number[]>> = {
  [ICMP]: [3, 4, 5, 11, 12],
  [ICMPV6]: [1, 2, 3, 4],
};
/** Hop-by-hop options, routing, destination options. */
const EXTENSIONS = [0, 43, 60];
const FRAGMENT = 44;

/** Reads the frames of a capture, in their order: later fragments have no ports of their own. */
export class FlowReader {
  readonly #fragments = new Map<string, Flow>();

  read(frame: Uint8Array): Flow | undefined {
    try {
      return this.#read(frame);
    } catch (error) {
      // The frame ends within a header.
      if (error instanceof RangeError) return undefined;
      throw error;
    }
  }

  #read(frame: Uint8Array): Flow | undefined {
    const packet = packetOf(frame);
    if (packet === undefined) return undefined;
    const { source, destination, protocol, payload, fragment } = packet;
    const datagram = [source, destination, protocol, fragment?.id].join(" ");
    if (fragment?.isFirst === false) return this.#fragments.get(datagram);
    const flow = ICMP_ERRORS[protocol]?.includes(payload.getUint8(0))
      ? reversed(flowOf(quotedPacket(payload)))
      : flowOf(packet);
    if (fragment !== undefined && flow !== undefined)
      this.#fragments.set(datagram, flow);
    return flow;
  }
}

function packetOf(frame: Uint8Array): Packet | undefined {
  const view = viewOf(frame);
  let at = ETHERNET;
  while (VLAN_TYPES.includes(view.getUint16(at - 2))) at += VLAN_TAG;
  const type = view.getUint16(at - 2);
  const packet = tail(view, at);
  if (type === IPV4) return readIpv4(packet);
  return type === IPV6 ? readIpv6(packet) : undefined;
}

/** What an ICMP error is about: a packet of the other direction. */
function quotedPacket(message: DataView): Packet {
  const packet = tail(message, ICMP_HEADER);
  return packet.getUint8(0) >> 4 === 4 ? readIpv4(packet) : readIpv6(packet);
}

function readIpv4(ip: DataView): Packet {
  const place = ip.getUint16(6);
  return {
    source: addressAt(ip, 12, 4),
    destination: addressAt(ip, 16, 4),
    protocol: ip.getUint8(9),
    payload: tail(ip, (ip.getUint8(0) & 15) * 4),
    // More fragments follow, or some have gone before.
    fragment:
      (place & 0x3fff) === 0
        ? undefined
        : { id: ip.getUint16(4), isFirst: (place & 0x1fff) === 0 },
  };
}

function readIpv6(ip: DataView): Packet {
  let protocol = ip.getUint8(6);
  let at = IPV6_HEADER;
  let fragment: Fragment | undefined;
  for (;;) {
    if (protocol === FRAGMENT)
      fragment = {
        id: ip.getUint32(at + 4),
        isFirst: ip.getUint16(at + 2) >> 3 === 0,
      };
    else if (!EXTENSIONS.includes(protocol)) break;
    const length = protocol === FRAGMENT ? 8 : (ip.getUint8(at + 1) + 1) * 8;
    protocol = ip.getUint8(at);
    at += length;
    if (fragment?.isFirst === false) break;
  }
  return {
    source: addressAt(ip, 8, 16),
    destination: addressAt(ip, 24, 16),
    protocol,
    payload: tail(ip, at),
    fragment,
  };
}

function flowOf({
  source,
  destination,
  protocol: number,
  payload,
  fragment,
}: Packet): Flow | undefined {
  const protocol = PROTOCOLS[number];
  if (protocol === undefined || fragment?.isFirst === false) return undefined;
  return {
    protocol,
    source: { address: source, port: payload.getUint16(0) },
    destination: { address: destination, port: payload.getUint16(2) },
  };
}

function reversed(flow: Flow | undefined): Flow | undefined {
  return (
    flow && { ...flow, source: flow.destination, destination: flow.source }
  );
}

/** IPv4 addresses are mapped, as everywhere in 16 bytes. */
function addressAt(view: DataView, at: number, length: 4 | 16): string {
  const bytes = new Uint8Array(16);
  if (length === 4) bytes.fill(0xff, 10, 12);
  for (let i = 0; i < length; i++)
    bytes[16 - length + i] = view.getUint8(at + i);
  return addressFromBytes(bytes);
}

/** @throws RangeError beyond the end */
function tail(view: DataView, at: number): DataView {
  return new DataView(view.buffer, view.byteOffset + at, view.byteLength - at);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
