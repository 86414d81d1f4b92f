// SPDX-License-Identifier: Apache-2.0
/** What packets do to a model table: FULLNAT's decisions, without the packets' bytes. */
import { same } from "./merge.ts";
import {
  CLIENT_FIN,
  CLIENT_ISN,
  clientKeyOf,
  ESTABLISHED,
  FACTS,
  FIN_CLIENT,
  FIN_ONE,
  FIN_REAL,
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
  readonly addresses: readonly number[];
  readonly ports: { readonly min: number; readonly max: number };
};

export type RealServer = { readonly address: number; readonly port: number };

export class ModelDirector {
  readonly table: ModelTable;
  readonly #pool: Pool;
  readonly #servers: readonly RealServer[];
  #taken = 0;

  constructor(table: ModelTable, pool: Pool, servers: readonly RealServer[]) {
    this.table = table;
    this.#pool = pool;
    this.#servers = servers;
  }

  /** A segment from the client, under the key of its packet: client to virtual service. */
  inbound(key: Key, segment: Segment): Verdict {
    const session = this.table.named(key);
    const isSyn =
      segment.syn === true && !segment.ack && !segment.fin && !segment.rst;
    if (
      session !== undefined &&
      !(isSyn && mayBeReplaced(session, this.table.now()))
    )
      return this.#pass(session, segment, false);
    if (isSyn) return this.#create(key, segment, session?.generation ?? 0n);
    this.table.ring.miss({ key, direction: INBOUND });
    return { kind: "drop", reason: "noSession" };
  }

  /** A segment from the real server, under the key of its packet: real server to LIP. */
  outbound(key: Key, segment: Segment): Verdict {
    const session = this.table.get(key);
    if (session === undefined) {
      this.table.ring.miss({ key, direction: OUTBOUND });
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

  /** A real server, the same on each node for the same client, and a LIP:port that is free toward it. */
  #allocate(client: Key): Key | undefined {
    const { addresses, ports } = this.#pool;
    const turn = client.saddr + client.sport + client.daddr + client.dport;
    const server = this.#servers[turn % this.#servers.length];
    for (let i = 0; i < PORT_PROBES && server !== undefined; i++) {
      const candidate = this.#taken++;
      const span = ports.max - ports.min + 1;
      const key = {
        saddr: server.address,
        sport: server.port,
        daddr: addresses[candidate % addresses.length] ?? 0,
        dport: ports.min + (Math.floor(candidate / addresses.length) % span),
        proto: client.proto,
      };
      if (!this.table.isTaken(key)) return key;
    }
    return undefined;
  }
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
