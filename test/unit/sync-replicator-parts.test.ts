// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import fc from "fast-check";
import { earlierClaims, prefixesOf } from "../../src/sync/claims.ts";
import { ResendBuffer } from "../../src/sync/resend-buffer.ts";
import { ClockOffset, Samples } from "../../src/sync/samples.ts";
import { Sequence } from "../../src/sync/sequence.ts";

test("Sequence.arrive() knows what is missing, in whatever order envelopes come", (t) => {
  const numbers = fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 60 });
  fc.assert(
    fc.property(numbers, (arrivals) => {
      const sequence = new Sequence(1000);
      const there = new Set<number>();
      for (const seq of arrivals) {
        const isNew = sequence.arrive(BigInt(seq));
        if (isNew === there.has(seq)) return false;
        there.add(seq);
      }
      const top = Math.max(0, ...there);
      const missing = Array.from({ length: top }, (_, i) => i + 1).filter(
        (seq) => !there.has(seq),
      );
      const told = sequence.missing.flatMap(({ from, to }) =>
        Array.from(
          { length: Number(to - from) + 1 },
          (_, i) => Number(from) + i,
        ),
      );
      return (
        JSON.stringify(told) === JSON.stringify(missing) &&
        sequence.contiguous === BigInt((missing[0] ?? top + 1) - 1)
      );
    }),
  );
  t.pass();
});

test("Sequence.expect() finds what was lost at the end", (t) => {
  const sequence = new Sequence(10);
  sequence.arrive(1n);
  sequence.expect(4n);
  t.deepEqual(sequence.missing, [{ from: 2n, to: 4n }]);
  sequence.expect(3n);
  t.is(sequence.top, 4n);
});

test("Sequence.lose() and forgive() are opposites", (t) => {
  const sequence = new Sequence(10);
  for (let seq = 1n; seq <= 5n; seq++) sequence.arrive(seq);
  sequence.lose(2n);
  sequence.lose(3n);
  sequence.lose(5n);
  t.deepEqual(sequence.missing, [
    { from: 2n, to: 3n },
    { from: 5n, to: 5n },
  ]);
  t.is(sequence.contiguous, 1n);
  sequence.forgive(2n);
  t.deepEqual(sequence.missing[0], { from: 3n, to: 3n });
  sequence.forgive(9n);
  t.is(sequence.contiguous, 9n);
});

test("Sequence tells no more ranges apart than its bound, and forgets none", (t) => {
  const sequence = new Sequence(3);
  for (let seq = 2n; seq <= 40n; seq += 2n) sequence.arrive(seq);
  t.is(sequence.missing.length, 3);
  for (let seq = 1n; seq < 40n; seq += 2n)
    t.true(
      sequence.missing.some(({ from, to }) => from <= seq && seq <= to),
      `${seq} is forgotten`,
    );
});

const records = (count: number) => ({
  narrow: new Uint8Array(96 * count),
  wide: new Uint8Array(),
});

test("ResendBuffer drops the oldest at its bound", (t) => {
  const buffer = new ResendBuffer(3 * (96 + 256));
  for (let i = 1; i <= 5; i++) buffer.add(i * 10, records(1));
  t.deepEqual([buffer.first, buffer.last], [3n, 5n]);
  t.is(buffer.records, 3);
  const seqs = [...buffer.range({ from: 1n, to: 9n })].map(({ seq }) => seq);
  t.deepEqual(seqs, [3n, 4n, 5n]);
});

test("ResendBuffer keeps no more memory than it counts", (t) => {
  const buffer = new ResendBuffer(1_000_000);
  const whole = new Uint8Array(100_000);
  const part = {
    narrow: whole.subarray(96, 192).fill(7),
    wide: whole.subarray(192, 336).fill(8),
  };
  const { narrow, wide } = buffer.add(0, part).records;
  t.deepEqual([narrow.buffer.byteLength, wide.buffer.byteLength], [96, 144]);
  t.deepEqual(narrow, new Uint8Array(96).fill(7));
  t.deepEqual(wide, new Uint8Array(144).fill(8));
  const own = { narrow: new Uint8Array(96), wide: new Uint8Array(144) };
  const kept = buffer.add(0, own).records;
  t.is(kept.narrow, own.narrow, "copied without need");
  t.is(kept.wide, own.wide, "copied without need");
});

test("ResendBuffer.recordsAfter() counts what is held behind an envelope", (t) => {
  const buffer = new ResendBuffer(1_000_000);
  for (let i = 1; i <= 4; i++) buffer.add(0, records(i));
  t.is(buffer.recordsAfter(0n), 10);
  t.is(buffer.recordsAfter(2n), 7);
  t.is(buffer.recordsAfter(4n), 0);
  t.is(buffer.recordsAfter(9n), 0);
});

test("ResendBuffer keeps its count over many turns", (t) => {
  const buffer = new ResendBuffer(100 * (96 + 256));
  for (let i = 1; i <= 10_000; i++) buffer.add(i, records(1));
  t.is(buffer.records, 100);
  t.is(buffer.recordsAfter(9950n), 50);
  const [oldest] = buffer.range({ from: 0n, to: 10_000n });
  t.is(oldest?.readAtMs, 9901);
});

test("Samples.percentiles() is of the last samples only", (t) => {
  const samples = new Samples(100);
  t.deepEqual(samples.percentiles(0.5), [undefined]);
  for (let i = 0; i < 250; i++) samples.add(i < 150 ? 1e6 : i - 150);
  t.deepEqual(samples.percentiles(0.5, 0.99), [50, 99]);
});

test("ClockOffset finds how far clocks are apart, from the shortest round trip", (t) => {
  const offset = new ClockOffset();
  t.is(offset.best, undefined);
  // The peer's clock is 1,000 ahead; 10 there, 5 held, 30 back: the way is not symmetric.
  offset.add(100, 145, 1115, 5);
  // 1 there, 5 held, 1 back.
  offset.add(200, 207, 1206, 5);
  t.deepEqual(offset.best, { roundTripMs: 2, offsetMs: 1000 });
});

const claim = (node: string, incarnation: bigint, ...pool: string[]) => ({
  node,
  incarnation,
  pool: prefixesOf(pool),
});

for (const { title, own, other, found } of [
  {
    title: "lets the one that started first go on",
    own: claim("a", 1n, "10.0.0.0/28"),
    other: claim("b", 2n, "10.0.0.8/29"),
    found: [],
  },
  {
    title: "stops the one that started later",
    own: claim("b", 2n, "10.0.0.8/29"),
    other: claim("a", 1n, "10.0.0.0/28"),
    found: ["a"],
  },
  {
    title: "decides by name between two that started at once",
    own: claim("b", 1n, "10.0.0.0/28"),
    other: claim("a", 1n, "10.0.0.0/28"),
    found: ["a"],
  },
  {
    title: "leaves disjoint pools alone",
    own: claim("b", 2n, "10.0.0.16/28"),
    other: claim("a", 1n, "10.0.0.0/28", "nonsense"),
    found: [],
  },
])
  test(`earlierClaims() ${title}`, (t) => {
    t.deepEqual(earlierClaims(own, [other]), found);
  });
