// SPDX-License-Identifier: Apache-2.0
/** The addon on addon_test.bpf.c, whose program writes as many events into the ring as a frame asks for. */
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import { setImmediate } from "node:timers/promises";
import type { ExecutionContext } from "ava";
import { type Addon, loadAddon } from "../../src/node/addon.ts";
import * as layout from "../../src/node/layout.ts";
import { decode, encode, u32 } from "../../src/node/struct.ts";
import { temporaryPins } from "./addon-fixture.ts";

export const RECORD_BYTES = 96;
export const KEY_BYTES = 16;
/** Of a session in the ring, with the kernel's header. */
export const EVENT_BYTES = layout.weirSessionEvent4.size + 8;
/** Of the listener, or of settled jobs, in one turn of the event loop: as addon_thread.h says. */
export const TURN_MAX = 16;
const GENERATION = 16;
const FRAME_BYTES = 60;
const LOOPBACK = 1;
/** How long a test waits for a state. */
const WAIT_MS = 20_000;

export type LoadOptions = Parameters<Addon["load"]>[0];

/** What `load` needs for the test program, with pins of the test's own. */
export function ringOptions(
  t: ExecutionContext,
  ringBytes = 16 << 20,
): LoadOptions {
  const { stateDir, pinDir, objectPath } = temporaryPins(t);
  mkdirSync(stateDir);
  mkdirSync(pinDir);
  return {
    lock: join(stateDir, "lock"),
    object: join(dirname(objectPath), "addon_test.bpf.o"),
    pinDir,
    maxEntries: { weir_events: ringBytes },
  };
}

/** Loads it until the test's end. */
export function loadRing(t: ExecutionContext, ringBytes?: number): Ring {
  loadAddon().load(ringOptions(t, ringBytes));
  return new Ring();
}

/** Writes into the ring. Sessions have the generations 1, 2, 3 and so on. */
export class Ring {
  written = 0;

  write(sessions: number, misses = 0): void {
    const frame = Buffer.alloc(FRAME_BYTES);
    frame.writeUInt32LE(sessions, 0);
    frame.writeUInt32LE(misses, 4);
    frame.writeBigUInt64LE(BigInt(this.written + 1), 8);
    this.written += sessions;
    loadAddon().testRun(frame, LOOPBACK, 1);
  }

  /** What found no room. */
  get lost(): number {
    const { size } = layout.weirCounters;
    const cpus = loadAddon().mapLookup("weir_counters", encode(u32, 0));
    let lost = 0n;
    for (let at = 0; at < cpus.length; at += size)
      lost += decode(
        layout.weirCounters,
        cpus.subarray(at, at + size),
      ).event_lost;
    return Number(lost);
  }
}

/** Listens, and keeps what it hears. */
export class Listener {
  readonly calls: { readonly at: number; readonly events: number }[] = [];
  readonly generations: number[] = [];
  readonly misses: Buffer[] = [];
  readonly records: Buffer[] = [];

  listen(): this {
    loadAddon().events((records, misses) => this.hear(records, misses));
    return this;
  }

  hear(records: Buffer, misses: Buffer): void {
    this.records.push(records);
    const events = records.length / RECORD_BYTES + misses.length / KEY_BYTES;
    this.calls.push({ at: performance.now(), events });
    for (let at = GENERATION; at < records.length; at += RECORD_BYTES)
      this.generations.push(Number(records.readBigUInt64LE(at)));
    for (let at = 0; at < misses.length; at += KEY_BYTES)
      this.misses.push(misses.subarray(at, at + KEY_BYTES));
  }
}

/**
 * Counts what happens between two turns of the event loop. How long a turn takes is logged only: a busy machine holds it up
 * too.
 */
export class Turns {
  most = 0;
  #now = 0;
  #ended = false;
  readonly #delay = monitorEventLoopDelay({ resolution: 1 });

  /** When the turns that an earlier load has left are over. */
  static async begin(): Promise<Turns> {
    await setImmediate();
    return new Turns();
  }

  private constructor() {
    this.#delay.enable();
    void this.#follow();
  }

  count(): void {
    this.#now++;
    this.most = Math.max(this.most, this.#now);
  }

  /** A sentence with the figures. */
  end(): string {
    this.#ended = true;
    this.#delay.disable();
    return `at most ${this.most} in one turn, longest delay ${(this.#delay.max / 1e6).toFixed(1)} ms`;
  }

  async #follow(): Promise<void> {
    while (!this.#ended) {
      await setImmediate();
      this.#now = 0;
    }
  }
}

/** 1, 2, ... n. */
export function upTo(n: number): readonly number[] {
  return Array.from({ length: n }, (_, i) => i + 1);
}

/** Lets the event loop turn until it is so. */
export async function until(what: string, isSo: () => boolean): Promise<void> {
  const end = performance.now() + WAIT_MS;
  while (!isSo()) {
    if (performance.now() > end)
      throw new Error(`Cannot wait any longer: ${what} has not come`);
    await setImmediate();
  }
}
