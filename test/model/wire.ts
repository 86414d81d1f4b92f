// SPDX-License-Identifier: Apache-2.0
/**
 * The wire records of a session, version 1: little-endian, but addresses and ports in network order. Narrow and wide ones
 * have the same fields in the same order, with addresses of 4 and of 16 bytes.
 */
import {
  KEY_BYTES,
  type Keys,
  RECORD_BYTES,
  type Records,
  WIDE_KEY_BYTES,
  WIDE_RECORD_BYTES,
} from "../../src/sync/table.ts";
import {
  type Address,
  FACTS,
  FIN_BOTH,
  isMapped,
  isWide,
  type Key,
  mapped,
  normal,
  type Session,
  SHARED,
  SYN,
  wordsOf,
} from "./session.ts";

/** In place of an age: it never happened. */
const NEVER = 0xffff_ffff;
/** Higher ones are refused: no clock says that, and the counter must not overflow. */
const GENERATION_MAX = 1n << 62n;
/** 26 days: more than that a tick of 32 bits cannot say. */
const AGE_MAX = 0x7fff_ffff;

/** In a key's byte of the state. */
export const OUTBOUND = 0;
export const INBOUND = 1;

/** Where the fields of a kind of record are. */
type Form = {
  readonly bytes: number;
  readonly keyBytes: number;
  readonly addressBytes: number;
  /** Behind the addresses of the key. */
  readonly ports: number;
  readonly generations: number;
  /** Of the new tuple: addresses, then ports. */
  readonly tuple: number;
  readonly origin: number;
};

const NARROW: Form = {
  bytes: RECORD_BYTES,
  keyBytes: KEY_BYTES,
  addressBytes: 4,
  ports: 8,
  generations: 16,
  tuple: 32,
  origin: 44,
};

const WIDE: Form = {
  bytes: WIDE_RECORD_BYTES,
  keyBytes: WIDE_KEY_BYTES,
  addressBytes: 16,
  ports: 32,
  generations: 40,
  tuple: 56,
  origin: 92,
};

/** Where a record's fields are, counted from its origin. */
const IDLE = 4;
const RESET = 8;
const UNCHANGED = 12;
const VALID = 16;
const FACT = 20;
const ZERO_TOO = 48;

export function encodeAll(sessions: readonly Session[], now: number): Records {
  return {
    narrow: encodeForm(
      sessions.filter((session) => !isWide(session)),
      now,
      NARROW,
    ),
    wide: encodeForm(sessions.filter(isWide), now, WIDE),
  };
}

/** @throws Error if a length is not that of whole records. Undefined stands for a malformed one. */
export function decodeAll(
  { narrow, wide }: Records,
  now: number,
  delay: number,
): readonly (Session | undefined)[] {
  return [
    ...split(narrow, RECORD_BYTES).map((view) =>
      decode(view, now, delay, NARROW),
    ),
    ...split(wide, WIDE_RECORD_BYTES).map((view) => {
      const session = decode(view, now, delay, WIDE);
      return session && isHonestlyWide(session) ? session : undefined;
    }),
  ];
}

/** Either end speaks one IP version, and not both ends IPv4. */
function isHonestlyWide(session: Session): boolean {
  const { key, vaddr, caddr } = session;
  return (
    isWide(session) &&
    isMapped(vaddr) === isMapped(caddr) &&
    isMapped(key.saddr) === isMapped(key.daddr)
  );
}

function encodeForm(
  sessions: readonly Session[],
  now: number,
  form: Form,
): Uint8Array {
  const bytes = new Uint8Array(sessions.length * form.bytes);
  sessions.forEach((session, i) =>
    encode(session, now, new DataView(bytes.buffer, i * form.bytes), form),
  );
  return bytes;
}

function encode(
  session: Session,
  now: number,
  view: DataView,
  form: Form,
): void {
  const { addressBytes, ports, generations, tuple, origin } = form;
  const valid = origin + VALID;
  setKey(view, session.key, form);
  view.setUint8(ports + 5, session.state);
  view.setUint16(ports + 6, session.flags, true);
  view.setBigUint64(generations, session.generation, true);
  view.setBigUint64(generations + 8, session.supersedes, true);
  setAddress(view, tuple, session.vaddr, form);
  setAddress(view, tuple + addressBytes, session.caddr, form);
  view.setUint16(tuple + 2 * addressBytes, session.vport);
  view.setUint16(tuple + 2 * addressBytes + 2, session.cport);
  view.setUint32(origin, session.origin, true);
  view.setUint32(origin + IDLE, now - session.seen, true);
  view.setUint32(
    origin + RESET,
    session.reset === undefined ? NEVER : now - session.reset,
    true,
  );
  view.setUint32(origin + UNCHANGED, now - session.changed, true);
  session.facts.forEach((fact, i) => {
    if (fact === undefined) return;
    view.setUint8(valid, view.getUint8(valid) | (1 << i));
    view.setUint32(origin + FACT + 4 * i, fact, true);
  });
}

function decode(
  view: DataView,
  now: number,
  delay: number,
  form: Form,
): Session | undefined {
  const { addressBytes, ports, generations, tuple, origin } = form;
  const state = view.getUint8(ports + 5);
  const generation = view.getBigUint64(generations, true);
  const supersedes = view.getBigUint64(generations + 8, true);
  const reset = view.getUint32(origin + RESET, true);
  const flags = view.getUint16(ports + 6, true);
  const valid = view.getUint8(origin + VALID);
  const reserved =
    view.getUint8(origin + VALID + 1) |
    view.getUint16(origin + VALID + 2) |
    view.getUint32(origin + ZERO_TOO) |
    (valid >> FACTS);
  if (state < SYN || state > FIN_BOTH || reserved !== 0) return undefined;
  if (!(flags & SHARED)) return undefined;
  if (generation > GENERATION_MAX || supersedes >= generation) return undefined;
  const at = (age: number) => now - Math.min(age + delay, AGE_MAX);
  return normal({
    key: keyAt(view, form),
    state,
    flags,
    generation,
    supersedes,
    vaddr: addressAt(view, tuple, form),
    caddr: addressAt(view, tuple + addressBytes, form),
    vport: view.getUint16(tuple + 2 * addressBytes),
    cport: view.getUint16(tuple + 2 * addressBytes + 2),
    origin: view.getUint32(origin, true),
    seen: at(view.getUint32(origin + IDLE, true)),
    reset: reset === NEVER ? undefined : at(reset),
    changed: at(view.getUint32(origin + UNCHANGED, true)),
    facts: Array.from({ length: FACTS }, (_, i) =>
      valid & (1 << i)
        ? view.getUint32(origin + FACT + 4 * i, true)
        : undefined,
    ),
  });
}

/** `direction`: OUTBOUND for a session's own key, INBOUND for its client's. `wide`: the session that it asks for is. */
export type WireKey = {
  readonly key: Key;
  readonly direction: number;
  readonly wide: boolean;
};

/** @throws Error if a key for narrow sessions has an IPv6 address. */
export function encodeKeys(keys: readonly WireKey[]): Keys {
  return {
    narrow: Buffer.concat(
      keys.filter(({ wide }) => !wide).map((key) => encodeKey(key, NARROW)),
    ),
    wide: Buffer.concat(
      keys.filter(({ wide }) => wide).map((key) => encodeKey(key, WIDE)),
    ),
  };
}

function encodeKey({ key, direction }: WireKey, form: Form): Uint8Array {
  const view = new DataView(new ArrayBuffer(form.keyBytes));
  setKey(view, key, form);
  view.setUint8(form.ports + 5, direction);
  return new Uint8Array(view.buffer);
}

/** @throws Error if a length is not that of whole keys. */
export function decodeKeys({ narrow, wide }: Keys): readonly WireKey[] {
  const keysOf = (bytes: Uint8Array, form: Form) =>
    split(bytes, form.keyBytes).map((view) => ({
      key: keyAt(view, form),
      direction: view.getUint8(form.ports + 5),
      wide: form === WIDE,
    }));
  return [...keysOf(narrow, NARROW), ...keysOf(wide, WIDE)];
}

function setKey(view: DataView, key: Key, form: Form): void {
  const { addressBytes, ports } = form;
  setAddress(view, 0, key.saddr, form);
  setAddress(view, addressBytes, key.daddr, form);
  view.setUint16(ports, key.sport);
  view.setUint16(ports + 2, key.dport);
  view.setUint8(ports + 4, key.proto);
}

function keyAt(view: DataView, form: Form): Key {
  const { addressBytes, ports } = form;
  return {
    saddr: addressAt(view, 0, form),
    daddr: addressAt(view, addressBytes, form),
    sport: view.getUint16(ports),
    dport: view.getUint16(ports + 2),
    proto: view.getUint8(ports + 4),
  };
}

function setAddress(
  view: DataView,
  at: number,
  address: Address,
  { addressBytes }: Form,
): void {
  if (addressBytes === 4 && !isMapped(address))
    throw new Error(`Cannot encode ${address.toString(16)} in four bytes`);
  wordsOf(address)
    .slice(-addressBytes / 4)
    .forEach((word, i) => view.setUint32(at + 4 * i, word));
}

function addressAt(
  view: DataView,
  at: number,
  { addressBytes }: Form,
): Address {
  if (addressBytes === 4) return mapped(view.getUint32(at));
  return (view.getBigUint64(at) << 64n) | view.getBigUint64(at + 8);
}

function split(bytes: Uint8Array, size: number): readonly DataView[] {
  if (bytes.length % size !== 0)
    throw new Error(
      `Cannot split ${bytes.length} bytes into pieces of ${size}`,
    );
  return Array.from(
    { length: bytes.length / size },
    (_, i) => new DataView(bytes.buffer, bytes.byteOffset + i * size, size),
  );
}
