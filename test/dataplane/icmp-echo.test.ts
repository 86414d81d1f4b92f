// SPDX-License-Identifier: Apache-2.0
// How a director answers echo requests to VIPs.
import test from "ava";
import { address, type Version } from "../model/translate/address.ts";
import { buildFrame, none } from "../model/translate/build.ts";
import { ICMP, ICMPV6 } from "../model/translate/protocols.ts";
import { type Counter } from "../model/translate/reason.ts";
import { wrongness } from "../properties/mirror.ts";
import {
  assertAnswer,
  CLIENTS,
  data,
  icmpOf,
  icmpPacket,
  Rack,
  VERSIONS,
  VIPS,
} from "./families.ts";

const ECHO = { 4: ICMP.echoRequest, 6: ICMPV6.echoRequest } as const;
const ECHO_REPLY = { 4: ICMP.echoReply, 6: ICMPV6.echoReply } as const;
const LIPS = { 4: "10.200.0.17", 6: "2001:db8:200::11" } as const;

let rack: Rack;
test.serial.before(() => {
  rack = new Rack();
});
test.serial.after.always(() => rack.close());

for (const version of VERSIONS)
  for (const length of [0, 1, 56, 1400])
    test.serial(
      `director answers an echo request of ${length} bytes over IPv${version}`,
      (t) => {
        const request = {
          type: ECHO[version],
          word: 0x12340001,
          body: data(length),
        };
        const frame = buildFrame(
          icmpPacket(CLIENTS[version], VIPS[version], request, {
            ttl: 1,
            trafficClass: 0xb8,
            options: version === 4 ? Buffer.from("01010100", "hex") : none,
          }),
          { vlans: [10] },
        );
        const sent = rack.send(frame);
        t.is(sent.end, "answered_echo");
        t.deepEqual(sent.events, []);
        assertAnswer(t, frame, sent);
        t.is(sent.packet.trafficClass, 0xb8);
        const { type, code, word, body } = icmpOf(sent.packet);
        t.deepEqual(
          { type, code, word, body },
          { ...request, type: ECHO_REPLY[version], code: 0 },
        );
      },
    );

test.serial("director keeps an echo request's wrong checksum wrong", (t) => {
  for (const version of VERSIONS) {
    const request = icmpPacket(CLIENTS[version], VIPS[version], {
      type: ECHO[version],
    });
    request.writeUInt8(1, request.length - 1);
    const { end, packet: answer } = rack.send(buildFrame(request));
    t.is(end, "answered_echo");
    t.deepEqual(wrongness(answer), [0, 1]);
  }
});

const UNANSWERED: readonly {
  readonly what: string;
  readonly end: Counter;
  readonly source?: Readonly<Record<Version, string>>;
  readonly target?: Readonly<Record<Version, string>>;
}[] = [
  { what: "to a LIP", end: "drop_icmp_type", target: LIPS },
  {
    what: "from another VIP",
    end: "drop_own_source",
    source: { 4: "192.0.2.12", 6: "2001:db8:5::12" },
  },
  {
    what: "from its own destination",
    end: "drop_land",
    source: { 4: "192.0.2.10", 6: "2001:db8:5::10" },
  },
  {
    what: "from a group",
    end: "drop_malformed",
    source: { 4: "224.0.0.1", 6: "ff02::1" },
  },
];
for (const { what, end, source, target } of UNANSWERED)
  test.serial(`director does not answer an echo request ${what}`, (t) => {
    for (const version of VERSIONS) {
      const from = source ? address(source[version]) : CLIENTS[version];
      const to = target ? address(target[version]) : VIPS[version];
      const request = icmpPacket(from, to, { type: ECHO[version] });
      const sent = rack.send(buildFrame(request));
      t.is(sent.end, end);
      t.is(sent.verdict, "drop");
    }
  });

test.serial("director answers only a part of a flood of echo requests", (t) => {
  const about = 500;
  const request = icmpPacket(CLIENTS[4], VIPS[4], { type: ECHO[4] });
  const flood = Array.from({ length: about }, () => buildFrame(request));
  const ends = rack.sendAll(flood).map(({ end }) => end);
  const answered = ends.filter((end) => end === "answered_echo").length;
  const limited = ends.filter((end) => end === "drop_icmp_rate").length;
  t.is(answered + limited, about);
  t.true(answered > 0, "no answer at all");
  t.true(limited > 0, "none was held back");
});
