// SPDX-License-Identifier: Apache-2.0
/** The file of load/marks.h, by which the load programs say how late sessions reach the other node. */
import { closeSync, ftruncateSync, openSync, readFileSync } from "node:fs";

const MARKS_MAX = 65_536;
const TIMES_BYTES = MARKS_MAX * 8;

/** Marks for each second of a load, about. */
const MARKS_PER_SECOND = 1_000;

/** Makes an empty file, whatever was there. */
export function makeMarks(path: string): void {
  const file = openSync(path, "w");
  ftruncateSync(file, 2 * TIMES_BYTES);
  closeSync(file);
}

/** Each how-many-eth session is a mark. Odd, so that marks are not always at the same place of a batch. */
export function spacingOf(sessions: number, rate: number): number {
  const wanted = rate > 0 ? rate / MARKS_PER_SECOND : 100;
  return Math.ceil(Math.max(wanted, sessions / MARKS_MAX)) | 1;
}

export type Marks = {
  /** Of the marks that arrived, in no order. */
  readonly lagsMs: readonly number[];
  readonly missing: number;
  /** When the last one arrived, in ns of CLOCK_MONOTONIC; 0 = none has. */
  readonly lastSeenNs: number;
};

export function readMarks(path: string): Marks {
  const file = readFileSync(path);
  const sent = new BigUint64Array(file.buffer, file.byteOffset, MARKS_MAX);
  const seen = new BigUint64Array(
    file.buffer,
    file.byteOffset + TIMES_BYTES,
    MARKS_MAX,
  );
  const lagsMs: number[] = [];
  let missing = 0;
  let last = 0n;
  sent.forEach((sentNs, mark) => {
    const seenNs = seen[mark] ?? 0n;
    if (sentNs === 0n) return;
    if (seenNs === 0n) missing++;
    else lagsMs.push(Number(seenNs - sentNs) / 1e6);
    if (seenNs > last) last = seenNs;
  });
  return { lagsMs, missing, lastSeenNs: Number(last) };
}
