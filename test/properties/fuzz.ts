// SPDX-License-Identifier: Apache-2.0
/** Runs blocks of random packets through the real programs, and holds each against the model. */
import { judge } from "../model/translate/judge.ts";
import { endOf, type Outcome } from "../model/translate/outcome.ts";
import { type Settings, World } from "../model/translate/world.ts";
import { Block, BLOCK_FRAMES, ROUND_FRAMES, ROUNDS } from "./block.ts";
import { Director } from "./director.ts";
import { RACK } from "./rack.ts";

/** Blocks whose rounds are run together. */
const TOGETHER = 32;
/** Then the session tables are emptied, so that they never fill: each block may open half a session with each frame. */
const EPOCH_BLOCKS = 2_048;
const LIMITS = {
  sessions: EPOCH_BLOCKS * BLOCK_FRAMES,
  wideSessions: EPOCH_BLOCKS * BLOCK_FRAMES,
};
/** Of all that is translated: the negative control spoils one in so many. */
const BREAK_EACH = 1_000;

export type FuzzOptions = {
  readonly packets: number;
  readonly seed: number;
  /** Of all packets, this one and those of its block before it alone. */
  readonly only: number | undefined;
  /** Spoils what comes out: then the model must notice. */
  readonly isBroken: boolean;
};

export type Failure = {
  /** Of all packets of the seed. */
  readonly index: number;
  readonly complaint: string;
  readonly frame: Buffer;
  readonly outcome: Outcome;
};

export type FuzzResult = {
  readonly packets: number;
  readonly seed: number;
  readonly wrongRewrites: number;
  /** Frames that were not received once, or had not one outcome. */
  readonly unaccounted: number;
  readonly byVerdict: Readonly<Record<string, number>>;
  readonly byCounter: Readonly<Record<string, number>>;
  readonly ok: boolean;
};

export type FuzzListener = {
  readonly onFailure: (failure: Failure) => void;
  readonly onProgress: (packets: number) => void;
};

export function fuzz(options: FuzzOptions, listener: FuzzListener): FuzzResult {
  const tally = new Tally(options, listener);
  const { only } = options;
  const [from, to] =
    only === undefined
      ? [0, Math.ceil(options.packets / BLOCK_FRAMES)]
      : [Math.floor(only / BLOCK_FRAMES), Math.floor(only / BLOCK_FRAMES) + 1];
  for (let epoch = from; epoch < to; epoch += EPOCH_BLOCKS)
    runEpoch(epoch, Math.min(epoch + EPOCH_BLOCKS, to), tally, listener);
  return tally.result();
}

/** Each second time, what else the config can say of packets that no service wants, and of options. */
function settingsOf(block: number): Settings {
  const isOdd = Math.floor(block / EPOCH_BLOCKS) % 2 === 1;
  return isOdd ? { ...RACK, unknownPort: "drop", options: "drop" } : RACK;
}

function runEpoch(
  from: number,
  to: number,
  tally: Tally,
  listener: FuzzListener,
): void {
  const settings = settingsOf(from);
  const director = new Director(settings, LIMITS);
  try {
    const world = new World(settings);
    for (let first = from; first < to; first += TOGETHER) {
      runBlocks(first, Math.min(first + TOGETHER, to), director, world, tally);
      listener.onProgress(tally.packets);
    }
  } finally {
    director.close();
  }
}

function runBlocks(
  from: number,
  to: number,
  director: Director,
  world: World,
  tally: Tally,
): void {
  const blocks = Array.from(
    { length: to - from },
    (_, i) => new Block(world, tally.seed, from + i),
  );
  for (let round = 0; round < ROUNDS; round++) {
    const jobs = blocks.flatMap((block) =>
      block.round(round).map((frame, i) => ({
        frame,
        index: block.index * BLOCK_FRAMES + round * ROUND_FRAMES + i,
      })),
    );
    const wanted = jobs.filter(({ index }) => tally.wants(index));
    const outcomes = director.run(wanted.map(({ frame }) => frame));
    for (const [i, { frame, index }] of wanted.entries()) {
      const outcome = outcomes[i];
      if (outcome === undefined) throw new Error("a frame has no outcome");
      tally.add(index, frame, outcome, world);
    }
  }
}

class Tally {
  readonly seed: number;
  packets = 0;
  readonly #options: FuzzOptions;
  readonly #listener: FuzzListener;
  readonly #byVerdict = new Map<string, number>();
  readonly #byCounter = new Map<string, number>();
  #wrong = 0;
  #unaccounted = 0;
  #translated = 0;

  constructor(options: FuzzOptions, listener: FuzzListener) {
    this.seed = options.seed;
    this.#options = options;
    this.#listener = listener;
  }

  wants(index: number): boolean {
    const { only, packets } = this.#options;
    return index <= (only ?? packets - 1);
  }

  add(index: number, frame: Buffer, given: Outcome, world: World): void {
    const outcome = this.#options.isBroken ? this.#spoilt(given) : given;
    this.packets++;
    count(this.#byVerdict, outcome.verdict, 1);
    for (const [counter, rise] of outcome.counted)
      count(this.#byCounter, counter, rise);
    const isAccounted = typeof endOf(outcome) === "string";
    const complaint = judge(frame, outcome, world);
    if (complaint === undefined) return;
    if (isAccounted) this.#wrong++;
    else this.#unaccounted++;
    this.#listener.onFailure({ index, complaint, frame, outcome });
  }

  /** One bit of some packets, somewhere. */
  #spoilt(outcome: Outcome): Outcome {
    if (!outcome.counted.has("forwarded")) return outcome;
    this.#translated++;
    if (this.#translated % BREAK_EACH !== 0) return outcome;
    const frame = Buffer.from(outcome.frame);
    const at = this.#translated % frame.length;
    frame.writeUInt8(frame.readUInt8(at) ^ 0x10, at);
    return { ...outcome, frame };
  }

  result(): FuzzResult {
    const byNumber = (map: ReadonlyMap<string, number>) =>
      Object.fromEntries([...map].toSorted(([, a], [, b]) => b - a));
    return {
      packets: this.packets,
      seed: this.seed,
      wrongRewrites: this.#wrong,
      unaccounted: this.#unaccounted,
      byVerdict: byNumber(this.#byVerdict),
      byCounter: byNumber(this.#byCounter),
      ok: this.#wrong === 0 && this.#unaccounted === 0,
    };
  }
}

function count(map: Map<string, number>, name: string, by: number): void {
  map.set(name, (map.get(name) ?? 0) + by);
}
