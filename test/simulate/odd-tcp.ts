// SPDX-License-Identifier: Apache-2.0
/** Segments over IPv4, and frames that are no packets at all. */
import { PROTOCOL } from "../model/translate/protocols.ts";
import {
  CLIENT,
  fromClient,
  fromReal,
  LIP,
  NOWHERE,
  type Odd,
  OTHER,
  UNRESOLVED,
  WEB,
  WEB_REAL,
} from "./hosts.ts";
import { frame, icmp, ip, patched, tcp, udp } from "./packets.ts";

const MSS = Buffer.from("020405b4", "hex");
const ROUTER_ALERT = Buffer.from("94040000", "hex");
const GREETING = Buffer.from("GET / HTTP/1.0\r\n\r\n");
/** In an IPv4 header. */
const LENGTH = 2;
/** Behind an IPv4 header. */
const TCP_HEADER_LENGTH = 20 + 12;

export const foreign: readonly Odd[] = [
  ...fromClient(
    "an ARP request",
    Buffer.from(
      "ffffffffffff0200000001010806" +
        "00010800060400010200000001010a010101000000000000c000020a",
      "hex",
    ),
  ),
  ...fromClient(
    "an LLDP frame",
    Buffer.from("0180c200000e02000000010188cc020704020000000101", "hex"),
  ),
  ...fromClient(
    "a segment for another host",
    frame(tcp(CLIENT, "10.99.0.1:80", "S")),
  ),
  ...fromClient(
    "a broadcast",
    frame(udp("0.0.0.0:68", "255.255.255.255:67"), {
      macs: "ffffffffffff020000000101",
    }),
  ),
  ...fromClient(
    "a neighbour solicitation",
    frame(icmp("fe80::1", "ff02::1:ff00:10", 135, 0, Buffer.alloc(16))),
  ),
  ...fromClient(
    "an Ethernet header and no more",
    frame(tcp(CLIENT, WEB, "S")).subarray(0, 14),
  ),
  ...fromClient(
    "half an IP header",
    frame(tcp(CLIENT, WEB, "S")).subarray(0, 24),
  ),
  ...fromClient(
    "three VLAN tags",
    frame(tcp(CLIENT, WEB, "S"), { vlans: [1, 2, 3] }),
  ),
];

export const web: readonly Odd[] = [
  ...fromClient(
    "a SYN",
    frame(tcp(CLIENT, WEB, "S", { dontFragment: true }, { options: MSS })),
    frame(tcp(CLIENT, WEB, "S", { dontFragment: true }, { options: MSS })),
  ),
  ...fromReal("its SYN/ACK", frame(tcp(WEB_REAL, LIP, "SA"))),
  ...fromClient("its ACK", frame(tcp(CLIENT, WEB, "A"))),
  ...fromClient(
    "a request",
    frame(tcp(CLIENT, WEB, "PA", {}, { data: GREETING })),
  ),
  ...fromReal(
    "a response",
    frame(tcp(WEB_REAL, LIP, "PA", {}, { data: GREETING })),
  ),
  ...fromClient(
    "Ethernet's padding",
    frame(tcp(CLIENT, WEB, "A"), { trailer: Buffer.alloc(6) }),
  ),
  ...fromClient("a VLAN tag", frame(tcp(CLIENT, WEB, "A"), { vlans: [7] })),
  ...fromClient(
    "two VLAN tags",
    frame(tcp(CLIENT, WEB, "A"), { vlans: [5, 7] }),
  ),
  ...fromClient(
    "an IP option",
    frame(tcp(CLIENT, WEB, "A", { options: ROUTER_ALERT })),
  ),
  ...fromClient(
    "urgent data",
    frame(tcp(CLIENT, WEB, "AU", {}, { data: GREETING })),
  ),
];

const ack = tcp(CLIENT, WEB, "A");
export const malformed: readonly Odd[] = [
  ...fromClient("SYN and FIN", frame(tcp(CLIENT, WEB, "SF"))),
  ...fromClient("SYN and RST", frame(tcp(CLIENT, WEB, "SR"))),
  ...fromClient("no flags", frame(tcp(CLIENT, WEB, ""))),
  ...fromClient("FIN without ACK", frame(tcp(CLIENT, WEB, "F"))),
  ...fromClient("FIN, PSH and URG", frame(tcp(CLIENT, WEB, "FPU"))),
  ...fromClient(
    "a TCP header of 16 bytes",
    frame(patched(ack, TCP_HEADER_LENGTH, 0x40)),
  ),
  ...fromClient(
    "a TCP header of 60 bytes in 20",
    frame(patched(ack, TCP_HEADER_LENGTH, 0xf0)),
  ),
  ...fromClient(
    "half a TCP header",
    frame(ip(CLIENT, WEB, { protocol: PROTOCOL.tcp }, ack.subarray(20, 30))),
  ),
  ...fromClient(
    "an IP length beyond the frame",
    frame(patched(ack, LENGTH, 0x05, 0xdc)),
  ),
  ...fromClient("an IP length of 16 bytes", frame(patched(ack, LENGTH, 0, 16))),
  ...fromClient("an IP header of 16 bytes", frame(patched(ack, 0, 0x44))),
  ...fromClient("IP version 5", frame(patched(ack, 0, 0x55))),
];

export const strangers: readonly Odd[] = [
  ...fromClient("an ACK of nobody's session", frame(tcp(OTHER, WEB, "A"))),
  ...fromClient("a RST of nobody's session", frame(tcp(OTHER, WEB, "R"))),
  ...fromClient("a SYN/ACK from a client", frame(tcp(OTHER, WEB, "SA"))),
  ...fromClient("a SYN too many for the pool", frame(tcp(OTHER, WEB, "S"))),
  ...fromClient(
    "a SYN that no server takes",
    frame(tcp(CLIENT, "192.0.2.10:83", "S")),
  ),
  ...fromReal(
    "a SYN/ACK from no real server",
    frame(tcp("10.3.99.2:80", LIP, "SA")),
  ),
  ...fromReal(
    "a datagram from no real server",
    frame(udp("10.3.99.2:53", LIP)),
  ),
  ...fromClient(
    "a SYN for an unknown port",
    frame(tcp(CLIENT, "192.0.2.10:8888", "S")),
  ),
  ...fromClient(
    "an ACK for an unknown port",
    frame(tcp(CLIENT, "192.0.2.10:8888", "A")),
  ),
  ...fromClient(
    "a RST for an unknown port",
    frame(tcp(CLIENT, "192.0.2.10:8888", "R")),
  ),
  ...fromClient(
    "a SYN for a port of UDP",
    frame(tcp(CLIENT, "192.0.2.10:53", "S")),
  ),
  ...fromClient("a SYN from its own destination", frame(tcp(WEB, WEB, "S"))),
  ...fromClient(
    "a SYN from another VIP",
    frame(tcp("192.0.2.46:40000", WEB, "S")),
  ),
  ...fromClient(
    "a SYN from a local address",
    frame(tcp("10.200.0.7:40000", WEB, "S")),
  ),
];

export const ways: readonly Odd[] = [
  ...fromClient(
    "a SYN at its last hop",
    frame(tcp(OTHER, "192.0.2.10:82", "S", { ttl: 1 })),
  ),
  ...fromClient(
    "a segment at its last hop",
    frame(tcp(CLIENT, WEB, "A", { ttl: 1 })),
    frame(tcp(CLIENT, WEB, "A", { ttl: 0 })),
  ),
  ...fromReal(
    "an answer at its last hop",
    frame(tcp(WEB_REAL, LIP, "A", { ttl: 1 })),
  ),
  ...fromClient(
    "a SYN from behind an unknown MAC",
    frame(tcp(UNRESOLVED, "192.0.2.10:81", "S")),
  ),
  ...fromReal(
    "a SYN/ACK to an unknown MAC",
    frame(tcp("10.3.2.2:80", LIP, "SA")),
  ),
  ...fromClient(
    "a SYN from nowhere",
    frame(tcp(NOWHERE, "192.0.2.10:82", "S")),
  ),
  ...fromReal("a SYN/ACK to nowhere", frame(tcp("10.3.3.2:80", LIP, "SA"))),
  ...fromClient(
    "a SYN into a tunnel",
    frame(tcp(CLIENT, "192.0.2.10:84", "S")),
  ),
  ...fromClient(
    "1400 bytes into a tunnel",
    frame(tcp(CLIENT, "192.0.2.10:84", "A", {}, { data: Buffer.alloc(1_360) })),
  ),
  ...fromClient(
    "1400 bytes into a tunnel, not to be fragmented",
    frame(
      tcp(
        CLIENT,
        "192.0.2.10:84",
        "A",
        { dontFragment: true },
        { data: Buffer.alloc(1_360) },
      ),
    ),
  ),
];

export const ends: readonly Odd[] = [
  ...fromClient("a FIN", frame(tcp(CLIENT, WEB, "FA"))),
  ...fromReal("the other FIN", frame(tcp(WEB_REAL, LIP, "FA"))),
  ...fromClient("the last ACK", frame(tcp(CLIENT, WEB, "A"))),
  ...fromReal("a RST from the real server", frame(tcp(WEB_REAL, LIP, "R"))),
];
