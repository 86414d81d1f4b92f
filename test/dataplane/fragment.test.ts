// SPDX-License-Identifier: Apache-2.0
// What a director does with fragments: the others of a datagram follow its first one.
import test from "ava";
import { type Version } from "../model/translate/address.ts";
import {
  buildFrame,
  buildIp,
  type IpFields,
} from "../model/translate/build.ts";
import { type Ip, payloadOf } from "../model/translate/ip.ts";
import { PROTOCOL, TCP_FLAG } from "../model/translate/protocols.ts";
import { aDatagram, Datagram, nextId, type Piece } from "./datagram.ts";
import {
  assertAnswer,
  assertChecksums,
  CLIENTS,
  data,
  DIRECTIONS,
  icmpOf,
  ipOf,
  kindOf,
  KINDS,
  type Leg,
  legOf,
  packet,
  PROTOCOLS,
  Rack,
  VERSIONS,
} from "./families.ts";

const MTU = 1500;

let rack: Rack;
test.serial.before(() => {
  rack = new Rack();
});
test.serial.after.always(() => rack.close());

for (const kind of KINDS)
  for (const direction of DIRECTIONS)
    for (const protocol of PROTOCOLS)
      test.serial(
        `director translates the fragments of a datagram of ${kind.title} (${direction}, protocol ${protocol})`,
        (t) => {
          const { before, after } = rack.open(kind, protocol)[direction];
          for (const turned of [false, true]) {
            const datagram = new Datagram(rack, before, protocol, 3001);
            const first: Piece = [0, 180];
            const middle: Piece = [180, 360];
            const last: Piece = [360, datagram.units];
            const order = turned
              ? [first, last, middle]
              : [first, middle, last];
            const sent = order.map((piece) => ({
              piece,
              ...datagram.send(piece, { trafficClass: 0x28 }),
            }));
            for (const { piece, end, events, packet: part } of sent) {
              t.is(end, "forwarded");
              t.deepEqual(
                events.filter((event) => event !== "session_established"),
                [],
              );
              t.like(part, {
                saddr: after.from.address,
                daddr: after.to.address,
                ttl: 63,
                protocol,
                trafficClass: 0x28,
                fragment: {
                  id: datagram.id,
                  offset: 8 * piece[0],
                  more: piece !== last,
                },
              });
            }
            assertWhole(
              t,
              sent.map(({ packet: part }) => part),
              datagram,
              after,
            );
          }
        },
      );

/** Together they are the translated datagram. */
function assertWhole(
  t: Parameters<typeof assertChecksums>[0],
  parts: readonly Ip[],
  { bytes }: Datagram,
  leg: Leg,
): void {
  const payload = Buffer.alloc(bytes.length);
  for (const part of parts) {
    payloadOf(part).copy(payload, part.fragment?.offset ?? 0);
    if (part.version === 4) assertHeader(t, part);
  }
  const { from, to } = leg;
  const [first] = parts;
  if (first === undefined) return t.fail("there are no fragments");
  const whole = ipOf(
    buildFrame(
      buildIp(
        {
          saddr: from.address,
          daddr: to.address,
          protocol: first.protocol,
        },
        payload,
      ),
    ),
  );
  assertChecksums(t, whole);
  t.deepEqual(legOf(whole), leg);
  const behindPorts = first.protocol === PROTOCOL.tcp ? 18 : 8;
  t.deepEqual(payload.subarray(behindPorts), bytes.subarray(behindPorts));
}

function assertHeader(
  t: Parameters<typeof assertChecksums>[0],
  { bytes, headerLength }: Ip,
): void {
  let sum = 0;
  for (let at = 0; at < headerLength; at += 2) sum += bytes.readUInt16BE(at);
  t.is(sum % 0xffff, 0, "the IP checksum is wrong");
}

test.serial("director opens a session for a datagram in fragments", (t) => {
  for (const kind of KINDS) {
    const { to } = rack.open(kind, PROTOCOL.udp).inbound.before;
    const from = { address: CLIENTS[kind.from], port: 1000 + kind.to };
    const datagram = new Datagram(rack, { from, to }, PROTOCOL.udp, 1600);
    t.like(datagram.send([0, 100]), {
      end: "forwarded",
      events: ["session_created"],
    });
    t.like(datagram.send([100, datagram.units]), {
      end: "forwarded",
      events: [],
    });
  }
});

test.serial("director leaves others' fragments to the kernel", (t) => {
  const { from } = rack.open(kindOf(4), PROTOCOL.udp).inbound.before;
  const datagram = new Datagram(
    rack,
    { from, to: { address: "cb007107", port: 53 } },
    PROTOCOL.udp,
    1600,
  );
  for (const piece of [
    [0, 100],
    [100, 150],
  ] as const) {
    const frame = datagram.frame(piece);
    const sent = rack.send(frame);
    t.like(sent, { end: "passed_foreign", verdict: "pass" });
    t.deepEqual(sent.frame, frame);
  }
});

test.serial("director answers first fragments alone", (t) => {
  for (const kind of KINDS) {
    const datagram = aDatagram(rack, kind);
    const frame = datagram.frame([0, 100], { ttl: 1 });
    const spent = rack.send(frame);
    t.like(spent, { end: "drop_ttl", events: ["icmp_sent"] });
    assertAnswer(t, frame, spent);
    t.is(datagram.send([0, 100]).end, "forwarded");
    t.like(datagram.send([100, 110], { ttl: 1 }), {
      end: "drop_ttl",
      verdict: "drop",
      events: [],
    });
  }
});

test.serial("director refuses the first fragment to an unknown port", (t) => {
  for (const version of VERSIONS) {
    const { to } = rack.open(kindOf(version), PROTOCOL.tcp).inbound.before;
    const leg = {
      from: { address: CLIENTS[version], port: 4000 },
      to: { ...to, port: 7 },
    };
    for (const [protocol, event] of [
      [PROTOCOL.tcp, "rst_sent"],
      [PROTOCOL.udp, "icmp_sent"],
    ] as const) {
      const datagram = new Datagram(rack, leg, protocol, 1600);
      const frame = datagram.frame([0, 100]);
      const first = rack.send(frame);
      t.like(first, { end: "drop_no_service", events: [event] });
      assertAnswer(t, frame, first);
      t.is(datagram.send([100, 150]).end, "drop_fragment_stranger");
    }
  }
});

test.serial("director has a fragment header's length in the MTU", (t) => {
  const { before } = rack.open(kindOf(4, 6), PROTOCOL.udp).inbound;
  const send = (units: number) =>
    new Datagram(rack, before, PROTOCOL.udp, 3000).send([0, units]);
  const most = Math.floor((MTU - 40 - 8) / 8);
  t.is(send(most).end, "forwarded");
  const sent = send(most + 1);
  t.like(sent, { end: "drop_too_big", events: ["icmp_sent"] });
  t.is(icmpOf(sent.packet).word, MTU - 28);
});

test.serial("director keeps an IPv4 datagram without a checksum so", (t) => {
  const { before, after } = rack.open(kindOf(4), PROTOCOL.udp).inbound;
  const whole = packet(before, PROTOCOL.udp, {}, { unchecked: true });
  const sent = rack.send(buildFrame(whole));
  t.is(sent.end, "forwarded");
  t.is(payloadOf(sent.packet).readUInt16BE(6), 0);
  t.deepEqual(legOf(sent.packet), after);

  const other = rack.open(kindOf(4, 6), PROTOCOL.udp).inbound;
  const refused = packet(other.before, PROTOCOL.udp, {}, { unchecked: true });
  t.is(rack.send(buildFrame(refused)).end, "drop_udp_checksum");
});

test.serial(
  "director takes no other fragment's next header for its own",
  (t) => {
    for (const to of VERSIONS) {
      const datagram = aDatagram(rack, kindOf(6, to));
      t.is(datagram.send([0, 100]).end, "forwarded");
      const sent = datagram.send([100, 150], { protocol: PROTOCOL.tcp });
      t.is(sent.end, "forwarded");
      t.is(sent.packet.protocol, to === 6 ? PROTOCOL.tcp : PROTOCOL.udp);
    }
  },
);

test.serial(
  "director takes a fragment that is all of its packet for none",
  (t) => {
    for (const to of VERSIONS) {
      const { before, after } = rack.open(kindOf(6, to), PROTOCOL.tcp).inbound;
      for (let i = 0; i < 2; i++) {
        const sent = rack.send(
          buildFrame(packet(before, PROTOCOL.tcp, { atomic: true, id: 7 })),
        );
        t.is(sent.end, "forwarded");
        assertChecksums(t, sent.packet);
        t.deepEqual(legOf(sent.packet), after);
        t.is(sent.packet.version, to);
      }
    }
  },
);

test.serial("director translates fragments behind options and tags", (t) => {
  const options: Readonly<Record<Version, Partial<IpFields>>> = {
    4: { options: Buffer.from("9404000001010100", "hex") },
    6: {
      extensions: [
        {
          type: PROTOCOL.hopByHop,
          bytes: Buffer.from("0000010400000000", "hex"),
        },
      ],
    },
  };
  for (const kind of KINDS) {
    const { before, after } = rack.open(kind, PROTOCOL.tcp).inbound;
    const datagram = new Datagram(rack, before, PROTOCOL.tcp, 1601);
    const parts = (
      [
        [0, 100],
        [100, datagram.units],
      ] as const
    ).map((piece) => {
      const part = ipOf(datagram.frame(piece, options[kind.from])).bytes;
      return rack.send(buildFrame(part, { vlans: [30, 10] }));
    });
    for (const part of parts) t.is(part.end, "forwarded", kind.title);
    assertWhole(
      t,
      parts.map((part) => part.packet),
      datagram,
      after,
    );
    const isOther = kind.from !== kind.to;
    for (const part of parts)
      t.is(
        part.packet.options.length + part.packet.extensions.length > 0,
        !isOther,
      );
  }
});

test.serial("director notes a FIN in fragments", (t) => {
  const flow = rack.open(kindOf(4), PROTOCOL.tcp);
  const { from, to } = flow.outbound.before;
  const segment = packet(
    { from, to },
    PROTOCOL.tcp,
    {},
    { flags: TCP_FLAG.rst | TCP_FLAG.ack, data: data(800) },
  );
  const first = buildIp(
    {
      saddr: from.address,
      daddr: to.address,
      protocol: PROTOCOL.tcp,
      id: nextId(),
      more: true,
    },
    payloadOf(ipOf(buildFrame(segment))).subarray(0, 400),
  );
  t.like(rack.send(buildFrame(first)), {
    end: "forwarded",
    events: ["session_reset"],
  });
});
