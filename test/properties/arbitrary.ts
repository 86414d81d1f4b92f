// SPDX-License-Identifier: Apache-2.0
/** Random clients, packets and ways to cut them up, for property tests. All of them are such as a director forwards. */
import fc from "fast-check";
import {
  type Address,
  type Endpoint,
  type Version,
  versionOf,
} from "../model/translate/address.ts";
import {
  buildFrame,
  buildIp,
  buildTransport,
  none,
  type TransportFields,
} from "../model/translate/build.ts";
import { PROTOCOL, TCP_FLAG } from "../model/translate/protocols.ts";
import { versionOfReals } from "../model/translate/route.ts";
import type { Service } from "../model/translate/world.ts";
import type { Way } from "./packets.ts";
import { SERVICES } from "./rack.ts";

export type Kind = {
  readonly title: string;
  readonly services: readonly Service[];
  readonly from: Version;
  readonly to: Version;
};

const VERSIONS = [4, 6] as const;
const { tcp, udp } = PROTOCOL;

/** Each pair of client's and real server's version of IP, with each transport. */
export const KINDS: readonly Kind[] = VERSIONS.flatMap((from) =>
  VERSIONS.flatMap((to) =>
    [tcp, udp].map((protocol) => ({
      title: `${protocol === tcp ? "TCP" : "UDP"} of IPv${from} clients and IPv${to} real servers`,
      services: SERVICES.filter(
        (service) =>
          service.protocol === protocol &&
          service.reals.length > 0 &&
          versionOf(service.vip) === from &&
          versionOfReals(service) === to,
      ),
      from,
      to,
    })),
  ),
);

/** A client's way to one of the services. */
export function aWay(services: readonly Service[]): fc.Arbitrary<Way> {
  return fc.constantFrom(...services).chain((service) =>
    fc.record({
      protocol: fc.constant(service.protocol),
      from: aClient(versionOf(service.vip)),
      to: fc.record({
        address: fc.constant(service.vip),
        port: fc.integer(service.ports),
      }),
    }),
  );
}

function aClient(version: Version): fc.Arbitrary<Endpoint> {
  const network = version === 4 ? "c612" : "20010db8000c0000";
  const digits = version === 4 ? 4 : 16;
  return fc.record({
    address: fc
      .bigInt({ min: 1n, max: 16n ** BigInt(digits) - 2n })
      .map(
        (host): Address => network + host.toString(16).padStart(digits, "0"),
      ),
    port: fc.integer({ min: 1, max: 65_535 }),
  });
}

export type Look = {
  readonly ttl: number;
  readonly trafficClass: number;
  readonly flowLabel: number;
  readonly id: number;
  readonly dontFragment: boolean;
  readonly vlans: readonly number[];
  readonly trailer: Buffer;
  readonly options: Buffer;
  readonly isAtomic: boolean;
};

const bytes = (max: number) =>
  fc.uint8Array({ maxLength: max }).map((array) => Buffer.from(array));

/** All of the headers before the transport that a translation may not touch, or not otherwise than by rule. */
export const look: fc.Arbitrary<Look> = fc.record({
  ttl: fc.integer({ min: 4, max: 255 }),
  trafficClass: fc.nat(255),
  flowLabel: fc.nat(0xfffff),
  id: fc.nat(0xffff),
  dontFragment: fc.boolean(),
  vlans: fc.array(fc.integer({ min: 1, max: 4094 }), { maxLength: 2 }),
  trailer: bytes(20),
  options: fc.constantFrom(none, Buffer.from("01010100", "hex")),
  isAtomic: fc.boolean(),
});

const { fin, syn, rst, psh, ack } = TCP_FLAG;
/** That say nothing about a session's end. */
const FLAGS = [ack, ack | psh, ack | 0x20, ack | 0xc0] as const;
export const CLOSING = [ack | fin, rst, rst | ack, syn] as const;

export type Segment = Pick<
  TransportFields,
  "data" | "flags" | "seq" | "ack" | "options"
>;

export const segment: fc.Arbitrary<Segment> = fc.record({
  data: bytes(600),
  flags: fc.constantFrom(...FLAGS),
  seq: fc.nat(0xffff_ffff),
  ack: fc.nat(0xffff_ffff),
  options: fc.constantFrom(
    none,
    Buffer.from("0101080a0102030404030201", "hex"),
  ),
});

/** The packet that opens a session: a SYN, or any datagram. */
export function opening(way: Way): Buffer {
  return frameOf(way, { flags: syn });
}

export function frameOf(
  way: Way,
  fields: Segment,
  { vlans = [], trailer = none, isAtomic = false, ...ip }: Partial<Look> = {},
): Buffer {
  const { from, to, protocol } = way;
  const packet = buildIp(
    {
      ...ip,
      atomic: isAtomic,
      saddr: from.address,
      daddr: to.address,
      protocol,
    },
    transportOf(way, fields),
  );
  return buildFrame(packet, { vlans, trailer });
}

export function transportOf(
  { protocol, from, to }: Way,
  fields: Segment,
): Buffer {
  return buildTransport(from.address, to.address, {
    ...fields,
    protocol,
    sport: from.port,
    dport: to.port,
  });
}

export function reversed({ protocol, from, to }: Way): Way {
  return { protocol, from: to, to: from };
}
