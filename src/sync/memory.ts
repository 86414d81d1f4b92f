// SPDX-License-Identifier: Apache-2.0
/**
 * A bus within one process, for tests and simulations: it loses, repeats, delays and reorders messages, and parts can be cut
 * off. With the same seed, clock and calls it does the same.
 */
import { SyncError } from "../errors.ts";
import type { Clock } from "./clock.ts";
import { matches } from "./subject.ts";
import type {
  Message,
  Transport,
  TransportCounters,
  TransportState,
} from "./transport.ts";
import { noCounters } from "./transport.ts";

/** Probabilities are from 0 to 1 and hold for each message and receiver; a request and its answer are two messages. */
export type Faults = {
  readonly loss: number;
  /** Arrives twice, the second time with a delay of its own. */
  readonly repeat: number;
  /** May be overtaken by later messages of the same sender. The others keep their order, as on a TCP connection. */
  readonly reorder: number;
  readonly delayMsMin: number;
  readonly delayMsMax: number;
};

const NO_FAULTS: Faults = {
  loss: 0,
  repeat: 0,
  reorder: 0,
  delayMsMin: 0,
  delayMsMax: 0,
};

/** As nats-server has it. */
const MAX_PAYLOAD = 1024 * 1024;

export type MemoryBusOptions = {
  readonly clock: Clock;
  readonly seed?: number;
  readonly faults?: Partial<Faults>;
  /** Bytes. */
  readonly maxPayload?: number;
};

type Way = { readonly delayMs: number; readonly isInOrder: boolean };

type Line = { lastAtMs: number; readonly waiting: (() => void)[] };

export class MemoryBus {
  readonly clock: Clock;
  readonly maxPayload: number;
  readonly #random: () => number;
  readonly #members = new Map<string, MemoryTransport>();
  /** What is under way in order, by "from to". */
  readonly #lines = new Map<string, Line>();
  #faults: Faults;
  #groupOf = new Map<string, number>();

  constructor(options: MemoryBusOptions) {
    this.clock = options.clock;
    this.maxPayload = options.maxPayload ?? MAX_PAYLOAD;
    this.#random = generator(options.seed ?? 1);
    this.#faults = { ...NO_FAULTS, ...options.faults };
  }

  /** A member's transport, up at once. A name may be used again when its last user has closed or crashed. */
  join(name: string): MemoryTransport {
    if (this.#members.has(name))
      throw new Error(`${name} is a member of the bus already`);
    const member = new MemoryTransport(this, name);
    this.#members.set(name, member);
    return member;
  }

  /** Holds for messages that are sent from now on. */
  setFaults(faults: Partial<Faults>): void {
    this.#faults = { ...NO_FAULTS, ...faults };
  }

  /** Only members of the same group hear each other; who is in none is alone. Nobody is told, as between servers. */
  partition(groups: readonly (readonly string[])[]): void {
    this.#groupOf = new Map(
      groups.flatMap((names, group) => names.map((name) => [name, group])),
    );
  }

  heal(): void {
    this.#groupOf.clear();
  }

  /** The member is gone without a word. Its transport calls nobody any more. */
  crash(name: string): void {
    this.#members.get(name)?.die();
    this.#members.delete(name);
  }

  /** The member loses its connection, is told so, and misses what is under way to it; until `restore`. */
  cut(name: string): void {
    this.#members.get(name)?.setState("down");
  }

  restore(name: string): void {
    this.#members.get(name)?.setState("up");
  }

  /** For transports. Calls `arrive` for each time that the message gets from one member to the other. */
  carry(from: string, to: string, arrive: () => void): void {
    const { loss, repeat } = this.#faults;
    // Each message takes the same draws, so that a change of one probability does not change all that follows.
    const [isLost, isRepeated] = [this.#happens(loss), this.#happens(repeat)];
    const ways = [this.#way(), this.#way()];
    for (const way of isLost ? [] : ways.slice(0, isRepeated ? 2 : 1))
      this.#send(from, to, way, arrive);
  }

  /** For transports. All that listen on the subject, except for the asker. */
  listeners(subject: string, except: string): readonly MemoryTransport[] {
    return [...this.#members.values()].filter(
      (member) => member.name !== except && member.listensOn(subject),
    );
  }

  leave(name: string): void {
    this.#members.delete(name);
  }

  #way(): Way {
    const { delayMsMin, delayMsMax, reorder } = this.#faults;
    return {
      delayMs: delayMsMin + this.#random() * (delayMsMax - delayMsMin),
      isInOrder: !this.#happens(reorder),
    };
  }

  #send(from: string, to: string, way: Way, arrive: () => void): void {
    const heard = () => {
      if (this.#hear(from, to)) arrive();
    };
    if (!way.isInOrder) {
      this.clock.after(way.delayMs, heard);
      return;
    }
    const pair = `${from} ${to}`;
    const line = this.#lines.get(pair) ?? { lastAtMs: 0, waiting: [] };
    this.#lines.set(pair, line);
    const now = this.clock.now();
    line.lastAtMs = Math.max(now + way.delayMs, line.lastAtMs);
    line.waiting.push(heard);
    // Whichever timer fires, the first in line is next: a real clock does not keep the order of times that are close.
    this.clock.after(line.lastAtMs - now, () => line.waiting.shift()?.());
  }

  #hear(from: string, to: string): boolean {
    if (this.#groupOf.size === 0) return true;
    const group = this.#groupOf.get(from);
    return group !== undefined && group === this.#groupOf.get(to);
  }

  #happens(probability: number): boolean {
    return this.#random() < probability;
  }
}

type Subscription = {
  readonly subject: string;
  readonly onMessage: (message: Message) => void;
};

export class MemoryTransport implements Transport {
  readonly name: string;
  readonly pending = 0;
  readonly #bus: MemoryBus;
  readonly #counters = noCounters();
  readonly #subscriptions = new Set<Subscription>();
  readonly #listeners = new Set<(state: TransportState) => void>();
  /** Ends of the requests under way. */
  readonly #requests = new Set<(reason: "down") => void>();
  #state: TransportState = "up";
  #ended = false;

  constructor(bus: MemoryBus, name: string) {
    this.#bus = bus;
    this.name = name;
  }

  get state(): TransportState {
    return this.#state;
  }

  get maxPayload(): number {
    return this.#bus.maxPayload;
  }

  get counters(): TransportCounters {
    return this.#counters;
  }

  publish(subject: string, data: Uint8Array): boolean {
    if (!this.#admit(data)) return false;
    for (const member of this.#bus.listeners(subject, this.name))
      this.#bus.carry(this.name, member.name, () =>
        member.deliver({ subject, data }),
      );
    return true;
  }

  subscribe(
    subject: string,
    onMessage: (message: Message) => void,
  ): () => void {
    const subscription = { subject, onMessage };
    this.#subscriptions.add(subscription);
    return () => this.#subscriptions.delete(subscription);
  }

  request(
    subject: string,
    data: Uint8Array,
    { timeoutMs }: { readonly timeoutMs: number },
  ): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const end = () => {
        cancel();
        this.#requests.delete(fail);
      };
      const fail = (reason: "timeout" | "noResponder" | "down" | "refused") => {
        end();
        reject(new SyncError(subject, reason));
      };
      const cancel = this.#bus.clock.after(timeoutMs, () => fail("timeout"));
      this.#requests.add(fail);
      if (!this.#admit(data)) {
        fail(this.#state === "down" ? "down" : "refused");
        return;
      }
      const responders = this.#bus.listeners(subject, this.name);
      if (responders.length === 0)
        this.#bus.clock.after(0, () => fail("noResponder"));
      const onReply = (reply: Uint8Array) => {
        if (!this.#count(reply)) return;
        end();
        resolve(reply);
      };
      for (const member of responders) {
        const respond = (reply: Uint8Array) => {
          if (member.#admit(reply))
            this.#bus.carry(member.name, this.name, () => onReply(reply));
        };
        this.#bus.carry(this.name, member.name, () =>
          member.deliver({ subject, data, respond }),
        );
      }
    });
  }

  onState(listener: (state: TransportState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): Promise<void> {
    if (!this.#ended) this.#bus.leave(this.name);
    for (const fail of this.#requests) fail("down");
    this.die();
    return Promise.resolve();
  }

  /** For the bus. */
  deliver(message: Message): void {
    if (!this.#count(message.data)) return;
    for (const { subject, onMessage } of [...this.#subscriptions])
      if (matches(subject, message.subject)) onMessage(message);
  }

  /** For the bus. */
  listensOn(subject: string): boolean {
    return [...this.#subscriptions].some((subscription) =>
      matches(subscription.subject, subject),
    );
  }

  /** For the bus. */
  setState(state: TransportState): void {
    if (state === this.#state || this.#ended) return;
    this.#state = state;
    if (state === "down") {
      this.#counters.losses++;
      for (const fail of this.#requests) fail("down");
    }
    for (const listener of [...this.#listeners]) listener(state);
  }

  /** For the bus. Without a word to anybody. */
  die(): void {
    this.#ended = true;
    this.#state = "down";
    this.#subscriptions.clear();
    this.#listeners.clear();
  }

  #admit({ length }: Uint8Array): boolean {
    if (this.#state === "down") this.#counters.refusedDown++;
    else if (length > this.maxPayload) this.#counters.refusedSize++;
    else {
      this.#counters.sent++;
      this.#counters.sentBytes += length;
      return true;
    }
    return false;
  }

  /** False: it does not arrive. */
  #count({ length }: Uint8Array): boolean {
    if (this.#state === "down") return false;
    this.#counters.received++;
    this.#counters.receivedBytes += length;
    return true;
  }
}

/** Numbers from [0, 1), always the same for a seed: mulberry32. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
