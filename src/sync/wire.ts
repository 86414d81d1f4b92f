// SPDX-License-Identifier: Apache-2.0
/**
 * The messages between nodes, encoded and decoded as proto/weir/v1/sync.proto describes them; what the fields mean is said
 * there. Records are bytes here: neither direction looks into them. Decoding copies no records: they are views of `data`.
 */
import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";
import {
  DIGEST_BUCKETS,
  KEY_BYTES,
  RECORD_BYTES,
  RECORD_VERSION,
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
  readonly origin: number;
  readonly poolHash: bigint;
  readonly sentAtMs: number;
  readonly echoes: readonly Echo[];
  readonly applied: readonly Applied[];
  readonly synced: boolean;
  readonly digestRound: bigint;
  readonly digestTotal: bigint;
  readonly sessions: bigint;
};

export type DigestMessage = {
  readonly cluster: string;
  readonly node: string;
  readonly incarnation: bigint;
  readonly round: bigint;
  /** DIGEST_BUCKETS of them. */
  readonly buckets: BigUint64Array;
};

export type ResendRequest = { readonly incarnation: bigint } & (
  | {
      readonly range: { readonly from: bigint; readonly to: bigint };
      readonly sinceMs?: undefined;
    }
  | { readonly range?: undefined; readonly sinceMs: number }
);

export type ResendReply = {
  /** Each to be decoded by the codec `envelope`. */
  readonly envelopes: readonly Uint8Array[];
  readonly gone: boolean;
  readonly more: boolean;
};

export type SnapshotRequest = {
  readonly from: bigint;
  readonly to: bigint;
  readonly room: number;
};

export type SnapshotReply = {
  readonly incarnation: bigint;
  readonly recordVersion: number;
  readonly records: Uint8Array;
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
  readonly records: Uint8Array;
};
export type RepairReply = RecordsReply;

export type LookupRequest = { readonly keys: Uint8Array };
export type LookupReply = RecordsReply;

/** Why a message is not used. */
export type Refusal = "malformed" | "foreignCluster" | "recordVersion";

export type Decoded<M> =
  | { readonly refusal?: undefined; readonly message: M }
  | {
      readonly refusal: Refusal;
      /** For the log: what is wrong with which field. */
      readonly detail: string;
      /** Of an envelope whose records have an unknown version: its place in the sequence, which is not a gap. */
      readonly place?: Applied;
    };

type Refused = Exclude<Decoded<never>, { readonly message: never }>;

export type Codec<M> = {
  /** A buffer of its own, which the caller may keep. */
  readonly encode: (message: M) => Uint8Array;
  readonly decode: (data: Uint8Array) => Decoded<M>;
};

/** Of a message that says which cluster it is for. */
export type ClusterCodec<M> = {
  readonly encode: (message: M) => Uint8Array;
  readonly decode: (data: Uint8Array, cluster: string) => Decoded<M>;
};

const root = protobuf.loadSync(
  fileURLToPath(new URL("../../proto/weir/v1/sync.proto", import.meta.url)),
);

export const envelope: ClusterCodec<Envelope> = ofCluster(
  "Envelope",
  (message) =>
    wrong(message.node === "", "node", message.node) ??
    wrong(!isFinite(message.readAtMs), "readAtMs", message.readAtMs) ??
    refuseVersion(message.recordVersion, message) ??
    firstOf(message.sections, ({ type, records }) =>
      type === SECTION_SESSIONS_V4 ? refuseRecords(records) : undefined,
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
  "buckets",
);

export const resendRequest: Codec<ResendRequest> = plain(
  "ResendRequest",
  ({ range, sinceMs }) =>
    range === undefined
      ? wrong(!isFinite(sinceMs ?? NaN), "sinceMs", sinceMs)
      : wrong(range.from > range.to, "range", `${range.from} to ${range.to}`),
);

export const resendReply: Codec<ResendReply> = plain(
  "ResendReply",
  () => undefined,
);

export const snapshotRequest: Codec<SnapshotRequest> = plain(
  "SnapshotRequest",
  ({ from, to }) => wrong(from > to, "range", `${from} to ${to}`),
);

export const snapshotReply: Codec<SnapshotReply> = plain(
  "SnapshotReply",
  (reply) => checkReply(reply),
);

export const repairRequest: Codec<RepairRequest> = plain(
  "RepairRequest",
  ({ buckets }) =>
    firstOf(buckets, (bucket) =>
      wrong(bucket >= DIGEST_BUCKETS, "a bucket", bucket),
    ),
  "known",
);

export const repairReply: Codec<RepairReply> = plain("RepairReply", checkReply);

export const lookupRequest: Codec<LookupRequest> = plain(
  "LookupRequest",
  ({ keys }) =>
    wrong(keys.length % KEY_BYTES !== 0, "the length of keys", keys.length),
);

export const lookupReply: Codec<LookupReply> = plain("LookupReply", checkReply);

function checkReply({
  recordVersion,
  records,
}: RecordsReply): Refused | undefined {
  return refuseVersion(recordVersion) ?? refuseRecords(records);
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

function refuseRecords({ length }: Uint8Array): Refused | undefined {
  return wrong(length % RECORD_BYTES !== 0, "the length of records", length);
}

function wrong(
  isWrong: boolean,
  what: string,
  value: unknown,
): Refused | undefined {
  return isWrong ? malformed(`${what} is ${String(value)}`) : undefined;
}

function malformed(detail: string): Refused {
  return { refusal: "malformed", detail };
}

function firstOf<Item>(
  items: readonly Item[],
  check: (item: Item) => Refused | undefined,
): Refused | undefined {
  for (const item of items) {
    const refused = check(item);
    if (refused) return refused;
  }
  return undefined;
}

function ofCluster<M extends { readonly cluster: string }>(
  name: string,
  check: (message: M) => Refused | undefined,
  numbers?: keyof M & string,
): ClusterCodec<M> {
  const { encode, decode } = plain<M>(name, () => undefined, numbers);
  return {
    encode,
    decode(data, cluster) {
      const decoded = decode(data);
      if (decoded.refusal !== undefined) return decoded;
      const { message } = decoded;
      if (message.cluster !== cluster)
        return {
          refusal: "foreignCluster",
          detail: `cluster is ${JSON.stringify(message.cluster)}`,
        };
      return check(message) ?? decoded;
    },
  };
}

/** `M` must be the image of the message `name`. The field `numbers` is bytes on the wire, and 64-bit numbers here. */
function plain<M>(
  name: string,
  check: (message: M) => Refused | undefined,
  numbers?: keyof M & string,
): Codec<M> {
  const type = root.lookupType(`weir.v1.${name}`);
  return {
    encode(message) {
      const image: { [field: string]: unknown } = Object.assign({}, message);
      if (numbers !== undefined)
        image[numbers] = bytesOf(message[numbers] as BigUint64Array);
      return type.encode(type.fromObject(image)).finish();
    },
    decode(data) {
      let message: Record<string, unknown>;
      try {
        message = type.toObject(type.decode(data), {
          longs: BigInt,
          defaults: true,
        });
      } catch (error) {
        return malformed(error instanceof Error ? error.message : "no message");
      }
      if (numbers !== undefined) {
        const bytes = message[numbers] as Uint8Array;
        if (bytes.length % BigUint64Array.BYTES_PER_ELEMENT !== 0)
          return malformed(`the length of ${numbers} is ${bytes.length}`);
        message[numbers] = numbersOf(bytes);
      }
      return check(message as M) ?? { message: message as M };
    },
  };
}

/** amd64 and arm64 are little-endian, as the wire is. */
function bytesOf({
  buffer,
  byteOffset,
  byteLength,
}: BigUint64Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** A copy, because the bytes may lie anywhere. */
function numbersOf(bytes: Uint8Array): BigUint64Array {
  return new BigUint64Array(new Uint8Array(bytes).buffer);
}
