// SPDX-License-Identifier: Apache-2.0
/** Records of both kinds at once, without a look into one: how many, how long, and parts of them as views. */
import {
  KEY_BYTES,
  type Keys,
  RECORD_BYTES,
  type Records,
  WIDE_KEY_BYTES,
  WIDE_RECORD_BYTES,
} from "./table.ts";

const NOTHING = new Uint8Array();
export const NO_RECORDS: Records = { narrow: NOTHING, wide: NOTHING };

/** Whatever is smaller cannot take every record. */
export const ROOM_BYTES_MIN = Math.max(RECORD_BYTES, WIDE_RECORD_BYTES);

export function countRecords({ narrow, wide }: Records): number {
  return narrow.length / RECORD_BYTES + wide.length / WIDE_RECORD_BYTES;
}

export function countKeys({ narrow, wide }: Keys): number {
  return narrow.length / KEY_BYTES + wide.length / WIDE_KEY_BYTES;
}

export function bytesOf({ narrow, wide }: Records | Keys): number {
  return narrow.length + wide.length;
}

export function isEmpty({ narrow, wide }: Records | Keys): boolean {
  return narrow.length === 0 && wide.length === 0;
}

/** The first records, as many as fit into `roomBytes`: narrow ones, then wide ones. */
export function firstRecords(
  { narrow, wide }: Records,
  roomBytes: number,
): Records {
  const narrowBytes = whole(roomBytes, RECORD_BYTES, narrow);
  const wideBytes = whole(roomBytes - narrowBytes, WIDE_RECORD_BYTES, wide);
  return {
    narrow: narrow.subarray(0, narrowBytes),
    wide: wide.subarray(0, wideBytes),
  };
}

/** All of them in order, in parts of at most `roomBytes`, which is ROOM_BYTES_MIN or more. */
export function* partsOf(
  records: Records,
  roomBytes: number,
): Generator<Records> {
  let rest = records;
  while (bytesOf(rest) > roomBytes) {
    const part = firstRecords(rest, roomBytes);
    yield part;
    rest = {
      narrow: rest.narrow.subarray(part.narrow.length),
      wide: rest.wide.subarray(part.wide.length),
    };
  }
  if (!isEmpty(rest)) yield rest;
}

/** The first keys, as many as have records that surely fit into `roomBytes`. */
export function firstKeys({ narrow, wide }: Keys, roomBytes: number): Keys {
  const narrowCount = Math.min(
    narrow.length / KEY_BYTES,
    Math.floor(roomBytes / RECORD_BYTES),
  );
  const wideCount = Math.floor(
    (roomBytes - narrowCount * RECORD_BYTES) / WIDE_RECORD_BYTES,
  );
  return {
    narrow: narrow.subarray(0, narrowCount * KEY_BYTES),
    wide: wide.subarray(0, wideCount * WIDE_KEY_BYTES),
  };
}

/** The keys of records: a record begins with its key, but for its state and flags. */
export function keysOf({ narrow, wide }: Records): Keys {
  return {
    narrow: beginnings(narrow, RECORD_BYTES, KEY_BYTES),
    wide: beginnings(wide, WIDE_RECORD_BYTES, WIDE_KEY_BYTES),
  };
}

/** Of a key: its state and flags. */
const STATE_BYTES = 3;

function beginnings(
  records: Uint8Array,
  recordBytes: number,
  keyBytes: number,
): Uint8Array {
  const count = records.length / recordBytes;
  const keys = new Uint8Array(count * keyBytes);
  for (let i = 0; i < count; i++) {
    const at = i * recordBytes;
    keys.set(records.subarray(at, at + keyBytes - STATE_BYTES), i * keyBytes);
  }
  return keys;
}

/** Bytes of the whole pieces that fit into the room, of those that are there. */
function whole(
  roomBytes: number,
  pieceBytes: number,
  { length }: Uint8Array,
): number {
  return Math.min(length, Math.floor(roomBytes / pieceBytes) * pieceBytes);
}
