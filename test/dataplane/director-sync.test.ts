// SPDX-License-Identifier: Apache-2.0
// What a director tells the other nodes of its sessions, and what it makes of what they tell.
import test from "ava";
import { setTimeout as delay } from "node:timers/promises";
import { countRecords, keysOf, NO_RECORDS } from "../../src/sync/records.ts";
import type { Events, Keys, Records } from "../../src/sync/table.ts";
import {
  DIGEST_BUCKETS,
  KEY_BYTES,
  RECORD_BYTES,
} from "../../src/sync/table.ts";
import { ticksOf } from "../../src/node/words.ts";
import type { SweepOrder } from "../../src/node/dataplane.ts";
import { LIMITS } from "./addon-fixture.ts";
import { CLIENT, Director, ORIGIN, REAL, VIP } from "./director.ts";
import {
  assertTranslated,
  DATA,
  establish,
  FROM,
  FROM_CLIENT,
  open,
} from "./flow.ts";

/** Of a record: proto/weir/v1/sync.proto. */
const STATE = 13;
const [SYN, SYNACK, ESTABLISHED, FIN_ONE, FIN_BOTH] = [3, 4, 5, 6, 7];
const WAIT_MS = 5000;
/** After that long without a change, a session is in the sums. */
const SETTLED_MS = 10_500;
/** Short enough to wait for: 10 ms, and a margin of 5 s that the dataplane adds. */
const LIVES = {
  handshakeMs: 60_000,
  establishedMs: 60_000,
  closedMs: 60_000,
  resetMs: 60_000,
};
const ORDER: SweepOrder = {
  terms: () => LIVES,
  origin: ORIGIN,
  weak: false,
  hold: false,
};

function pieces(bytes: Uint8Array, length: number): readonly Uint8Array[] {
  return Array.from({ length: bytes.length / length }, (_, index) =>
    bytes.slice(index * length, (index + 1) * length),
  );
}

/** Sessions of the narrow table only. */
function narrow(...records: readonly Uint8Array[]): Records {
  return { ...NO_RECORDS, narrow: Buffer.concat(records) };
}

/** What the program has written since. */
class Heard {
  readonly records: Uint8Array[] = [];
  readonly misses: Uint8Array[] = [];

  /** Until the dataplane is closed. */
  constructor({ dataplane }: Director) {
    dataplane.sharedTable().listen(({ records, misses }: Events) => {
      this.records.push(...pieces(records.narrow, RECORD_BYTES));
      this.misses.push(...pieces(misses.narrow, KEY_BYTES));
    });
  }

  get states(): readonly (number | undefined)[] {
    return this.records.map((record) => record[STATE]);
  }

  async until(condition: () => boolean): Promise<void> {
    const limit = Date.now() + WAIT_MS;
    while (!condition() && Date.now() < limit) await delay(1);
  }
}

test.serial("director tells of each change of a session", async (t) => {
  const director = new Director(t);
  director.schedule([0], "immediate");
  const heard = new Heard(director);
  const { reply } = establish(t, director);
  director.send(t, { ...FROM_CLIENT, flags: "A", payload: DATA });
  director.send(t, { ...FROM_CLIENT, flags: "FA", seq: 77 });
  director.send(t, { ...reply, flags: "FA", seq: 88 });
  await heard.until(() => heard.records.length >= 5);
  t.deepEqual(heard.states, [SYN, SYNACK, ESTABLISHED, FIN_ONE, FIN_BOTH]);
  t.is(director.dataplane.readCounters().event_sent, 5n);
});

test.serial("director tells of established sessions only", async (t) => {
  const director = new Director(t);
  director.schedule([0], "established");
  const heard = new Heard(director);
  establish(t, director);
  await heard.until(() => heard.records.length >= 1);
  t.deepEqual(heard.states, [ESTABLISHED]);
});

test.serial("director tells nobody of a service with sync off", async (t) => {
  const director = new Director(t);
  establish(t, director);
  t.is(director.dataplane.readCounters().event_sent, 0n);
  const { news } = await director.dataplane.sweep(ORDER);
  t.is(news.narrow.length, 0);
  const { records } = await director.dataplane
    .sharedTable()
    .collect(0n, director.dataplane.sharedTable().positions, 10);
  t.is(countRecords(records), 0);
});

test.serial("sweep() tells of a session that is old enough", async (t) => {
  const director = new Director(t);
  director.schedule([0], "after");
  const { reply } = establish(t, director);
  const after = (shareAfterMs: number): SweepOrder => ({
    ...ORDER,
    terms: () => ({ ...LIVES, shareAfterMs }),
  });
  t.is((await director.dataplane.sweep(after(60_000))).news.narrow.length, 0);
  await delay(20);
  const { news } = await director.dataplane.sweep(after(10));
  t.is(news.narrow.length, RECORD_BYTES);
  t.is(news.narrow[STATE], ESTABLISHED);
  const heard = new Heard(director);
  director.send(t, { ...reply, flags: "FA" });
  await heard.until(() => heard.records.length >= 1);
  t.deepEqual(heard.states, [FIN_ONE], "a change of it was not told of");
});

test.serial("sweep() tells of what the ring could not take", async (t) => {
  const director = new Director(t, { ...LIMITS, sessions: 40_000 });
  director.schedule([0], "immediate");
  let sent = 0;
  while (director.dataplane.readCounters().event_lost === 0n && sent < 60_000)
    director.send(t, {
      ...FROM_CLIENT,
      saddr: `198.51.100.${1 + (sent % 250)}`,
      sport: 1024 + Math.trunc(sent++ / 250),
      flags: "S",
    });
  const { event_lost: lost } = director.dataplane.readCounters();
  t.true(lost > 0n, "the ring took everything");
  const { news } = await director.dataplane.sweep(ORDER);
  t.is(BigInt(news.narrow.length / RECORD_BYTES), lost);
  t.is((await director.dataplane.sweep(ORDER)).news.narrow.length, 0);
});

test.serial("another director carries a session on", async (t) => {
  const director = new Director(t);
  director.schedule([0], "immediate");
  const heard = new Heard(director);
  const { sent, reply } = establish(t, director);
  await heard.until(() => heard.records.length >= 3);
  const before = await director.dataplane.fingerprint();

  director.replace(t);
  const table = director.dataplane.sharedTable();
  const merged = await table.merge(narrow(...heard.records), 0);
  t.like(merged, { inserted: 1, advanced: 2, refused: 0, conflicts: 0 });
  t.deepEqual(await director.dataplane.fingerprint(), before);
  const inbound = { ...FROM_CLIENT, flags: "A", payload: DATA };
  const { saddr, daddr, sport, dport } = sent.packet;
  assertTranslated(t, inbound, director.send(t, inbound), {
    ...{ saddr, daddr, sport, dport },
  });
  const outbound = { ...reply, flags: "A", payload: DATA };
  assertTranslated(t, outbound, director.send(t, outbound), {
    saddr: VIP,
    daddr: CLIENT,
    sport: 80,
    dport: FROM.port,
  });
  t.like(await director.sessions(), [
    { real: { address: REAL.address }, state: "established", origin: "7" },
  ]);
  t.is(director.dataplane.readCounters().session_created, 0n);
});

test.serial("records of a session may come in any order", async (t) => {
  const director = new Director(t);
  director.schedule([0], "immediate");
  const heard = new Heard(director);
  const { reply } = establish(t, director);
  director.send(t, { ...FROM_CLIENT, flags: "FA", seq: 77 });
  director.send(t, { ...reply, flags: "FA", seq: 88 });
  await heard.until(() => heard.records.length >= 5);
  const before = await director.dataplane.fingerprint();
  director.replace(t);
  const table = director.dataplane.sharedTable();
  for (const record of heard.records.toReversed())
    await table.merge(narrow(record), 100);
  t.deepEqual(await director.dataplane.fingerprint(), before);
});

test.serial("a SYN that another node has taken goes on here", async (t) => {
  const director = new Director(t);
  director.schedule([0], "immediate");
  const heard = new Heard(director);
  const { sent } = open(t, director);
  await heard.until(() => heard.records.length >= 1);
  director.replace(t);
  director.schedule([0], "immediate");
  await director.dataplane.sharedTable().merge(narrow(...heard.records), 0);
  const again = open(t, director);
  t.is(again.sent.packet.saddr, sent.packet.saddr, "a second LIP for one SYN");
  t.is(again.sent.packet.sport, sent.packet.sport);
});

test.serial("sweep() holds the LIP:port of an own session only", async (t) => {
  const director = new Director(t);
  director.schedule([0], "immediate");
  const heard = new Heard(director);
  const { reply } = establish(t, director);
  await heard.until(() => heard.records.length >= 3);
  const short: SweepOrder = {
    ...ORDER,
    terms: () => ({ ...LIVES, establishedMs: 10 }),
  };
  await delay(5100);
  const swept = await director.dataplane.sweep(short);
  t.like(swept, { expired: 1n, held: 1n, sessions: 0n });
  t.deepEqual(director.send(t, { ...reply, flags: "A" }).counted, {
    drop_no_session: 1,
  });
  t.deepEqual(await director.sessions(), []);
  t.is((await director.dataplane.fingerprint()).sessions, 0);
  t.like(await director.dataplane.sweep({ ...short, hold: true }), {
    held: 1n,
  });
  await director.dataplane
    .sharedTable()
    .merge(narrow(...heard.records.slice(-1)), 0);
  t.is(
    (await director.sessions()).length,
    1,
    "a peer's record did not bring the session back",
  );
});

test.serial("director tells of misses when asked to", async (t) => {
  const director = new Director(t);
  const heard = new Heard(director);
  const lost = { ...FROM_CLIENT, flags: "A" };
  director.send(t, lost);
  t.is(director.dataplane.readCounters().miss_told, 0n);
  director.tellMisses();
  director.send(t, lost);
  director.send(t, { saddr: REAL.address, daddr: "10.200.0.17", flags: "A" });
  await heard.until(() => heard.misses.length >= 2);
  t.deepEqual(
    heard.misses.map((key) => key[13]),
    [1, 0],
  );
});

test.serial(
  "directors with the same sessions find no difference",
  async (t) => {
    const director = new Director(t);
    director.schedule([0], "immediate");
    const heard = new Heard(director);
    establish(t, director);
    await heard.until(() => heard.records.length >= 3);
    const records = narrow(...heard.records);

    director.replace(t);
    const table = director.dataplane.sharedTable();
    await director.dataplane.sweep(ORDER);
    await table.merge(records, ticksOf(SETTLED_MS - 5000));
    t.is((await table.digest()).sessions, 0, "it has just changed");
    await table.merge(records, ticksOf(SETTLED_MS));
    // What is older does not make a session older than it is known to be.
    t.is((await table.digest()).sessions, 0);

    director.replace(t);
    const other = director.dataplane.sharedTable();
    await director.dataplane.sweep(ORDER);
    await other.merge(records, ticksOf(SETTLED_MS));
    const { buckets, sessions } = await other.digest();
    t.is(sessions, 1);
    t.is(buckets.length, DIGEST_BUCKETS);
    const filled = [...buckets.keys()].filter(
      (bucket) => buckets[bucket] !== 0n,
    );
    t.is(filled.length, 1);
    const hashes = await other.hashes(filled);
    t.is(hashes[0], buckets[filled[0] ?? 0]);
    t.is(countRecords(await other.missing(filled, hashes)), 0);
    const missing = await other.missing(filled, new BigUint64Array());
    t.is(missing.narrow.length, RECORD_BYTES);
    const rest = [...buckets.keys()].filter(
      (bucket) => !filled.includes(bucket),
    );
    t.is(countRecords(await other.missing(rest, new BigUint64Array())), 0);
    const found = await other.find(keyOf(missing));
    t.is(found.narrow.length, RECORD_BYTES);
    t.is(countRecords(await other.find(keyOf(missing, [1, 2, 3, 4]))), 0);
  },
);

/** The name of a record's session, or of one with another real server. */
function keyOf(records: Records, saddr: readonly number[] = []): Keys {
  const { narrow: key, wide } = keysOf(records);
  key.set(saddr);
  return { narrow: key, wide };
}
