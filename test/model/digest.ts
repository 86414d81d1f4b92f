// SPDX-License-Identifier: Apache-2.0
/** What two nodes compare: hashes of sessions that both should by now hold alike. */
import { DIGEST_BUCKETS } from "../../src/sync/table.ts";
import {
  ESTABLISHED,
  FIN_ONE,
  type Session,
  TICKS_PER_SECOND,
  timeoutOf,
  type Timeouts,
  wordsOf,
} from "./session.ts";

/** Unchanged for so long: records of it are no longer on their way. */
export const SETTLED_AFTER = 10 * TICKS_PER_SECOND;

/** Established or half-closed, unchanged for a while, and not in the last quarter of its timeout. */
export function isSettled(
  session: Session,
  now: number,
  timeouts: Timeouts,
  settledAfter: number,
): boolean {
  return (
    (session.state === ESTABLISHED || session.state === FIN_ONE) &&
    session.reset === undefined &&
    now - session.changed >= settledAfter &&
    now - session.seen < (timeoutOf(session, timeouts) / 4) * 3
  );
}

export function bucketOf({ key }: Session): number {
  return mix(keyWords(key), 0x9e3779b9) % DIGEST_BUCKETS;
}

/** 64 bits of all that nodes must agree about: times are left out. */
export function hashOf(session: Session): bigint {
  const words = [
    ...keyWords(session.key),
    session.state,
    session.flags,
    ...halves(session.generation),
    ...halves(session.supersedes),
    ...wordsOf(session.vaddr),
    ...wordsOf(session.caddr),
    session.vport,
    session.cport,
    session.origin,
    ...session.facts.flatMap((fact) => [Number(fact !== undefined), fact ?? 0]),
  ];
  return (BigInt(mix(words, 1)) << 32n) | BigInt(mix(words, 2));
}

function keyWords(key: Session["key"]): readonly number[] {
  return [
    ...wordsOf(key.saddr),
    ...wordsOf(key.daddr),
    key.sport,
    key.dport,
    key.proto,
  ];
}

function halves(word: bigint): readonly number[] {
  return [Number(word >> 32n), Number(word & 0xffff_ffffn)];
}

/** MurmurHash3 of 32-bit words. */
function mix(words: readonly number[], seed: number): number {
  let hash = seed;
  for (const word of words) {
    let k = Math.imul(word, 0xcc9e2d51);
    k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
    hash ^= k;
    hash = Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64;
  }
  hash ^= words.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
