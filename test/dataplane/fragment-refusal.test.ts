// SPDX-License-Identifier: Apache-2.0
// The fragments that a director drops, and how long it remembers a datagram.
import test from "ava";
import {
  buildFrame,
  buildIp,
  type IpFields,
} from "../model/translate/build.ts";
import { payloadOf } from "../model/translate/ip.ts";
import { PROTOCOL } from "../model/translate/protocols.ts";
import { type Counter } from "../model/translate/reason.ts";
import { type TransportProtocol } from "../model/translate/transport.ts";
import { aDatagram, nextId, type Piece } from "./datagram.ts";
import {
  CLIENTS,
  data,
  ipOf,
  kindOf,
  KINDS,
  packet,
  Rack,
  VERSIONS,
} from "./families.ts";

/** How long a datagram is remembered. */
const LIFE_MS = 5000;

let rack: Rack;
test.serial.before(() => {
  rack = new Rack();
});
test.serial.after.always(() => rack.close());

type Step = readonly [
  piece: Piece | "end",
  end: Counter,
  fields?: Partial<IpFields>,
];
const STEPS: readonly {
  readonly what: string;
  readonly steps: readonly Step[];
}[] = [
  {
    what: "one that comes before the first",
    steps: [
      [[100, 150], "drop_fragment_stranger"],
      ["end", "drop_fragment_stranger"],
      [[0, 100], "forwarded"],
      [[100, 150], "forwarded"],
    ],
  },
  {
    what: "the first one twice, and all that follow",
    steps: [
      [[0, 100], "forwarded"],
      [[0, 100], "drop_fragment_overlap"],
      [[100, 150], "drop_fragment_overlap"],
    ],
  },
  {
    what: "one that overlaps the first",
    steps: [
      [[0, 100], "forwarded"],
      [[99, 150], "drop_fragment_overlap"],
      ["end", "drop_fragment_overlap"],
    ],
  },
  {
    what: "one within another, and all that follow",
    steps: [
      [[0, 50], "forwarded"],
      [[60, 100], "forwarded"],
      [[70, 80], "drop_fragment_overlap"],
      [[50, 60], "drop_fragment_overlap"],
    ],
  },
  {
    what: "one that covers others",
    steps: [
      [[0, 50], "forwarded"],
      [[60, 100], "forwarded"],
      [[55, 120], "drop_fragment_overlap"],
    ],
  },
  {
    what: "none of those that close gaps",
    steps: [
      [[0, 10], "forwarded"],
      [[20, 30], "forwarded"],
      [[40, 50], "forwarded"],
      [[10, 20], "forwarded"],
      [[30, 40], "forwarded"],
      [[50, 60], "forwarded"],
      [[25, 26], "drop_fragment_overlap"],
    ],
  },
  {
    what: "more than seven gaps",
    steps: [
      ...Array.from({ length: 8 }, (_, i): Step => [
        [4 * i, 4 * i + 3],
        "forwarded",
      ]),
      [[32, 34], "drop_fragment_overlap"],
    ],
  },
  {
    what: "one whose TTL is spent, and only that",
    steps: [
      [[0, 100], "forwarded"],
      [[100, 110], "drop_ttl", { ttl: 1 }],
      [[110, 120], "forwarded"],
    ],
  },
];
for (const kind of KINDS)
  for (const { what, steps } of STEPS)
    test.serial(`director drops ${what} (${kind.title})`, (t) => {
      const datagram = aDatagram(rack, kind);
      for (const [piece, end, fields] of steps) {
        const range: Piece =
          piece === "end" ? [datagram.units - 1, datagram.units] : piece;
        const sent = datagram.send(range, fields);
        t.is(sent.end, end, String(range));
        t.is(sent.verdict, end === "forwarded" ? "redirect" : "drop");
      }
    });

test.serial("director forgets a datagram that is complete", (t) => {
  for (const kind of KINDS) {
    const datagram = aDatagram(rack, kind);
    for (let i = 0; i < 3; i++) {
      t.is(datagram.send([0, 100]).end, "forwarded");
      t.is(datagram.send([150, datagram.units]).end, "forwarded");
      t.is(datagram.send([100, 150]).end, "forwarded");
    }
    t.is(datagram.send([100, 150]).end, "drop_fragment_stranger");
  }
});

test.serial("director forgets a datagram after some seconds", (t) => {
  const datagram = aDatagram(rack);
  const began = performance.now();
  t.is(datagram.send([0, 100]).end, "forwarded");
  t.is(datagram.send([0, 100]).end, "drop_fragment_overlap");
  let end: Counter = "drop_fragment_overlap";
  while (
    end === "drop_fragment_overlap" &&
    performance.now() < began + 4 * LIFE_MS
  )
    end = datagram.send([100, 150]).end;
  t.is(end, "drop_fragment_stranger");
  t.true(performance.now() - began > 0.9 * LIFE_MS, "it did so too soon");
  t.is(datagram.send([0, 100]).end, "forwarded");
});

for (const version of VERSIONS) {
  const kind = kindOf(version);
  test.serial(`director tells datagrams apart (IPv${version})`, (t) => {
    const [one, other] = [aDatagram(rack, kind), aDatagram(rack, kind)];
    t.is(one.send([0, 100]).end, "forwarded");
    t.is(other.send([100, 110]).end, "drop_fragment_stranger");
    const id = one.id + 100_000;
    t.is(one.send([100, 110], { id }).end, "drop_fragment_stranger");
    t.is(one.send([100, 110]).end, "forwarded");
  });
}

const TINY: readonly {
  readonly what: string;
  readonly protocol: TransportProtocol;
  readonly piece: Piece;
  readonly end: Counter;
}[] = [
  {
    what: "a TCP header of 16 bytes",
    protocol: PROTOCOL.tcp,
    piece: [0, 2],
    end: "drop_fragment_tiny",
  },
  {
    what: "a TCP header of 24 bytes",
    protocol: PROTOCOL.tcp,
    piece: [0, 3],
    end: "forwarded",
  },
  {
    what: "a UDP header",
    protocol: PROTOCOL.udp,
    piece: [0, 1],
    end: "forwarded",
  },
  {
    what: "TCP's flags",
    protocol: PROTOCOL.tcp,
    piece: [1, 20],
    end: "drop_fragment_overlap",
  },
];
for (const { what, protocol, piece, end } of TINY)
  test.serial(`director counts a fragment with ${what} as ${end}`, (t) => {
    for (const kind of KINDS)
      t.is(aDatagram(rack, kind, protocol).send(piece).end, end, kind.title);
  });

test.serial("director drops a first fragment without all TCP options", (t) => {
  for (const kind of KINDS) {
    const { from, to } = rack.open(kind, PROTOCOL.tcp).inbound.before;
    const options = Buffer.from("0101080a0102030400000000", "hex");
    const segment = packet(
      { from, to },
      PROTOCOL.tcp,
      {},
      { options, data: data(800) },
    );
    const bytes = payloadOf(ipOf(buildFrame(segment)));
    const first = buildIp(
      {
        saddr: from.address,
        daddr: to.address,
        protocol: PROTOCOL.tcp,
        id: nextId(),
        more: true,
      },
      bytes.subarray(0, 24),
    );
    t.is(rack.send(buildFrame(first)).end, "drop_fragment_tiny");
  }
});

test.serial("director drops fragments of odd lengths", (t) => {
  for (const kind of KINDS) {
    const { from, to } = rack.open(kind, PROTOCOL.udp).inbound.before;
    const id = nextId();
    const part = (offset: number, length: number, more: boolean) =>
      rack.send(
        buildFrame(
          buildIp(
            {
              saddr: from.address,
              daddr: to.address,
              protocol: PROTOCOL.udp,
              id,
              offset,
              more,
            },
            data(length),
          ),
        ),
      ).end;
    t.is(part(0, 801, true), "drop_fragment_tiny");
    t.is(part(800, 0, false), "drop_fragment_tiny");
    t.is(part(8 * 8191, 800, false), "drop_malformed");
  }
});

test.serial("director drops fragments of what no service has", (t) => {
  for (const version of VERSIONS) {
    const vip = rack.open(kindOf(version), PROTOCOL.udp).inbound.before.to
      .address;
    for (const protocol of [PROTOCOL.icmp, PROTOCOL.icmpv6, 132])
      for (const [offset, end] of [
        [0, "drop_protocol"],
        [800, "drop_fragment_stranger"],
      ] as const) {
        const part = buildIp(
          {
            saddr: CLIENTS[version],
            daddr: vip,
            protocol,
            id: nextId(),
            offset,
            more: true,
          },
          data(800),
        );
        t.is(rack.send(buildFrame(part)).end, end);
      }
  }
});
