// SPDX-License-Identifier: Apache-2.0
// How a session comes to be, and that it translates both directions.
import test from "ava";
import { setTimeout as delay } from "node:timers/promises";
import { contains } from "../../src/model.ts";
import { Director, ORIGIN, OTHER_REAL, POOL, REAL, VIP } from "./director.ts";
import {
  assertTranslated,
  DATA,
  establish,
  FROM,
  FROM_CLIENT,
  open,
  SYN_OPTIONS,
} from "./flow.ts";
import { none } from "./packet.ts";

test.serial(
  "director creates a session from a SYN and translates both directions",
  async (t) => {
    const director = new Director(t);
    const syn = {
      ...FROM_CLIENT,
      flags: "S",
      tcpOptions: SYN_OPTIONS,
      ttl: 57,
    };
    const sent = director.send(t, syn);
    t.true(
      contains(POOL, sent.packet.saddr),
      "source address is not a LIP of the pool",
    );
    t.true(sent.packet.sport >= 1024, "source port is below the range");
    const local = { address: sent.packet.saddr, port: sent.packet.sport };
    assertTranslated(t, syn, sent, {
      destination: director.toReal.dmac,
      source: director.toReal.smac,
      saddr: local.address,
      sport: local.port,
      daddr: REAL.address,
      dport: REAL.port,
    });
    t.deepEqual(sent.counted, { forwarded: 1, session_created: 1 });

    const synack = {
      saddr: REAL.address,
      sport: REAL.port,
      daddr: local.address,
      dport: local.port,
      flags: "SA",
      seq: 0xfffffff0,
      ack: 0x01020305,
      tcpOptions: SYN_OPTIONS,
      ttl: 64,
    };
    const answered = director.send(t, synack);
    assertTranslated(t, synack, answered, {
      destination: director.toClients.dmac,
      source: director.toClients.smac,
      saddr: VIP,
      sport: 80,
      daddr: FROM.address,
      dport: FROM.port,
    });
    t.deepEqual(answered.counted, { forwarded: 1 });

    const data = {
      ...FROM_CLIENT,
      flags: "PA",
      ack: 1,
      payload: DATA,
      tos: 0x10,
    };
    const uploaded = director.send(t, data);
    assertTranslated(t, data, uploaded, {
      saddr: local.address,
      sport: local.port,
      daddr: REAL.address,
      dport: REAL.port,
    });
    t.deepEqual(uploaded.counted, { forwarded: 1 });

    const download = {
      ...synack,
      flags: "A",
      seq: 1,
      tcpOptions: none,
      payload: DATA,
    };
    const downloaded = director.send(t, download);
    assertTranslated(t, download, downloaded, {
      saddr: VIP,
      daddr: FROM.address,
    });
    t.deepEqual(downloaded.counted, { forwarded: 1, session_established: 1 });

    const [session, ...others] = await director.sessions();
    t.is(others.length, 0);
    t.like(session, {
      client: FROM,
      virtual: { address: VIP, port: 80 },
      local,
      real: REAL,
      state: "established",
      origin: "7",
    });
  },
);

test.serial(
  "director spreads new sessions in the schedule's turn and keeps each with its real server",
  (t) => {
    const director = new Director(t);
    director.schedule([0, 1]);
    const reals = [0, 1, 2, 3].map(
      (i) => open(t, director, { sport: 41000 + i }).sent.packet.daddr,
    );
    t.deepEqual(reals, [
      REAL.address,
      OTHER_REAL.address,
      REAL.address,
      OTHER_REAL.address,
    ]);
    director.schedule([1]);
    const again = director.send(t, {
      ...FROM_CLIENT,
      sport: 41000,
      flags: "A",
    });
    t.is(again.packet.daddr, REAL.address, "a session changed its real server");
  },
);

test.serial("director gives each session its own LIP:port", (t) => {
  const director = new Director(t);
  const locals = Array.from({ length: 200 }, (_, i) => {
    const { saddr, sport } = open(t, director, { sport: 20000 + i }).sent
      .packet;
    return `${saddr}:${sport}`;
  });
  t.is(new Set(locals).size, locals.length);
});

test.serial("director passes a repeated SYN on through its session", (t) => {
  const director = new Director(t);
  const first = open(t, director).sent;
  const second = open(t, director).sent;
  t.deepEqual(second.counted, { forwarded: 1 });
  t.is(second.packet.sport, first.packet.sport);
});

test.serial(
  "director passes a SYN on an established session to its real server",
  (t) => {
    const director = new Director(t);
    const { sent } = establish(t, director);
    const again = open(t, director, { seq: 5 }).sent;
    t.deepEqual(again.counted, { forwarded: 1 });
    t.is(again.packet.sport, sent.packet.sport);
  },
);

test.serial("director finds free ports beyond a run of taken ones", (t) => {
  const director = new Director(t);
  const place = director.dataplane.nodes.get(0);
  t.truthy(place);
  if (place === undefined) return;
  const pool = { address: POOL.address, length: 32 };
  director.dataplane.nodes.set(0, {
    ...place,
    pools: [pool],
    ports: { min: 5000, max: 5499 },
  });
  const outcomes = Array.from(
    { length: 450 },
    (_, i) => open(t, director, { sport: 20000 + i }).sent.counted,
  );
  const dropped = outcomes.filter(({ drop_no_lport }) => drop_no_lport === 1);
  // At the end 90 % are taken: 16 candidates at random miss with a probability of 0.9^16 = 0.19.
  t.true(
    dropped.length < 20,
    `${dropped.length} of 450 SYNs found no port of 500`,
  );
});

test.serial(
  "sweep() keeps a session of which only the client is heard",
  async (t) => {
    const director = new Director(t);
    establish(t, director);
    const short = { handshakeMs: 10, establishedMs: 10, closedMs: 10 };
    const sweep = () =>
      director.dataplane.sweep({
        terms: () => ({ ...short, resetMs: 10 }),
        origin: ORIGIN,
        weak: false,
        hold: false,
      });
    // The dataplane adds a margin of 5 s.
    await delay(3000);
    director.send(t, { ...FROM_CLIENT, flags: "A", payload: DATA });
    await delay(3000);
    t.like(await sweep(), { sessions: 1n, expired: 0n });
    await delay(3000);
    t.like(await sweep(), { sessions: 0n, expired: 1n });
  },
);
