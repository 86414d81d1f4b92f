// SPDX-License-Identifier: Apache-2.0
// Tables that were told the same are the same, whatever happened on the way.
import test from "ava";
import fc from "fast-check";
import { anySession, clientKey, LATE } from "../model/arbitrary.ts";
import { ModelRack, viewOf } from "../model/rack.ts";
import { same } from "../model/merge.ts";
import {
  mapped,
  SHARED,
  TICKS_PER_SECOND,
  timeoutOf,
  type Session,
} from "../model/session.ts";
import { ModelTable, TIMEOUTS } from "../model/table.ts";
import { encodeAll } from "../model/wire.ts";

const RUNS = { numRuns: 2_000 };

/** A way of a history to a node: its order, with repeats, and how late each record is. */
type Delivery = readonly { readonly which: number; readonly delay: number }[];

const history = fc.array(anySession(3), { minLength: 1, maxLength: 12 });
const delivery: fc.Arbitrary<Delivery> = fc.array(
  fc.record({ which: fc.nat(1000), delay: fc.nat(3000) }),
  { maxLength: 16 },
);

/** All of the history at least once: in the order of `ranks`, and what `again` picks in between. */
const complete = fc.record({
  ranks: fc.array(fc.nat(), { minLength: 12, maxLength: 12 }),
  again: delivery,
});

function newTable(now: number): ModelTable {
  return new ModelTable({ now: () => now, origin: 99 });
}

function deliver(
  table: ModelTable,
  sessions: readonly Session[],
  way: Delivery,
): void {
  for (const { which, delay } of way) {
    const session = sessions[which % sessions.length];
    if (session === undefined) continue;
    table.mergeNow(encodeAll([session], table.now() - delay), delay);
  }
}

/** A table at LATE and some, after all of `sessions` came by one complete way. */
function after(
  sessions: readonly Session[],
  { ranks, again }: { ranks: readonly number[]; again: Delivery },
): ModelTable {
  const table = newTable(LATE + 5000);
  const order = sessions
    .map((_, which) => ({ which, delay: (ranks[which] ?? 0) % 3000 }))
    .sort((a, b) => (ranks[a.which] ?? 0) - (ranks[b.which] ?? 0));
  const half = again.length >> 1;
  deliver(table, sessions, again.slice(0, half));
  deliver(table, sessions, order);
  deliver(table, sessions, again.slice(half));
  return table;
}

test("merge() makes equal tables of the same records in any order, with repeats", (t) => {
  fc.assert(
    fc.property(history, complete, complete, (sessions, one, other) => {
      t.deepEqual(
        viewOf(after(sessions, one)),
        viewOf(after(sessions, other)),
        "two nodes that were told the same disagree",
      );
    }),
    RUNS,
  );
});

test("merge() makes equal tables after loss, when the tables have been exchanged", async (t) => {
  await fc.assert(
    fc.asyncProperty(history, delivery, delivery, async (sessions, a, b) => {
      const one = newTable(LATE + 5000);
      const other = newTable(LATE + 5000);
      deliver(one, sessions, a);
      deliver(other, sessions, b);
      const all = await one.collect(0n, one.positions, Infinity);
      await other.merge(all.records, 0);
      const back = await other.collect(0n, other.positions, Infinity);
      await one.merge(back.records, 0);
      t.deepEqual(viewOf(one), viewOf(other), "the exchange left a difference");
    }),
    RUNS,
  );
});

test("merge() says what became of each record, once", (t) => {
  fc.assert(
    fc.property(history, delivery, (sessions, way) => {
      const table = newTable(LATE);
      deliver(table, sessions, way);
      const { conflicts, ...fates } = table.mergeNow(
        encodeAll(sessions, LATE),
        0,
      );
      const total = Object.values(fates).reduce((sum, count) => sum + count);
      t.is(total, sessions.length, "a record had no fate, or two");
      t.true(conflicts <= sessions.length);
      const again = table.mergeNow(encodeAll(table.sessions(), LATE), 0);
      t.is(again.unchanged, table.sessions().length, "a repeat was news");
    }),
    RUNS,
  );
});

test("missing() gives a peer that lost records what it lacks, and nothing twice", async (t) => {
  const settled = fc
    .uniqueArray(fc.nat(200), { minLength: 1, maxLength: 60 })
    .map((lips) => lips.map(settledSession));
  await fc.assert(
    fc.asyncProperty(settled, fc.nat(), async (sessions, lost) => {
      const one = newTable(LATE);
      const other = newTable(LATE);
      const heard = sessions.filter((_, i) => (lost >> (i % 30)) & 1);
      one.mergeNow(encodeAll(sessions, LATE), 0);
      other.mergeNow(encodeAll(heard, LATE), 0);
      const theirs = await other.digest();
      const buckets = (await one.digest()).buckets;
      const differing = [...buckets.keys()].filter(
        (i) => buckets[i] !== theirs.buckets[i],
      );
      const known = await other.hashes(differing);
      const repair = await one.missing(differing, known);
      const result = await other.merge(repair, 0);
      t.is(result.inserted, sessions.length - heard.length);
      t.is(result.unchanged, 0, "a session was sent that the peer had");
      t.deepEqual(viewOf(one), viewOf(other));
      t.deepEqual((await other.digest()).buckets, buckets);
    }),
    { numRuns: 300 },
  );
});

function settledSession(lip: number): Session {
  const client = clientKey(lip);
  return {
    key: {
      saddr: mapped(1),
      sport: 80,
      daddr: mapped(lip),
      dport: 1024,
      proto: 6,
    },
    vaddr: client.daddr,
    vport: client.dport,
    caddr: client.saddr,
    cport: client.sport,
    generation: BigInt(1 + lip),
    supersedes: 0n,
    origin: 1,
    state: 5,
    flags: SHARED,
    seen: LATE - 60 * TICKS_PER_SECOND,
    reset: undefined,
    changed: LATE - 100 * TICKS_PER_SECOND,
    facts: Array.from({ length: 7 }, () => undefined),
  };
}

/** What happens in a rack of three: packets at any node, time, nodes that come and go from the bus. */
const step = fc.record({
  what: fc.integer({ min: 0, max: 11 }),
  node: fc.nat(2),
  client: fc.nat(2),
  which: fc.nat(20),
  seconds: fc.integer({ min: 1, max: 100 }),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function act(rack: ModelRack, { what, node, client, which, seconds }: Step) {
  const member = rack.member(node);
  const sessions = member.table.sessions();
  const session = sessions[which % sessions.length];
  const key = clientKey(client);
  switch (what) {
    case 0:
    case 1:
      return member.director.inbound(key, { syn: true, sequence: which });
    case 2:
      return member.director.inbound(key, { ack: true });
    case 3:
      return member.director.inbound(key, { fin: true, sequence: which });
    case 4:
      return member.director.inbound(key, { rst: true });
    case 5:
      member.isolated = !member.isolated;
      return undefined;
    case 6:
      return rack.pass(seconds);
  }
  if (session === undefined) return undefined;
  const segment = [
    { syn: true, ack: true, sequence: which },
    { ack: true },
    { ack: true },
    { fin: true, ack: true, sequence: which },
    { rst: true },
  ][what - 7];
  return member.director.outbound(session.key, segment ?? {});
}

test("a rack agrees after any history, once its tables have been exchanged", async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 10, maxLength: 60 }),
      async (steps) => {
        const rack = new ModelRack(3, 4);
        for (const one of steps) act(rack, one);
        await rack.heal();
        await rack.heal();
        // Its node may know of an end that the others missed, and does not tell.
        fc.pre(!rack.holds());
        const [first, ...others] = rack.members;
        for (const other of others)
          t.deepEqual(
            viewOf(other.table),
            first && viewOf(first.table),
            "two nodes of a healed rack disagree",
          );
      },
    ),
    { numRuns: 1_000 },
  );
});

test("a rack whose bus works holds each session everywhere until its timeout", (t) => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 60 }), (steps) => {
      const rack = new ModelRack(3, 4);
      for (const one of steps) if (one.what !== 5) act(rack, one);
      for (const { table } of rack.members) {
        for (const session of table.sessions()) {
          if (rack.now - session.seen > timeoutOf(session, TIMEOUTS)) continue;
          for (const other of rack.members) {
            const held = other.table.get(session.key);
            t.true(
              held !== undefined && same(held, session),
              "a node lacks a session, or what another knows of it",
            );
          }
        }
      }
    }),
    { numRuns: 1_000 },
  );
});
