// SPDX-License-Identifier: Apache-2.0
// What a director makes of ICMP errors: they are to reach whoever has sent the packet that they quote.
import test from "ava";
import { type Version } from "../model/translate/address.ts";
import { buildFrame, buildIp } from "../model/translate/build.ts";
import { payloadOf, readIp } from "../model/translate/ip.ts";
import { ICMP, ICMPV6, PROTOCOL } from "../model/translate/protocols.ts";
import { errorAbout, exchanged, UNREACHABLE, versionOf } from "./errors.ts";
import {
  assertChecksums,
  data,
  DIRECTIONS,
  icmpOf,
  icmpPacket,
  ipOf,
  kindOf,
  KINDS,
  legOf,
  packet,
  PROTOCOLS,
  Rack,
  reversed,
  ROUTERS,
  VERSIONS,
} from "./families.ts";

let rack: Rack;
test.serial.before(() => {
  rack = new Rack();
});
test.serial.after.always(() => rack.close());

for (const kind of KINDS)
  for (const direction of DIRECTIONS)
    for (const protocol of PROTOCOLS)
      test.serial(
        `director translates an error about a packet of ${kind.title} (${direction}, protocol ${protocol})`,
        (t) => {
          const flow = rack.open(kind, protocol);
          const { before, after } = flow[direction];
          const { sent, forwarded } = exchanged(rack, flow, direction);
          const version = versionOf(forwarded);
          for (const router of [ROUTERS[version], before.from.address]) {
            const error = errorAbout(forwarded, UNREACHABLE[version], {
              router,
            });
            const told = rack.send(buildFrame(error));
            t.is(told.end, "forwarded");
            t.deepEqual(told.events, ["icmp_translated"]);
            assertChecksums(t, told.packet);
            t.is(told.packet.saddr, after.from.address);
            t.is(told.packet.daddr, after.to.address);
            t.is(told.packet.ttl, 63);
            const outer = versionOf(told.packet.bytes);
            const { type, code, word, body } = icmpOf(told.packet);
            t.deepEqual(
              { type, code, word },
              { ...onTheWay(version, outer), word: 0 },
            );
            const quoted = readIp(body, outer, true).ip;
            if (quoted === undefined) return t.fail("nothing is quoted");
            assertChecksums(t, quoted);
            const original = ipOf(buildFrame(sent));
            t.deepEqual(legOf(quoted), legOf(original));
            t.deepEqual(payloadOf(quoted), payloadOf(original));
            t.is(quoted.ttl, original.ttl - 1);
            t.is(quoted.trafficClass, original.trafficClass);
            t.is(quoted.totalLength, original.totalLength);
          }
        },
      );

/** What the two of UNREACHABLE become: of those that go to another family the codes differ. */
function onTheWay(from: Version, to: Version) {
  if (from === to) return UNREACHABLE[from];
  return to === 4
    ? { type: ICMP.unreachable, code: 1 }
    : { type: ICMPV6.unreachable, code: 0 };
}

for (const kind of KINDS)
  test.serial(
    `director translates an error that quotes no more than it must (${kind.title})`,
    (t) => {
      for (const direction of DIRECTIONS)
        for (const protocol of PROTOCOLS) {
          const flow = rack.open(kind, protocol);
          const { sent, forwarded } = exchanged(rack, flow, direction);
          const version = versionOf(forwarded);
          const header = version === 4 ? 20 : 40;
          for (const rest of [8, 18, 20]) {
            const quoted = header + rest;
            const error = errorAbout(forwarded, UNREACHABLE[version], {
              quoted,
            });
            const told = rack.send(
              buildFrame(error, { trailer: Buffer.alloc(3) }),
            );
            t.is(told.end, "forwarded");
            assertChecksums(t, told.packet);
            const { body } = icmpOf(told.packet);
            const original = ipOf(buildFrame(sent));
            t.deepEqual(
              body.subarray(original.headerLength),
              payloadOf(original).subarray(0, rest),
            );
          }
        }
    },
  );

test.serial(
  "director counts an error's traffic, and touches no session",
  (t) => {
    const flow = rack.open(kindOf(4), PROTOCOL.tcp);
    const { forwarded } = exchanged(rack, flow, "outbound");
    for (const type of [ICMP.unreachable, ICMP.timeExceeded]) {
      const told = rack.send(buildFrame(errorAbout(forwarded, { type })));
      t.like(told, { end: "forwarded", events: ["icmp_translated"] });
    }
  },
);

test.serial(
  "director takes the quote of a fragment for the fragment that it is",
  (t) => {
    const flow = rack.open(kindOf(4, 6), PROTOCOL.udp);
    const { before, after } = flow.inbound;
    const datagram = payloadOf(
      ipOf(buildFrame(packet(before, PROTOCOL.udp, {}, { data: data(1400) }))),
    );
    const first = buildIp(
      {
        saddr: before.from.address,
        daddr: before.to.address,
        protocol: PROTOCOL.udp,
        id: 0x1234,
        more: true,
      },
      datagram.subarray(0, 800),
    );
    const { packet: forwarded } = rack.send(buildFrame(first));
    const told = rack.send(
      buildFrame(
        errorAbout(forwarded.bytes, { type: ICMPV6.tooBig, word: 1400 }),
      ),
    );
    t.like(told, { end: "forwarded", events: ["icmp_translated"] });
    t.is(told.packet.saddr, flow.outbound.after.from.address);
    const { word, body } = icmpOf(told.packet);
    t.is(word, 1400 - 28, "the fragment header is not taken into account");
    const quoted = readIp(body, 4, true).ip;
    t.like(quoted, { fragment: { id: 0x1234, offset: 0, more: true } });
    t.deepEqual(quoted && payloadOf(quoted), datagram.subarray(0, 800));
    t.is(forwarded.daddr, after.to.address);
  },
);

/** What RFC 4884 puts behind a quote. */
const EXTENSION = Buffer.from("2000dead0008010100000001", "hex");
for (const kind of KINDS)
  test.serial(
    `director keeps extensions in one family alone (${kind.title})`,
    (t) => {
      const flow = rack.open(kind, PROTOCOL.udp);
      const { forwarded } = exchanged(rack, flow, "outbound", 200);
      const version = versionOf(forwarded);
      const word = version === 4 ? (128 / 4) << 16 : (128 / 8) << 24;
      const error = icmpPacket(
        ROUTERS[version],
        ipOf(buildFrame(forwarded)).saddr,
        {
          ...UNREACHABLE[version],
          word,
          body: Buffer.concat([forwarded.subarray(0, 128), EXTENSION]),
        },
      );
      const told = rack.send(buildFrame(error));
      t.is(told.end, "forwarded");
      assertChecksums(t, told.packet);
      const { body, word: length } = icmpOf(told.packet);
      if (kind.from === kind.to) {
        t.is(length, word);
        t.deepEqual(body.subarray(128), EXTENSION);
      } else {
        t.is(length, 0, "it says that there are extensions");
        t.true(
          told.frame.subarray(-body.length).equals(body),
          "they are there",
        );
        t.is(body.length, 128 + (kind.from === 6 ? 20 : -20));
      }
    },
  );

test.serial("director translates errors behind extension headers", (t) => {
  const extensions = [
    {
      type: PROTOCOL.hopByHop,
      bytes: Buffer.from("0000010400000000", "hex"),
    },
    {
      type: PROTOCOL.destination,
      bytes: Buffer.from("00010104000000000104000000000000", "hex"),
    },
  ];
  for (const to of VERSIONS) {
    const flow = rack.open(kindOf(6, to), PROTOCOL.tcp);
    const { before } = flow.inbound;
    const about = packet(reversed(before), PROTOCOL.tcp, { extensions });
    const error = icmpPacket(
      ROUTERS[6],
      before.to.address,
      { ...UNREACHABLE[6], body: about },
      { extensions },
    );
    const told = rack.send(buildFrame(error));
    t.like(told, { end: "forwarded", events: ["icmp_translated"] });
    assertChecksums(t, told.packet);
    const quoted = readIp(icmpOf(told.packet).body, told.packet.version).ip;
    if (quoted === undefined) return t.fail("nothing is quoted");
    assertChecksums(t, quoted);
    t.deepEqual(legOf(quoted), reversed(flow.inbound.after));
  }
});
