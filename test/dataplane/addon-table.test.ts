// SPDX-License-Identifier: Apache-2.0
// The session table as sync sees it: both families behind one interface.
import test, { type ExecutionContext } from "ava";
import { loadAddon } from "../../src/node/addon.ts";
import { decode, encode, u32, u64 } from "../../src/node/struct.ts";
import { SharedTable } from "../../src/node/shared-table.ts";
import { countRecords } from "../../src/sync/records.ts";
import {
  DIGEST_BUCKETS,
  RECORD_BYTES,
  type Records,
  WIDE_RECORD_BYTES,
} from "../../src/sync/table.ts";
import { KINDS, clientKey, outboundKey } from "../model/arbitrary.ts";
import { ESTABLISHED, FACTS, SHARED, type Session } from "../model/session.ts";
import {
  decodeAll,
  encodeAll,
  encodeKeys,
  INBOUND,
  OUTBOUND,
} from "../model/wire.ts";
import { ringOptions } from "./addon-ring.ts";

/** A quarter of each kind. */
const SESSIONS = 100;
const BUCKETS = 64;
/** Ticks since their last change: long enough to be compared. */
const AGE = 20_000;
const NOW = 2 * AGE;
const EVERY_BUCKET = Array.from({ length: DIGEST_BUCKETS }, (_, i) => i);

/** Empty tables of the test's own. */
function openTable(t: ExecutionContext): SharedTable {
  const { maxEntries, ...options } = ringOptions(t);
  const tables = ["inbound4", "outbound4", "inbound6", "outbound6"];
  const sizes = tables.map((name) => [`weir_${name}`, BUCKETS]);
  const infos = loadAddon().load({
    ...options,
    maxEntries: { ...maxEntries, ...Object.fromEntries(sizes) },
  });
  return new SharedTable({ addon: loadAddon(), pinDir: options.pinDir, infos });
}

function session(number: number): Session {
  const kind = KINDS[number % KINDS.length];
  const client = clientKey(number, kind);
  return {
    key: outboundKey(number, kind),
    vaddr: client.daddr,
    vport: client.dport,
    caddr: client.saddr,
    cport: client.sport,
    generation: BigInt(1 + number),
    supersedes: 0n,
    origin: 1,
    state: ESTABLISHED,
    flags: SHARED,
    seen: NOW - AGE,
    reset: undefined,
    changed: NOW - AGE,
    facts: Array.from({ length: FACTS }, () => undefined),
  };
}

const sessions = Array.from({ length: SESSIONS }, (_, i) => session(i));

/** What the records name, in order. */
function generationsOf(...all: readonly Records[]): readonly number[] {
  return all
    .flatMap((records) => decodeAll(records, NOW, 0))
    .map((one) => Number(one?.generation))
    .toSorted((a, b) => a - b);
}

const ALL = sessions.map(({ generation }) => Number(generation));

test.serial(
  "merge() and collect() keep the sessions of both families",
  async (t) => {
    const table = openTable(t);
    const records = encodeAll(sessions, NOW);
    t.like(await table.merge(records, 0), { inserted: SESSIONS, refused: 0 });
    t.like(await table.merge(records, 0), { unchanged: SESSIONS });
    t.is(table.positions, BigInt(2 * BUCKETS * 7));

    const parts: Records[] = [];
    const roomBytes = 5 * RECORD_BYTES;
    for (let from: bigint | undefined = 0n; from !== undefined;) {
      const chunk = await table.collect(from, table.positions, roomBytes);
      const { narrow, wide } = chunk.records;
      t.true(narrow.length + wide.length <= roomBytes, "the room was exceeded");
      t.true(countRecords(chunk.records) <= 5);
      parts.push(chunk.records);
      from = chunk.next;
    }
    t.deepEqual(generationsOf(...parts), ALL);
  },
);

test.serial(
  "collect() takes ranges that lie across the families",
  async (t) => {
    const table = openTable(t);
    await table.merge(encodeAll(sessions, NOW), 0);
    const parts: Records[] = [];
    const step = 50n;
    for (let begin = 0n; begin < table.positions; begin += step) {
      const end = begin + step;
      for (let from: bigint | undefined = begin; from !== undefined;) {
        const chunk = await table.collect(from, end, WIDE_RECORD_BYTES);
        parts.push(chunk.records);
        from = chunk.next;
      }
    }
    t.deepEqual(generationsOf(...parts), ALL);
  },
);

test.serial(
  "merge() refuses a wide record that is narrow, or of two families at one end",
  async (t) => {
    const table = openTable(t);
    const { wide } = encodeAll([session(1), session(2), session(3)], NOW);
    const mapped = Buffer.from("00000000000000000000ffff0a000001", "hex");
    const broken = [
      [0, 16, 56, 72], // all four
      [0],
      [16],
      [56],
      [72],
    ].map((addresses) => {
      // Both of its ends speak IPv6.
      const record = Uint8Array.from(wide.subarray(0, WIDE_RECORD_BYTES));
      for (const at of addresses) record.set(mapped, at);
      return record;
    });
    const records = { narrow: new Uint8Array(), wide: Buffer.concat(broken) };
    t.like(await table.merge(records, 0), { inserted: 0, refused: 5 });
    t.like(await table.merge({ ...records, wide }, 0), { inserted: 3 });
  },
);

test.serial(
  "find() answers for keys of both families and both directions",
  async (t) => {
    const table = openTable(t);
    await table.merge(encodeAll(sessions, NOW), 0);
    const asked = [0, 1, 2, 3, 40, 41, 42, 43];
    const keys = asked.map((number) => {
      const kind = KINDS[number % KINDS.length];
      const wide = kind !== KINDS[0];
      return number < 40
        ? { key: clientKey(number, kind), direction: INBOUND, wide }
        : { key: outboundKey(number, kind), direction: OUTBOUND, wide };
    });
    const found = await table.find(encodeKeys(keys));
    t.deepEqual(
      generationsOf(found),
      asked.map((number) => 1 + number),
    );
    const stranger = { key: clientKey(999), direction: INBOUND, wide: true };
    t.is(countRecords(await table.find(encodeKeys([stranger]))), 0);
  },
);

test.serial(
  "missing() gives what a peer lacks, of both families",
  async (t) => {
    const table = openTable(t);
    await table.merge(encodeAll(sessions, NOW), 0);
    t.is((await table.digest()).sessions, SESSIONS);
    const hashes = await table.hashes(EVERY_BUCKET);
    t.is(hashes.length, SESSIONS);
    const all = await table.missing(EVERY_BUCKET, new BigUint64Array());
    t.deepEqual(generationsOf(all), ALL);
    const half = await table.missing(
      EVERY_BUCKET,
      hashes.filter((_, i) => i % 2 === 0),
    );
    t.is(countRecords(half), SESSIONS / 2);
    t.is(countRecords(await table.missing(EVERY_BUCKET, hashes)), 0);
  },
);

test.serial(
  "merge() raises the generation that the program goes on from",
  async (t) => {
    const table = openTable(t);
    const highest = () =>
      decode(u64, loadAddon().mapLookup("weir_generation", encode(u32, 0)));
    t.is(highest(), 0n);
    await table.merge(encodeAll([session(8)], NOW), 0);
    t.is(highest(), 9n);
    await table.merge(encodeAll([session(5), session(13)], NOW), 0);
    t.is(highest(), 14n);
  },
);
