// SPDX-License-Identifier: Apache-2.0
/** How the messages of proto/weir/v1/sync.proto become objects and bytes, and what is said of those that cannot be read. */
import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";

/** Why a message is not used. */
export type Refusal = "malformed" | "foreignCluster" | "recordVersion";

/** Of an envelope: its place in its publisher's sequence. */
type Place = {
  readonly node: string;
  readonly incarnation: bigint;
  readonly seq: bigint;
};

export type Decoded<M> =
  | { readonly refusal?: undefined; readonly message: M }
  | {
      readonly refusal: Refusal;
      /** For the log: what is wrong with which field. */
      readonly detail: string;
      /** Of an envelope whose records have an unknown version: it is not a gap. */
      readonly place?: Place;
    };

export type Refused = Exclude<Decoded<never>, { readonly message: never }>;

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

type Image = { [field: string]: unknown };

/** A field that is another one on the wire. Both ways change the image of the message in place. */
export type Form = {
  readonly toWire: (image: Image) => void;
  readonly fromWire: (image: Image) => Refused | undefined;
};

const root = protobuf.loadSync(
  fileURLToPath(new URL("../../proto/weir/v1/sync.proto", import.meta.url)),
);

export function ofCluster<M extends { readonly cluster: string }>(
  name: string,
  check: (message: M) => Refused | undefined,
  form?: Form,
): ClusterCodec<M> {
  const { encode, decode } = plain<M>(name, () => undefined, form);
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

/** `M` must be the image of the message `name`, but for what `form` says. */
export function plain<M>(
  name: string,
  check: (message: M) => Refused | undefined,
  form?: Form,
): Codec<M> {
  const type = root.lookupType(`weir.v1.${name}`);
  return {
    encode(message) {
      const image: Image = Object.assign({}, message);
      form?.toWire(image);
      return type.encode(type.fromObject(image)).finish();
    },
    decode(data) {
      let image: Image;
      try {
        image = type.toObject(type.decode(data), {
          longs: BigInt,
          defaults: true,
        });
      } catch (error) {
        return malformed(error instanceof Error ? error.message : "no message");
      }
      return (
        form?.fromWire(image) ?? check(image as M) ?? { message: image as M }
      );
    },
  };
}

/** A BigUint64Array, which is bytes on the wire. */
export function numbers(field: string): Form {
  return {
    toWire(image) {
      const { buffer, byteOffset, byteLength } = image[field] as BigUint64Array;
      // amd64 and arm64 are little-endian, as the wire is.
      image[field] = new Uint8Array(buffer, byteOffset, byteLength);
    },
    fromWire(image) {
      const bytes = image[field] as Uint8Array;
      if (bytes.length % BigUint64Array.BYTES_PER_ELEMENT !== 0)
        return malformed(`the length of ${field} is ${bytes.length}`);
      // A copy, because the bytes may lie anywhere.
      image[field] = new BigUint64Array(new Uint8Array(bytes).buffer);
      return undefined;
    },
  };
}

/** Records or keys, which are two fields on the wire: the narrow ones have the same name. No wide ones, no such field. */
export function pair(field: string, wideField: string): Form {
  return {
    toWire(image) {
      const { narrow, wide } = image[field] as {
        readonly narrow: Uint8Array;
        readonly wide: Uint8Array;
      };
      image[field] = narrow;
      if (wide.length > 0) image[wideField] = wide;
    },
    fromWire(image) {
      image[field] = { narrow: image[field], wide: image[wideField] };
      delete image[wideField];
      return undefined;
    },
  };
}

export function wrong(
  isWrong: boolean,
  what: string,
  value: unknown,
): Refused | undefined {
  return isWrong ? malformed(`${what} is ${String(value)}`) : undefined;
}

export function firstOf<Item>(
  items: readonly Item[],
  check: (item: Item) => Refused | undefined,
): Refused | undefined {
  for (const item of items) {
    const refused = check(item);
    if (refused) return refused;
  }
  return undefined;
}

function malformed(detail: string): Refused {
  return { refusal: "malformed", detail };
}
