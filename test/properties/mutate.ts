// SPDX-License-Identifier: Apache-2.0
/** Spoils frames: so that they are nearly right, or not at all. */
import type { Random } from "../histories/random.ts";

/** BPF_PROG_TEST_RUN takes no fewer, and with its own headroom no more in one page. */
export const FRAME_MIN = 14;
export const FRAME_MAX = 3_000;

/** Where headers are: most of what can be spoilt. */
const HEADERS = 120;
const WORDS: readonly number[] = [
  0, 1, 5, 8, 20, 28, 40, 0x00ff, 0x0800, 0x1fff, 0x2000, 0x4000, 0x45ff,
  0x6000, 0x7fff, 0x8100, 0x88a8, 0x86dd, 0xfffe, 0xffff,
];
const BYTES: readonly number[] = [
  0, 1, 2, 4, 5, 6, 8, 11, 12, 17, 41, 43, 44, 45, 50, 51, 58, 59, 60, 69, 70,
  96, 127, 128, 129, 135, 255,
];

type Mutation = (frame: Buffer, random: Random) => Buffer;

const MUTATIONS: readonly Mutation[] = [
  (frame, random) => {
    const at = place(frame, random, 1);
    frame.writeUInt8(frame.readUInt8(at) ^ (1 << random.between(0, 7)), at);
    return frame;
  },
  (frame, random) => {
    frame.writeUInt8(random.pick(BYTES), place(frame, random, 1));
    return frame;
  },
  (frame, random) => {
    frame.writeUInt16BE(random.pick(WORDS), place(frame, random, 2));
    return frame;
  },
  (frame, random) => {
    const at = place(frame, random, 2);
    const word = frame.readUInt16BE(at) + random.between(-9, 9);
    frame.writeUInt16BE(word & 0xffff, at);
    return frame;
  },
  (frame, random) => frame.subarray(0, random.between(FRAME_MIN, frame.length)),
  (frame, random) =>
    Buffer.concat([frame, randomBytes(random, random.between(1, 64))]),
  (frame, random) => {
    const at = place(frame, random, 1);
    const many = random.between(1, 24);
    return Buffer.concat([frame.subarray(0, at), frame.subarray(at + many)]);
  },
  (frame, random) => {
    const at = place(frame, random, 1);
    const extra = randomBytes(random, random.between(1, 24));
    return Buffer.concat([frame.subarray(0, at), extra, frame.subarray(at)]);
  },
  (frame, random) => {
    const from = place(frame, random, 1);
    frame.copy(frame, place(frame, random, 1), from, from + 16);
    return frame;
  },
];

/** Spoilt once or several times; the frame itself stays as it is. */
export function mutated(frame: Buffer, random: Random): Buffer {
  let spoilt: Buffer = Buffer.from(frame);
  const times = random.chance(0.7) ? 1 : random.between(2, 5);
  for (let i = 0; i < times && spoilt.length >= FRAME_MIN; i++)
    spoilt = random.pick(MUTATIONS)(spoilt, random);
  return fitting(spoilt);
}

export function randomBytes(random: Random, length: number): Buffer {
  return Buffer.from(
    Uint8Array.from({ length }, () => Math.floor(random.next() * 256)),
  );
}

function fitting(frame: Buffer): Buffer {
  if (frame.length >= FRAME_MIN) return frame.subarray(0, FRAME_MAX);
  return Buffer.concat([frame, Buffer.alloc(FRAME_MIN - frame.length)]);
}

/** Mostly within the headers behind Ethernet's. */
function place(frame: Buffer, random: Random, width: number): number {
  const last = frame.length - width;
  const limit = random.chance(0.8) ? Math.min(HEADERS, last) : last;
  const first = random.chance(0.9) ? FRAME_MIN : 0;
  return random.between(Math.min(first, limit), limit);
}
