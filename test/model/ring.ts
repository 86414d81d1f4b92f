// SPDX-License-Identifier: Apache-2.0
/** The ring buffer between the dataplane and its listener: what finds it full is lost, and whoever wrote it is told. */
import type { Events } from "../../src/sync/table.ts";
import { encodeAll, encodeKeys, type WireKey } from "./wire.ts";
import type { Session } from "./session.ts";

export class Ring {
  /** The listener cannot keep up: nothing is delivered until this is false and drain() is called. */
  stalled = false;
  lost = 0;
  readonly #now: () => number;
  readonly #room: number;
  readonly #sessions: Session[] = [];
  readonly #misses: WireKey[] = [];
  #listener: ((events: Events) => void) | undefined;

  constructor(now: () => number, room: number) {
    this.#now = now;
    this.#room = room;
  }

  listen(listener: (events: Events) => void): () => void {
    this.#listener = listener;
    this.drain();
    return () => {
      this.#listener = undefined;
    };
  }

  /** False: lost. */
  session(session: Session): boolean {
    return this.#push(this.#sessions, session);
  }

  miss(key: WireKey): boolean {
    return this.#push(this.#misses, key);
  }

  drain(): void {
    if (this.#listener === undefined || this.stalled) return;
    const sessions = this.#sessions.splice(0);
    const misses = this.#misses.splice(0);
    if (sessions.length === 0 && misses.length === 0) return;
    this.#listener({
      records: encodeAll(sessions, this.#now()),
      misses: encodeKeys(misses),
    });
  }

  #push<T>(queue: T[], item: T): boolean {
    if (this.#sessions.length + this.#misses.length >= this.#room) {
      this.lost++;
      return false;
    }
    queue.push(item);
    this.drain();
    return true;
  }
}
