// SPDX-License-Identifier: Apache-2.0
// The merge rule as algebra. That dataplane/ follows the same rule is merge-native.test.ts's to show.
import test from "ava";
import fc from "fast-check";
import { anySession, LATE } from "../model/arbitrary.ts";
import { beats, named } from "../model/index.ts";
import { join } from "../model/merge.ts";
import { FIN_BOTH, isClosed, mapped, type Session } from "../model/session.ts";
import { decodeAll, encodeAll } from "../model/wire.ts";

/** Some three for each pair of state and flags. */
const RUNS = { numRuns: 5_000 };
const session = anySession(1);

test("join() does not care which of two records comes first", (t) => {
  fc.assert(
    fc.property(session, session, (a, b) => {
      t.deepEqual(join(a, b), join(b, a));
    }),
    RUNS,
  );
});

test("join() does not care which records met before", (t) => {
  fc.assert(
    fc.property(session, session, session, (a, b, c) => {
      t.deepEqual(join(join(a, b), c), join(a, join(b, c)));
    }),
    RUNS,
  );
});

test("join() does not care how often a record comes", (t) => {
  fc.assert(
    fc.property(session, session, (a, b) => {
      const once = join(a, b);
      t.deepEqual(join(once, a), once);
      t.deepEqual(join(once, b), once);
      t.deepEqual(join(a, a), a);
    }),
    RUNS,
  );
});

test("join() never opens a closed generation again", (t) => {
  fc.assert(
    fc.property(session, session, (a, b) => {
      const closed = { ...a, state: FIN_BOTH };
      const after = join(closed, b);
      t.true(
        after.generation > closed.generation || after.state === FIN_BOTH,
        "a session with both FINs is open again",
      );
      if (a.reset === undefined || after.generation !== a.generation) return;
      // A RST is undone only by data seen after its grace time.
      t.true(isClosed(after) || b.seen > a.seen, "a RST was forgotten");
    }),
    RUNS,
  );
});

test("join() loses nothing that either record says of the same generation", (t) => {
  fc.assert(
    fc.property(session, session, (a, other) => {
      const b = { ...other, generation: a.generation };
      const after = join(a, b);
      for (const one of [a, b]) {
        t.true(after.state >= one.state, "the state has gone back");
        t.is(after.flags & one.flags, one.flags, "a flag is lost");
        t.true(after.seen >= one.seen, "a packet is forgotten");
        t.true(
          one.facts.every((fact, i) => !fact || after.facts[i] !== undefined),
          "a fact is lost",
        );
      }
    }),
    RUNS,
  );
});

test("decode() gives back what encode() was given, however long the record was on its way", (t) => {
  fc.assert(
    fc.property(session, fc.nat(5000), fc.nat(5000), (one, read, delay) => {
      const records = encodeAll([one, one], LATE + read);
      t.is(records.narrow.length, 2 * 96);
      t.deepEqual(decodeAll(records, LATE + read + delay, delay), [one, one]);
    }),
    RUNS,
  );
});

/** Different sessions of one client, each of another outbound key. */
const rivals = fc
  .uniqueArray(anySession(6), {
    selector: ({ key }) => key.daddr,
    minLength: 1,
    maxLength: 6,
  })
  .map((list) => list.map((one): Session => ({ ...one, caddr: mapped(1) })));

test("named() does not depend on the order of a client's sessions", (t) => {
  fc.assert(
    fc.property(rivals, fc.nat(5), (list, turn) => {
      const other = [...list.slice(turn), ...list.slice(0, turn)].reverse();
      t.is(named(other), named(list));
    }),
    RUNS,
  );
});

test("named() names one of a client's sessions if there are any", (t) => {
  fc.assert(
    fc.property(rivals, (list) => {
      t.not(named(list), undefined, "a client with sessions has none");
    }),
    RUNS,
  );
});

test("named() never names a session that another one supersedes", (t) => {
  fc.assert(
    fc.property(rivals, (list) => {
      const best = named(list);
      for (const { supersedes } of list)
        t.true(best !== undefined && best.generation > supersedes);
    }),
    RUNS,
  );
});

test("named() prefers any open session above the cut to a closed one", (t) => {
  fc.assert(
    fc.property(rivals, (list) => {
      const best = named(list);
      const cut = list
        .map(({ supersedes }) => supersedes)
        .reduce((a, b) => (a > b ? a : b));
      const open = list.filter((one) => one.generation > cut && !isClosed(one));
      if (best !== undefined && open.length > 0) t.false(isClosed(best));
    }),
    RUNS,
  );
});

test("beats() orders a client's sessions", (t) => {
  fc.assert(
    fc.property(rivals, (list) => {
      const [a, b, c] = list;
      if (a === undefined || b === undefined) return;
      t.not(beats(a, b), beats(b, a), "two sessions both win, or neither");
      if (c !== undefined && beats(a, b) && beats(b, c)) t.true(beats(a, c));
    }),
    RUNS,
  );
});
