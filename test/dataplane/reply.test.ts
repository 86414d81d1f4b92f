// SPDX-License-Identifier: Apache-2.0
// What a director answers to packets that it drops: a RST, or an ICMP error.
import test from "ava";
import { address, type Version } from "../model/translate/address.ts";
import {
  buildFrame,
  buildIp,
  type IpFields,
} from "../model/translate/build.ts";
import { payloadOf } from "../model/translate/ip.ts";
import {
  ICMP,
  ICMPV6,
  PROTOCOL,
  TCP_FLAG,
} from "../model/translate/protocols.ts";
import { RACK } from "../properties/rack.ts";
import {
  assertAnswer,
  CLIENTS,
  data,
  icmpOf,
  ipOf,
  type Kind,
  kindOf,
  KINDS,
  type Leg,
  packet,
  Rack,
  ROUTERS,
  type Sent,
  VERSIONS,
  VIPS,
} from "./families.ts";

const { fin, syn, rst, psh, ack } = TCP_FLAG;
const SEQ = 0x01020304;
const ACK = 0x0a0b0c0d;
/** No service has it. */
const UNKNOWN_PORT = 7;
const MULTICAST_MAC = "01005e000001020000000002";
const TYPES = {
  refused: { 4: [ICMP.unreachable, 3], 6: [ICMPV6.unreachable, 4] },
  spent: { 4: [ICMP.timeExceeded, 0], 6: [ICMPV6.timeExceeded, 0] },
  tooBig: { 4: [ICMP.unreachable, 4], 6: [ICMPV6.tooBig, 0] },
} as const;
const QUOTE_MAX = { 4: 576 - 28, 6: 1280 - 48 } as const;

let rack: Rack;
test.serial.before(() => {
  rack = new Rack();
});
test.serial.after.always(() => rack.close());

function toUnknown(version: Version): Leg {
  return {
    from: { address: CLIENTS[version], port: 40_000 },
    to: { address: VIPS[version], port: UNKNOWN_PORT },
  };
}

const SEGMENTS: readonly {
  readonly what: string;
  readonly flags: number;
  readonly length?: number;
  readonly expected?: readonly [seq: number, ack: number, flags: number];
}[] = [
  { what: "a SYN", flags: syn, expected: [0, SEQ + 1, rst | ack] },
  {
    what: "a SYN with data",
    flags: syn,
    length: 99,
    expected: [0, SEQ + 100, rst | ack],
  },
  { what: "an ACK", flags: ack, expected: [ACK, 0, rst] },
  {
    what: "a segment with data",
    flags: ack | psh,
    length: 1000,
    expected: [ACK, 0, rst],
  },
  { what: "a SYN/ACK", flags: syn | ack, expected: [ACK, 0, rst] },
  { what: "a FIN", flags: fin | ack, expected: [ACK, 0, rst] },
  { what: "a RST", flags: rst },
  { what: "a RST with ACK", flags: rst | ack },
];
for (const version of VERSIONS)
  for (const { what, flags, length = 0, expected } of SEGMENTS)
    test.serial(
      `director ${expected ? "refuses" : "does not answer"} ${what} to an unknown port over IPv${version}`,
      (t) => {
        const leg = toUnknown(version);
        const frame = buildFrame(
          packet(leg, PROTOCOL.tcp, {}, { flags, data: data(length) }),
        );
        const sent = rack.send(frame);
        t.is(sent.end, "drop_no_service");
        if (expected === undefined) {
          t.is(sent.verdict, "drop");
          t.deepEqual(sent.events, []);
          return;
        }
        t.deepEqual(sent.events, ["rst_sent"]);
        assertAnswer(t, frame, sent);
        t.deepEqual(resetOf(sent), {
          ports: [leg.to.port, leg.from.port],
          numbers: expected,
          length: 20,
        });
      },
    );

function resetOf({ packet: answer }: Sent) {
  const tcp = payloadOf(answer);
  return {
    ports: [tcp.readUInt16BE(0), tcp.readUInt16BE(2)],
    numbers: [tcp.readUInt32BE(4), tcp.readUInt32BE(8), tcp.readUInt8(13)],
    length: tcp.length,
  };
}

for (const version of VERSIONS)
  for (const length of [0, 1, 500, 1300])
    test.serial(
      `director refuses a datagram of ${length} bytes to an unknown port over IPv${version}`,
      (t) => {
        const frame = buildFrame(
          packet(toUnknown(version), PROTOCOL.udp, {}, { data: data(length) }),
        );
        const sent = rack.send(frame);
        t.is(sent.end, "drop_no_service");
        t.deepEqual(sent.events, ["icmp_sent"]);
        assertAnswer(t, frame, sent);
        assertError(t, frame, sent, TYPES.refused[version], 0);
      },
    );

function assertError(
  t: Parameters<typeof assertAnswer>[0],
  frame: Buffer,
  { packet: answer }: Sent,
  [type, code]: readonly [number, number],
  word: number,
): void {
  const asked = ipOf(frame);
  t.like(icmpOf(answer), { type, code, word });
  t.deepEqual(
    icmpOf(answer).body,
    asked.bytes.subarray(0, QUOTE_MAX[asked.version]),
    "the error does not quote the packet as it came",
  );
}

const OPTIONS: readonly Partial<IpFields>[] = [
  { options: Buffer.from("0707040000000000", "hex"), trafficClass: 0xb8 },
  {
    extensions: [
      {
        type: PROTOCOL.destination,
        bytes: Buffer.from("0000010400000000", "hex"),
      },
    ],
    trafficClass: 0xb8,
    flowLabel: 0x12345,
  },
];
for (const [i, version] of VERSIONS.entries()) {
  test.serial(
    `director refuses a segment behind IPv${version} options, and behind VLAN tags and with padding`,
    (t) => {
      for (const protocol of [PROTOCOL.tcp, PROTOCOL.udp]) {
        const frame = buildFrame(
          packet(toUnknown(version), protocol, OPTIONS[i]),
          { vlans: [30, 10], trailer: Buffer.alloc(6) },
        );
        const sent = rack.send(frame);
        assertAnswer(t, frame, sent);
        if (protocol === PROTOCOL.tcp)
          t.deepEqual(resetOf(sent).numbers, [ACK, 0, rst]);
        else assertError(t, frame, sent, TYPES.refused[version], 0);
      }
    },
  );
}

const SILENT: readonly {
  readonly what: string;
  readonly leg: (leg: Leg) => Leg;
  readonly version?: Version;
  readonly macs?: string;
}[] = [
  ...["0.0.0.0", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"].map(
    (source) => ({ what: source, version: 4 as const, leg: from(source) }),
  ),
  ...["::", "::1", "ff02::1"].map((source) => ({
    what: source,
    version: 6 as const,
    leg: from(source),
  })),
  { what: "another VIP", version: 4, leg: from("192.0.2.12") },
  { what: "a LIP", version: 6, leg: from("2001:db8:200::11") },
  {
    what: "a host that has sent it to many",
    leg: (leg) => leg,
    macs: MULTICAST_MAC,
  },
];

function from(source: string) {
  return ({ to }: Leg): Leg => ({
    from: { address: address(source), port: 40_000 },
    to,
  });
}

for (const { what, version, leg, macs } of SILENT)
  for (const each of version === undefined ? VERSIONS : [version])
    test.serial(`director does not answer ${what} over IPv${each}`, (t) => {
      for (const protocol of [PROTOCOL.tcp, PROTOCOL.udp]) {
        const sent = rack.send(
          buildFrame(packet(leg(toUnknown(each)), protocol), {
            ...(macs && { macs }),
          }),
        );
        t.is(sent.end, "drop_no_service");
        t.deepEqual(sent.events, []);
        t.is(sent.verdict, "drop");
      }
    });

test.serial(
  "director answers nothing to an unknown port if the config says drop",
  (t) => {
    rack.close();
    rack = new Rack({ ...RACK, unknownPort: "drop" });
    t.teardown(() => {
      rack.close();
      rack = new Rack();
    });
    for (const version of VERSIONS)
      for (const protocol of [PROTOCOL.tcp, PROTOCOL.udp]) {
        const sent = rack.send(
          buildFrame(packet(toUnknown(version), protocol)),
        );
        t.is(sent.end, "drop_no_service");
        t.is(sent.verdict, "drop");
        t.deepEqual(sent.events, []);
      }
  },
);

for (const kind of KINDS)
  for (const direction of ["inbound", "outbound"] as const)
    test.serial(
      `director tells the sender of a spent TTL (${kind.title}, ${direction})`,
      (t) => {
        for (const protocol of [PROTOCOL.tcp, PROTOCOL.udp]) {
          const { before } = rack.open(kind, protocol)[direction];
          for (const ttl of [0, 1]) {
            const frame = buildFrame(packet(before, protocol, { ttl }));
            const sent = rack.send(frame);
            t.is(sent.end, "drop_ttl");
            t.deepEqual(sent.events, ["icmp_sent"]);
            assertAnswer(t, frame, sent);
            const { version } = ipOf(frame);
            assertError(t, frame, sent, TYPES.spent[version], 0);
          }
          const later = rack.send(
            buildFrame(packet(before, protocol, { ttl: 2 })),
          );
          t.is(later.end, "forwarded");
        }
      },
    );

test.serial("director says nothing of a RST's spent TTL", (t) => {
  for (const kind of KINDS) {
    const { before } = rack.open(kind, PROTOCOL.tcp).inbound;
    const frame = buildFrame(
      packet(before, PROTOCOL.tcp, { ttl: 1 }, { flags: rst }),
    );
    t.like(rack.send(frame), { end: "drop_ttl", verdict: "drop", events: [] });
  }
});

/** Of the hops. */
const MTU = 1500;
/** What a packet gains where its family changes. */
function growth({
  from: before,
  to: after,
}: Pick<Kind, "from" | "to">): number {
  return after === before ? 0 : after === 6 ? 20 : -20;
}

for (const kind of KINDS)
  for (const direction of ["inbound", "outbound"] as const)
    test.serial(
      `director tells the sender of the next hop's MTU (${kind.title}, ${direction})`,
      (t) => {
        const flow = rack.open(kind, PROTOCOL.udp);
        rack.send(buildFrame(packet(flow.outbound.before, PROTOCOL.udp)));
        const { before } = flow[direction];
        const grows =
          direction === "inbound"
            ? growth(kind)
            : growth({ from: kind.to, to: kind.from });
        const mtu = MTU - grows;
        const frame = buildFrame(ofLength(before, mtu + 1));
        const sent = rack.send(frame);
        t.is(sent.end, "drop_too_big");
        t.deepEqual(sent.events, ["icmp_sent"]);
        assertAnswer(t, frame, sent);
        assertError(t, frame, sent, TYPES.tooBig[ipOf(frame).version], mtu);
        const fitting = rack.send(buildFrame(ofLength(before, mtu)));
        t.is(fitting.end, "forwarded");
        t.is(fitting.packet.bytes.length, MTU);
      },
    );

/** A datagram that must not be fragmented, of so many bytes in all. */
function ofLength(leg: Leg, length: number): Buffer {
  const headers = (leg.from.address.length === 8 ? 20 : 40) + 8;
  return packet(
    leg,
    PROTOCOL.udp,
    { dontFragment: true },
    { data: data(length - headers) },
  );
}

test.serial("director leaves to the kernel what it may fragment", (t) => {
  const whole = rack.open(kindOf(4), PROTOCOL.udp).inbound;
  const sent = rack.send(
    buildFrame(packet(whole.before, PROTOCOL.udp, {}, { data: data(1480) })),
  );
  t.like(sent, { end: "passed_too_big", verdict: "pass", events: [] });
  t.is(sent.packet.daddr, whole.after.to.address);
});

/** Less than any IPv6 link has. */
const SMALL_MTU = 600;
const IPV6_MTU_MIN = 1280;

test.serial(
  "director leaves to the kernel what IPv6 need not make smaller",
  (t) => {
    const services = RACK.services.map((service) => ({
      ...service,
      reals: service.reals.map((real) => ({
        ...real,
        hop: { ...real.hop, mtu: SMALL_MTU },
      })),
    }));
    rack.close();
    rack = new Rack({ ...RACK, services });
    t.teardown(() => {
      rack.close();
      rack = new Rack();
    });
    const { before } = rack.open(kindOf(6, 4), PROTOCOL.udp).inbound;
    const least = rack.send(buildFrame(ofLength(before, IPV6_MTU_MIN)));
    t.like(least, { end: "passed_too_big", verdict: "pass" });
    t.false(least.packet.dontFragment);
    const frame = buildFrame(ofLength(before, IPV6_MTU_MIN + 1));
    const larger = rack.send(frame);
    t.is(larger.end, "drop_too_big");
    assertError(t, frame, larger, TYPES.tooBig[6], IPV6_MTU_MIN);
  },
);

test.serial("director answers only a part of a flood", (t) => {
  const about = 500;
  const frame = buildFrame(packet(toUnknown(4), PROTOCOL.udp));
  const sent = rack.sendAll(Array.from({ length: about }, () => frame));
  const silent = sent.filter(({ events }) => events[0] === "reply_limited");
  const limited = silent.length;
  t.true(sent.every(({ events }) => events.length === 1));
  t.true(silent.every(({ verdict }) => verdict === "drop"));
  t.true(limited > 0, `${about} answers, and none held back`);
  t.true(limited < about, "no answer at all");
});

test.serial("director does not answer what ICMP it drops", (t) => {
  for (const version of VERSIONS) {
    const timestamp = buildIp(
      {
        saddr: ROUTERS[version],
        daddr: VIPS[version],
        protocol: version === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6,
      },
      Buffer.from([13, 0, 0, 0, 0, 0, 0, 0]),
    );
    t.like(rack.send(buildFrame(timestamp)), { verdict: "drop", events: [] });
  }
});
