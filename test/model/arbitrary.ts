// SPDX-License-Identifier: Apache-2.0
/** Random sessions of few keys, so that they meet: for property tests of the merge. */
import fc from "fast-check";
import {
  FACTS,
  FIN_BOTH,
  type Key,
  mapped,
  normal,
  SHARED,
  type Session,
  SYN,
} from "./session.ts";

const CLIENTS = 2;
const GENERATIONS = 6;

/** Ticks of random sessions lie before this one. */
export const LATE = 1_000_000;
const HISTORY = 8_000;

/** The IP versions that a session's two ends speak. */
export type Kind = { readonly client: 4 | 6; readonly real: 4 | 6 };
export const NARROW: Kind = { client: 4, real: 4 };
export const KINDS: readonly Kind[] = [
  NARROW,
  { client: 6, real: 6 },
  { client: 6, real: 4 },
  { client: 4, real: 6 },
];
const IPV6 = 0x2001_0db8n << 96n;

export function outboundKey(lip: number, { real } = NARROW): Key {
  const [saddr, daddr] =
    real === 4
      ? [mapped(0x0a030102), mapped(0x0ac80000 + lip)]
      : [IPV6 + 0x3_0102n, IPV6 + (0xc8n << 64n) + BigInt(lip)];
  return { saddr, daddr, sport: 80, dport: 1024, proto: 6 };
}

/** No two kinds with clients of one IP version have the same ones, as no service has real servers of both. */
export function clientKey(client: number, { client: ip, real } = NARROW): Key {
  const [saddr, daddr] =
    ip === 4
      ? [mapped(0x0a000001 + client), mapped(0xc0000200 + real)]
      : [IPV6 + (1n << 48n) + BigInt(client), IPV6 + BigInt(real)];
  return { saddr, daddr, sport: 40000, dport: 443, proto: 6 };
}

/** Now and then a node lies: about a fact, or about what a generation can have only one of. */
const lie = fc.integer({ min: 0, max: 15 }).map((roll) => Number(roll === 0));

/**
 * Sessions of `lips` outbound keys, of each kind in turn. Generations of different keys differ, as those of different nodes.
 */
export function anySession(
  lips: number,
  kinds: readonly Kind[] = [NARROW],
): fc.Arbitrary<Session> {
  return fc
    .record({
      lip: fc.nat(lips - 1),
      time: fc.integer({ min: 1, max: GENERATIONS }),
      state: fc.integer({ min: SYN, max: FIN_BOTH }),
      flags: fc.nat(7),
      seen: fc.nat(HISTORY),
      reset: fc.option(fc.nat(HISTORY), { nil: undefined, freq: 2 }),
      changed: fc.nat(HISTORY),
      known: fc.nat((1 << FACTS) - 1),
      lies: fc.tuple(lie, lie),
    })
    .map(({ lip, time, state, flags, seen, reset, changed, known, lies }) => {
      const kind = kinds[lip % kinds.length] ?? NARROW;
      const turn = Math.floor(lip / kinds.length);
      const client = clientKey((time + turn + lies[0]) % CLIENTS, kind);
      return normal({
        key: outboundKey(lip, kind),
        vaddr: client.daddr,
        vport: client.dport,
        caddr: client.saddr,
        cport: client.sport,
        generation: BigInt(time * lips + lip),
        supersedes: BigInt(knownBefore(time, lip) * lips),
        origin: 1 + turn + lies[0],
        state,
        flags: flags | SHARED,
        seen: LATE - seen,
        // Even: a native clock may then wrap at an odd tick, and none is its 0, which means no reset there.
        reset: reset === undefined ? undefined : LATE - reset - (reset % 2),
        changed: LATE - changed,
        facts: Array.from({ length: FACTS }, (_, i) =>
          known & (1 << i) ? time * 100 + i + lies[1] : undefined,
        ),
      });
    });
}

/** What its origin knew when it made it: nothing, half of what there was, or all. */
function knownBefore(time: number, lip: number): number {
  const choice = (time * 7 + lip * 5) % 4;
  if (choice < 2) return 0;
  return choice === 2 ? time - 1 : time >> 1;
}
