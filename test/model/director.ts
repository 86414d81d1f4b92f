// SPDX-License-Identifier: Apache-2.0
/** What packets do to a model table: FULLNAT's decisions, without the packets' bytes. */
import { same } from "./merge.ts";
import {
  type Address,
  CLIENT_FIN,
  CLIENT_ISN,
  clientKeyOf,
  ESTABLISHED,
  FACTS,
  FIN_CLIENT,
  FIN_ONE,
  FIN_REAL,
  isMapped,
  type Key,
  mayBeReplaced,
  normal,
  REAL_FIN,
  REAL_ISN,
  RST_REAL,
  SHARED,
  type Session,
  SYN,
  SYNACK,
  TICKS_PER_SECOND,
} from "./session.ts";
import type { ModelTable } from "./table.ts";
import { INBOUND, OUTBOUND } from "./wire.ts";

/** LIP:port candidates that one SYN may try. */
const PORT_PROBES = 16;

const UDP = 17;

/** Of TCP; a datagram of UDP has none of it. */
export type Segment = {
  readonly syn?: boolean;
  readonly ack?: boolean;
  readonly fin?: boolean;
  readonly rst?: boolean;
  readonly sequence?: number;
};

/** `forward`: translated by `session`. `reset`: answered with a RST to the real server. */
export type Verdict =
  | { readonly kind: "forward"; readonly session: Session }
  | { readonly kind: "reset" }
  | {
      readonly kind: "drop";
      readonly reason: "noSession" | "noLport" | "tableFull";
    };

export type Pool = {
  /** LIPs, no other node's. */
  readonly addresses: readonly Address[];
  readonly ports: { readonly min: number; readonly max: number };
};

export type RealServer = { readonly address: Address; readonly port: number };

export type Service = {
  readonly vaddr: Address;
  /** Of one family. */
  readonly servers: readonly RealServer[];
};

export class ModelDirector {
  readonly table: ModelTable;
  readonly #pool: Pool;
  readonly #services: readonly Service[];
  /** A service's real servers speak another IP than its clients. */
  readonly #isMixed: boolean;
  #taken = 0;

  constructor(table: ModelTable, pool: Pool, services: readonly Service[]) {
    this.table = table;
    this.#pool = pool;
    this.#services = services;
    this.#isMixed = services.some(({ vaddr, servers }) =>
      servers.some(({ address }) => isMapped(address) !== isMapped(vaddr)),
    );
  }

  /** A segment from the client, under the key of its packet: client to virtual service. */
  inbound(key: Key, segment: Segment): Verdict {
    const session = this.table.named(key);
    const isFirst =
      key.proto === UDP ||
      (segment.syn === true && !segment.ack && !segment.fin && !segment.rst);
    if (
      session !== undefined &&
      !(isFirst && mayBeReplaced(session, this.table.now()))
    )
      return this.#pass(session, segment, false);
    if (isFirst) return this.#create(key, segment, session?.generation ?? 0n);
    const ends = [key.saddr, ...this.#serversOf(key).map(addressOf)];
    const wide = !ends.every(isMapped);
    this.table.ring.miss({ key, direction: INBOUND, wide });
    return { kind: "drop", reason: "noSession" };
  }

  /** A segment from the real server, under the key of its packet: real server to LIP. */
  outbound(key: Key, segment: Segment): Verdict {
    const session = this.table.get(key);
    if (session === undefined) {
      // Its client may speak IPv6 if its real server does not.
      const wide = this.#isMixed || !isMapped(key.saddr);
      this.table.ring.miss({ key, direction: OUTBOUND, wide });
      return { kind: "drop", reason: "noSession" };
    }
    if (segment.syn && segment.ack && !segment.rst && !this.#isNamed(session))
      return { kind: "reset" };
    return this.#pass(session, segment, true);
  }

  #isNamed(session: Session): boolean {
    const named = this.table.named(clientKeyOf(session));
    return named?.generation === session.generation;
  }

  #pass(before: Session, segment: Segment, real: boolean): Verdict {
    const now = this.table.now();
    const session = noted(before, segment, real, now);
    if (session === before) return { kind: "forward", session };
    const isNews = !same(session, before);
    this.table.write(isNews ? { ...session, changed: now } : session, isNews);
    return { kind: "forward", session };
  }

  #create(client: Key, segment: Segment, supersedes: bigint): Verdict {
    const now = this.table.now();
    const key = this.#allocate(client);
    if (key === undefined) return { kind: "drop", reason: "noLport" };
    const facts: (number | undefined)[] = Array(FACTS).fill(undefined);
    facts[CLIENT_ISN] = segment.sequence;
    const session = {
      key,
      vaddr: client.daddr,
      vport: client.dport,
      caddr: client.saddr,
      cport: client.sport,
      generation: this.table.nextGeneration(),
      supersedes,
      origin: this.table.origin,
      state: SYN,
      flags: SHARED,
      seen: now,
      reset: undefined,
      changed: now,
      facts,
    };
    return this.table.write(session, true)
      ? { kind: "forward", session }
      : { kind: "drop", reason: "tableFull" };
  }

  #serversOf({ daddr }: Key): readonly RealServer[] {
    return this.#services.find(({ vaddr }) => vaddr === daddr)?.servers ?? [];
  }

  /** A real server, the same on each node for the same client, and a LIP:port that is free toward it. */
  #allocate(client: Key): Key | undefined {
    const { ports } = this.#pool;
    const ends = Number((client.saddr + client.daddr) & 0xffff_ffffn);
    const turn = ends + client.sport + client.dport;
    const servers = this.#serversOf(client);
    const server = servers[turn % servers.length];
    const addresses = this.#pool.addresses.filter(
      (address) => server && isMapped(address) === isMapped(server.address),
    );
    for (let i = 0; i < PORT_PROBES && server !== undefined; i++) {
      const candidate = this.#taken++;
      const span = ports.max - ports.min + 1;
      const key = {
        saddr: server.address,
        sport: server.port,
        daddr: addresses[candidate % addresses.length] ?? 0n,
        dport: ports.min + (Math.floor(candidate / addresses.length) % span),
        proto: client.proto,
      };
      if (!this.table.isTaken(key)) return key;
    }
    return undefined;
  }
}

function addressOf({ address }: RealServer): Address {
  return address;
}

/** What a segment makes of a session: the same object if nothing. The repetition of a RST that counts is nothing. */
function noted(
  before: Session,
  segment: Segment,
  real: boolean,
  now: number,
): Session {
  return segment.rst
    ? {
        ...before,
        reset: before.reset ?? now,
        flags: before.flags | (real ? RST_REAL : 0),
      }
    : seen(before, segment, real, now);
}

function seen(
  before: Session,
  segment: Segment,
  real: boolean,
  now: number,
): Session {
  const isQuiet = real
    ? before.state >= ESTABLISHED && !segment.fin && !segment.syn
    : !segment.fin;
  // At most one write a second.
  if (isQuiet && now - before.seen <= TICKS_PER_SECOND) return before;
  const session = { ...before, seen: now };
  if (segment.fin) {
    // A client proves nothing by a FIN: a half-open session keeps its short timeout.
    const state = real || before.state >= ESTABLISHED ? FIN_ONE : before.state;
    return normal({
      ...session,
      state: Math.max(before.state, state),
      flags: before.flags | (real ? FIN_REAL : FIN_CLIENT),
      facts: learned(before, real ? REAL_FIN : CLIENT_FIN, segment.sequence),
    });
  }
  if (!real) return normal(session);
  return normal({
    ...session,
    state: Math.max(before.state, segment.syn ? SYNACK : ESTABLISHED),
    facts: segment.syn
      ? learned(before, REAL_ISN, segment.sequence)
      : before.facts,
  });
}

/** Facts are written once. */
function learned(
  { facts }: Session,
  fact: number,
  value: number | undefined,
): Session["facts"] {
  return facts.with(fact, facts[fact] ?? value);
}
