// SPDX-License-Identifier: Apache-2.0
/** Flows of each pair of families through the real programs, and the packets of their four ends. */
import type { ExecutionContext } from "ava";
import {
  address,
  type Endpoint,
  type Version,
} from "../model/translate/address.ts";
import {
  buildFrame,
  buildIcmp,
  buildIp,
  buildTransport,
  type IpFields,
  type TransportFields,
} from "../model/translate/build.ts";
import { readFrame } from "../model/translate/ethernet.ts";
import { type Icmp, icmpProtocol, readIcmp } from "../model/translate/icmp.ts";
import { type Ip, payloadOf, readIp } from "../model/translate/ip.ts";
import { endOf, type Verdict } from "../model/translate/outcome.ts";
import { PROTOCOL, TCP_FLAG } from "../model/translate/protocols.ts";
import type { Counter } from "../model/translate/reason.ts";
import type { TransportProtocol } from "../model/translate/transport.ts";
import type { Settings } from "../model/translate/world.ts";
import { Director } from "../properties/director.ts";
import { wrongness } from "../properties/mirror.ts";
import { RACK } from "../properties/rack.ts";

export const VERSIONS = [4, 6] as const;
export const PROTOCOLS = [PROTOCOL.tcp, PROTOCOL.udp] as const;

/** Who speaks which family: client and virtual service, and local address and real server. */
export type Kind = {
  readonly title: string;
  readonly from: Version;
  readonly to: Version;
  readonly vip: string;
};

export const KINDS: readonly Kind[] = [
  { title: "IPv4", from: 4, to: 4, vip: "192.0.2.10" },
  { title: "IPv4 to IPv6", from: 4, to: 6, vip: "192.0.2.12" },
  { title: "IPv6", from: 6, to: 6, vip: "2001:db8:5::10" },
  { title: "IPv6 to IPv4", from: 6, to: 4, vip: "2001:db8:5::12" },
];

/** Of one family, if only one is given. */
export function kindOf(from: Version, to = from): Kind {
  const kind = KINDS.find((one) => one.from === from && one.to === to);
  if (kind === undefined)
    throw new Error(`nobody speaks IPv${from} to IPv${to}`);
  return kind;
}

export const VIPS: Readonly<Record<Version, string>> = {
  4: address("192.0.2.10"),
  6: address("2001:db8:5::10"),
};
export const CLIENTS: Readonly<Record<Version, string>> = {
  4: address("198.18.255.1"),
  6: address("2001:db8:c::ff01"),
};
/** Neither a client nor one of the rack. */
export const ROUTERS: Readonly<Record<Version, string>> = {
  4: address("203.0.113.9"),
  6: address("2001:db8:f::9"),
};
const SERVICE_PORTS = { [PROTOCOL.tcp]: 80, [PROTOCOL.udp]: 53 } as const;
const LIMITS = { sessions: 1000, wideSessions: 1000 };

export type Leg = { readonly from: Endpoint; readonly to: Endpoint };
/** What a packet says before its translation and after it. */
export type Passage = { readonly before: Leg; readonly after: Leg };
export type Direction = "inbound" | "outbound";
export type Flow = Readonly<Record<Direction, Passage>> & {
  readonly protocol: TransportProtocol;
};
export const DIRECTIONS: readonly Direction[] = ["inbound", "outbound"];

export type Sent = {
  readonly end: Counter;
  /** All other counters that rose, `received` aside. */
  readonly events: readonly Counter[];
  readonly verdict: Verdict;
  readonly frame: Buffer;
  readonly packet: Ip;
};

/** The program on a rack with services of each kind; one at a time. */
export class Rack {
  readonly #director: Director;
  #clients = 0;

  constructor(settings: Settings = RACK) {
    this.#director = new Director(settings, LIMITS);
  }

  close(): void {
    this.#director.close();
  }

  send(frame: Buffer): Sent {
    const [sent] = this.sendAll([frame]);
    if (sent === undefined) throw new Error("the frame has no outcome");
    return sent;
  }

  /** One after another, without a pause. */
  sendAll(frames: readonly Buffer[]): readonly Sent[] {
    return this.#director.run(frames).map((outcome) => {
      const end = endOf(outcome);
      if (typeof end !== "string") throw new Error(end.complaint);
      const events = [...outcome.counted.keys()].filter(
        (counter) => counter !== "received" && counter !== end,
      );
      const { verdict, frame } = outcome;
      return { end, events, verdict, frame, packet: ipOf(frame) };
    });
  }

  /** A new client's flow, whose first packet has gone through. */
  open({ from, vip }: Kind, protocol: TransportProtocol): Flow {
    this.#clients++;
    const address4 = `198.18.0.${this.#clients}`;
    const address6 = `2001:db8:c::${this.#clients}`;
    const client = {
      address: address(from === 4 ? address4 : address6),
      port: 40_000,
    };
    const service = { address: address(vip), port: SERVICE_PORTS[protocol] };
    const before = { from: client, to: service };
    const flags = TCP_FLAG.syn;
    const opening = packet(before, protocol, {}, { flags });
    const { end, packet: out } = this.send(buildFrame(opening));
    if (end !== "forwarded") throw new Error(`a flow's opening was ${end}`);
    const after = legOf(out);
    return {
      protocol,
      inbound: { before, after },
      outbound: { before: reversed(after), after: reversed(before) },
    };
  }
}

export function reversed({ from, to }: Leg): Leg {
  return { from: to, to: from };
}

/** An IP packet of TCP or UDP; a segment has ACK unless its flags are given. */
export function packet(
  { from, to }: Leg,
  protocol: TransportProtocol,
  ip: Partial<IpFields> = {},
  transport: Partial<TransportFields> = {},
): Buffer {
  const [saddr, daddr] = [from.address, to.address];
  return buildIp(
    { saddr, daddr, protocol, ...ip },
    buildTransport(saddr, daddr, {
      protocol,
      sport: from.port,
      dport: to.port,
      flags: TCP_FLAG.ack,
      seq: 0x01020304,
      ack: 0x0a0b0c0d,
      ...transport,
    }),
  );
}

export type Message = {
  readonly type: number;
  readonly code?: number;
  readonly word?: number;
  readonly body?: Buffer;
};

/** An IP packet with an ICMP or ICMPv6 message. */
export function icmpPacket(
  saddr: string,
  daddr: string,
  { type, code = 0, word = 0, body = Buffer.alloc(0) }: Message,
  ip: Partial<IpFields> = {},
): Buffer {
  const rest = Buffer.alloc(4);
  rest.writeUInt32BE(word, 0);
  const protocol = icmpProtocol(saddr.length === 8 ? 4 : 6);
  return buildIp(
    { saddr, daddr, protocol, ...ip },
    buildIcmp(saddr, daddr, { type, code, rest, body }),
  );
}

/** Bytes that differ from their neighbours. */
export function data(length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, i) => (i * 7) & 0xff));
}

export function ipOf(frame: Buffer): Ip {
  const read = readFrame(frame);
  const ip = read && readIp(read.body, read.version).ip;
  if (ip === undefined)
    throw new Error(`there is no IP packet in ${frame.toString("hex")}`);
  return ip;
}

export function legOf(ip: Ip): Leg {
  const payload = payloadOf(ip);
  return {
    from: { address: ip.saddr, port: payload.readUInt16BE(0) },
    to: { address: ip.daddr, port: payload.readUInt16BE(2) },
  };
}

export function icmpOf(ip: Ip): Icmp & { readonly word: number } {
  const icmp = readIcmp(ip);
  if (icmp === undefined || ip.protocol !== icmpProtocol(ip.version))
    throw new Error(`there is no ICMP message in ${ip.bytes.toString("hex")}`);
  return { ...icmp, word: icmp.rest.readUInt32BE(0) };
}

export function assertChecksums(t: ExecutionContext, ip: Ip): void {
  t.deepEqual(wrongness(ip), [0, 0], "a checksum is wrong");
}

/** It went back to where it came from, as the answer of the address that it was for. */
export function assertAnswer(
  t: ExecutionContext,
  frame: Buffer,
  { verdict, frame: out, packet: answer }: Sent,
): void {
  const asked = ipOf(frame);
  const behind = frame.indexOf(asked.bytes);
  const macs = Buffer.concat([frame.subarray(6, 12), frame.subarray(0, 6)]);
  t.is(verdict, "redirect", "nothing was sent");
  t.deepEqual(
    out.subarray(0, behind),
    Buffer.concat([macs, frame.subarray(12, behind)]),
    "the answer does not go back",
  );
  t.is(answer.saddr, asked.daddr, "the answer is not the destination's");
  t.is(answer.daddr, asked.saddr, "the answer is not for the source");
  t.is(answer.ttl, 64);
  t.is(answer.headerLength, answer.version === 4 ? 20 : 40);
  assertChecksums(t, answer);
}
