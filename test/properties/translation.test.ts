// SPDX-License-Identifier: Apache-2.0
// What a director translates and translates back is as it was, but for what each router changes.
import test from "ava";
import fc from "fast-check";
import { versionOf } from "../model/translate/address.ts";
import { buildFrame, buildIcmp, buildIp } from "../model/translate/build.ts";
import { icmpProtocol, readIcmp } from "../model/translate/icmp.ts";
import { type Ip, readIp } from "../model/translate/ip.ts";
import { ICMP, ICMPV6 } from "../model/translate/protocols.ts";
import {
  aWay,
  frameOf,
  KINDS,
  look,
  opening,
  reversed,
  segment,
} from "./arbitrary.ts";
import { essence, mirrored, wrongness, younger } from "./mirror.ts";
import type { Way } from "./packets.ts";
import { RACK } from "./rack.ts";
import { check, packetOf, Stage } from "./stage.ts";

const RUNS = 200;
const RIGHT = [0, 0];

/** Of a quote: half of a checksum could not be kept right. */
const evenLength = fc.integer({ min: 30, max: 250 }).map((half) => 2 * half);

for (const { title, services, from, to } of KINDS) {
  test.serial(`director translates ${title} there and back`, (t) => {
    const stage = new Stage(t, RACK);
    const property = fc.property(
      ...[aWay(services), look, segment],
      (way, appearance, fields) => {
        open(stage, way);
        const frame = frameOf(way, fields, appearance);
        const there = stage.forward(frame);
        const back = stage.forward(buildFrame(mirrored(there)));
        const returned = unmirrored(back);
        t.deepEqual(wrongness(there), RIGHT, "a checksum is wrong there");
        t.deepEqual(wrongness(back), RIGHT, "a checksum is wrong back");
        const sent = packetOf(frame);
        if (from === to)
          t.deepEqual(younger(returned, 2), sent.bytes, "bytes have moved");
        else t.deepEqual(essence(returned), essence(sent));
        t.is(returned.ttl, sent.ttl - 2, "the TTL is not that of two routers");
      },
    );
    check(property, RUNS);
  });

  test.serial(`director keeps what is wrong in ${title} as wrong`, (t) => {
    const stage = new Stage(t, RACK);
    const property = fc.property(
      ...[aWay(services), look, segment, fc.integer({ min: 1, max: 0xfffe })],
      (way, appearance, fields, error) => {
        open(stage, way);
        const frame = spoilt(frameOf(way, fields, appearance), way, error);
        const [, wrong] = wrongness(packetOf(frame));
        t.not(wrong, 0, "the test has spoilt nothing");
        t.deepEqual(wrongness(stage.forward(frame)), [0, wrong]);
      },
    );
    check(property, RUNS);
  });

  test.serial(
    `director translates what errors quote of ${title} back to what was sent`,
    (t) => {
      const stage = new Stage(t, RACK);
      const property = fc.property(
        ...[aWay(services), look, segment],
        ...[fc.boolean(), evenLength],
        (way, appearance, fields, isInbound, length) => {
          const inside = open(stage, way);
          const sent = isInbound
            ? frameOf(way, fields, appearance)
            : frameOf(reversed(inside), fields, appearance);
          const translated = stage.forward(sent);
          const error = errorAbout(translated, length);
          t.deepEqual(wrongness(packetOf(error)), RIGHT);
          const told = stage.forward(error);
          t.deepEqual(wrongness(told), RIGHT, "an error's checksum is wrong");
          const original = packetOf(sent);
          t.is(told.daddr, original.saddr, "the sender is not told");
          const about = quoteOf(told);
          if (from === to)
            t.deepEqual(
              younger(about, 1),
              original.bytes.subarray(0, about.bytes.length),
              "the sender is told of another packet",
            );
          else {
            const [version, saddr, daddr, trafficClass, data] = essence(about);
            const expected = essence(original);
            t.deepEqual(
              [version, saddr, daddr, trafficClass],
              expected.slice(0, 4),
            );
            t.true(
              String(expected[4]).startsWith(String(data)),
              "the sender is told of other data",
            );
          }
        },
      );
      check(property, RUNS);
    },
  );
}

/** Opens a session, and returns the way of its packets behind the director. */
function open(stage: Stage, way: Way): Way {
  const { saddr, daddr, bytes, headerLength } = stage.forward(opening(way));
  return {
    protocol: way.protocol,
    from: { address: saddr, port: bytes.readUInt16BE(headerLength) },
    to: { address: daddr, port: bytes.readUInt16BE(headerLength + 2) },
  };
}

function unmirrored(ip: Ip): Ip {
  return packetOf(buildFrame(mirrored(ip)));
}

/** The frame with its transport's checksum off by `error`. */
function spoilt(frame: Buffer, { protocol }: Way, error: number): Buffer {
  const bytes = Buffer.from(frame);
  const { headerLength, bytes: packet } = packetOf(bytes);
  const at = headerLength + (protocol === 6 ? 16 : 6);
  // UDP's zero would say that there is none.
  const checksum = (packet.readUInt16BE(at) + error) % 0xffff || 0xffff;
  packet.writeUInt16BE(checksum, at);
  return bytes;
}

/** A router's, to the packet's sender: it could not deliver the packet, and quotes so many bytes of it. */
function errorAbout(about: Ip, length: number): Buffer {
  const router =
    about.version === 4 ? "cb007109" : "20010db8000f".padEnd(32, "1");
  const { type, code } =
    about.version === 4
      ? { type: ICMP.unreachable, code: 1 }
      : { type: ICMPV6.unreachable, code: 3 };
  const message = buildIcmp(router, about.saddr, {
    type,
    code,
    rest: Buffer.alloc(4),
    body: about.bytes.subarray(0, Math.max(length, about.headerLength + 8)),
  });
  const protocol = icmpProtocol(versionOf(router));
  const header = { saddr: router, daddr: about.saddr, protocol };
  return buildFrame(buildIp(header, message));
}

function quoteOf(error: Ip): Ip {
  const icmp = readIcmp(error);
  const quote = icmp && readIp(icmp.body, error.version, true).ip;
  if (quote === undefined) throw new Error("an error quotes nothing");
  return quote;
}
