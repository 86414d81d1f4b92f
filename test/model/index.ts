// SPDX-License-Identifier: Apache-2.0
/** Which session a client's packets belong to: a pure function of the sessions of that client key. */
import { ESTABLISHED, isClosed, type Session, SYNACK } from "./session.ts";

const CLOSED = 0;
const HALF_OPEN = 1;
const ANSWERED = 2;
const PROVEN = 3;

/** The one that the index names; undefined for no sessions. */
export function named(sessions: readonly Session[]): Session | undefined {
  const cut = sessions.reduce(
    (highest, { supersedes }) => (supersedes > highest ? supersedes : highest),
    0n,
  );
  return sessions
    .filter(({ generation }) => generation > cut)
    .reduce<Session | undefined>(
      (best, one) => (best === undefined || beats(one, best) ? one : best),
      undefined,
    );
}

/** Is `a` the better one to name? A total order of different sessions of one client key. */
export function beats(a: Session, b: Session): boolean {
  const rank = rankOf(a);
  if (rank !== rankOf(b)) return rank > rankOf(b);
  const order = compare(a, b);
  // The client uses the first answer, so of those not proven the older wins.
  return rank === HALF_OPEN || rank === ANSWERED ? order < 0 : order > 0;
}

function rankOf(session: Session): number {
  if (isClosed(session)) return CLOSED;
  if (session.state >= ESTABLISHED) return PROVEN;
  return session.state === SYNACK ? ANSWERED : HALF_OPEN;
}

/** By generation; two nodes that made one in the same nanosecond are told apart by origin, then by key. */
function compare(a: Session, b: Session): number {
  return (
    order(a.generation, b.generation) ||
    a.origin - b.origin ||
    order(a.key.daddr, b.key.daddr) ||
    a.key.dport - b.key.dport ||
    order(a.key.saddr, b.key.saddr) ||
    a.key.sport - b.key.sport
  );
}

function order(a: bigint, b: bigint): number {
  return Number(a > b) - Number(a < b);
}
