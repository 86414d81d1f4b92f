// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import fc from "fast-check";
import {
  bytesOf,
  countKeys,
  countRecords,
  firstKeys,
  firstRecords,
  isEmpty,
  keysOf,
  NO_RECORDS,
  partsOf,
  ROOM_BYTES_MIN,
} from "../../src/sync/records.ts";
import {
  KEY_BYTES,
  RECORD_BYTES,
  type Records,
  WIDE_KEY_BYTES,
  WIDE_RECORD_BYTES,
} from "../../src/sync/table.ts";

/** So many records, no two of which begin alike. */
function records(narrow: number, wide: number): Records {
  const some = (count: number, size: number) =>
    Uint8Array.from({ length: count * size }, (_, i) =>
      i % size === 0 ? i / size : i % size,
    );
  return {
    narrow: some(narrow, RECORD_BYTES),
    wide: some(wide, WIDE_RECORD_BYTES),
  };
}

const counts = fc.tuple(fc.nat(40), fc.nat(40));
const room = fc.integer({ min: ROOM_BYTES_MIN, max: 2000 });

test("countRecords() and countKeys() are of both kinds", (t) => {
  t.is(countRecords(records(3, 2)), 5);
  t.is(countKeys(keysOf(records(3, 2))), 5);
  t.is(bytesOf(records(3, 2)), 3 * 96 + 2 * 144);
  t.true(isEmpty(NO_RECORDS));
  t.false(isEmpty(records(0, 1)));
});

test("partsOf() gives all records in order, in parts that fit", (t) => {
  fc.assert(
    fc.property(counts, room, ([narrow, wide], roomBytes) => {
      const all = records(narrow, wide);
      const parts = [...partsOf(all, roomBytes)];
      t.true(parts.every((part) => bytesOf(part) <= roomBytes));
      t.false(parts.some(isEmpty), "a part is empty");
      t.true(
        parts.every(
          (part, i) =>
            i === parts.length - 1 ||
            bytesOf(part) > roomBytes - WIDE_RECORD_BYTES,
        ),
        "a part leaves room for one more record",
      );
      for (const kind of ["narrow", "wide"] as const)
        t.deepEqual(
          Buffer.concat(parts.map((part) => part[kind])),
          Buffer.from(all[kind]),
        );
    }),
  );
});

test("partsOf() copies nothing", (t) => {
  const all = records(5, 5);
  for (const { narrow, wide } of partsOf(all, 400)) {
    t.is(narrow.buffer, all.narrow.buffer);
    t.is(wide.buffer, all.wide.buffer);
  }
});

test("firstRecords() gives wide ones only behind all narrow ones", (t) => {
  const { narrow, wide } = firstRecords(records(3, 3), 3 * 96 + 143);
  t.deepEqual([narrow.length, wide.length], [3 * 96, 0]);
  const more = firstRecords(records(3, 3), 3 * 96 + 2 * 144);
  t.deepEqual([more.narrow.length, more.wide.length], [3 * 96, 2 * 144]);
});

test("firstKeys() gives no more keys than have room for their records", (t) => {
  fc.assert(
    fc.property(counts, room, ([narrow, wide], roomBytes) => {
      const keys = firstKeys(keysOf(records(narrow, wide)), roomBytes);
      const recordBytes =
        (keys.narrow.length / KEY_BYTES) * RECORD_BYTES +
        (keys.wide.length / WIDE_KEY_BYTES) * WIDE_RECORD_BYTES;
      t.true(recordBytes <= roomBytes);
      t.true(
        countKeys(keys) === narrow + wide ||
          recordBytes > roomBytes - WIDE_RECORD_BYTES,
        "a key was left out that has room",
      );
    }),
  );
});

test("keysOf() gives what records begin with, but for state and flags", (t) => {
  const { narrow, wide } = keysOf(records(2, 2));
  const expected = (size: number) => {
    const key = [...Array(size - 3).keys(), 0, 0, 0];
    return [...key.with(0, 0), ...key.with(0, 1)];
  };
  t.deepEqual([...narrow], expected(KEY_BYTES));
  t.deepEqual([...wide], expected(WIDE_KEY_BYTES));
});
