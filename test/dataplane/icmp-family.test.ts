// SPDX-License-Identifier: Apache-2.0
// What errors of one family become in the other (RFC 7915).
import test from "ava";
import { buildFrame } from "../model/translate/build.ts";
import { ICMP, PROTOCOL } from "../model/translate/protocols.ts";
import { errorAbout, exchanged, versionOf } from "./errors.ts";
import {
  assertChecksums,
  DIRECTIONS,
  icmpOf,
  kindOf,
  KINDS,
  Rack,
  VERSIONS,
} from "./families.ts";

const MTU = 1500;

let rack: Rack;
test.serial.before(() => {
  rack = new Rack();
});
test.serial.after.always(() => rack.close());

type Row = readonly [
  from: readonly [type: number, code: number, word?: number],
  /** Undefined: nothing corresponds to it. */
  to: readonly [type: number, code: number, word?: number] | undefined,
];

/** RFC 7915 section 4.2. */
const TO_6: readonly Row[] = [
  ...[0, 1, 5, 6, 7, 8, 11, 12].map((code): Row => [
    [3, code],
    [1, 0],
  ]),
  ...[9, 10, 13, 15].map((code): Row => [
    [3, code],
    [1, 1],
  ]),
  [
    [3, 2],
    [4, 1, 6],
  ],
  [
    [3, 3],
    [1, 4],
  ],
  [
    [3, 4, 1400],
    [2, 0, 1420],
  ],
  [
    [3, 4, 1260],
    [2, 0, 1280],
  ],
  [
    [3, 4, 576],
    [2, 0, 1280],
  ],
  [
    [3, 4, 9000],
    [2, 0, MTU],
  ],
  [[3, 14], undefined],
  [[3, 16], undefined],
  [
    [11, 0],
    [3, 0],
  ],
  [
    [11, 1],
    [3, 1],
  ],
  ...[
    [0, 0],
    [1, 1],
    [2, 4],
    [3, 4],
    [8, 7],
    [9, 6],
    [12, 8],
    [15, 8],
    [16, 24],
    [19, 24],
  ].map(([from = 0, to = 0]): Row => [
    [12, 0, from * 2 ** 24],
    [4, 0, to],
  ]),
  ...[4, 5, 6, 7, 10, 11, 20].map((from): Row => [
    [12, 0, from * 2 ** 24],
    undefined,
  ]),
  [
    [12, 2, 2 * 2 ** 24],
    [4, 0, 4],
  ],
  [[12, 1, 0], undefined],
];

/** RFC 7915 section 5.2. */
const TO_4: readonly Row[] = [
  ...[0, 2, 3].map((code): Row => [
    [1, code],
    [3, 1],
  ]),
  [
    [1, 1],
    [3, 10],
  ],
  [
    [1, 4],
    [3, 3],
  ],
  ...[5, 6, 7].map((code): Row => [[1, code], undefined]),
  [
    [2, 0, 1400],
    [3, 4, 1380],
  ],
  [
    [2, 0, 1280],
    [3, 4, 1260],
  ],
  [
    [2, 0, 1000],
    [3, 4, 1260],
  ],
  [
    [2, 0, 100_000],
    [3, 4, MTU - 20],
  ],
  [
    [3, 0],
    [11, 0],
  ],
  [
    [3, 1],
    [11, 1],
  ],
  ...[
    [0, 0],
    [1, 1],
    [4, 2],
    [5, 2],
    [6, 9],
    [7, 8],
    [8, 12],
    [23, 12],
    [24, 16],
    [39, 16],
  ].map(([from = 0, to = 0]): Row => [
    [4, 0, from],
    [12, 0, to * 2 ** 24],
  ]),
  ...[2, 3, 40].map((from): Row => [[4, 0, from], undefined]),
  [
    [4, 1, 6],
    [3, 2],
  ],
  [[4, 2, 42], undefined],
];

const ROWS = { 4: TO_6, 6: TO_4 } as const;

for (const kind of KINDS.filter(({ from, to }) => from !== to))
  for (const direction of DIRECTIONS)
    test.serial(
      `director makes errors those of the other family (${kind.title}, ${direction})`,
      (t) => {
        const flow = rack.open(kind, PROTOCOL.udp);
        const { forwarded } = exchanged(rack, flow, direction, 1000);
        for (const [[type, code, word = 0], to] of ROWS[versionOf(forwarded)]) {
          const error = errorAbout(forwarded, { type, code, word });
          const told = rack.send(buildFrame(error));
          const what = `${type}/${code} ${word}`;
          if (to === undefined) {
            t.is(told.end, "drop_untranslatable", what);
            continue;
          }
          t.is(told.end, "forwarded", what);
          assertChecksums(t, told.packet);
          const message = icmpOf(told.packet);
          const [newType, newCode, newWord = 0] = to;
          t.deepEqual(
            [message.type, message.code, message.word],
            [newType, newCode, newWord],
            what,
          );
        }
      },
    );

for (const version of VERSIONS)
  test.serial(
    `director leaves errors of IPv${version} alone as they are`,
    (t) => {
      for (const direction of DIRECTIONS) {
        const flow = rack.open(kindOf(version), PROTOCOL.udp);
        const { forwarded } = exchanged(rack, flow, direction, 1000);
        for (const [[type, code, word = 0]] of ROWS[version]) {
          const error = errorAbout(forwarded, { type, code, word });
          const told = rack.send(buildFrame(error));
          t.is(told.end, "forwarded");
          assertChecksums(t, told.packet);
          t.like(icmpOf(told.packet), { type, code, word });
        }
      }
    },
  );

test.serial(
  "director guesses the MTU of an old router by the plateaus",
  (t) => {
    const flow = rack.open(kindOf(6, 4), PROTOCOL.udp);
    const { forwarded } = exchanged(rack, flow, "outbound", 100);
    for (const [length, mtu] of [
      [1480, 1280],
      [1493, 1500],
      [1300, 1280],
    ] as const) {
      const about = Buffer.from(forwarded);
      about.writeUInt16BE(length, 2);
      const told = rack.send(
        buildFrame(errorAbout(about, { type: ICMP.unreachable, code: 4 })),
      );
      t.is(icmpOf(told.packet).word, mtu, `a packet of ${length} bytes`);
    }
  },
);
