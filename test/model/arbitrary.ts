// SPDX-License-Identifier: Apache-2.0
/** Random sessions of few keys, so that they meet: for property tests of the merge. */
import fc from "fast-check";
import {
  FACTS,
  FIN_BOTH,
  type Key,
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

export function outboundKey(lip: number): Key {
  return {
    saddr: 0x0a030102,
    daddr: 0x0ac80000 + lip,
    sport: 80,
    dport: 1024,
    proto: 6,
  };
}

export function clientKey(client: number): Key {
  return {
    saddr: 0x0a000001 + client,
    daddr: 0xc000020a,
    sport: 40000,
    dport: 443,
    proto: 6,
  };
}

/** Now and then a node lies: about a fact, or about what a generation can have only one of. */
const lie = fc.integer({ min: 0, max: 15 }).map((roll) => Number(roll === 0));

/** Sessions of the outbound keys 0 to `lips` - 1. Generations of different keys differ, as those of different nodes. */
export function anySession(lips: number): fc.Arbitrary<Session> {
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
      const client = clientKey((time + lip + lies[0]) % CLIENTS);
      return normal({
        key: outboundKey(lip),
        vaddr: client.daddr,
        vport: client.dport,
        caddr: client.saddr,
        cport: client.sport,
        generation: BigInt(time * lips + lip),
        supersedes: BigInt(knownBefore(time, lip) * lips),
        origin: 1 + lip + lies[0],
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
