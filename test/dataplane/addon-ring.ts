// SPDX-License-Identifier: Apache-2.0
/** The addon on addon_test.bpf.c, whose program writes as many events into the ring as a frame asks for. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import { setImmediate } from "node:timers/promises";
import type { ExecutionContext } from "ava";
import { type Addon, loadAddon } from "../../src/node/addon.ts";
import * as layout from "../../src/node/layout.ts";
import { decode, encode, u32 } from "../../src/node/struct.ts";
import { objectsOf, temporaryPins } from "./addon-fixture.ts";

/** What the wire has of either family. A record's generation stands behind its key; the list is the listener's argument. */
export const NARROW = {
  wide: 0,
  addressBytes: 4,
  recordBytes: 96,
  keyBytes: 16,
  recordList: 0,
  keyList: 1,
} as const;
export const WIDE = {
  wide: 1,
  addressBytes: 16,
  recordBytes: 144,
  keyBytes: 40,
  recordList: 2,
  keyList: 3,
} as const;
export const FAMILIES = [NARROW, WIDE] as const;
export type Family = (typeof FAMILIES)[number];
/** What a listener is called with. */
export type Lists = Parameters<NonNullable<Parameters<Addon["events"]>[0]>>;

/** Of a session in the ring, with the kernel's header. */
export const EVENT_BYTES = layout.weirSessionEvent4.size + 8;
/** Of the listener, or of settled jobs, in one turn of the event loop: as addon_thread.h says. */
export const TURN_MAX = 16;
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
  const { stateDir, pinDir } = temporaryPins(t);
  mkdirSync(stateDir);
  mkdirSync(pinDir);
  return {
    lock: join(stateDir, "lock"),
    objects: objectsOf("addon_test"),
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

  write(sessions: number, misses = 0, family: Family = NARROW): void {
    const frame = Buffer.alloc(FRAME_BYTES);
    frame.writeUInt32LE(sessions, 0);
    frame.writeUInt32LE(misses, 4);
    frame.writeBigUInt64LE(BigInt(this.written + 1), 8);
    frame.writeUInt32LE(family.wide, 16);
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
  /** In each call the narrow family's come first, in all these lists. */
  readonly generations: number[] = [];
  readonly misses: Buffer[] = [];
  readonly records: Buffer[] = [];

  listen(): this {
    loadAddon().events((...lists) => this.hear(lists));
    return this;
  }

  hear(lists: Lists): void {
    let events = 0;
    for (const { recordBytes, keyBytes, recordList, keyList } of FAMILIES) {
      const [records, misses] = [lists[recordList], lists[keyList]];
      events += records.length / recordBytes + misses.length / keyBytes;
      if (records.length > 0) this.records.push(records);
      for (let at = keyBytes; at < records.length; at += recordBytes)
        this.generations.push(Number(records.readBigUInt64LE(at)));
      for (let at = 0; at < misses.length; at += keyBytes)
        this.misses.push(misses.subarray(at, at + keyBytes));
    }
    this.calls.push({ at: performance.now(), events });
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
