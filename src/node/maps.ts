// SPDX-License-Identifier: Apache-2.0
/**
 * Access to the dataplane's maps by typed keys and values. A map compares its sizes with the kernel's when it is made, and
 * throws LayoutMismatchError; later the kernel's refusals come as they are, as AddonError.
 */
import { LayoutMismatchError } from "../errors.ts";
import type { Addon, MapInfo } from "./addon.ts";
import { hasCode } from "./addon.ts";
import type { Field } from "./struct.ts";
import { decode, decodeAll, encode, u32 } from "./struct.ts";

/** The kernel rounds the value of each CPU up to this many bytes. */
const PER_CPU_ALIGNMENT = 8;

/** An open dataplane: the addon, where its pins are, and what the kernel says of each map. */
export type OpenMaps = {
  readonly addon: Addon;
  readonly pinDir: string;
  readonly infos: Readonly<Record<string, MapInfo>>;
};

/** A map of slots by number, all there from the start and zero. */
export class ArrayMap<T> {
  readonly length: number;
  readonly #addon: Addon;
  readonly #name: string;
  readonly #value: Field<T>;

  constructor(maps: OpenMaps, name: string, value: Field<T>) {
    this.length = checkedInfo(maps, name, u32.size, value.size).maxEntries;
    this.#addon = maps.addon;
    this.#name = name;
    this.#value = value;
  }

  /** Undefined if the slot is zero. Throws with code ENOENT for an index past the end. */
  get(index: number): T | undefined {
    const bytes = this.#addon.mapLookup(this.#name, encode(u32, index));
    return bytes.every((byte) => byte === 0)
      ? undefined
      : decode(this.#value, bytes);
  }

  set(index: number, value: T): void {
    this.#write(index, encode(this.#value, value));
  }

  /** Makes the slot zero. */
  clear(index: number): void {
    this.#write(index, new Uint8Array(this.#value.size));
  }

  #write(index: number, bytes: Uint8Array): void {
    this.#addon.mapUpdate(this.#name, encode(u32, index), bytes);
  }
}

/** A map of the elements that were put there. */
export class KeyedMap<K, V> {
  /** How many elements it can hold. */
  readonly capacity: number;
  readonly #addon: Addon;
  readonly #name: string;
  readonly #key: Field<K>;
  readonly #value: Field<V>;

  constructor(maps: OpenMaps, name: string, key: Field<K>, value: Field<V>) {
    this.capacity = checkedInfo(maps, name, key.size, value.size).maxEntries;
    this.#addon = maps.addon;
    this.#name = name;
    this.#key = key;
    this.#value = value;
  }

  get(key: K): V | undefined {
    try {
      return decode(
        this.#value,
        this.#addon.mapLookup(this.#name, encode(this.#key, key)),
      );
    } catch (error) {
      if (hasCode(error, "ENOENT")) return undefined;
      throw error;
    }
  }

  /** Throws with code E2BIG or ENOSPC if the map is full. */
  set(key: K, value: V): void {
    this.#addon.mapUpdate(
      this.#name,
      encode(this.#key, key),
      encode(this.#value, value),
    );
  }

  /** Returns whether it was there. */
  delete(key: K): boolean {
    try {
      this.#addon.mapDelete(this.#name, encode(this.#key, key));
      return true;
    } catch (error) {
      if (hasCode(error, "ENOENT")) return false;
      throw error;
    }
  }

  keys(): readonly K[] {
    return decodeAll(this.#key, this.#addon.mapKeys(this.#name));
  }
}

/** Sums a per-CPU struct of u64 fields over all CPUs. */
export class PerCpuSums<T extends Readonly<Record<string, bigint>>> {
  readonly #addon: Addon;
  readonly #name: string;
  readonly #value: Field<T>;

  constructor(maps: OpenMaps, name: string, value: Field<T>) {
    checkedInfo(maps, name, u32.size, value.size);
    this.#addon = maps.addon;
    this.#name = name;
    this.#value = value;
  }

  get(index: number): T {
    const perCpu = decodeAll(
      this.#value,
      this.#addon.mapLookup(this.#name, encode(u32, index)),
      PER_CPU_ALIGNMENT,
    );
    return perCpu.reduce(add);
  }

  /** Back to zero on all CPUs. */
  clear(index: number): void {
    const key = encode(u32, index);
    const { length } = this.#addon.mapLookup(this.#name, key);
    this.#addon.mapUpdate(this.#name, key, new Uint8Array(length));
  }
}

/** Makes each element of a per-CPU array zero on all CPUs. */
export function clearPerCpu({ addon, infos }: OpenMaps, name: string): void {
  const length = infos[name]?.maxEntries ?? 0;
  for (let index = 0; index < length; index++) {
    const key = encode(u32, index);
    const { byteLength } = addon.mapLookup(name, key);
    addon.mapUpdate(name, key, new Uint8Array(byteLength));
  }
}

function add<T extends Readonly<Record<string, bigint>>>(a: T, b: T): T {
  // Object.fromEntries forgets the names, which are those of `a`.
  return Object.fromEntries(
    Object.entries(a).map(([name, value]) => [name, value + (b[name] ?? 0n)]),
  ) as T;
}

function checkedInfo(
  { infos }: OpenMaps,
  name: string,
  keySize: number,
  valueSize: number,
): MapInfo {
  const info = infos[name];
  if (info?.keySize !== keySize || info.valueSize !== valueSize)
    throw new LayoutMismatchError(
      `map ${name}`,
      `keys of ${info?.keySize} and values of ${info?.valueSize} bytes`,
      `${keySize} and ${valueSize}`,
    );
  return info;
}
