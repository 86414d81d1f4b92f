// SPDX-License-Identifier: Apache-2.0
// Where a director sends what it has translated: to next hops of a group, or by the kernel's routes.
import test from "ava";
import { contains } from "../../src/model.ts";
import { egressOf } from "../../src/node/words.ts";
import { Director, OTHER_REAL, POOL, REAL } from "./director.ts";
import { assertTranslated, DATA, FROM_CLIENT, open, parsed } from "./flow.ts";
import { build } from "./packet.ts";

test.serial("director drops a packet larger than the next hop's MTU", (t) => {
  const director = new Director(t);
  director.dataplane.egressGroups.set(egressOf(0), {
    hops: [{ ...director.toReal, mtu: 300 }],
  });
  open(t, director);
  const { counted } = director.send(t, {
    ...FROM_CLIENT,
    flags: "A",
    payload: DATA,
  });
  t.deepEqual(counted, { drop_too_big: 1, icmp_sent: 1 });
});

test.serial(
  "director drops a packet whose next hop is on a foreign interface",
  (t) => {
    const director = new Director(t);
    director.dataplane.egressGroups.set(egressOf(0), {
      hops: [{ ...director.toReal, ifindex: 999 }],
    });
    t.is(open(t, director).sent.counted.drop_no_device, 1);
  },
);

test.serial(
  "director asks the kernel for the way when the lease has run out",
  (t) => {
    const director = new Director(t);
    open(t, director);
    director.dataplane.egressGroups.set(egressOf(0), {
      hops: [{ ...director.toReal, dmac: "02:00:00:00:00:99" }],
    });
    const segment = { ...FROM_CLIENT, flags: "A" };
    t.is(director.send(t, segment).packet.destination, "02:00:00:00:00:99");
    director.dataplane.endLease();
    const sent = director.sendFrame(t, build(segment));
    t.deepEqual(sent.counted, { forwarded: 1 });
    assertTranslated(t, segment, sent, {
      destination: director.toReal.dmac,
      source: director.toReal.smac,
      daddr: REAL.address,
    });
  },
);

test.serial(
  "director hands a translated packet to the kernel when its next hop is not resolved",
  (t) => {
    const director = new Director(t);
    director.schedule([1]);
    director.dataplane.endLease();
    const syn = { ...FROM_CLIENT, flags: "S" };
    const { verdict, packet, counted } = director.sendFrame(t, build(syn));
    t.is(verdict, "pass");
    t.deepEqual(counted, { passed_no_neighbour: 1, session_created: 1 });
    t.is(packet.daddr, OTHER_REAL.address);
    t.true(contains(POOL, packet.saddr));
    t.is(
      packet.destination,
      parsed(syn).destination,
      "the kernel would not take the frame for its own",
    );
    t.true(packet.ipChecksumRight, "IP checksum is wrong");
    t.true(packet.tcpChecksumRight, "TCP checksum is wrong");
  },
);

test.serial(
  "director hands a translated packet to the kernel when the way out is none of its interfaces",
  (t) => {
    const director = new Director(t);
    open(t, director);
    director.dataplane.endLease();
    director.dataplane.devices.delete(director.ifindex);
    const segment = { ...FROM_CLIENT, flags: "A" };
    const { verdict, packet, counted } = director.sendFrame(t, build(segment));
    t.is(verdict, "pass");
    t.deepEqual(counted, { passed_no_device: 1 });
    t.is(packet.daddr, REAL.address);
  },
);

test.serial("director drops a packet that the kernel has no route for", (t) => {
  const director = new Director(t);
  director.dataplane.egressGroups.set(egressOf(0), { hops: [] });
  director.dataplane.realServers.set(0, {
    address: "203.0.113.1",
    port: 80,
    egress: 0,
    service: 0,
  });
  t.is(open(t, director).sent.counted.drop_no_route, 1);
});

const TAGS: readonly {
  readonly from: readonly number[];
  readonly to: number;
}[] = [
  { from: [], to: 20 },
  { from: [10], to: 0 },
  { from: [10], to: 20 },
  { from: [30, 10], to: 20 },
  { from: [30, 10], to: 0 },
];
for (const { from, to } of TAGS) {
  test.serial(
    `director sends a frame with VLAN tags [${from.join(" ")}] out with [${to || ""}]`,
    (t) => {
      const director = new Director(t);
      director.dataplane.egressGroups.set(egressOf(0), {
        hops: [{ ...director.toReal, vlan: to }],
      });
      const syn = { ...FROM_CLIENT, flags: "S", vlans: from };
      const sent = director.send(t, syn);
      assertTranslated(t, syn, sent, {
        vlans: to === 0 ? [] : [to],
        destination: director.toReal.dmac,
        daddr: REAL.address,
      });
    },
  );
}

test.serial(
  "director spreads flows over a group's hops and keeps each flow on one",
  (t) => {
    const director = new Director(t);
    const hops = ["02:00:00:00:05:01", "02:00:00:00:05:02"].map((dmac) => ({
      ...director.toReal,
      dmac,
    }));
    director.dataplane.egressGroups.set(egressOf(0), { hops });
    const used = Array.from({ length: 40 }, (_, i) => {
      const sport = 50000 + i;
      const first = open(t, director, { sport }).sent.packet.destination;
      const second = director.send(t, { ...FROM_CLIENT, sport, flags: "A" })
        .packet.destination;
      t.is(second, first, "a flow changed its hop");
      return first;
    });
    t.deepEqual(
      [...new Set(used)].toSorted(),
      hops.map(({ dmac }) => dmac),
    );
  },
);
