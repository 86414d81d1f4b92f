// SPDX-License-Identifier: Apache-2.0
/** The merge rule of two records of one outbound key: a join, so order, repetition and lateness do not matter. */
import { type Address, normal, type Session, wordsOf } from "./session.ts";

/** What both of `a` and `b`, of the same key, say together. */
export function join(a: Session, b: Session): Session {
  if (a.generation !== b.generation)
    return normal(a.generation > b.generation ? a : b);
  return normal({
    ...smaller(a, b),
    state: Math.max(a.state, b.state),
    flags: a.flags | b.flags,
    seen: Math.max(a.seen, b.seen),
    reset: ofBoth(a.reset, b.reset, Math.max),
    changed: Math.max(a.changed, b.changed),
    facts: a.facts.map((fact, i) => ofBoth(fact, b.facts[i], Math.min)),
  });
}

/** Do two records of one generation contradict each other? */
export function conflict(a: Session, b: Session): boolean {
  return (
    difference(a, b) !== 0 ||
    a.facts.some((fact, i) => {
      const other = b.facts[i];
      return fact !== undefined && other !== undefined && fact !== other;
    })
  );
}

/** Do two sessions of one key say the same, but for when packets were seen? */
export function same(a: Session, b: Session): boolean {
  return (
    a.generation === b.generation &&
    difference(a, b) === 0 &&
    a.state === b.state &&
    a.flags === b.flags &&
    a.reset === b.reset &&
    a.facts.every((fact, i) => fact === b.facts[i])
  );
}

function ofBoth(
  a: number | undefined,
  b: number | undefined,
  choose: (a: number, b: number) => number,
): number | undefined {
  if (a === undefined) return b;
  return b === undefined ? a : choose(a, b);
}

/** Whose constants win: they cannot differ unless a node is broken, and then all nodes must make the same choice. */
function smaller(a: Session, b: Session): Session {
  return difference(a, b) > 0 ? b : a;
}

/** Any order would do. This one is the C's, which compares words of addresses, and ports, as they are in memory. */
function difference(a: Session, b: Session): number {
  return (
    a.origin - b.origin ||
    Number(a.supersedes > b.supersedes) - Number(a.supersedes < b.supersedes) ||
    ofAddresses(a.vaddr, b.vaddr) ||
    ofAddresses(a.caddr, b.caddr) ||
    swapped(a.vport) - swapped(b.vport) ||
    swapped(a.cport) - swapped(b.cport)
  );
}

function ofAddresses(a: Address, b: Address): number {
  if (a === b) return 0;
  const [ours, theirs] = [wordsOf(a), wordsOf(b)];
  const i = ours.findIndex((word, at) => word !== theirs[at]);
  return swapped(ours[i] ?? 0) - swapped(theirs[i] ?? 0);
}

/** Of a port, too: its zeros become the low bytes. */
function swapped(word: number): number {
  const bytes = (word & 0xff00ff) * 256 + ((word >>> 8) & 0xff00ff);
  return (bytes % 65536) * 65536 + (Math.floor(bytes / 65536) % 65536);
}
