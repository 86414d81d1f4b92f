// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import fc from "fast-check";
import { WEIR_SCHEDULE_SIZE } from "../../src/node/layout.ts";
import {
  maglevTable,
  roundRobinSequence,
  type ScheduledServer,
  scheduleOf,
} from "../../src/node/schedule.ts";

/** Servers with different identities and indexes, 1 to 24 of them. */
function servers(
  weight: fc.Arbitrary<number>,
): fc.Arbitrary<readonly ScheduledServer[]> {
  const identity = fc
    .tuple(fc.ipV4(), fc.integer({ min: 1, max: 65535 }))
    .map(([host, port]) => `${host}:${port}`);
  return fc
    .uniqueArray(fc.record({ identity, weight }), {
      selector: (one) => one.identity,
      minLength: 1,
      maxLength: 24,
    })
    .map((list) => list.map((one, index) => ({ ...one, index: 100 + index })));
}

const weighted = servers(fc.integer({ min: 1, max: 10 }));

function sharesOf(table: Uint16Array): ReadonlyMap<number, number> {
  const shares = new Map<number, number>();
  for (const index of table)
    shares.set(index, (shares.get(index) ?? 0) + 1 / table.length);
  return shares;
}

function totalOf(list: readonly ScheduledServer[]): number {
  return list.reduce((total, { weight }) => total + weight, 0);
}

test("maglevTable() gives each server its weight's share, to 3 % of it", (t) => {
  fc.assert(
    fc.property(weighted, (list) => {
      const table = maglevTable(list);
      const shares = sharesOf(table);
      t.is(table.length, WEIR_SCHEDULE_SIZE);
      for (const { index, weight } of list) {
        const wanted = weight / totalOf(list);
        const error = Math.abs((shares.get(index) ?? 0) - wanted) / wanted;
        t.true(
          error < 0.03,
          `a server has ${shares.get(index)} of the table, its weight asks for ${wanted}`,
        );
      }
    }),
    { numRuns: 50 },
  );
});

test("maglevTable() does not depend on the order of the servers", (t) => {
  const shuffled = weighted.chain((list) =>
    fc.tuple(
      fc.constant(list),
      fc.shuffledSubarray([...list], { minLength: list.length }),
    ),
  );
  fc.assert(
    fc.property(shuffled, ([list, other]) => {
      t.deepEqual(maglevTable(other), maglevTable(list));
    }),
    { numRuns: 30 },
  );
});

test("maglevTable() depends on a server's identity, not on its index", (t) => {
  fc.assert(
    fc.property(weighted, (list) => {
      const renumbered = list.map((server) => ({
        ...server,
        index: server.index + 1000,
      }));
      t.deepEqual(
        maglevTable(renumbered),
        maglevTable(list).map((index) => index + 1000),
      );
    }),
    { numRuns: 30 },
  );
});

test("maglevTable() moves few entries of the others when a server leaves", (t) => {
  const cases = servers(fc.constant(1))
    .filter((list) => list.length > 1)
    .chain((list) => fc.tuple(fc.constant(list), fc.nat(list.length - 1)));
  const shares = fc.sample(cases, 50).map(([list, leaver]) => {
    const gone = list[leaver]?.index;
    const before = maglevTable(list);
    const after = maglevTable(list.filter(({ index }) => index !== gone));
    t.false(after.includes(gone ?? 0), "the server that left is in the table");
    const moved = before.filter(
      (index, entry) => index !== gone && after[entry] !== index,
    );
    return moved.length / before.length;
  });
  // One list in some thousands has two servers whose permutations run side by side: there 7 % have been seen to move.
  const few = shares.filter((share) => share < 0.03);
  t.true(few.length >= 45, `moved: ${shares.join(", ")}`);
});

test("maglevTable() leaves no server out, however small its weight", (t) => {
  const table = maglevTable([
    { index: 1, identity: "10.3.1.2:80", weight: 65535 },
    { index: 2, identity: "10.3.2.2:80", weight: 1 },
  ]);
  t.is(table.filter((index) => index === 2).length, 1);
});

test("maglevTable() is the same for ever", (t) => {
  // Nodes of two versions must agree on it: change it only with a way to change it on all nodes at once.
  const list = ["10.3.1.2:80", "10.3.2.2:80", "10.3.3.2:80"].map(
    (identity, index) => ({ identity, index, weight: 1 }),
  );
  t.deepEqual(
    [...maglevTable(list, 13)],
    [2, 1, 2, 1, 0, 1, 2, 0, 2, 0, 1, 0, 0],
  );
});

test("roundRobinSequence() is the shortest sequence that follows the weights", (t) => {
  fc.assert(
    fc.property(weighted, fc.integer({ min: 1, max: 50 }), (list, factor) => {
      const sequence = roundRobinSequence(
        list.map((server) => ({ ...server, weight: server.weight * factor })),
      );
      const length = sequence.length;
      t.true(
        totalOf(list) % length === 0,
        "the sequence is not a whole part of the weights' sum",
      );
      for (const { index, weight } of list) {
        t.is(
          sequence.filter((one) => one === index).length * totalOf(list),
          weight * length,
        );
      }
    }),
  );
});

test("roundRobinSequence() spreads a heavy server's turns", (t) => {
  const sequence = roundRobinSequence([
    { index: 1, identity: "a", weight: 50 },
    { index: 2, identity: "b", weight: 10 },
    { index: 3, identity: "c", weight: 10 },
  ]);
  t.deepEqual([...sequence], [1, 1, 2, 1, 3, 1, 1]);
});

test("roundRobinSequence() scales down weights that would need too many entries", (t) => {
  const list = [65535, 65521, 1, 0].map((weight, index) => ({
    index,
    identity: `10.3.${index}.2:80`,
    weight,
  }));
  const sequence = roundRobinSequence(list);
  const shares = sharesOf(sequence);
  t.true(
    sequence.length <= WEIR_SCHEDULE_SIZE,
    `${sequence.length} entries do not fit`,
  );
  t.true(
    Math.abs((shares.get(0) ?? 0) - 0.5) < 0.01,
    "a share is more than 1 % off",
  );
  t.is(
    sequence.filter((index) => index === 2).length,
    1,
    "the lightest server has no turn",
  );
});

for (const scheduler of ["maglev", "rr"] as const) {
  test(`scheduleOf() leaves out servers of weight 0 with ${scheduler}`, (t) => {
    const list = [
      { index: 7, identity: "10.3.1.2:80", weight: 0 },
      { index: 8, identity: "10.3.2.2:80", weight: 3 },
    ];
    t.deepEqual([...sharesOf(scheduleOf(scheduler, list)).keys()], [8]);
  });

  test(`scheduleOf() is empty without servers with ${scheduler}`, (t) => {
    t.is(scheduleOf(scheduler, []).length, 0);
    t.is(
      scheduleOf(scheduler, [{ index: 7, identity: "10.3.1.2:80", weight: 0 }])
        .length,
      0,
    );
  });
}
