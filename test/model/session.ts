// SPDX-License-Identifier: Apache-2.0
/**
 * A session in plain data, and what follows from one alone. This folder is a second, independent account of what
 * dataplane/ does with sessions: it shares no code with the C, and tests compare the two.
 *
 * Addresses are numbers of 128 bits, those of IPv4 mapped (::ffff:a.b.c.d). Times are ticks (2^20 ns) of one clock that never wraps.
 */

export const TICKS_PER_SECOND = 954;

export const SYN = 3;
export const SYNACK = 4;
export const ESTABLISHED = 5;
export const FIN_ONE = 6;
export const FIN_BOTH = 7;

export const FIN_CLIENT = 0x0001;
export const FIN_REAL = 0x0002;
export const RST_REAL = 0x0004;
/** Other nodes are told of this session. */
export const SHARED = 0x0008;
const FINS = FIN_CLIENT | FIN_REAL;

/** Data seen later than this after a RST restores a session. */
export const RESET_GRACE = 2 * TICKS_PER_SECOND;

export type Address = bigint;

const MAPPED = 0xffffn;

/** @param address of 32 bits */
export function mapped(address: number): Address {
  return (MAPPED << 32n) | BigInt(address);
}

export function isMapped(address: Address): boolean {
  return address >> 32n === MAPPED;
}

/** Of 32 bits, the most significant first. */
export function wordsOf(address: Address): readonly number[] {
  return [96n, 64n, 32n, 0n].map((shift) =>
    Number((address >> shift) & 0xffff_ffffn),
  );
}

/** A flow's one direction. */
export type Key = {
  readonly saddr: Address;
  readonly daddr: Address;
  readonly sport: number;
  readonly dport: number;
  readonly proto: number;
};

/** The order of a session's facts on the wire. */
export const CLIENT_ISN = 0;
export const REAL_ISN = 1;
export const CLIENT_FIN = 2;
export const REAL_FIN = 3;
export const OPTIONS = 4;
export const SEQUENCE = 5;
export const TIMESTAMP = 6;
export const FACTS = 7;

export type Session = {
  /** Real server to LIP: the session's identity. */
  readonly key: Key;
  /** Of the packets to the client. */
  readonly vaddr: Address;
  readonly vport: number;
  readonly caddr: Address;
  readonly cport: number;
  readonly generation: bigint;
  readonly supersedes: bigint;
  readonly origin: number;
  readonly state: number;
  readonly flags: number;
  /** When its last packet was seen. */
  readonly seen: number;
  /** When its last RST was seen, if that counts. */
  readonly reset: number | undefined;
  /** When its state, flags, facts or reset last changed. */
  readonly changed: number;
  readonly facts: readonly (number | undefined)[];
};

/** Does an IPv6 address take part? */
export function isWide({ key, vaddr, caddr }: Session): boolean {
  return ![key.saddr, key.daddr, vaddr, caddr].every(isMapped);
}

/** Idle timeouts in ticks. */
export type Timeouts = {
  readonly handshake: number;
  readonly established: number;
  readonly closed: number;
  readonly reset: number;
};

export function clientKeyOf(session: Session): Key {
  return {
    saddr: session.caddr,
    daddr: session.vaddr,
    sport: session.cport,
    dport: session.vport,
    proto: session.key.proto,
  };
}

export function nameOf({ saddr, sport, daddr, dport, proto }: Key): string {
  return `${saddr.toString(16)}:${sport}>${daddr.toString(16)}:${dport}/${proto}`;
}

/** The one form of sessions that mean the same: both FINs are FIN_BOTH, and a RST that no longer counts is none. */
export function normal(session: Session): Session {
  const { flags, seen, reset } = session;
  return {
    ...session,
    state: (flags & FINS) === FINS ? FIN_BOTH : session.state,
    reset:
      reset === undefined || seen - reset > RESET_GRACE ? undefined : reset,
  };
}

/** Both FINs, or a RST and no data after its grace time. */
export function isClosed(session: Session): boolean {
  return session.state === FIN_BOTH || session.reset !== undefined;
}

/**
 * May a SYN at `now` take the client's key? A client's RST alone proves nothing of an established session before the grace
 * time is over.
 */
export function mayBeReplaced(session: Session, now: number): boolean {
  if (session.state === FIN_BOTH) return true;
  if (session.reset === undefined) return false;
  return (
    session.state < ESTABLISHED ||
    (session.flags & RST_REAL) !== 0 ||
    now - session.reset > RESET_GRACE
  );
}

export function timeoutOf(session: Session, timeouts: Timeouts): number {
  const timeout =
    session.state < ESTABLISHED
      ? timeouts.handshake
      : session.state < FIN_BOTH
        ? timeouts.established
        : timeouts.closed;
  return session.reset === undefined
    ? timeout
    : Math.min(timeout, timeouts.reset);
}
