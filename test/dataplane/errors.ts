// SPDX-License-Identifier: Apache-2.0
/** ICMP errors about packets of flows, as the packets' receivers and routers send them. */
import { type Version } from "../model/translate/address.ts";
import { buildFrame } from "../model/translate/build.ts";
import { readIp } from "../model/translate/ip.ts";
import { ICMP, ICMPV6 } from "../model/translate/protocols.ts";
import {
  data,
  type Direction,
  type Flow,
  icmpPacket,
  type Message,
  packet,
  type Rack,
  ROUTERS,
} from "./families.ts";

/** Host unreachable, address unreachable. */
export const UNREACHABLE = {
  4: { type: ICMP.unreachable, code: 1 },
  6: { type: ICMPV6.unreachable, code: 3 },
} as const;

/** The error that somebody sends to a packet's sender, as the packet was when it came to him. */
export function errorAbout(
  about: Buffer,
  message: Omit<Message, "body">,
  { quoted = about.length, router }: { quoted?: number; router?: string } = {},
): Buffer {
  const { ip } = readIp(about, versionOf(about), true);
  if (ip === undefined) throw new Error("that is no packet");
  return icmpPacket(router ?? ROUTERS[ip.version], ip.saddr, {
    ...message,
    body: about.subarray(0, quoted),
  });
}

export function versionOf(bytes: Buffer): Version {
  return bytes.readUInt8(0) >> 4 === 6 ? 6 : 4;
}

/** The packet of a flow's other direction, as its sender has sent it and as it went on. */
export function exchanged(
  rack: Rack,
  flow: Flow,
  direction: Direction,
  length = 100,
) {
  const other = direction === "inbound" ? "outbound" : "inbound";
  const { before } = flow[other];
  const sent = packet(
    before,
    flow.protocol,
    { trafficClass: 0x28, dontFragment: true },
    { data: data(length) },
  );
  const { packet: forwarded } = rack.send(buildFrame(sent));
  return { sent, forwarded: forwarded.bytes };
}
