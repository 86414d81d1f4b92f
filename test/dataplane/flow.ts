// SPDX-License-Identifier: Apache-2.0
/** One client's flow through a director: what it sends, and how its packets must come out. */
import type { ExecutionContext } from "ava";
import { CLIENT, type Director, type Sent, VIP } from "./director.ts";
import { build, type Packet, parse, type ParsedPacket } from "./packet.ts";

export const FROM = { address: CLIENT, port: 40000 };
export const FROM_CLIENT = {
  saddr: FROM.address,
  daddr: VIP,
  sport: FROM.port,
  dport: 80,
} as const;
/** MSS 1460, SACK permitted, timestamps, window scale 7: as Linux sends them. */
export const SYN_OPTIONS = Uint8Array.from(
  Buffer.from(
    "020405b40402080a0102030400000000010303 07".replace(" ", ""),
    "hex",
  ),
);
export const DATA = Uint8Array.from({ length: 333 }, (_, i) => i & 255);

/** The client's SYN, and where it went. */
export function open(
  t: ExecutionContext,
  director: Director,
  fields: Partial<Packet> = {},
): { readonly sent: Sent; readonly reply: Partial<Packet> } {
  const sent = director.send(t, {
    ...FROM_CLIENT,
    flags: "S",
    tcpOptions: SYN_OPTIONS,
    ...fields,
  });
  const { saddr, daddr, sport, dport } = sent.packet;
  return {
    sent,
    reply: { saddr: daddr, daddr: saddr, sport: dport, dport: sport },
  };
}

/** Opens a session and brings it to ESTABLISHED. */
export function establish(t: ExecutionContext, director: Director) {
  const { sent, reply } = open(t, director);
  director.send(t, { ...reply, flags: "SA", seq: 900, ack: 0x01020305 });
  director.send(t, { ...FROM_CLIENT, flags: "A", ack: 901 });
  director.send(t, { ...reply, flags: "A", seq: 901, ack: 0x01020305 });
  return { sent, reply };
}

/** All that a rewrite may touch is as expected, and nothing else has changed. */
export function assertTranslated(
  t: ExecutionContext,
  before: Partial<Packet>,
  { verdict, packet }: Sent,
  expected: Partial<Packet>,
): void {
  const original = parsed(before);
  t.is(verdict, "redirect", "the frame was not sent on");
  t.true(packet.ipChecksumRight, "IP checksum is wrong");
  t.true(packet.tcpChecksumRight, "TCP checksum is wrong");
  const { destination, source, saddr, daddr, sport, dport, vlans } = packet;
  t.like(
    { destination, source, saddr, daddr, sport, dport, vlans, ttl: packet.ttl },
    { vlans: [], ttl: original.ttl - 1, ...expected },
  );
  t.deepEqual(untouched(packet), untouched(original), "other bytes moved");
}

export function parsed(fields: Partial<Packet>): ParsedPacket {
  return parse(build(fields));
}

function untouched(packet: ParsedPacket) {
  const { tos, id, fragment, protocol, totalLength, ipOptions } = packet;
  const { seq, ack, flags, window, urgent, tcpOptions, payload } = packet;
  return [
    [tos, id, fragment, protocol, totalLength, ipOptions],
    [seq, ack, flags, window, urgent, tcpOptions, payload],
  ];
}
