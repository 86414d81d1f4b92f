// SPDX-License-Identifier: Apache-2.0
/** The sessions that a director has shown by what it sent. */
import { type Endpoint, formatEndpoint } from "./address.ts";
import { PROTOCOL, TCP_FLAG } from "./protocols.ts";
import type { TransportProtocol } from "./transport.ts";
import type { Hop, Service } from "./world.ts";

export type Direction = "inbound" | "outbound";

/** From where to where, as a packet carries it. */
export type Flow = {
  readonly protocol: TransportProtocol;
  readonly from: Endpoint;
  readonly to: Endpoint;
};

/** What the director has chosen. */
export type Choice = {
  readonly local: Endpoint;
  readonly real: Endpoint;
  readonly hop: Hop;
};

export type Session = {
  readonly protocol: TransportProtocol;
  readonly client: Endpoint;
  readonly virtual: Endpoint;
  readonly service: Service;
  /** Undefined: it has been made, but none of its packets has been seen to leave. */
  choice: Choice | undefined;
  /** A packet of it was dropped late: it may have changed the session's state, or not. */
  isUncertain: boolean;
  isAnswered: boolean;
  hasClientFin: boolean;
  hasRealFin: boolean;
  resetBy: Direction | undefined;
  /** Milliseconds. */
  resetAt: number;
};

/** Whether a SYN of the same client gets a new session in the place of this one. */
export type Replaceable = "yes" | "no" | "maybe";

/** WEIR_RESET_GRACE_TICKS is 2 s. What happens shortly before or after it may go either way. */
const GRACE_MIN_MS = 1500;

export class Sessions {
  readonly #byClient = new Map<string, Session>();
  readonly #byReal = new Map<string, Session>();
  readonly now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.now = now;
  }

  get size(): number {
    return this.#byReal.size;
  }

  /** Of a packet from a client. */
  inbound(flow: Flow): Session | undefined {
    return this.#byClient.get(keyOf(flow));
  }

  /** Of a packet from a real server. */
  outbound(flow: Flow): Session | undefined {
    return this.#byReal.get(keyOf(flow));
  }

  /** The session that its client's packets take now: not one that has been replaced. */
  isIndexed(session: Session): boolean {
    return this.inbound(clientFlow(session)) === session;
  }

  /** Takes over the client's key. */
  add(flow: Flow, service: Service): Session {
    const session: Session = {
      protocol: flow.protocol,
      client: flow.from,
      virtual: flow.to,
      service,
      choice: undefined,
      isUncertain: false,
      isAnswered: false,
      hasClientFin: false,
      hasRealFin: false,
      resetBy: undefined,
      resetAt: 0,
    };
    this.#byClient.set(keyOf(flow), session);
    return session;
  }

  /** @returns what is wrong: no two sessions may have one real server and one local address and port */
  reveal(session: Session, choice: Choice): string | undefined {
    session.choice = choice;
    const key = keyOf({
      protocol: session.protocol,
      from: choice.real,
      to: choice.local,
    });
    const other = this.#byReal.get(key);
    this.#byReal.set(key, session);
    if (other === undefined) return undefined;
    return `two sessions share ${formatEndpoint(choice.local)} toward ${formatEndpoint(choice.real)}: of ${formatEndpoint(other.client)} and of ${formatEndpoint(session.client)}`;
  }

  replaceable(session: Session): Replaceable {
    if (session.isUncertain) return "maybe";
    if (session.hasClientFin && session.hasRealFin) return "yes";
    if (session.resetBy === undefined) return "no";
    if (this.now() - session.resetAt > GRACE_MIN_MS) return "maybe";
    return session.resetBy === "outbound" || !session.isAnswered ? "yes" : "no";
  }

  /** A packet of it has been translated. */
  note(session: Session, direction: Direction, flags: number): void {
    if (session.protocol === PROTOCOL.udp) {
      if (direction === "outbound") session.isAnswered = true;
      return;
    }
    if (flags & TCP_FLAG.rst) {
      if (session.resetBy !== "outbound") session.resetBy = direction;
      session.resetAt = this.now();
      return;
    }
    if (flags & TCP_FLAG.fin) {
      if (direction === "inbound") session.hasClientFin = true;
      else session.hasRealFin = true;
    }
    if (direction === "outbound" && !(flags & TCP_FLAG.syn))
      session.isAnswered = true;
  }
}

function clientFlow({ protocol, client, virtual }: Session): Flow {
  return { protocol, from: client, to: virtual };
}

function keyOf({ protocol, from, to }: Flow): string {
  return `${protocol}|${from.address}|${from.port}|${to.address}|${to.port}`;
}
