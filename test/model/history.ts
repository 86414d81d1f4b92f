// SPDX-License-Identifier: Apache-2.0
/** Random histories of merges, time and sweeps, and what two tables make of one. */
import { inspect, isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { RECORD_BYTES, WIDE_RECORD_BYTES } from "../../src/sync/table.ts";
import { anySession, clientKey, KINDS, LATE, NARROW } from "./arbitrary.ts";
import type { NativeTable } from "./native.ts";
import {
  clientKeyOf,
  nameOf,
  type Session,
  TICKS_PER_SECOND,
} from "./session.ts";
import { ModelTable } from "./table.ts";
import { encodeAll, INBOUND, type WireKey } from "./wire.ts";

/** Of each kind of session. */
const LIPS = 4;
const CLIENTS = 2;
/** Sessions of the first LIP of each kind are this node's own. */
const ORIGIN = 1;
/** No record was read before LATE, and none waits for longer than this. */
const DELAY_MAX = 4000;
/** After so long a sweep looks at all of the index. */
const ORPHAN_TICKS = 20 * TICKS_PER_SECOND;
/** The C's 32 bits of ticks wrap in the midst of a history, and at an odd tick: arbitrary.ts makes no RST there. */
const WRAP = 2 ** 32 - LATE + 1999;
/** Enough for all that is live or in quarantine. */
const BUCKETS = 16;

type Merge = {
  readonly kind: "merge";
  readonly sessions: readonly Session[];
  readonly delay: number;
  /** What no honest node sends. */
  readonly broken: readonly Broken[];
};
/** A byte of one of the records, ages apart. */
type Broken = {
  readonly family: "narrow" | "wide";
  readonly at: number;
  readonly value: number;
};
type Step =
  | Merge
  | { readonly kind: "pass"; readonly ticks: number }
  | { readonly kind: "sweep" };

export type History = {
  readonly steps: readonly Step[];
  /** Of the native tables: decides who meets in a bucket. */
  readonly hashKey: bigint;
  /** Between the model's clock and the native one. */
  readonly offset: number;
};

/** `ages`: where in a record they are. */
function brokenByte(
  family: Broken["family"],
  recordBytes: number,
  ages: { readonly from: number; readonly to: number },
): fc.Arbitrary<Broken> {
  return fc.record({
    family: fc.constant(family),
    at: fc
      .nat(5 * recordBytes)
      .filter(
        (at) => at % recordBytes < ages.from || at % recordBytes >= ages.to,
      ),
    value: fc.nat(255),
  });
}

const merge: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant("merge" as const),
  sessions: fc.array(anySession(LIPS * KINDS.length, KINDS), {
    minLength: 1,
    maxLength: 5,
  }),
  delay: fc.nat(DELAY_MAX),
  broken: fc.oneof(
    { weight: 9, arbitrary: fc.constant([]) },
    {
      weight: 1,
      arbitrary: fc.array(
        fc.oneof(
          brokenByte("narrow", RECORD_BYTES, { from: 48, to: 60 }),
          brokenByte("wide", WIDE_RECORD_BYTES, { from: 96, to: 108 }),
        ),
        { minLength: 1, maxLength: 3 },
      ),
    },
  ),
});
const pass: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant("pass" as const),
  ticks: fc.oneof(fc.nat(2_000), fc.nat(100_000), fc.nat(1_100_000)),
});
const sweep: fc.Arbitrary<Step> = fc.constant({ kind: "sweep" as const });

export const history: fc.Arbitrary<History> = fc.record({
  steps: fc.array(
    fc.oneof(
      { weight: 5, arbitrary: merge },
      { weight: 2, arbitrary: pass },
      { weight: 2, arbitrary: sweep },
    ),
    { minLength: 1, maxLength: 12 },
  ),
  hashKey: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  offset: fc.constantFrom(0, WRAP),
});

/** Undefined: none. */
export async function differenceAfter(
  { steps, hashKey, offset }: History,
  native: NativeTable,
): Promise<string | undefined> {
  let now = LATE + DELAY_MAX;
  const model = new ModelTable({ now: () => now, origin: ORIGIN });
  await native.begin(hashKey, BUCKETS, offset);
  for (const step of steps) {
    let difference: string | undefined;
    if (step.kind === "pass") now += step.ticks;
    else if (step.kind === "merge")
      difference = await afterMerge(step, model, native);
    else difference = await afterSweep(model, native);
    if (difference !== undefined) return difference;
  }
  now += ORPHAN_TICKS;
  return (await afterSweep(model, native)) ?? afterAll(model, native);
}

async function afterMerge(
  { sessions, delay, broken }: Merge,
  model: ModelTable,
  native: NativeTable,
): Promise<string | undefined> {
  const now = model.now();
  const records = encodeAll(sessions, now - delay);
  // Or beyond the end: nothing.
  for (const { family, at, value } of broken) records[family][at] = value;
  const expected = model.mergeNow(records, delay);
  const actual = await native.merge(records, now, delay);
  return between(
    "what became of the records",
    outcome({ ...actual }),
    outcome({ ...expected, busy: 0 }),
  );
}

/** The counts of a merge. Whether a lie is news is nobody's concern. */
function outcome(
  result: Readonly<Record<string, bigint | number>>,
): Readonly<Record<string, number>> {
  const counts = Object.fromEntries(
    Object.entries(result).map(([name, count]) => [name, Number(count)]),
  );
  const { advanced = 0, unchanged = 0, conflicts = 0 } = counts;
  if (conflicts === 0) return counts;
  return { ...counts, advanced: advanced + unchanged, unchanged: 0 };
}

async function afterSweep(
  model: ModelTable,
  native: NativeTable,
): Promise<string | undefined> {
  const now = model.now();
  const expected = model.sweep();
  const swept = await native.sweep(now, ORIGIN);
  // A session that one pass has expired may leave its client key to one that the same pass has looked at before.
  await native.sweep(now, ORIGIN);
  return (
    between(
      "what a sweep found",
      {
        sessions: swept.sessions,
        expired: swept.expired,
        records: swept.records + swept.wide_records,
      },
      {
        sessions: BigInt(expected.sessions),
        expired: BigInt(expected.expired),
        records: BigInt(expected.refreshed),
      },
    ) ??
    between(
      "the sessions",
      sorted(await native.collect(now)),
      sorted(model.sessions()),
    ) ??
    between(
      "where clients' packets go",
      await Promise.all(clients.map((one) => nativelyNamed(one, native, now))),
      clients.map(({ key }) => model.named(key)?.generation),
    )
  );
}

const clients: readonly WireKey[] = KINDS.flatMap((kind) =>
  Array.from({ length: CLIENTS }, (_, i) => ({
    key: clientKey(i, kind),
    direction: INBOUND,
    wide: kind !== NARROW,
  })),
);

async function nativelyNamed(
  client: WireKey,
  native: NativeTable,
  now: number,
): Promise<bigint | undefined> {
  const [found] = await native.find([client], now);
  // An index entry without a session goes only when its turn has come.
  return found && nameOf(clientKeyOf(found)) === nameOf(client.key)
    ? found.generation
    : undefined;
}

async function afterAll(
  model: ModelTable,
  native: NativeTable,
): Promise<string | undefined> {
  const named = new Set(
    model.sessions().map((session) => nameOf(clientKeyOf(session))),
  );
  const settled = await model.digest();
  return between(
    "how many client keys lead somewhere, and how many sessions are settled",
    [
      (await native.sums()).entries,
      (await native.digest(model.now())).sessions,
    ],
    [BigInt(named.size), BigInt(settled.sessions)],
  );
}

function sorted(sessions: readonly Session[]): readonly Session[] {
  return sessions.toSorted((a, b) => (nameOf(a.key) < nameOf(b.key) ? -1 : 1));
}

function between(
  what: string,
  actual: unknown,
  expected: unknown,
): string | undefined {
  if (isDeepStrictEqual(actual, expected)) return undefined;
  const show = (value: unknown) => inspect(value, { depth: 6 });
  return `the C and the model disagree about ${what}: ${show(actual)} in place of ${show(expected)}`;
}
