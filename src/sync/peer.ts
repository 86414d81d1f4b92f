// SPDX-License-Identifier: Apache-2.0
import type { Limits } from "./limits.ts";
import { ClockOffset, Samples } from "./samples.ts";
import { type Range, Sequence } from "./sequence.ts";
import type { Echo, Hello } from "./wire.ts";

/** Batches over which the lag is reported. */
const LAG_SAMPLES = 1000;

/** More than any envelope's number. */
const UNKNOWN = 2n ** 64n;

/** Another node, as far as this one knows. It stays when the node is gone: what is missing of it may come from others. */
export class Peer {
  readonly node: string;
  readonly #limits: Limits;
  incarnation = 0n;
  sequence: Sequence;
  /** Missing envelopes up to here cannot be had from the node any more. */
  gone = 0n;
  /** Numbers of the envelopes that the table has been given and has not merged yet. */
  merging = new Set<bigint>();
  hello: Hello | undefined;
  heard = false;
  heardAtMs = -Infinity;
  /** Since when something is missing; undefined: nothing is. */
  gapSinceMs: number | undefined;
  /** Envelopes up to here were published while this node may not have listened. */
  #owed = 0n;
  #doubtedAtMs = -Infinity;
  offset = new ClockOffset();
  /** Milliseconds from reading a batch on that node to having it merged here. */
  lagMs = new Samples(LAG_SAMPLES);
  readonly counters = {
    receivedRecords: 0,
    receivedBytes: 0,
    gaps: 0,
    resends: 0,
    snapshots: 0,
    conflicts: 0,
    repaired: 0,
  };

  constructor(node: string, limits: Limits) {
    this.node = node;
    this.#limits = limits;
    this.sequence = new Sequence(limits.gapsMax);
  }

  /** All envelopes up to this one are in the table. */
  get applied(): bigint {
    return [...this.merging].reduce(
      (least, seq) => (seq <= least ? seq - 1n : least),
      this.sequence.contiguous,
    );
  }

  /**
   * Messages of the node may have been lost at some time before `nowMs`, of this node's clock: how many, it says in the first
   * hello that answers one of ours from now on. What comes earlier may have been on its way for long.
   */
  doubt(nowMs: number): void {
    this.#owed = UNKNOWN;
    this.#doubtedAtMs = nowMs;
  }

  /** A hello has come. */
  hear(hello: Hello, nowMs: number, echo: Echo | undefined): void {
    const isDoubted = this.#owed === UNKNOWN;
    const isAnswer = echo !== undefined && echo.sentAtMs >= this.#doubtedAtMs;
    const isFirst = this.hello === undefined;
    // It may have been gone meanwhile, or this node, also if that has slept and did not notice.
    if (nowMs - this.heardAtMs > this.#limits.unheardMs) this.doubt(nowMs);
    else if (isDoubted ? isAnswer : isFirst) this.#owed = hello.seq;
    this.hello = hello;
    this.heard = true;
    this.heardAtMs = nowMs;
    if (echo !== undefined)
      this.offset.add(echo.sentAtMs, nowMs, hello.sentAtMs, echo.heldMs);
  }

  /** Not yet merged: something that it has published while this node may not have listened. */
  get isOwing(): boolean {
    return this.applied < this.#owed;
  }

  /** The next envelopes, up to `top`, to ask the node for again. */
  wanted(top = this.sequence.top): Range | undefined {
    const range = this.sequence.missing.find(({ to }) => to > this.gone);
    if (range === undefined) return undefined;
    const from = range.from > this.gone ? range.from : this.gone + 1n;
    const to = range.to < top ? range.to : top;
    return from <= to ? { from, to } : undefined;
  }

  /** Something is missing that the node cannot send again: only its table has it. */
  get needsSnapshot(): boolean {
    const [first] = this.sequence.missing;
    return first !== undefined && first.from <= this.gone;
  }

  /** How far the node has merged the envelopes of another one, by its last hello; undefined: it does not know that one. */
  appliedOf(node: string, incarnation: bigint): bigint | undefined {
    return this.hello?.applied.find(
      (entry) => entry.node === node && entry.incarnation === incarnation,
    )?.seq;
  }

  /** The node's agent has started again: its envelopes are numbered from 1, and its clock is another one. */
  restart(incarnation: bigint): void {
    this.incarnation = incarnation;
    this.sequence = new Sequence(this.#limits.gapsMax);
    this.gone = 0n;
    this.merging = new Set();
    this.gapSinceMs = undefined;
    this.#owed = 0n;
    this.hello = undefined;
    this.offset = new ClockOffset();
    this.lagMs = new Samples(LAG_SAMPLES);
  }
}
