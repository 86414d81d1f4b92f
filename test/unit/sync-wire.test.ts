// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import fc from "fast-check";
import type { Decoded } from "../../src/sync/codec.ts";
import {
  DIGEST_BUCKETS,
  RECORD_BYTES,
  WIDE_RECORD_BYTES,
} from "../../src/sync/table.ts";
import * as wire from "../../src/sync/wire.ts";
import { FROZEN } from "./sync-wire-frozen.ts";

const RECORDS = Uint8Array.from({ length: 2 * RECORD_BYTES }, (_, i) => i);
const WIDE = Uint8Array.from({ length: WIDE_RECORD_BYTES }, (_, i) => i);
const NARROW_ONLY = { narrow: RECORDS, wide: new Uint8Array() };
const BOTH = { narrow: RECORDS, wide: WIDE };

const ENVELOPE: wire.Envelope = {
  cluster: "rack1",
  node: "d1",
  incarnation: 0x0123456789abcdefn,
  seq: 300n,
  recordVersion: 1,
  delayTicks: 5,
  readAtMs: 1234.5,
  sections: [{ type: wire.SECTION_SESSIONS_V4, records: RECORDS }],
};

const WIDE_SECTION = { type: wire.SECTION_SESSIONS_WIDE, records: WIDE };

const HELLO: wire.Hello = {
  cluster: "rack1",
  node: "d1",
  incarnation: 0x0123456789abcdefn,
  seq: 300n,
  pool: ["10.200.0.0/28", "10.201.0.0/28"],
  poolHash: 0xfedcba9876543210n,
  sentAtMs: 1234.5,
  echoes: [{ node: "d2", sentAtMs: 99.25, heldMs: 0.5 }],
  applied: [{ node: "d2", incarnation: 7n, seq: 2n ** 63n + 1n, table: true }],
  synced: true,
  digestRound: 9n,
  sessions: 1_000_000n,
  partial: true,
};

const DIGEST: wire.DigestMessage = {
  cluster: "rack1",
  node: "d1",
  incarnation: 1n,
  round: 9n,
  buckets: BigUint64Array.from({ length: DIGEST_BUCKETS }, (_, bucket) =>
    bucket === 0 ? 0x0102030405060708n : bucket === 1023 ? 2n ** 64n - 1n : 0n,
  ),
};

const RANGE: wire.ResendRequest = {
  incarnation: 1n,
  range: { from: 0n, to: 5n },
};

const SNAPSHOT_REPLY: wire.SnapshotReply = {
  incarnation: 1n,
  recordVersion: 1,
  records: NARROW_ONLY,
  next: 0n,
  positions: 14_000_000n,
  seq: 300n,
};

const RECORDS_REPLY = { recordVersion: 1, records: NARROW_ONLY };
const BOTH_REPLY = { recordVersion: 1, records: BOTH };

type AnyCodec = {
  readonly encode: (message: never) => Uint8Array;
  readonly decode: (data: Uint8Array, cluster: string) => Decoded<unknown>;
};

/** Each message with its codec. The names are those of the frozen bytes. */
const MESSAGES: Readonly<Record<string, readonly [AnyCodec, object]>> = {
  envelope: [wire.envelope, ENVELOPE],
  hello: [wire.hello, HELLO],
  digestMessage: [wire.digestMessage, DIGEST],
  resendRequest: [wire.resendRequest, RANGE],
  resendReply: [
    wire.resendReply,
    {
      envelopes: [new Uint8Array([1, 2]), new Uint8Array()],
      gone: true,
    },
  ],
  snapshotRequest: [
    wire.snapshotRequest,
    { from: 5n, to: 2n ** 40n, room: 2730 },
  ],
  snapshotReply: [wire.snapshotReply, SNAPSHOT_REPLY],
  repairRequest: [
    wire.repairRequest,
    { buckets: [0, 7, 1023], known: BigUint64Array.of(1n, 2n ** 64n - 1n) },
  ],
  repairReply: [wire.repairReply, RECORDS_REPLY],
  lookupRequest: [
    wire.lookupRequest,
    { keys: { narrow: RECORDS.subarray(0, 32), wide: new Uint8Array() } },
  ],
  lookupReply: [wire.lookupReply, RECORDS_REPLY],
  envelopeWide: [wire.envelope, { ...ENVELOPE, sections: [WIDE_SECTION] }],
  envelopeBoth: [
    wire.envelope,
    { ...ENVELOPE, sections: [...ENVELOPE.sections, WIDE_SECTION] },
  ],
  snapshotReplyBoth: [wire.snapshotReply, { ...SNAPSHOT_REPLY, records: BOTH }],
  repairReplyBoth: [wire.repairReply, BOTH_REPLY],
  lookupRequestBoth: [
    wire.lookupRequest,
    {
      keys: { narrow: RECORDS.subarray(0, 32), wide: RECORDS.subarray(0, 40) },
    },
  ],
  lookupReplyBoth: [wire.lookupReply, BOTH_REPLY],
};

for (const [name, [codec, message]] of Object.entries(MESSAGES)) {
  test(`${name}.encode() gives the bytes that the first version gave`, (t) => {
    t.is(
      Buffer.from(codec.encode(message as never)).toString("hex"),
      FROZEN[name] ?? "",
      "a node of an older version would read something else",
    );
  });

  test(`${name}.decode() reads what the first version wrote`, (t) => {
    const decoded = codec.decode(
      Buffer.from(FROZEN[name] ?? "", "hex"),
      "rack1",
    );
    if (decoded.refusal !== undefined) return t.fail(decoded.detail);
    t.deepEqual(plainOf(decoded.message), plainOf(message));
  });
}

test("snapshotReply.decode() tells no next position from position 0", (t) => {
  const { next: _, ...last } = SNAPSHOT_REPLY;
  const decoded = wire.snapshotReply.decode(wire.snapshotReply.encode(last));
  if (decoded.refusal !== undefined) return t.fail(decoded.detail);
  t.is(decoded.message.next, undefined, "the range does not end");
});

test("envelope.encode() gives a buffer that later changes of the records do not reach", (t) => {
  const records = new Uint8Array(RECORDS);
  const sections = [{ type: 1, records }];
  const data = wire.envelope.encode({ ...ENVELOPE, sections });
  records.fill(0xff);
  const decoded = wire.envelope.decode(data, "rack1");
  if (decoded.refusal !== undefined) return t.fail(decoded.detail);
  t.deepEqual(plainOf(decoded.message), plainOf(ENVELOPE));
});

test("envelope.decode() leaves sections of unknown types to be skipped", (t) => {
  const sections = [
    { type: 77, records: new Uint8Array(5) },
    ...ENVELOPE.sections,
  ];
  const data = wire.envelope.encode({ ...ENVELOPE, sections });
  const decoded = wire.envelope.decode(data, "rack1");
  if (decoded.refusal !== undefined) return t.fail(decoded.detail);
  t.deepEqual(
    decoded.message.sections.map(({ type }) => type),
    [77, wire.SECTION_SESSIONS_V4],
  );
});

test("sectionsOf() and recordsOf() give back what they were given, by no copy", (t) => {
  const data = wire.envelope.encode({
    ...ENVELOPE,
    sections: wire.sectionsOf(BOTH),
  });
  const decoded = wire.envelope.decode(data, "rack1");
  if (decoded.refusal !== undefined) return t.fail(decoded.detail);
  const { narrow, wide } = wire.recordsOf(decoded.message);
  t.deepEqual(plainOf({ narrow, wide }), plainOf(BOTH));
  t.is(narrow.buffer, data.buffer);
  t.is(wide.buffer, data.buffer);
});

test("sectionsOf() leaves out what there is none of", (t) => {
  t.deepEqual(wire.sectionsOf(NARROW_ONLY), ENVELOPE.sections);
  const narrow = new Uint8Array();
  t.deepEqual(wire.sectionsOf({ narrow, wide: WIDE }), [WIDE_SECTION]);
});

test("envelope.decode() refuses an unknown record version, and says which envelope it was", (t) => {
  const data = wire.envelope.encode({ ...ENVELOPE, recordVersion: 2 });
  t.deepEqual(wire.envelope.decode(data, "rack1"), {
    refusal: "recordVersion",
    detail: "recordVersion is 2, not 1",
    place: { node: "d1", incarnation: ENVELOPE.incarnation, seq: 300n },
  });
});

for (const [name, codec] of [
  ["snapshotReply", wire.snapshotReply],
  ["repairReply", wire.repairReply],
  ["lookupReply", wire.lookupReply],
] as const)
  test(`${name}.decode() refuses an unknown record version`, (t) => {
    const data = codec.encode({ ...SNAPSHOT_REPLY, recordVersion: 0 });
    t.is(codec.decode(data).refusal, "recordVersion");
  });

for (const name of ["envelope", "hello", "digestMessage"])
  test(`${name}.decode() refuses a message of another cluster`, (t) => {
    const [codec, message] = MESSAGES[name] ?? [];
    const data = codec?.encode(message as never) ?? new Uint8Array();
    t.deepEqual(codec?.decode(data, "rack2"), {
      refusal: "foreignCluster",
      detail: 'cluster is "rack1"',
    });
  });

/** Encoded, but nonsense; with what is said about it. */
const NONSENSE: Readonly<Record<string, readonly [AnyCodec, object, string]>> =
  {
    "no node": [wire.envelope, { ...ENVELOPE, node: "" }, "node is "],
    "half a record": [
      wire.envelope,
      { ...ENVELOPE, sections: [{ type: 1, records: new Uint8Array(95) }] },
      "the length of records is 95",
    ],
    "half a wide record": [
      wire.envelope,
      {
        ...ENVELOPE,
        sections: [{ ...WIDE_SECTION, records: new Uint8Array(96) }],
      },
      "the length of records is 96",
    ],
    "two sections of one type": [
      wire.envelope,
      { ...ENVELOPE, sections: [WIDE_SECTION, WIDE_SECTION] },
      "the type of two sections is 4",
    ],
    "a time that is no number": [
      wire.envelope,
      { ...ENVELOPE, readAtMs: NaN },
      "readAtMs is NaN",
    ],
    "an echo from nowhere": [
      wire.hello,
      { ...HELLO, echoes: [{ node: "d2", sentAtMs: Infinity, heldMs: 0 }] },
      "an echo's sentAtMs is Infinity",
    ],
    "half a digest": [
      wire.digestMessage,
      { ...DIGEST, buckets: new BigUint64Array(512) },
      "the number of buckets is 512",
    ],
    "no range": [wire.resendRequest, { incarnation: 1n }, "range is undefined"],
    "a range backwards": [
      wire.resendRequest,
      { incarnation: 1n, range: { from: 2n, to: 1n } },
      "range is 2 to 1",
    ],
    "positions backwards": [
      wire.snapshotRequest,
      { from: 2n, to: 1n, room: 1 },
      "range is 2 to 1",
    ],
    "a bucket that is none": [
      wire.repairRequest,
      { buckets: [1024], known: new BigUint64Array() },
      "a bucket is 1024",
    ],
    "half a key": [
      wire.lookupRequest,
      { keys: { narrow: new Uint8Array(8), wide: new Uint8Array() } },
      "the length of keys is 8",
    ],
    "half a wide key": [
      wire.lookupRequest,
      { keys: { narrow: new Uint8Array(16), wide: new Uint8Array(16) } },
      "the length of wideKeys is 16",
    ],
    "half a record in a reply": [
      wire.lookupReply,
      { recordVersion: 1, records: { ...BOTH, narrow: new Uint8Array(1) } },
      "the length of records is 1",
    ],
    "half a wide record in a reply": [
      wire.snapshotReply,
      { ...SNAPSHOT_REPLY, records: { ...BOTH, wide: new Uint8Array(96) } },
      "the length of wideRecords is 96",
    ],
  };

for (const [what, [codec, message, detail]] of Object.entries(NONSENSE))
  test(`decode() refuses ${what}`, (t) => {
    t.deepEqual(codec.decode(codec.encode(message as never), "rack1"), {
      refusal: "malformed",
      detail,
    });
  });

test("repairRequest.decode() refuses hashes that are cut off", (t) => {
  const threeBytesOfHashes = Uint8Array.of(0x12, 3, 1, 2, 3);
  t.deepEqual(wire.repairRequest.decode(threeBytesOfHashes), {
    refusal: "malformed",
    detail: "the length of known is 3",
  });
});

test("decode() refuses bytes that are no message, and never throws", (t) => {
  const codecs = Object.values(MESSAGES).map(([codec]) => codec);
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    // Messages with a few bytes changed, or cut off.
    fc
      .tuple(
        fc.constantFrom(...Object.values(FROZEN)),
        fc.nat(),
        fc.integer({ min: 0, max: 255 }),
        fc.nat(),
      )
      .map(([hex, at, value, end]) => {
        const data = Buffer.from(hex, "hex");
        data[at % data.length] = value;
        return data.subarray(0, 1 + (end % data.length));
      }),
  );
  fc.assert(
    fc.property(fc.constantFrom(...codecs), bytes, (codec, data) => {
      const decoded = codec.decode(data, "rack1");
      return decoded.refusal === undefined
        ? decoded.message !== undefined
        : decoded.detail !== "";
    }),
    { numRuns: 3000 },
  );
  t.pass();
});

test("subjectOf() and nodeOf() agree", (t) => {
  const subject = wire.subjectOf("rack1", "session", "d-1");
  t.is(subject, "weir.rack1.session.d-1");
  t.is(wire.nodeOf(subject), "d-1");
});

/** Buffers are Uint8Arrays, and the order of fields says nothing. */
function plainOf(value: unknown): unknown {
  if (value instanceof BigUint64Array) return [...value];
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map(plainOf);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .map(([name, field]) => [name, plainOf(field)] as const)
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
}
