// SPDX-License-Identifier: Apache-2.0
/** The datagrams whose fragments have been seen. */
import type { Fragment, Ip } from "./ip.ts";
import { payloadOf } from "./ip.ts";
import type { Direction, Session } from "./sessions.ts";

type Part = { readonly from: number; readonly to: number };

export type Datagram = {
  readonly session: Session;
  readonly direction: Direction;
  readonly parts: Part[];
  /** Its length, once its last part has been seen. */
  end: number | undefined;
  /** Parts of it have contradicted each other. */
  isBroken: boolean;
};

/** Parts that do not touch each other: so many have to be remembered. */
const PIECES = 4;

export class Datagrams {
  readonly #byKey = new Map<string, Datagram>();

  of(ip: Ip, fragment: Fragment): Datagram | undefined {
    return this.#byKey.get(keyOf(ip, fragment));
  }

  begin(
    ip: Ip,
    fragment: Fragment,
    session: Session,
    direction: Direction,
  ): void {
    const datagram: Datagram = {
      session,
      direction,
      parts: [],
      end: undefined,
      isBroken: false,
    };
    this.#byKey.set(keyOf(ip, fragment), datagram);
    this.extend(datagram, ip, fragment);
  }

  /** A datagram that is whole now is forgotten. */
  extend(datagram: Datagram, ip: Ip, fragment: Fragment): void {
    const part = partOf(ip, fragment);
    datagram.parts.push(part);
    if (!fragment.more) datagram.end = part.to;
    if (isWhole(datagram)) this.#byKey.delete(keyOf(ip, fragment));
  }

  /** With this one it has more gaps than have to be remembered. */
  hasGaps(datagram: Datagram, ip: Ip, fragment: Fragment): boolean {
    const parts = [...datagram.parts, partOf(ip, fragment)];
    const starts = new Set(parts.map(({ to }) => to));
    const pieces = parts.filter(({ from }) => !starts.has(from)).length;
    return pieces > PIECES;
  }

  /** It lies behind the end of its datagram, or before a part of it though it says that it is the last. */
  contradicts(datagram: Datagram, ip: Ip, fragment: Fragment): boolean {
    const { to } = partOf(ip, fragment);
    const { end = Number.POSITIVE_INFINITY, parts } = datagram;
    return to > end || (!fragment.more && parts.some((part) => part.to > to));
  }

  overlaps(datagram: Datagram, ip: Ip, fragment: Fragment): boolean {
    const part = partOf(ip, fragment);
    return datagram.parts.some(
      ({ from, to }) => part.from < to && from < part.to,
    );
  }
}

/** All of it has been seen, and nothing else. Its parts do not overlap. */
function isWhole({ parts, end }: Datagram): boolean {
  const seen = parts.reduce((sum, { from, to }) => sum + to - from, 0);
  return seen === end && parts.every(({ to }) => to <= end);
}

function partOf(ip: Ip, { offset }: Fragment) {
  return { from: offset, to: offset + payloadOf(ip).length };
}

/** RFC 791 section 3.2, RFC 8200 section 4.5. */
function keyOf(
  { version, saddr, daddr, protocol }: Ip,
  { id }: Fragment,
): string {
  return `${version === 4 ? protocol : ""}|${saddr}|${daddr}|${id}`;
}
