// SPDX-License-Identifier: Apache-2.0
/**
 * The messages between nodes, encoded and decoded as proto/weir/v1/sync.proto describes them; what the fields mean is said
 * there. Records are bytes here: neither direction looks into them. Decoding copies no records: they are views of `data`.
 */
import {
  type ClusterCodec,
  type Codec,
  firstOf,
  numbers,
  ofCluster,
  pair,
  plain,
  type Refused,
  wrong,
} from "./codec.ts";
import { NO_RECORDS } from "./records.ts";
import {
  DIGEST_BUCKETS,
  KEY_BYTES,
  type Keys,
  RECORD_BYTES,
  RECORD_VERSION,
  type Records,
  WIDE_KEY_BYTES,
  WIDE_RECORD_BYTES,
} from "./table.ts";

/** What a node publishes, and what it is asked. */
export type SubjectKind =
  "session" | "hello" | "digest" | "resend" | "snapshot" | "repair" | "lookup";

/** Names are those of the config; `*` as a node stands for all of them. */
export function subjectOf(
  cluster: string,
  kind: SubjectKind,
  node: string,
): string {
  return `weir.${cluster}.${kind}.${node}`;
}

/** The node that a subject names. */
export function nodeOf(subject: string): string {
  return subject.slice(subject.lastIndexOf(".") + 1);
}

/** Types of sections. Others are to be skipped. */
export const SECTION_SESSIONS_V4 = 1;
export const SECTION_SESSIONS_WIDE = 4;

/** Bytes of one record, by the type of the section. */
const SECTIONS: ReadonlyMap<number, number> = new Map([
  [SECTION_SESSIONS_V4, RECORD_BYTES],
  [SECTION_SESSIONS_WIDE, WIDE_RECORD_BYTES],
]);

export type Section = { readonly type: number; readonly records: Uint8Array };

export type Envelope = {
  readonly cluster: string;
  readonly node: string;
  readonly incarnation: bigint;
  readonly seq: bigint;
  readonly recordVersion: number;
  readonly delayTicks: number;
  readonly readAtMs: number;
  readonly sections: readonly Section[];
};

export type Echo = {
  readonly node: string;
  readonly sentAtMs: number;
  readonly heldMs: number;
};

export type Applied = {
  readonly node: string;
  readonly incarnation: bigint;
  readonly seq: bigint;
};

export type Hello = {
  readonly cluster: string;
  readonly node: string;
  readonly incarnation: bigint;
  readonly seq: bigint;
  readonly pool: readonly string[];
  readonly poolHash: bigint;
  readonly sentAtMs: number;
  readonly echoes: readonly Echo[];
  readonly applied: readonly (Applied & { readonly table: boolean })[];
  readonly synced: boolean;
  readonly digestRound: bigint;
  readonly sessions: bigint;
  readonly partial: boolean;
};

export type DigestMessage = {
  readonly cluster: string;
  readonly node: string;
  readonly incarnation: bigint;
  readonly round: bigint;
  /** DIGEST_BUCKETS of them. */
  readonly buckets: BigUint64Array;
};

export type ResendRequest = {
  readonly incarnation: bigint;
  readonly range: { readonly from: bigint; readonly to: bigint };
};

export type ResendReply = {
  /** Each to be decoded by the codec `envelope`. */
  readonly envelopes: readonly Uint8Array[];
  readonly gone: boolean;
};

export type SnapshotRequest = {
  readonly from: bigint;
  readonly to: bigint;
  readonly room: number;
};

export type SnapshotReply = {
  readonly incarnation: bigint;
  readonly recordVersion: number;
  readonly records: Records;
  readonly next?: bigint | undefined;
  readonly positions: bigint;
  readonly seq: bigint;
};

export type RepairRequest = {
  readonly buckets: readonly number[];
  readonly known: BigUint64Array;
};

export type RecordsReply = {
  readonly recordVersion: number;
  readonly records: Records;
};
export type RepairReply = RecordsReply;

export type LookupRequest = { readonly keys: Keys };
export type LookupReply = RecordsReply;

export const envelope: ClusterCodec<Envelope> = ofCluster(
  "Envelope",
  (message) =>
    wrong(message.node === "", "node", message.node) ??
    wrong(!isFinite(message.readAtMs), "readAtMs", message.readAtMs) ??
    refuseVersion(message.recordVersion, message) ??
    refuseTwins(message.sections) ??
    firstOf(message.sections, ({ type, records: { length } }) =>
      wrong(
        length % (SECTIONS.get(type) ?? 1) !== 0,
        "the length of records",
        length,
      ),
    ),
);

export const hello: ClusterCodec<Hello> = ofCluster(
  "Hello",
  (message) =>
    wrong(message.node === "", "node", message.node) ??
    wrong(!isFinite(message.sentAtMs), "sentAtMs", message.sentAtMs) ??
    firstOf(
      message.echoes,
      ({ sentAtMs, heldMs }) =>
        wrong(!isFinite(sentAtMs), "an echo's sentAtMs", sentAtMs) ??
        wrong(!isFinite(heldMs), "an echo's heldMs", heldMs),
    ),
);

export const digestMessage: ClusterCodec<DigestMessage> = ofCluster(
  "DigestMessage",
  ({ node, buckets }) =>
    wrong(node === "", "node", node) ??
    wrong(
      buckets.length !== DIGEST_BUCKETS,
      "the number of buckets",
      buckets.length,
    ),
  numbers("buckets"),
);

export const resendRequest: Codec<ResendRequest> = plain(
  "ResendRequest",
  ({ range }) =>
    wrong(!range, "range", range) ??
    wrong(range.from > range.to, "range", `${range.from} to ${range.to}`),
);

export const resendReply: Codec<ResendReply> = plain(
  "ResendReply",
  () => undefined,
);

export const snapshotRequest: Codec<SnapshotRequest> = plain(
  "SnapshotRequest",
  ({ from, to }) => wrong(from > to, "range", `${from} to ${to}`),
);

const RECORDS = pair("records", "wideRecords");

export const snapshotReply: Codec<SnapshotReply> = plain(
  "SnapshotReply",
  (reply) => checkReply(reply),
  RECORDS,
);

export const repairRequest: Codec<RepairRequest> = plain(
  "RepairRequest",
  ({ buckets }) =>
    firstOf(buckets, (bucket) =>
      wrong(bucket >= DIGEST_BUCKETS, "a bucket", bucket),
    ),
  numbers("known"),
);

export const repairReply: Codec<RepairReply> = plain(
  "RepairReply",
  checkReply,
  RECORDS,
);

export const lookupRequest: Codec<LookupRequest> = plain(
  "LookupRequest",
  ({ keys: { narrow, wide } }) =>
    wrong(
      narrow.length % KEY_BYTES !== 0,
      "the length of keys",
      narrow.length,
    ) ??
    wrong(
      wide.length % WIDE_KEY_BYTES !== 0,
      "the length of wideKeys",
      wide.length,
    ),
  pair("keys", "wideKeys"),
);

export const lookupReply: Codec<LookupReply> = plain(
  "LookupReply",
  checkReply,
  RECORDS,
);

/** Of an envelope; none of a kind that there are no records of. */
export function sectionsOf({ narrow, wide }: Records): readonly Section[] {
  const sections: Section[] = [];
  if (narrow.length > 0)
    sections.push({ type: SECTION_SESSIONS_V4, records: narrow });
  if (wide.length > 0)
    sections.push({ type: SECTION_SESSIONS_WIDE, records: wide });
  return sections;
}

/** The sessions of an envelope, whose other sections are skipped. */
export function recordsOf({ sections }: Envelope): Records {
  let { narrow, wide } = NO_RECORDS;
  for (const { type, records } of sections)
    if (type === SECTION_SESSIONS_V4) narrow = records;
    else if (type === SECTION_SESSIONS_WIDE) wide = records;
  return { narrow, wide };
}

function checkReply({
  recordVersion,
  records: { narrow, wide },
}: RecordsReply): Refused | undefined {
  return (
    refuseVersion(recordVersion) ??
    wrong(
      narrow.length % RECORD_BYTES !== 0,
      "the length of records",
      narrow.length,
    ) ??
    wrong(
      wide.length % WIDE_RECORD_BYTES !== 0,
      "the length of wideRecords",
      wide.length,
    )
  );
}

function refuseVersion(
  recordVersion: number,
  place?: Applied,
): Refused | undefined {
  if (recordVersion === RECORD_VERSION) return undefined;
  return {
    refusal: "recordVersion",
    detail: `recordVersion is ${recordVersion}, not ${RECORD_VERSION}`,
    ...(place && {
      place: {
        node: place.node,
        incarnation: place.incarnation,
        seq: place.seq,
      },
    }),
  };
}

function refuseTwins(sections: readonly Section[]): Refused | undefined {
  return firstOf([...SECTIONS.keys()], (known) =>
    wrong(
      sections.filter(({ type }) => type === known).length > 1,
      "the type of two sections",
      known,
    ),
  );
}
