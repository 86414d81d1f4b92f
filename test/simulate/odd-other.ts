// SPDX-License-Identifier: Apache-2.0
/** Datagrams, IPv6, both families in one session, ICMP and fragments. */
import { ICMP, ICMPV6, PROTOCOL } from "../model/translate/protocols.ts";
import {
  CLIENT,
  CLIENT6,
  DNS,
  DNS6,
  DNS6_REAL,
  DNS_REAL,
  FOUR_TO_SIX,
  FOUR_TO_SIX_DNS,
  FOUR_TO_SIX_REAL,
  fromClient,
  fromReal,
  LIP,
  LIP6,
  type Odd,
  OTHER,
  REAL_ROUTER,
  ROUTER,
  ROUTER6,
  SIX_TO_FOUR,
  SIX_TO_FOUR_LIP,
  SIX_TO_FOUR_REAL,
  WEB,
  WEB6,
  WEB6_REAL,
} from "./hosts.ts";
import {
  fragment,
  frame,
  icmp,
  ip,
  mtu,
  patched,
  tcp,
  udp,
} from "./packets.ts";

/** Behind an IPv4 header. */
const UDP_LENGTH = 20 + 4;
/** In an IPv6 header. */
const LENGTH6 = 4;
/** Loose source route, with an address to go. */
const SOURCE_ROUTE = Buffer.from("8307040a00000100", "hex");
/** Extension headers but for their first byte: PadN of 4 bytes, a segment left to go, and none. */
const PADDING = Buffer.from("0000010400000000", "hex");
const SEGMENT_LEFT = Buffer.from("0000040100000000", "hex");
const NO_SEGMENT_LEFT = Buffer.from("0000040000000000", "hex");

const question = udp(CLIENT, DNS);
export const datagrams: readonly Odd[] = [
  ...fromClient("a question", frame(question)),
  ...fromReal("its answer", frame(udp(DNS_REAL, LIP))),
  ...fromClient(
    "a question without a checksum",
    frame(udp(CLIENT, DNS, {}, { unchecked: true })),
  ),
  ...fromClient(
    "a UDP length beyond the packet",
    frame(patched(question, UDP_LENGTH, 0, 99)),
  ),
  ...fromClient(
    "a UDP length of 7 bytes",
    frame(patched(question, UDP_LENGTH, 0, 7)),
  ),
  ...fromClient(
    "half a UDP header",
    frame(
      ip(CLIENT, DNS, { protocol: PROTOCOL.udp }, question.subarray(20, 24)),
    ),
  ),
  ...fromClient(
    "a datagram for an unknown port",
    frame(udp(CLIENT, "192.0.2.10:9")),
  ),
  ...fromClient("a player", frame(udp(CLIENT, "192.0.2.10:27015"))),
  ...fromReal("the game's answer", frame(udp("10.3.5.2:27015", LIP))),
  ...fromClient(
    "a player at another port",
    frame(udp(CLIENT, "192.0.2.10:27016")),
  ),
  ...fromClient(
    "a player behind the last port",
    frame(udp(CLIENT, "192.0.2.10:28000")),
  ),
  ...fromClient(
    "SCTP",
    frame(ip(CLIENT, WEB, { protocol: 132 }, Buffer.alloc(12))),
  ),
  ...fromClient(
    "GRE",
    frame(ip(CLIENT, WEB, { protocol: 47 }, Buffer.alloc(12))),
  ),
];

const ack6 = tcp(CLIENT6, WEB6, "A");
const withHeaders = (...types: readonly number[]) =>
  frame(
    tcp(CLIENT6, WEB6, "A", {
      extensions: types.map((type) => ({
        type,
        bytes: type === PROTOCOL.routing ? NO_SEGMENT_LEFT : PADDING,
      })),
    }),
  );
const { hopByHop, routing, destination } = PROTOCOL;
export const ipv6: readonly Odd[] = [
  ...fromClient("a SYN over IPv6", frame(tcp(CLIENT6, WEB6, "S"))),
  ...fromReal("its SYN/ACK over IPv6", frame(tcp(WEB6_REAL, LIP6, "SA"))),
  ...fromClient("its ACK over IPv6", frame(ack6)),
  ...fromReal("an answer over IPv6", frame(tcp(WEB6_REAL, LIP6, "A"))),
  ...fromClient("hop-by-hop options", withHeaders(hopByHop)),
  ...fromClient("destination options", withHeaders(destination)),
  ...fromClient("a routing header", withHeaders(routing)),
  ...fromClient(
    "four extension headers",
    withHeaders(hopByHop, destination, routing, destination),
  ),
  ...fromClient(
    "five extension headers",
    withHeaders(hopByHop, destination, destination, routing, destination),
  ),
  ...fromClient(
    "an authentication header",
    frame(ip(CLIENT6, WEB6, { protocol: 51 }, Buffer.alloc(24))),
  ),
  ...fromClient(
    "no next header",
    frame(ip(CLIENT6, WEB6, { protocol: PROTOCOL.none }, Buffer.alloc(0))),
  ),
  ...fromClient(
    "an atomic fragment",
    frame(tcp(CLIENT6, WEB6, "A", { atomic: true })),
  ),
  ...fromClient(
    "a SYN over IPv6 at its last hop",
    frame(tcp("[2001:db8:c::2]:40000", WEB6, "S", { ttl: 1 })),
  ),
  ...fromClient(
    "a SYN over IPv6 for an unknown port",
    frame(tcp(CLIENT6, "[2001:db8:100::10]:8888", "S")),
  ),
  ...fromClient(
    "a datagram over IPv6 for an unknown port",
    frame(udp(CLIENT6, "[2001:db8:100::10]:9")),
  ),
  ...fromClient(
    "a SYN over IPv6 from its own destination",
    frame(tcp(WEB6, WEB6, "S")),
  ),
  ...fromClient(
    "an IPv4-mapped source",
    // ::ffff:198.51.100.1
    frame(
      patched(
        ack6,
        8,
        ...Buffer.from("00000000000000000000ffffc6336401", "hex"),
      ),
    ),
  ),
  ...fromClient(
    "an IPv6 length beyond the frame",
    frame(patched(ack6, LENGTH6, 0x05, 0xdc)),
  ),
  ...fromClient("a question over IPv6", frame(udp(CLIENT6, DNS6))),
  ...fromReal("its answer over IPv6", frame(udp(DNS6_REAL, LIP6))),
  ...fromClient(
    "a question over IPv6 without a checksum",
    frame(udp(CLIENT6, DNS6, {}, { unchecked: true })),
  ),
  ...fromClient(
    "1400 bytes over IPv6 into a tunnel",
    frame(
      udp(CLIENT6, "[2001:db8:100::10]:84", {}, { data: Buffer.alloc(1_352) }),
    ),
  ),
];

export const bothFamilies: readonly Odd[] = [
  ...fromClient(
    "a SYN from IPv6 to IPv4",
    frame(tcp(CLIENT6, SIX_TO_FOUR, "S")),
  ),
  ...fromReal(
    "its SYN/ACK from IPv4",
    frame(tcp(SIX_TO_FOUR_REAL, SIX_TO_FOUR_LIP, "SA")),
  ),
  ...fromClient("its ACK to IPv4", frame(tcp(CLIENT6, SIX_TO_FOUR, "A"))),
  ...fromClient(
    "a route behind it, from IPv6 to IPv4",
    frame(
      tcp(CLIENT6, SIX_TO_FOUR, "A", {
        extensions: [{ type: routing, bytes: NO_SEGMENT_LEFT }],
      }),
    ),
  ),
  ...fromClient(
    "a route before it, from IPv6 to IPv4",
    frame(
      tcp(CLIENT6, SIX_TO_FOUR, "A", {
        extensions: [{ type: routing, bytes: SEGMENT_LEFT }],
      }),
    ),
  ),
  ...fromClient(
    "a SYN from IPv4 to IPv6",
    frame(tcp(CLIENT, FOUR_TO_SIX, "S")),
  ),
  ...fromReal(
    "its SYN/ACK from IPv6",
    frame(tcp(FOUR_TO_SIX_REAL, LIP6, "SA")),
  ),
  ...fromClient("its ACK to IPv6", frame(tcp(CLIENT, FOUR_TO_SIX, "A"))),
  ...fromClient(
    "a route before it, from IPv4 to IPv6",
    frame(tcp(CLIENT, FOUR_TO_SIX, "A", { options: SOURCE_ROUTE })),
  ),
  ...fromClient(
    "a question without a checksum, from IPv4 to IPv6",
    frame(udp(CLIENT, FOUR_TO_SIX_DNS, {}, { unchecked: true })),
  ),
];

export const messages: readonly Odd[] = [
  ...fromClient(
    "an echo request",
    frame(icmp("198.51.100.1", "192.0.2.10", ICMP.echoRequest)),
  ),
  ...fromClient(
    "an echo request over IPv6",
    frame(icmp("2001:db8:c::1", "2001:db8:100::10", ICMPV6.echoRequest)),
  ),
  ...fromClient(
    "an echo request to a local address",
    frame(icmp("198.51.100.1", "10.200.0.1", ICMP.echoRequest)),
  ),
  ...fromClient(
    "an echo reply",
    frame(icmp("198.51.100.1", "192.0.2.10", ICMP.echoReply)),
  ),
  ...fromClient(
    "a timestamp request",
    frame(icmp("198.51.100.1", "192.0.2.10", 13, 0, Buffer.alloc(12))),
  ),
  ...fromReal(
    "port unreachable from the real server",
    frame(
      icmp("10.3.4.2", "10.200.0.1", ICMP.unreachable, 3, udp(LIP, DNS_REAL)),
    ),
  ),
  ...fromClient(
    "fragmentation needed towards the client",
    frame(
      icmp(
        ROUTER,
        "192.0.2.10",
        ICMP.unreachable,
        4,
        tcp(WEB, CLIENT, "A"),
        mtu(1_400),
      ),
    ),
  ),
  ...fromClient(
    "packet too big towards the client",
    frame(
      icmp(
        ROUTER6,
        "2001:db8:100::10",
        ICMPV6.tooBig,
        0,
        tcp(WEB6, CLIENT6, "A"),
        mtu(1_400),
      ),
    ),
  ),
  ...fromReal(
    "fragmentation needed, from IPv4 to IPv6",
    frame(
      icmp(
        REAL_ROUTER,
        "10.200.0.1",
        ICMP.unreachable,
        4,
        tcp(SIX_TO_FOUR_LIP, SIX_TO_FOUR_REAL, "A"),
        mtu(1_400),
      ),
    ),
  ),
  ...fromClient(
    "time exceeded about nobody's packet",
    frame(
      icmp(ROUTER, "192.0.2.10", ICMP.timeExceeded, 0, tcp(WEB, OTHER, "A")),
    ),
  ),
  ...fromClient(
    "an error about half a packet",
    frame(
      icmp(
        ROUTER,
        "192.0.2.10",
        ICMP.timeExceeded,
        0,
        tcp(WEB, CLIENT, "A").subarray(0, 12),
      ),
    ),
  ),
];

const long = udp(CLIENT, DNS, {}, { data: Buffer.alloc(2_000, 0xaa) });
const long6 = udp(CLIENT6, DNS6, {}, { data: Buffer.alloc(2_000, 0xaa) });
const longMixed = udp(
  CLIENT,
  FOUR_TO_SIX_DNS,
  {},
  { data: Buffer.alloc(2_000, 0xaa) },
);
export const fragments: readonly Odd[] = [
  ...fromClient("a first fragment", frame(fragment(long, { to: 1_200 }, 1))),
  ...fromClient("its last fragment", frame(fragment(long, { from: 1_200 }, 1))),
  ...fromClient(
    "its last fragment again",
    frame(fragment(long, { from: 1_200 }, 1)),
  ),
  ...fromClient(
    "another first fragment",
    frame(fragment(long, { to: 1_200 }, 8)),
  ),
  ...fromClient(
    "a fragment over it",
    frame(fragment(long, { from: 1_192 }, 8)),
  ),
  ...fromClient(
    "the fragment that would have followed",
    frame(fragment(long, { from: 1_200 }, 8)),
  ),
  ...fromClient(
    "a fragment over TCP's flags",
    frame(fragment(tcp(CLIENT, WEB, "A"), { from: 8 }, 9)),
  ),
  ...fromClient(
    "a fragment of an unknown datagram",
    frame(fragment(long, { from: 1_200 }, 2)),
  ),
  ...fromClient(
    "a first fragment without a whole header",
    frame(fragment(tcp(CLIENT, WEB, "A"), { to: 8 }, 3)),
  ),
  ...fromClient(
    "a fragment of 13 bytes that is not the last",
    frame(fragment(long, { from: 1_200, to: 1_213 }, 4)),
  ),
  ...fromClient(
    "a first fragment over IPv6",
    frame(fragment(long6, { to: 1_200 }, 5)),
  ),
  ...fromClient(
    "its last fragment over IPv6",
    frame(fragment(long6, { from: 1_200 }, 5)),
  ),
  ...fromClient(
    "a fragment of an unknown datagram over IPv6",
    frame(fragment(long6, { from: 1_200 }, 6)),
  ),
  ...fromClient(
    "a first fragment from IPv4 to IPv6",
    frame(fragment(longMixed, { to: 1_200 }, 7)),
  ),
  ...fromClient(
    "its last fragment from IPv4 to IPv6",
    frame(fragment(longMixed, { from: 1_200 }, 7)),
  ),
];
