// SPDX-License-Identifier: Apache-2.0
/** Where a model table keeps its sessions: by key, by client key, and by position. */
import {
  clientKeyOf,
  isWide,
  type Key,
  nameOf,
  type Session,
} from "./session.ts";

export type Entry = {
  session: Session;
  /** `seen` as it was last sent or received. */
  told: number;
  /** Its last change was never sent. */
  untold: boolean;
  /** Expired, and kept until then only so that its LIP:port stays taken. */
  heldUntil: number | undefined;
  readonly position: number;
};

export class Store {
  readonly positions: number;
  readonly #byKey = new Map<string, Entry>();
  readonly #byClient = new Map<string, Set<Entry>>();
  readonly #byPosition = new Map<number, Entry>();

  constructor(positions: number) {
    this.positions = positions;
  }

  /** The narrow and the wide table may each have a session of one key. */
  get(key: Key, wide: boolean): Entry | undefined {
    return this.#byKey.get(placeOf(key, wide));
  }

  /** Undefined: full. */
  insert(session: Session): Entry | undefined {
    const position = this.#freePosition(session.key);
    if (position === undefined) return undefined;
    const entry = {
      session,
      told: session.seen,
      untold: false,
      heldUntil: undefined,
      position,
    };
    this.#byKey.set(placeOf(session.key, isWide(session)), entry);
    this.#byPosition.set(position, entry);
    this.#link(entry);
    return entry;
  }

  /** `session` is of the same key; its client key may be another one. */
  replace(entry: Entry, session: Session): void {
    this.#unlink(entry);
    entry.session = session;
    this.#link(entry);
  }

  remove(entry: Entry): void {
    this.#unlink(entry);
    this.#byKey.delete(placeOf(entry.session.key, isWide(entry.session)));
    this.#byPosition.delete(entry.position);
  }

  at(position: number): Entry | undefined {
    return this.#byPosition.get(position);
  }

  all(): readonly Entry[] {
    return [...this.#byKey.values()];
  }

  ofClient(key: Key): readonly Entry[] {
    return [...(this.#byClient.get(nameOf(key)) ?? [])];
  }

  #freePosition({ daddr, dport, saddr, sport }: Key): number | undefined {
    if (this.#byPosition.size === this.positions) return undefined;
    const ends = Number((daddr * 31n + saddr) & 0xffff_ffffn);
    let position = (ends + dport * 7 + sport) % this.positions;
    while (this.#byPosition.has(position))
      position = (position + 1) % this.positions;
    return position;
  }

  #link(entry: Entry): void {
    const name = nameOf(clientKeyOf(entry.session));
    const entries = this.#byClient.get(name);
    if (entries === undefined) this.#byClient.set(name, new Set([entry]));
    else entries.add(entry);
  }

  #unlink(entry: Entry): void {
    const name = nameOf(clientKeyOf(entry.session));
    const entries = this.#byClient.get(name);
    entries?.delete(entry);
    if (entries?.size === 0) this.#byClient.delete(name);
  }
}

function placeOf(key: Key, wide: boolean): string {
  return `${wide ? "wide" : "narrow"} ${nameOf(key)}`;
}
