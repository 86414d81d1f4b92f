// SPDX-License-Identifier: Apache-2.0
/** Random packets of flows, with right lengths and checksums. */
import type { Random } from "../histories/random.ts";
import {
  type Address,
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
} from "../model/translate/build.ts";
import { icmpProtocol } from "../model/translate/icmp.ts";
import {
  ICMP,
  ICMPV6,
  PROTOCOL,
  TCP_FLAG,
} from "../model/translate/protocols.ts";
import type { TransportProtocol } from "../model/translate/transport.ts";
import { randomBytes } from "./mutate.ts";

/** A packet's way, before or after its translation. */
export type Way = {
  readonly protocol: TransportProtocol;
  readonly from: Endpoint;
  readonly to: Endpoint;
};

const { fin, syn, rst, psh, ack } = TCP_FLAG;
const FLAGS: readonly number[] = [
  ...[ack, ack, ack | psh, ack | psh, ack | fin, syn, syn | ack],
  ...[rst, rst | ack, ack | 0x20, syn | 0xc0, 0, fin, syn | fin],
];
const TTLS: readonly number[] = [64, 64, 64, 64, 128, 255, 2, 1, 0];
/** Total lengths around the MTU come up now and then. */
const SIZES: readonly number[] = [0, 1, 7, 8, 33, 100, 1432, 1440, 1460, 1480];
const MSS_AND_MORE = Buffer.from("020405b40402080a0102030400000000", "hex");
const ROUTERS: readonly Address[] = [
  address("203.0.113.9"),
  address("2001:db8:f::9"),
];

export function aPacket(
  way: Way,
  random: Random,
  flags = random.pick(FLAGS),
): Buffer {
  const { saddr, daddr } = addresses(way);
  return inFrame(
    buildIp(
      someIp(saddr, daddr, way.protocol, random),
      aTransport(way, random, random.pick(SIZES), flags),
    ),
    random,
  );
}

/** The first packet of a session; with nothing that speaks against it. */
export function anOpening(way: Way, random: Random): Buffer {
  const { saddr, daddr } = addresses(way);
  const size = random.pick([0, 1, 64]);
  return buildFrame(
    buildIp(
      { saddr, daddr, protocol: way.protocol, dontFragment: true },
      aTransport(way, random, size, syn),
    ),
  );
}

function aTransport(
  { protocol, from, to }: Way,
  random: Random,
  size: number,
  flags: number,
): Buffer {
  return buildTransport(from.address, to.address, {
    protocol,
    sport: from.port,
    dport: to.port,
    data: randomBytes(random, size),
    flags,
    seq: Math.floor(random.next() * 2 ** 32),
    ack: Math.floor(random.next() * 2 ** 32),
    options: random.chance(0.5) ? MSS_AND_MORE : none,
    unchecked: protocol === PROTOCOL.udp && random.chance(0.1),
  });
}

function someIp(
  saddr: Address,
  daddr: Address,
  protocol: number,
  random: Random,
): IpFields {
  const isRare = random.chance(0.1);
  return {
    saddr,
    daddr,
    protocol,
    ttl: random.pick(TTLS),
    trafficClass: random.between(0, 255),
    flowLabel: random.between(0, 0xfffff),
    id: random.between(0, 0xffff),
    dontFragment: random.chance(0.5),
    atomic: random.chance(0.05),
    options: isRare ? someOptions(random) : none,
    extensions: isRare ? someExtensions(random) : [],
  };
}

/** Record route, no-operations, loose source route. */
function someOptions(random: Random): Buffer {
  const hex = random.pick([
    "01010100",
    "0707040000000000",
    "8307040a000001" + "00",
  ]);
  return Buffer.from(hex, "hex");
}

function someExtensions(random: Random) {
  return Array.from({ length: random.between(1, 5) }, () => {
    const bytes = Buffer.alloc(8 * random.between(1, 3));
    bytes.writeUInt8(bytes.length / 8 - 1, 1);
    bytes.writeUInt8(1, 2); // PadN; of a routing header: its type
    return {
      type: random.pick([
        PROTOCOL.hopByHop,
        PROTOCOL.destination,
        PROTOCOL.routing,
      ]),
      bytes,
    };
  });
}

/** The fragments of one datagram, in any order; now and then one too many or one too few, or two that overlap. */
export function someFragments(
  way: Way,
  id: number,
  random: Random,
): readonly Buffer[] {
  const { saddr, daddr } = addresses(way);
  const size = random.between(60, 2_500);
  const datagram = aTransport(way, random, size, random.pick([ack, syn]));
  const cuts = [0];
  const step = 8 * random.between(3, 100);
  for (let at = step; at < datagram.length; at += step) cuts.push(at);
  const parts = cuts.map((from, i) => {
    const more = i + 1 < cuts.length;
    const to = more ? (cuts[i + 1] ?? 0) : datagram.length;
    const surplus = more && random.chance(0.05) ? 8 : 0;
    return buildFrame(
      buildIp(
        { saddr, daddr, protocol: way.protocol, id, offset: from, more },
        datagram.subarray(from, to + surplus),
      ),
    );
  });
  if (random.chance(0.1)) parts.push(random.pick(parts));
  if (random.chance(0.1)) parts.splice(random.between(0, parts.length - 1), 1);
  return random.chance(0.5)
    ? parts
    : parts
        .map((part) => ({ part, rank: random.next() }))
        .toSorted((a, b) => a.rank - b.rank)
        .map(({ part }) => part);
}

/** About a packet that went this way. It comes from a router, or from where that packet went. */
export function anError(way: Way, random: Random): Buffer {
  const { saddr, daddr } = addresses(way);
  const version = versionOf(saddr);
  const about = buildIp(
    { ...someIp(saddr, daddr, way.protocol, random), options: none },
    aTransport(way, random, random.pick(SIZES), ack),
  );
  const limit = version === 4 ? 548 : 1232;
  const quote = about.subarray(
    0,
    random.chance(0.3) ? random.between(20, 100) : limit,
  );
  const from = random.chance(0.5)
    ? daddr
    : (ROUTERS[version === 4 ? 0 : 1] ?? daddr);
  const [type, code] = version === 4 ? aType4(random) : aType6(random);
  const rest = Buffer.alloc(4);
  rest.writeUInt32BE(
    random.pick([0, 0, 576, 1280, 1400, 1500, 6 * 2 ** 24, 6, 40]),
    0,
  );
  const protocol = icmpProtocol(version);
  return inFrame(
    buildIp(
      someIp(from, saddr, protocol, random),
      buildIcmp(from, saddr, { type, code, rest, body: quote }),
    ),
    random,
  );
}

function aType4(random: Random): readonly [number, number] {
  const { unreachable, timeExceeded, parameterProblem } = ICMP;
  const type = random.pick([
    ...[unreachable, unreachable, unreachable, timeExceeded],
    ...[timeExceeded, parameterProblem, ICMP.redirect, ICMP.quench],
  ]);
  return [type, random.between(0, type === unreachable ? 16 : 2)];
}

function aType6(random: Random): readonly [number, number] {
  const { unreachable, tooBig, timeExceeded, parameterProblem } = ICMPV6;
  const type = random.pick([
    ...[unreachable, unreachable, tooBig, tooBig, timeExceeded],
    ...[parameterProblem, 100],
  ]);
  return [type, type === tooBig ? 0 : random.between(0, 7)];
}

export function anEcho(from: Address, to: Address, random: Random): Buffer {
  const version = versionOf(to);
  const requests = { 4: ICMP.echoRequest, 6: ICMPV6.echoRequest };
  const replies = { 4: ICMP.echoReply, 6: ICMPV6.echoReply };
  const type = random.chance(0.9) ? requests[version] : replies[version];
  const body = randomBytes(random, random.pick(SIZES));
  const rest = randomBytes(random, 4);
  return inFrame(
    buildIp(
      someIp(from, to, icmpProtocol(version), random),
      buildIcmp(from, to, { type, code: 0, rest, body }),
    ),
    random,
  );
}

function inFrame(packet: Buffer, random: Random): Buffer {
  return buildFrame(packet, {
    vlans: random.pick([[], [], [], [], [10], [30, 10], [1, 2, 3]]),
    trailer: random.chance(0.1) ? randomBytes(random, 12) : none,
  });
}

function addresses({ from, to }: Way) {
  return { saddr: from.address, daddr: to.address };
}
