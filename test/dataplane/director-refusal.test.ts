// SPDX-License-Identifier: Apache-2.0
// What a director drops, and what it leaves to the kernel untouched.
import test from "ava";
import { Director, OTHER_REAL, POOL } from "./director.ts";
import { FROM_CLIENT, open } from "./flow.ts";
import { build, type Packet } from "./packet.ts";

const DROPS: readonly {
  readonly what: string;
  readonly fields: Partial<Packet>;
  readonly counter: string;
}[] = [
  {
    what: "a port without a service",
    fields: { dport: 81 },
    counter: "drop_no_service",
  },
  {
    what: "an unknown session",
    fields: { flags: "A" },
    counter: "drop_no_session",
  },
  {
    what: "a SYN/ACK from a client",
    fields: { flags: "SA" },
    counter: "drop_no_session",
  },
  {
    what: "an unknown LIP:port",
    fields: { daddr: "10.200.0.17", dport: 5000 },
    counter: "drop_no_session",
  },
  {
    what: "another node's pool",
    fields: { daddr: "10.200.0.1", dport: 5000, flags: "A" },
    counter: "drop_no_session",
  },
  {
    what: "a first fragment of 20 bytes",
    fields: { fragment: 0x2000 },
    counter: "drop_fragment_tiny",
  },
  {
    what: "a later fragment",
    fields: { fragment: 0x0010 },
    counter: "drop_fragment_stranger",
  },
  { what: "SCTP", fields: { protocol: 132 }, counter: "drop_protocol" },
  {
    what: "ICMP that is no error to a LIP",
    fields: { protocol: 1, daddr: "10.200.0.17" },
    counter: "drop_icmp_type",
  },
  {
    what: "a total length beyond the frame",
    fields: { totalLength: 1400 },
    counter: "drop_malformed",
  },
  {
    what: "a total length below its headers",
    fields: { totalLength: 39 },
    counter: "drop_malformed",
  },
];
for (const { what, fields, counter } of DROPS) {
  test.serial(`director drops ${what} and counts ${counter}`, (t) => {
    const director = new Director(t);
    const { verdict, counted } = director.send(t, {
      ...FROM_CLIENT,
      ...fields,
    });
    t.is(verdict, "drop");
    t.is(
      Object.entries(counted).find(([name]) => name === counter)?.[1],
      1,
      JSON.stringify(counted),
    );
  });
}

const FOREIGN: readonly {
  readonly what: string;
  readonly fields: Partial<Packet>;
}[] = [
  { what: "TCP to another address", fields: { daddr: "10.1.1.2", dport: 179 } },
  {
    what: "UDP to another address",
    fields: { daddr: "10.1.1.2", protocol: 17 },
  },
  {
    what: "a fragment to another address",
    fields: { daddr: "10.1.1.2", fragment: 0x2000 },
  },
  { what: "ARP", fields: { ethertype: 0x0806 } },
  { what: "IPv6", fields: { ethertype: 0x86dd } },
];
for (const { what, fields } of FOREIGN) {
  test.serial(`director passes ${what} untouched`, (t) => {
    const director = new Director(t);
    const frame = build({ ...FROM_CLIENT, ...fields });
    const run = director.dataplane.testRun(frame, {
      ifindex: director.ifindex,
    });
    t.is(run.verdict, "pass");
    t.deepEqual(Buffer.from(run.frame), Buffer.from(frame));
    t.is(director.dataplane.readCounters().passed_foreign, 1n);
  });
}

test.serial(
  "director creates nothing for a SYN whose TTL is spent",
  async (t) => {
    const director = new Director(t);
    t.deepEqual(open(t, director, { ttl: 1 }).sent.counted, {
      drop_ttl: 1,
      icmp_sent: 1,
    });
    t.deepEqual(await director.sessions(), []);
  },
);

test.serial("director drops a SYN when no real server takes sessions", (t) => {
  const director = new Director(t);
  director.schedule([]);
  t.deepEqual(open(t, director).sent.counted, { drop_no_real_server: 1 });
});

test.serial(
  "director drops a SYN whose schedule names a real server that is not there",
  (t) => {
    const director = new Director(t);
    director.schedule([5]);
    t.deepEqual(open(t, director).sent.counted, { drop_inconsistent: 1 });
  },
);

test.serial(
  "director drops a SYN when every LIP:port tried is in use, and reuses ports over real servers",
  (t) => {
    const director = new Director(t);
    const pool = { address: POOL.address, length: 32 };
    const place = director.dataplane.nodes.get(0);
    t.truthy(place);
    if (place === undefined) return;
    director.dataplane.nodes.set(0, {
      ...place,
      pools: [pool],
      ports: { min: 5000, max: 5001 },
    });
    const ports = [0, 1].map(
      (i) => open(t, director, { sport: 30000 + i }).sent.packet.sport,
    );
    t.deepEqual(
      ports.toSorted((a, b) => a - b),
      [5000, 5001],
    );
    t.deepEqual(open(t, director, { sport: 30002 }).sent.counted, {
      drop_no_lport: 1,
      lport_probe: 16,
    });
    director.schedule([1]);
    const other = open(t, director, { sport: 30003 }).sent;
    t.is(other.packet.daddr, OTHER_REAL.address);
    t.true([5000, 5001].includes(other.packet.sport));
  },
);

test.serial("director counts full buckets", (t) => {
  const director = new Director(t);
  const full = Array.from(
    { length: 4000 },
    (_, i) => open(t, director, { sport: 1024 + i }).sent.counted,
  ).filter(({ drop_table_full }) => drop_table_full === 1);
  t.true(full.length > 0, "a table of some 1670 slots took 4000 sessions");
});
