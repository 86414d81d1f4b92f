// SPDX-License-Identifier: Apache-2.0
import { ask, type Context, pause } from "./context.ts";
import type { Merger } from "./merger.ts";
import { countRecords } from "./records.ts";
import { RECORD_BYTES } from "./table.ts";
import { snapshotReply, snapshotRequest, type SnapshotReply } from "./wire.ts";

const SNAPSHOT = { request: snapshotRequest, reply: snapshotReply };

/** Each part is asked for so often before the peer is given up. */
const ATTEMPTS = 2;

/** Behind every table. */
const END = 2n ** 64n - 1n;

export type Loaded = {
  readonly sessions: number;
  /** The run of the peer that sent it. */
  readonly incarnation: bigint;
  /** It holds all that came with the peer's envelopes up to this one. */
  readonly seq: bigint;
};

/**
 * Merges the whole table of a peer: ranges of its positions, each with one request on its way at a time, which is not
 * followed by the next before its records are merged. Undefined: the peer did not answer, or started again meanwhile.
 */
export async function loadSnapshot(
  context: Context,
  merger: Merger,
  node: string,
): Promise<Loaded | undefined> {
  const loader = new Loader(context, merger, node);
  const first = await loader.part(0n, END);
  if (first === undefined) return undefined;
  const begin = first.next ?? first.positions;
  const ranges = split(begin, first.positions, context.limits.snapshotCredits);
  await Promise.all(ranges.map(({ from, to }) => loader.range(from, to)));
  if (loader.hasFailed) return undefined;
  const { incarnation, seq } = first;
  return { sessions: loader.records, incarnation, seq };
}

class Loader {
  records = 0;
  hasFailed = false;
  readonly #context: Context;
  readonly #merger: Merger;
  readonly #node: string;
  #incarnation: bigint | undefined;

  constructor(context: Context, merger: Merger, node: string) {
    this.#context = context;
    this.#merger = merger;
    this.#node = node;
  }

  async range(from: bigint, to: bigint): Promise<void> {
    for (let at: bigint | undefined = from; at !== undefined && at < to;) {
      if (this.hasFailed) return;
      const part: SnapshotReply | undefined = await this.part(at, to);
      this.hasFailed ||= part === undefined;
      at = part?.next;
    }
  }

  /** One answer, merged. Undefined: it is no use to go on. */
  async part(from: bigint, to: bigint): Promise<SnapshotReply | undefined> {
    const { counters } = this.#context;
    const reply = await this.#ask(from, to);
    if (reply === undefined) return undefined;
    this.#incarnation ??= reply.incarnation;
    if (reply.incarnation !== this.#incarnation) return undefined;
    if (reply.next !== undefined && reply.next <= from) {
      counters.malformed++; // it would never end
      return undefined;
    }
    const merged = await this.#merger.merge(reply.records, 0);
    const count = countRecords(reply.records);
    this.records += count;
    counters.snapshotRecords += count;
    return merged && reply;
  }

  async #ask(from: bigint, to: bigint): Promise<SnapshotReply | undefined> {
    const { limits } = this.#context;
    const room = Math.max(1, Math.floor(limits.replyBytes / RECORD_BYTES));
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      // What peers publish goes first.
      while (this.#merger.isBusy)
        if (!(await pause(this.#context, limits.reorderMs))) return undefined;
      const request = { from, to, room };
      const reply = await ask(
        this.#context,
        "snapshot",
        this.#node,
        SNAPSHOT,
        request,
      );
      if (reply !== undefined) return reply;
    }
    return undefined;
  }
}

/** At most `parts` ranges that make up [from, to). */
function split(
  from: bigint,
  to: bigint,
  parts: number,
): readonly { readonly from: bigint; readonly to: bigint }[] {
  if (from >= to) return [];
  const step = (to - from + BigInt(parts) - 1n) / BigInt(parts);
  const ranges = [];
  for (let at = from; at < to; at += step)
    ranges.push({ from: at, to: at + step < to ? at + step : to });
  return ranges;
}
