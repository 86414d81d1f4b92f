// SPDX-License-Identifier: Apache-2.0
/** The wire record of an IPv4 session, version 1: 96 bytes, little-endian, but addresses and ports in network order. */
import { KEY_BYTES, RECORD_BYTES } from "../../src/sync/table.ts";
import {
  FACTS,
  FIN_BOTH,
  type Key,
  normal,
  type Session,
  SHARED,
  SYN,
} from "./session.ts";

/** In place of an age: it never happened. */
const NEVER = 0xffff_ffff;
/** Higher ones are refused: no clock says that, and the counter must not overflow. */
const GENERATION_MAX = 1n << 62n;
const FACTS_AT = 64;
/** 26 days: more than that a tick of 32 bits cannot say. */
const AGE_MAX = 0x7fff_ffff;

/** Byte 13 of a key. */
export const OUTBOUND = 0;
export const INBOUND = 1;

export function encodeAll(
  sessions: readonly Session[],
  now: number,
): Uint8Array {
  const bytes = new Uint8Array(sessions.length * RECORD_BYTES);
  sessions.forEach((session, i) =>
    encode(session, now, new DataView(bytes.buffer, i * RECORD_BYTES)),
  );
  return bytes;
}

/** @throws Error if the length is not that of whole records. Undefined stands for a malformed one. */
export function decodeAll(
  bytes: Uint8Array,
  now: number,
  delay: number,
): readonly (Session | undefined)[] {
  return split(bytes, RECORD_BYTES).map((view) => decode(view, now, delay));
}

function encode(session: Session, now: number, view: DataView): void {
  const { key } = session;
  view.setUint32(0, key.saddr);
  view.setUint32(4, key.daddr);
  view.setUint16(8, key.sport);
  view.setUint16(10, key.dport);
  view.setUint8(12, key.proto);
  view.setUint8(13, session.state);
  view.setUint16(14, session.flags, true);
  view.setBigUint64(16, session.generation, true);
  view.setBigUint64(24, session.supersedes, true);
  view.setUint32(32, session.vaddr);
  view.setUint32(36, session.caddr);
  view.setUint16(40, session.vport);
  view.setUint16(42, session.cport);
  view.setUint32(44, session.origin, true);
  view.setUint32(48, now - session.seen, true);
  view.setUint32(
    52,
    session.reset === undefined ? NEVER : now - session.reset,
    true,
  );
  view.setUint32(56, now - session.changed, true);
  session.facts.forEach((fact, i) => {
    if (fact === undefined) return;
    view.setUint8(60, view.getUint8(60) | (1 << i));
    view.setUint32(FACTS_AT + 4 * i, fact, true);
  });
}

function decode(
  view: DataView,
  now: number,
  delay: number,
): Session | undefined {
  const state = view.getUint8(13);
  const generation = view.getBigUint64(16, true);
  const supersedes = view.getBigUint64(24, true);
  const reset = view.getUint32(52, true);
  const flags = view.getUint16(14, true);
  const valid = view.getUint8(60);
  const reserved =
    view.getUint8(61) |
    view.getUint16(62) |
    view.getUint32(92) |
    (valid >> FACTS);
  if (state < SYN || state > FIN_BOTH || reserved !== 0) return undefined;
  if (!(flags & SHARED)) return undefined;
  if (generation > GENERATION_MAX || supersedes >= generation) return undefined;
  const at = (age: number) => now - Math.min(age + delay, AGE_MAX);
  return normal({
    key: keyAt(view),
    state,
    flags,
    generation,
    supersedes,
    vaddr: view.getUint32(32),
    caddr: view.getUint32(36),
    vport: view.getUint16(40),
    cport: view.getUint16(42),
    origin: view.getUint32(44, true),
    seen: at(view.getUint32(48, true)),
    reset: reset === NEVER ? undefined : at(reset),
    changed: at(view.getUint32(56, true)),
    facts: Array.from({ length: FACTS }, (_, i) =>
      valid & (1 << i) ? view.getUint32(FACTS_AT + 4 * i, true) : undefined,
    ),
  });
}

/** `direction`: OUTBOUND for a session's own key, INBOUND for its client's. */
export type WireKey = { readonly key: Key; readonly direction: number };

export function encodeKey({ key, direction }: WireKey): Uint8Array {
  const view = new DataView(new ArrayBuffer(KEY_BYTES));
  view.setUint32(0, key.saddr);
  view.setUint32(4, key.daddr);
  view.setUint16(8, key.sport);
  view.setUint16(10, key.dport);
  view.setUint8(12, key.proto);
  view.setUint8(13, direction);
  return new Uint8Array(view.buffer);
}

/** @throws Error if the length is not that of whole keys. */
export function decodeKeys(bytes: Uint8Array): readonly WireKey[] {
  return split(bytes, KEY_BYTES).map((view) => ({
    key: keyAt(view),
    direction: view.getUint8(13),
  }));
}

function keyAt(view: DataView): Key {
  return {
    saddr: view.getUint32(0),
    daddr: view.getUint32(4),
    sport: view.getUint16(8),
    dport: view.getUint16(10),
    proto: view.getUint8(12),
  };
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
