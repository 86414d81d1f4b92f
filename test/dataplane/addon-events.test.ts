// SPDX-License-Identifier: Apache-2.0
// How what the program writes into its ring buffer comes to JavaScript.
import { performance } from "node:perf_hooks";
import { setImmediate } from "node:timers/promises";
import test from "ava";
import { Director, REAL, VIP } from "./director.ts";
import { open } from "./flow.ts";
import { loadAddon } from "../../src/node/addon.ts";
import * as layout from "../../src/node/layout.ts";
import { formatIpv4 } from "../../src/model.ts";
import {
  EVENT_BYTES,
  FAMILIES,
  Listener,
  loadRing,
  NARROW,
  TURN_MAX,
  Turns,
  until,
  upTo,
  WIDE,
} from "./addon-ring.ts";

const WEB = {
  vip: VIP,
  ports: { min: 80, max: 80 },
  protocol: "tcp",
} as const;
/** As addon_events.h and addon_ring.h say. */
const BATCH_EVENTS = 2048;
const DELIVERIES_MAX = 64;
const DELIVERY_PERIOD_MS = 1;
/** Of the state in a record or key, before the end of the key. */
const STATE = 3;

for (const family of FAMILIES)
  test.serial(
    `events() delivers records of ${family.recordBytes} bytes and their keys as the wire has them`,
    async (t) => {
      const ring = loadRing(t);
      const listener = new Listener().listen();
      ring.write(3, 2, family);
      await until("all", () => listener.misses.length === 2);
      t.deepEqual(listener.generations, [1, 2, 3]);
      const state = family.keyBytes - STATE;
      t.is(listener.records[0]?.[state], layout.WEIR_ESTABLISHED);
      const [outbound, client] = listener.misses;
      t.is(outbound?.[state], 0, "a key of the outbound direction");
      t.is(client?.[state], 1, "it does not say that the key is a client's");
      t.deepEqual(
        listener.misses.map((key) => key.readUInt32LE(family.addressBytes - 4)),
        [0, 1],
      );
    },
  );

test.serial("events() tells the families apart in one call", async (t) => {
  const ring = loadRing(t);
  ring.write(2, 1, WIDE);
  ring.write(1, 2, NARROW);
  const heard: number[][] = [];
  loadAddon().events((...lists) => {
    heard.push(lists.map(({ length }) => length));
  });
  await until("all", () => heard.length === 1);
  t.deepEqual(heard, [[96, 32, 288, 40]]);
});

test.serial(
  "events() delivers at most 2,048 events in one call, in order",
  async (t) => {
    const ring = loadRing(t);
    ring.write(3 * BATCH_EVENTS + 10, 7);
    const listener = new Listener().listen();
    await until("all", () => listener.misses.length === 7);
    t.deepEqual(listener.generations, upTo(ring.written));
    t.deepEqual(
      listener.calls.map(({ events }) => events),
      [BATCH_EVENTS, BATCH_EVENTS, BATCH_EVENTS, 17],
    );
  },
);

test.serial(
  "events() delivers batches that are not full once in a millisecond",
  async (t) => {
    const ring = loadRing(t);
    const listener = new Listener().listen();
    const start = performance.now();
    while (performance.now() - start < 100) {
      ring.write(1);
      await setImmediate();
    }
    await until("all", () => listener.generations.length === ring.written);
    const elapsedMs = performance.now() - start;
    t.deepEqual(listener.generations, upTo(ring.written));
    t.true(
      listener.calls.length <= elapsedMs / DELIVERY_PERIOD_MS + 1,
      `${listener.calls.length} calls in ${elapsedMs} ms`,
    );
  },
);

test.serial("events() leaves the ring to the next listener", async (t) => {
  const ring = loadRing(t);
  ring.write(10);
  const first = new Listener().listen();
  await until("the first", () => first.generations.length === 10);
  loadAddon().events(undefined);
  ring.write(10);
  await setImmediate();
  t.is(first.generations.length, 10, "somebody listens after the end");
  const second = new Listener().listen();
  await until("the second", () => second.generations.length === 10);
  t.deepEqual([...first.generations, ...second.generations], upTo(20));
});

test.serial(
  "events() can be ended and begun anew by the listener",
  async (t) => {
    const ring = loadRing(t);
    const second = new Listener();
    let heard = 0;
    loadAddon().events(() => {
      heard++;
      second.listen();
    });
    ring.write(1);
    await until("the first", () => heard === 1);
    // More than once around, so that a wrong count would make the thread wait for ever.
    const events = 3 * DELIVERIES_MAX * BATCH_EVENTS;
    while (ring.written < events) {
      ring.write(BATCH_EVENTS);
      await until(
        "some",
        () => second.generations.length > ring.written - 50_000,
      );
    }
    await until("all", () => second.generations.length === ring.written - 1);
    t.is(heard, 1);
    loadAddon().events(() => {
      heard++;
      loadAddon().events(undefined);
    });
    ring.write(1);
    await until("the last", () => heard === 2);
    ring.write(1);
    await setImmediate();
    t.is(heard, 2);
  },
);

test.serial(
  "events() stops draining while JavaScript is far behind",
  async (t) => {
    const ringBytes = 1 << 20;
    const ring = loadRing(t, ringBytes);
    const listener = new Listener().listen();
    // One more waits in the thread's hands.
    const behind =
      (DELIVERIES_MAX + 1) * BATCH_EVENTS + Math.ceil(ringBytes / EVENT_BYTES);
    // Without a turn of the event loop; slowly, so that the thread could drain it all.
    while (ring.written < 3 * behind) {
      ring.write(5000);
      spin(2);
    }
    const { lost, written } = ring;
    t.true(lost >= written - behind, `${written - lost} events are held`);
    await until(
      "the rest",
      () => listener.generations.length === written - lost,
    );
    t.true(isRising(listener.generations), "the order is not kept");

    ring.write(1000);
    await until(
      "more",
      () => listener.generations.length === written - lost + 1000,
    );
    t.is(ring.lost, lost, "the thread does not go on");
  },
);

test.serial(
  "events() leaves the event loop its turns, with a million records",
  async (t) => {
    const ringBytes = 1 << 26;
    const room = Math.floor(ringBytes / EVENT_BYTES) - 10_000;
    const ring = loadRing(t, ringBytes);
    while (ring.written < room - 10_000) ring.write(10_000);
    const turns = await Turns.begin();
    let events = 0;
    loadAddon().events((records) => {
      events += records.length / NARROW.recordBytes;
      turns.count();
      spin(0.2); // as long as it may take to publish them
    });
    while (ring.written < 1_000_000) {
      if (ring.written - events < room) ring.write(10_000);
      await setImmediate();
    }
    await until("all", () => events === ring.written);
    t.is(ring.lost, 0);
    t.log(turns.end());
    t.true(turns.most <= 2 * TURN_MAX, `${turns.most} calls in one turn`);
  },
);

test.serial(
  "events() tells of the sessions that the director makes",
  async (t) => {
    const director = new Director(t);
    const policy = {
      scheduler: "rr",
      sync: "immediate",
      wide: false,
    } as const;
    director.dataplane.setService(0, WEB, policy, [0]);
    const listener = new Listener().listen();
    const sessions = upTo(100).map((i) => {
      const client = 30_000 + i;
      const { packet } = open(t, director, { sport: client }).sent;
      return {
        client,
        virtual: WEB.ports.min,
        local: packet.saddr,
        lport: packet.sport,
        real: REAL.address,
        rport: REAL.port,
        state: layout.WEIR_SYN,
      };
    });
    await until("all", () => listener.generations.length === 100);
    t.deepEqual(listener.records.flatMap(sessionsOf), sessions);
  },
);

/** Ports and addresses where proto/weir/v1/sync.proto has them. */
function sessionsOf(records: Buffer) {
  const { recordBytes } = NARROW;
  return Array.from({ length: records.length / recordBytes }, (_, i) => {
    const record = records.subarray(i * recordBytes);
    return {
      client: record.readUInt16BE(42),
      virtual: record.readUInt16BE(40),
      local: formatIpv4(record.readUInt32BE(4)),
      lport: record.readUInt16BE(10),
      real: formatIpv4(record.readUInt32BE(0)),
      rport: record.readUInt16BE(8),
      state: record[NARROW.keyBytes - STATE],
    };
  });
}

function spin(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

function isRising(numbers: readonly number[]): boolean {
  return numbers.every((n, i) => i === 0 || n > (numbers[i - 1] ?? 0));
}
