// SPDX-License-Identifier: Apache-2.0
import { ask, type Context } from "./context.ts";
import type { Membership } from "./membership.ts";
import type { Merger } from "./merger.ts";
import { countKeys, countRecords, isEmpty } from "./records.ts";
import { KEY_BYTES, type Keys, WIDE_KEY_BYTES } from "./table.ts";
import { lookupReply, lookupRequest } from "./wire.ts";

/** What an IPv4 address begins with in a wide key. */
const MAPPED = `${"\0".repeat(10)}\xff\xff`;

const LOOKUP = { request: lookupRequest, reply: lookupReply };

/** Asks the peers for sessions whose packets come to this node, while it may lack some that they hold. */
export class Lookups {
  readonly #context: Context;
  readonly #membership: Membership;
  readonly #merger: Merger;
  readonly #isSynced: () => boolean;
  /** Keys to ask for, as text: a character for each byte. */
  #batch = new Set<string>();
  #asking = false;
  /** When keys that were asked for may be asked for again. Oldest first. */
  readonly #askedUntilMs = new Map<string, number>();

  constructor(
    context: Context,
    membership: Membership,
    merger: Merger,
    isSynced: () => boolean,
  ) {
    this.#context = context;
    this.#membership = membership;
    this.#merger = merger;
    this.#isSynced = isSynced;
  }

  /** A peer may know what this node does not: misses are worth a question. */
  get wanted(): boolean {
    return (
      this.#membership.heard.length > 0 &&
      (!this.#isSynced() ||
        this.#membership.quietMs < this.#context.limits.lookupMs)
    );
  }

  onMisses(keys: Keys): void {
    const { counters, clock, limits } = this.#context;
    if (!this.wanted) {
      counters.missesFinal += countKeys(keys);
      return;
    }
    for (const key of [
      ...split(keys.narrow, KEY_BYTES),
      ...split(keys.wide, WIDE_KEY_BYTES).flatMap(formsOf),
    ]) {
      if (this.#batch.has(key) || this.#wasAsked(key)) continue;
      const asked = this.#batch.size + this.#askedUntilMs.size;
      if (asked < limits.lookupKeys) this.#batch.add(key);
      else counters.lookupDropped++;
    }
    if (this.#asking || this.#batch.size === 0) return;
    this.#asking = true;
    clock.after(limits.lookupDelayMs, () => void this.#ask());
  }

  #wasAsked(wanted: string): boolean {
    const now = this.#context.clock.now();
    for (const [key, untilMs] of this.#askedUntilMs) {
      if (untilMs > now) break;
      this.#askedUntilMs.delete(key);
    }
    return this.#askedUntilMs.has(wanted);
  }

  async #ask(): Promise<void> {
    const { counters, clock, limits, signal } = this.#context;
    const keys = [...this.#batch];
    const request = {
      keys: { narrow: join(keys, KEY_BYTES), wide: join(keys, WIDE_KEY_BYTES) },
    };
    this.#batch = new Set();
    this.#asking = false;
    if (signal.aborted) return;
    const untilMs = clock.now() + limits.lookupAgainMs;
    for (const key of keys) this.#askedUntilMs.set(key, untilMs);
    counters.lookupKeys += keys.length;
    await Promise.all(
      this.#membership.heard.map(async ({ node }) => {
        counters.lookupRequests++;
        const reply = await ask(this.#context, "lookup", node, LOOKUP, request);
        if (reply === undefined || isEmpty(reply.records)) return;
        counters.lookupFound += countRecords(reply.records);
        await this.#merger.merge(reply.records, 0);
      }),
    );
  }
}

function split(keys: Uint8Array, keyBytes: number): readonly string[] {
  const text = Buffer.from(keys).toString("latin1");
  return Array.from({ length: keys.length / keyBytes }, (_, i) =>
    text.slice(i * keyBytes, (i + 1) * keyBytes),
  );
}

/** Of a wide key. A packet between two IPv4 addresses may be one of a narrow session, too: that key has another form. */
function formsOf(key: string): readonly string[] {
  const isIpv4 = key.startsWith(MAPPED) && key.startsWith(MAPPED, 16);
  return isIpv4 ? [key, key.slice(12, 16) + key.slice(28)] : [key];
}

/** Those of this length. */
function join(keys: readonly string[], keyBytes: number): Uint8Array {
  const wanted = keys.filter(({ length }) => length === keyBytes);
  return Buffer.from(wanted.join(""), "latin1");
}
