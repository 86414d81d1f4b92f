// SPDX-License-Identifier: Apache-2.0
import { ask, type Context } from "./context.ts";
import type { Membership } from "./membership.ts";
import type { Merger } from "./merger.ts";
import { KEY_BYTES, RECORD_BYTES } from "./table.ts";
import { lookupReply, lookupRequest } from "./wire.ts";

const LOOKUP = { request: lookupRequest, reply: lookupReply };

/** Asks the peers for sessions whose packets come to this node, while it may lack some that they hold. */
export class Lookups {
  readonly #context: Context;
  readonly #membership: Membership;
  readonly #merger: Merger;
  readonly #isSynced: () => boolean;
  /** Keys to ask for, by their text. */
  #batch = new Map<string, Uint8Array>();
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

  onMisses(keys: Uint8Array): void {
    const { counters, clock, limits } = this.#context;
    if (!this.wanted) {
      counters.missesFinal += keys.length / KEY_BYTES;
      return;
    }
    for (let at = 0; at + KEY_BYTES <= keys.length; at += KEY_BYTES) {
      const key = keys.slice(at, at + KEY_BYTES);
      const text = Buffer.from(key).toString("latin1");
      if (this.#batch.has(text) || this.#wasAsked(text)) continue;
      const asked = this.#batch.size + this.#askedUntilMs.size;
      if (asked < limits.lookupKeys) this.#batch.set(text, key);
      else counters.lookupDropped++;
    }
    if (this.#asking || this.#batch.size === 0) return;
    this.#asking = true;
    clock.after(limits.lookupDelayMs, () => void this.#ask());
  }

  #wasAsked(text: string): boolean {
    const now = this.#context.clock.now();
    for (const [key, untilMs] of this.#askedUntilMs) {
      if (untilMs > now) break;
      this.#askedUntilMs.delete(key);
    }
    return this.#askedUntilMs.has(text);
  }

  async #ask(): Promise<void> {
    const { counters, clock, limits, signal } = this.#context;
    const keys = [...this.#batch.keys()];
    const request = { keys: Buffer.concat([...this.#batch.values()]) };
    this.#batch = new Map();
    this.#asking = false;
    if (signal.aborted) return;
    const untilMs = clock.now() + limits.lookupAgainMs;
    for (const key of keys) this.#askedUntilMs.set(key, untilMs);
    counters.lookupKeys += keys.length;
    await Promise.all(
      this.#membership.heard.map(async ({ node }) => {
        counters.lookupRequests++;
        const reply = await ask(this.#context, "lookup", node, LOOKUP, request);
        if (reply === undefined || reply.records.length === 0) return;
        counters.lookupFound += reply.records.length / RECORD_BYTES;
        await this.#merger.merge(reply.records, 0);
      }),
    );
  }
}
