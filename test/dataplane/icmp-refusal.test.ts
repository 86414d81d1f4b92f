// SPDX-License-Identifier: Apache-2.0
// The ICMP that a director drops.
import test from "ava";
import { address, type Version } from "../model/translate/address.ts";
import { buildFrame, buildIp } from "../model/translate/build.ts";
import { ICMP, ICMPV6, PROTOCOL } from "../model/translate/protocols.ts";
import { type Counter } from "../model/translate/reason.ts";
import { Director } from "./director.ts";
import { errorAbout, exchanged, UNREACHABLE, versionOf } from "./errors.ts";
import {
  data,
  icmpPacket,
  ipOf,
  kindOf,
  KINDS,
  packet,
  Rack,
  ROUTERS,
  VERSIONS,
  VIPS,
} from "./families.ts";

const LIPS = { 4: "10.200.0.17", 6: "2001:db8:200::11" } as const;

let rack: Rack;
test.serial.before(() => {
  rack = new Rack();
});
test.serial.after.always(() => rack.close());

type Spoilt = {
  readonly what: string;
  readonly end: Counter;
  readonly error: (about: Buffer, version: Version) => Buffer;
};

function withByte(bytes: Buffer, at: number, value: number): Buffer {
  const spoilt = Buffer.from(bytes);
  spoilt.writeUInt8(value, at);
  return spoilt;
}

const SPOILT: readonly Spoilt[] = [
  {
    what: "of a wrong checksum",
    end: "drop_malformed",
    error: (about, version) => {
      const error = errorAbout(about, UNREACHABLE[version]);
      return withByte(error, error.length - 1, 0x55);
    },
  },
  {
    what: "about less than ports and 4 bytes",
    end: "drop_icmp_inner",
    error: (about, version) =>
      errorAbout(about, UNREACHABLE[version], {
        quoted: (version === 4 ? 20 : 40) + 7,
      }),
  },
  {
    what: "about no IP packet",
    end: "drop_icmp_inner",
    error: (about, version) =>
      icmpPacket(ROUTERS[version], ipOf(buildFrame(about)).saddr, {
        ...UNREACHABLE[version],
        body: withByte(about, 0, 0x55),
      }),
  },
  {
    what: "about another protocol",
    end: "drop_icmp_inner",
    error: (about, version) =>
      icmpPacket(ROUTERS[version], ipOf(buildFrame(about)).saddr, {
        ...UNREACHABLE[version],
        body: withByte(about, version === 4 ? 9 : 6, 132),
      }),
  },
  {
    what: "about another one's packet",
    end: "drop_icmp_inner",
    error: (about, version) =>
      icmpPacket(ROUTERS[version], address(LIPS[version]), {
        ...UNREACHABLE[version],
        body: withByte(about, version === 4 ? 15 : 23, 0x1f),
      }),
  },
  {
    what: "about no session",
    end: "drop_icmp_no_session",
    error: (about, version) =>
      icmpPacket(ROUTERS[version], ipOf(buildFrame(about)).saddr, {
        ...UNREACHABLE[version],
        body: withByte(about, version === 4 ? 22 : 42, 0xff),
      }),
  },
  {
    what: "with a spent TTL",
    end: "drop_ttl",
    error: (about, version) =>
      icmpPacket(
        ROUTERS[version],
        ipOf(buildFrame(about)).saddr,
        { ...UNREACHABLE[version], body: about },
        { ttl: 1 },
      ),
  },
  {
    what: "of no body",
    end: "drop_icmp_inner",
    error: (about, version) =>
      icmpPacket(
        ROUTERS[version],
        ipOf(buildFrame(about)).saddr,
        UNREACHABLE[version],
      ),
  },
];
for (const { what, end, error } of SPOILT)
  test.serial(`director drops an error ${what}`, (t) => {
    for (const kind of KINDS) {
      const flow = rack.open(kind, PROTOCOL.udp);
      const { forwarded } = exchanged(rack, flow, "outbound");
      const sent = rack.send(
        buildFrame(error(forwarded, versionOf(forwarded))),
      );
      t.is(sent.end, end, kind.title);
      t.like(sent, { verdict: "drop", events: [] });
    }
  });

test.serial("director drops an error about a later fragment", (t) => {
  for (const kind of KINDS) {
    const { inbound } = rack.open(kind, PROTOCOL.udp);
    const { from, to } = inbound.after;
    const about = buildIp(
      {
        saddr: from.address,
        daddr: to.address,
        protocol: PROTOCOL.udp,
        offset: 800,
        id: 1,
      },
      data(100),
    );
    const error = errorAbout(about, UNREACHABLE[versionOf(about)]);
    t.is(rack.send(buildFrame(error)).end, "drop_icmp_inner");
  }
});

test.serial(
  "director drops ICMP that is neither echo request nor error",
  (t) => {
    for (const [version, types] of [
      [4, [ICMP.echoReply, ICMP.quench, ICMP.redirect, 9, 13, 17]],
      [6, [ICMPV6.echoReply, 0, 5, 100, 133, 135]],
    ] as const)
      for (const type of types) {
        const message = icmpPacket(ROUTERS[version], VIPS[version], {
          type,
          body: data(40),
        });
        t.is(rack.send(buildFrame(message)).end, "drop_icmp_type", `${type}`);
      }
  },
);

test.serial("director drops ICMP that is too short", (t) => {
  for (const version of VERSIONS) {
    const message = buildIp(
      {
        saddr: ROUTERS[version],
        daddr: VIPS[version],
        protocol: version === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6,
      },
      Buffer.of(UNREACHABLE[version].type, 0, 0, 0),
    );
    t.is(rack.send(buildFrame(message)).end, "drop_malformed");
  }
});

test.serial("director drops an error that is too big for its way", (t) => {
  for (const [kind, direction] of [
    [kindOf(4, 6), "inbound"],
    [kindOf(6, 4), "outbound"],
  ] as const) {
    const flow = rack.open(kind, PROTOCOL.udp);
    const { forwarded } = exchanged(rack, flow, direction, 1430);
    const error = errorAbout(forwarded, UNREACHABLE[4]);
    t.like(rack.send(buildFrame(error)), {
      end: "drop_too_big",
      verdict: "drop",
      events: [],
    });
  }
});

test.serial("director tells the agent of an error about no session", (t) => {
  rack.close();
  t.teardown(() => {
    rack = new Rack();
  });
  const director = new Director(t);
  director.tellMisses();
  const lip = address(LIPS[4]);
  const body = packet(
    {
      from: { address: lip, port: 5000 },
      to: { address: address("10.3.1.2"), port: 8080 },
    },
    PROTOCOL.tcp,
  );
  const error = icmpPacket(ROUTERS[4], lip, { ...UNREACHABLE[4], body });
  t.deepEqual(director.sendFrame(t, buildFrame(error)).counted, {
    drop_icmp_no_session: 1,
    miss_told: 1,
  });
});
