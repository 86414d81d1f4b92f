// SPDX-License-Identifier: Apache-2.0
// The C of the merge against the model: the same histories, the same tables. Thousands of them, through one process.
import test from "ava";
import fc from "fast-check";
import {
  RECORD_BYTES,
  type Records,
  WIDE_RECORD_BYTES,
} from "../../src/sync/table.ts";
import { anySession, KINDS, LATE } from "../model/arbitrary.ts";
import { differenceAfter, history, type History } from "../model/history.ts";
import { NativeTable } from "../model/native.ts";
import type { Session } from "../model/session.ts";
import { encodeAll } from "../model/wire.ts";

/** Some ten seconds. */
const HISTORIES = 8_000;

async function withNative(
  use: (native: NativeTable) => Promise<void>,
  native = new NativeTable(),
): Promise<void> {
  try {
    await use(native);
  } finally {
    native.close();
  }
}

/** Rejects with the shortest history that leads to a difference. */
function sameAsModel(native: NativeTable, numRuns: number): Promise<void> {
  const property = fc.asyncProperty(history, async (one: History) => {
    const difference = await differenceAfter(one, native);
    if (difference !== undefined) throw new Error(difference);
  });
  return fc.assert(property, { numRuns, includeErrorInReport: true });
}

test("weir_merge() and weir_sweep() make of a history what the model makes of it", async (t) => {
  await withNative(async (native) => {
    await sameAsModel(native, HISTORIES);
    t.pass();
  });
});

/** The same records without one fact: bit 1 of the byte at `valid`. */
function withoutFact(
  records: Uint8Array,
  recordBytes: number,
  valid: number,
): Uint8Array {
  const fewer = Uint8Array.from(records);
  for (let at = valid; at < fewer.length; at += recordBytes)
    fewer[at] = (fewer[at] ?? 0) & ~2;
  return fewer;
}

/** A table that never hears of one fact of narrow sessions. */
class ForgetfulTable extends NativeTable {
  override merge({ narrow, wide }: Records, now: number, delay: number) {
    const fewer = withoutFact(narrow, RECORD_BYTES, 60);
    return super.merge({ narrow: fewer, wide }, now, delay);
  }
}

/** The same of wide ones. */
class WideForgetfulTable extends NativeTable {
  override merge({ narrow, wide }: Records, now: number, delay: number) {
    const fewer = withoutFact(wide, WIDE_RECORD_BYTES, 108);
    return super.merge({ narrow, wide: fewer }, now, delay);
  }
}

for (const Table of [ForgetfulTable, WideForgetfulTable])
  test(`differenceAfter() notices one fact that is lost by a ${Table.name}`, async (t) => {
    await withNative(async (native) => {
      await t.throwsAsync(sameAsModel(native, HISTORIES), {
        message: /the C and the model disagree about/,
      });
    }, new Table());
  });

/** All that nodes compare. */
async function sumsAfter(
  native: NativeTable,
  sessions: readonly Session[],
): Promise<unknown> {
  const now = LATE + 20_000; // settled
  await native.begin(1n, 16, 0);
  for (const session of sessions)
    await native.merge(encodeAll([session], now), now, 0);
  for (let pass = 0; pass < 2; pass++) await native.sweep(now, 1);
  return [await native.digest(now), await native.sums()];
}

test("weir_digest() and weir_sum_tables() are the same for the same records in any order", async (t) => {
  const sessions = fc.array(anySession(12, KINDS), {
    minLength: 1,
    maxLength: 20,
  });
  const property = (native: NativeTable) =>
    fc.asyncProperty(
      sessions,
      fc.infiniteStream(fc.nat()),
      async (all, ranks) => {
        const ranked = all.map((session) => ({
          session,
          rank: ranks.next().value as number,
        }));
        const shuffled = ranked
          .toSorted((a, b) => a.rank - b.rank)
          .map(({ session }) => session);
        t.deepEqual(
          await sumsAfter(native, [...shuffled, ...all.slice(0, 3)]),
          await sumsAfter(native, all),
        );
      },
    );
  await withNative((native) => fc.assert(property(native), { numRuns: 300 }));
});

test("weir_job() refuses what has the wrong length", async (t) => {
  await withNative(async (native) => {
    await native.begin(1n, 16, 0);
    for (const job of [0, 2, 3, 5, 6, 7, 11, 99])
      await t.throwsAsync(native.submit(job, 0, new Uint8Array(7), 1 << 20), {
        message: /errno 22/,
      });
  });
});
