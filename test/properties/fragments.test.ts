// SPDX-License-Identifier: Apache-2.0
// The fragments of a datagram go the way of its first one, in whatever order they come after it.
import test from "ava";
import fc from "fast-check";
import type { Counter } from "../model/translate/reason.ts";
import { buildFrame, buildIp } from "../model/translate/build.ts";
import { type Ip, payloadOf } from "../model/translate/ip.ts";
import { isEnd, type Outcome } from "../model/translate/outcome.ts";
import {
  aWay,
  KINDS,
  opening,
  reversed,
  type Segment,
  segment,
  transportOf,
} from "./arbitrary.ts";
import { wrongness } from "./mirror.ts";
import type { Way } from "./packets.ts";
import { RACK, SERVICES } from "./rack.ts";
import { check, packetOf, Stage } from "./stage.ts";

const RUNS = 100;
const UNIT = 8;
/** The first part has all of the transport's header; the datagram is longer than this. */
const CUT_MIN = 5;
const CUT_MAX = 70;

/** Where a datagram is cut, in units. */
const someCuts = fc
  .uniqueArray(fc.integer({ min: CUT_MIN, max: CUT_MAX }), {
    minLength: 1,
    maxLength: 6,
  })
  .map((units) => units.toSorted((a, b) => a - b));

/** To sort the fragments by. */
const someRanks = fc.array(fc.nat(1_000), { minLength: 7, maxLength: 7 });

for (const { title, services } of KINDS) {
  test.serial(`director translates all fragments of ${title}`, (t) => {
    const stage = new Stage(t, RACK);
    let id = 0;
    const property = fc.property(
      ...[aWay(services), segment, someCuts, someRanks, fc.boolean()],
      (way, fields, cuts, ranks, isInbound) => {
        const inside = open(stage, way);
        const there = isInbound ? way : reversed(inside);
        const [first, ...rest] = fragments(there, fields, cuts, id++);
        const outcomes = stage.send(first, ...sorted(rest, ranks));
        t.deepEqual(new Set(outcomes.map(endOf)), new Set(["forwarded"]));
        const made = reassembled(outcomes);
        t.deepEqual(wrongness(made), [0, 0], "the datagram is not right");
      },
    );
    check(property, RUNS);
  });
}

test.serial("director drops the fragments before the first one", (t) => {
  const stage = new Stage(t, RACK);
  let id = 0;
  const property = fc.property(
    ...[aWay(withRealServers()), segment, someCuts, someRanks],
    (way, fields, cuts, ranks) => {
      open(stage, way);
      const parts = fragments(way, fields, cuts, id++);
      const order = sorted(parts, ranks);
      const ends = stage.send(...order).map(endOf);
      const first = order.indexOf(parts[0]);
      const expected = order.map((_, i) =>
        i < first ? "drop_fragment_stranger" : "forwarded",
      );
      t.deepEqual(ends, expected);
    },
  );
  check(property, RUNS);
});

test.serial("director drops fragments that overlap others", (t) => {
  const stage = new Stage(t, RACK);
  let id = 0;
  const property = fc.property(
    ...[aWay(withRealServers()), segment, someCuts, fc.nat(100)],
    (way, fields, cuts, number) => {
      open(stage, way);
      const parts = fragments(way, fields, cuts, id++);
      // A last one that is there twice completes nothing any more.
      const twice = parts[number % (parts.length - 1)] ?? parts[0];
      const ends = stage
        .send(...parts.slice(0, -1), twice, ...parts.slice(-1))
        .map(endOf);
      t.is(ends[parts.length - 1], "drop_fragment_overlap");
    },
  );
  check(property, RUNS);
});

function withRealServers() {
  return SERVICES.filter(({ reals }) => reals.length > 0);
}

/** Opens a session, and returns the way of its packets behind the director. */
function open(stage: Stage, way: Way): Way {
  stage.send(opening(way));
  const choice = stage.world.sessions.inbound(way)?.choice;
  if (choice === undefined) throw new Error("there is no session");
  return { protocol: way.protocol, from: choice.local, to: choice.real };
}

function fragments(
  way: Way,
  fields: Segment,
  cuts: readonly number[],
  id: number,
): readonly [Buffer, ...Buffer[]] {
  const { data = Buffer.alloc(0) } = fields;
  const padded = Buffer.concat([data, Buffer.alloc(UNIT * CUT_MAX)]);
  const datagram = transportOf(way, { ...fields, data: padded });
  const build = (from: number, to: number): Buffer => {
    const { protocol } = way;
    const ip = { protocol, id, offset: from, more: to < datagram.length };
    const ends = { saddr: way.from.address, daddr: way.to.address };
    const part = datagram.subarray(from, to);
    return buildFrame(buildIp({ ...ip, ...ends }, part));
  };
  const [first = 0, ...others] = cuts.map((cut) => UNIT * cut);
  const ends = [...others, datagram.length];
  return [
    build(0, first),
    ...[first, ...others].map((from, i) => build(from, ends[i] ?? from)),
  ];
}

function sorted(
  frames: readonly Buffer[],
  ranks: readonly number[],
): readonly Buffer[] {
  return frames
    .map((frame, i) => ({ frame, rank: ranks[i] ?? 0 }))
    .toSorted((a, b) => a.rank - b.rank)
    .map(({ frame }) => frame);
}

function endOf({ counted }: Outcome): Counter | undefined {
  return [...counted.keys()].find(isEnd);
}

/** The packet that the receiver makes of the fragments. */
function reassembled(outcomes: readonly Outcome[]): Ip {
  const parts = outcomes
    .map(({ frame }) => packetOf(frame))
    .toSorted((a, b) => offsetOf(a) - offsetOf(b));
  const [first] = parts;
  if (first === undefined) throw new Error("there is no fragment");
  const header = first.bytes.subarray(0, first.headerLength);
  const bytes = Buffer.concat([header, ...parts.map(payloadOf)]);
  return { ...first, bytes, fragment: undefined };
}

function offsetOf({ fragment }: Ip): number {
  return fragment?.offset ?? 0;
}
