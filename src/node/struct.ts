// SPDX-License-Identifier: Apache-2.0
/**
 * How a C struct is read from bytes and written to them. `layout.ts` describes each struct of weir.h with these words;
 * numbers are in host order on this side, whatever their order in memory. Bytes that no field covers are zero.
 */

/** amd64 and arm64 are the machines that weir runs on; both are little-endian. */
const LITTLE_ENDIAN = true;

export type Field<T> = {
  /** In bytes. */
  readonly size: number;
  read(view: DataView, at: number): T;
  /** Throws RangeError for a value that does not fit. */
  write(view: DataView, at: number, value: T): void;
};

/** What a field holds. */
export type ValueOf<F> = F extends Field<infer T> ? T : never;

/** The fields of a struct by name, each with its offset in bytes. */
export type Shape = {
  readonly [name: string]: readonly [offset: number, field: Field<unknown>];
};
export type StructOf<S extends Shape> = {
  readonly [N in keyof S]: ValueOf<S[N][1]>;
};

/** Reads a value that takes up all of `bytes`. Throws RangeError for another length. */
export function decode<T>(field: Field<T>, bytes: Uint8Array): T {
  requireLength(field.size, bytes.byteLength);
  return field.read(viewOf(bytes), 0);
}

export function encode<T>(field: Field<T>, value: T): Uint8Array {
  const bytes = new Uint8Array(field.size);
  field.write(viewOf(bytes), 0, value);
  return bytes;
}

/** The values side by side. */
export function encodeAll<T>(field: Field<T>, values: readonly T[]): Buffer {
  const bytes = Buffer.alloc(values.length * field.size);
  const view = viewOf(bytes);
  values.forEach((value, i) => field.write(view, i * field.size, value));
  return bytes;
}

/** Reads the values that stand side by side, each at a multiple of `alignment`, in `bytes`. */
export function decodeAll<T>(
  field: Field<T>,
  bytes: Uint8Array,
  alignment = 1,
): readonly T[] {
  const stride = Math.ceil(field.size / alignment) * alignment;
  if (bytes.byteLength % stride !== 0)
    throw new RangeError(
      `Cannot decode values of ${stride} bytes each: there are ${bytes.byteLength} bytes`,
    );
  const view = viewOf(bytes);
  return Array.from({ length: bytes.byteLength / stride }, (_, i) =>
    field.read(view, i * stride),
  );
}

/** A struct of `size` bytes. Decoding makes all fields; encoding wants all fields. */
export function struct<const S extends Shape>(
  size: number,
  shape: S,
): Field<StructOf<S>> {
  const fields = Object.entries(shape);
  return {
    size,
    read: (view, at) => {
      const value: Record<string, unknown> = {};
      for (const [name, [offset, field]] of fields)
        value[name] = field.read(view, at + offset);
      // The loop forgets the names: the shape gives them back.
      return value as StructOf<S>;
    },
    write: (view, at, value) => {
      for (const [name, [offset, field]] of fields)
        field.write(view, at + offset, value[name]);
    },
  };
}

/** `count` values side by side. Writing fewer leaves the rest zero. */
export function array<T>(
  count: number,
  item: Field<T>,
): Field<ArrayLike<T> & Iterable<T>> {
  return {
    size: count * item.size,
    read: (view, at) =>
      Array.from({ length: count }, (_, i) =>
        item.read(view, at + i * item.size),
      ),
    write: (view, at, values) => {
      if (values.length > count)
        throw new RangeError(
          `Cannot write an array: it has room for ${count} values: current length is ${values.length}`,
        );
      let next = at;
      for (const value of values) {
        item.write(view, next, value);
        next += item.size;
      }
    },
  };
}

/** `length` bytes as they are. Decoding copies. */
export function bytes(length: number): Field<Uint8Array> {
  return {
    size: length,
    read: (view, at) =>
      new Uint8Array(view.buffer, view.byteOffset + at, length).slice(),
    write: (view, at, value) => {
      requireLength(length, value.byteLength);
      new Uint8Array(view.buffer, view.byteOffset + at, length).set(value);
    },
  };
}

/** The same bytes in other words. */
export function converted<Raw, T>(
  raw: Field<Raw>,
  fromRaw: (value: Raw) => T,
  toRaw: (value: T) => Raw,
): Field<T> {
  return {
    size: raw.size,
    read: (view, at) => fromRaw(raw.read(view, at)),
    write: (view, at, value) => raw.write(view, at, toRaw(value)),
  };
}

export const u8: Field<number> = {
  size: 1,
  read: (view, at) => view.getUint8(at),
  write: (view, at, value) => view.setUint8(at, fit(value, 0xff)),
};

export const u16: Field<number> = {
  size: 2,
  read: (view, at) => view.getUint16(at, LITTLE_ENDIAN),
  write: (view, at, value) =>
    view.setUint16(at, fit(value, 0xffff), LITTLE_ENDIAN),
};

export const u32: Field<number> = {
  size: 4,
  read: (view, at) => view.getUint32(at, LITTLE_ENDIAN),
  write: (view, at, value) =>
    view.setUint32(at, fit(value, 0xffff_ffff), LITTLE_ENDIAN),
};

export const u64: Field<bigint> = {
  size: 8,
  read: (view, at) => view.getBigUint64(at, LITTLE_ENDIAN),
  write: (view, at, value) =>
    view.setBigUint64(
      at,
      fitBig(value, BigInt.asUintN(64, value)),
      LITTLE_ENDIAN,
    ),
};

export const s64: Field<bigint> = {
  size: 8,
  read: (view, at) => view.getBigInt64(at, LITTLE_ENDIAN),
  write: (view, at, value) =>
    view.setBigInt64(
      at,
      fitBig(value, BigInt.asIntN(64, value)),
      LITTLE_ENDIAN,
    ),
};

/** Network order in memory, a plain number here. */
export const be16: Field<number> = {
  size: 2,
  read: (view, at) => view.getUint16(at),
  write: (view, at, value) => view.setUint16(at, fit(value, 0xffff)),
};

export const be32: Field<number> = {
  size: 4,
  read: (view, at) => view.getUint32(at),
  write: (view, at, value) => view.setUint32(at, fit(value, 0xffff_ffff)),
};

/** DataView would wrap silently. */
function fit(value: number, max: number): number {
  if (!Number.isInteger(value) || value < 0 || value > max)
    throw new RangeError(
      `Cannot write an integer: it must be from 0 to ${max}: current value is ${value}`,
    );
  return value;
}

function fitBig(value: bigint, wrapped: bigint): bigint {
  if (value !== wrapped)
    throw new RangeError(
      `Cannot write an integer: it does not fit 64 bits: current value is ${value}`,
    );
  return value;
}

function requireLength(wanted: number, found: number): void {
  if (found !== wanted)
    throw new RangeError(
      `Cannot use bytes: there must be ${wanted} of them: current length is ${found}`,
    );
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
