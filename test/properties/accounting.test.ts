// SPDX-License-Identifier: Apache-2.0
// Each frame ends in exactly one way, and what is not translated leaves as it came, however malformed it is.
import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import { Random } from "../histories/random.ts";
import { isEnd } from "../model/translate/outcome.ts";
import type { Settings } from "../model/translate/world.ts";
import { aWay, frameOf, look, opening, segment } from "./arbitrary.ts";
import { Block, ROUNDS } from "./block.ts";
import { FRAME_MIN, mutated } from "./mutate.ts";
import { RACK, SERVICES } from "./rack.ts";
import { check, Stage } from "./stage.ts";

const RUNS = 1_000;
const BLOCKS = 20;
const seed = fc.integer();

/** All that the configuration can say of packets that no service wants, and of options. */
const SETTINGS: readonly Settings[] = [
  RACK,
  { ...RACK, unknownPort: "drop", options: "drop" },
];

for (const settings of SETTINGS) {
  const { unknownPort, options } = settings;
  const title = `(unknown port: ${unknownPort}, options: ${options})`;

  test.serial(`director accounts for random bytes ${title}`, (t) => {
    const stage = new Stage(t, settings);
    const property = fc.property(
      fc.uint8Array({ minLength: FRAME_MIN, maxLength: 200 }),
      (bytes) => void stage.send(Buffer.from(bytes)),
    );
    check(property, RUNS);
    assertSum(t, stage, RUNS);
  });

  test.serial(`director accounts for spoilt packets ${title}`, (t) => {
    const stage = new Stage(t, settings);
    const property = fc.property(
      ...[aWay(SERVICES), look, segment, seed],
      (way, appearance, fields, number) => {
        const frame = frameOf(way, fields, appearance);
        const spoilt = mutated(frame, new Random(number));
        stage.send(opening(way), frame, spoilt);
      },
    );
    check(property, RUNS);
    assertSum(t, stage, 3 * RUNS);
  });

  test.serial(`director accounts for sessions and their ends ${title}`, (t) => {
    const stage = new Stage(t, settings);
    let index = 0;
    let frames = 0;
    const property = fc.property(seed, (number) => {
      const block = new Block(stage.world, number, index++);
      for (let round = 0; round < ROUNDS; round++)
        frames += stage.send(...block.round(round)).length;
    });
    check(property, BLOCKS);
    assertSum(t, stage, frames);
  });
}

function assertSum(t: ExecutionContext, stage: Stage, least: number): void {
  const { received, ...others } = stage.counters();
  const ends = Object.entries(others)
    // Object.entries forgets the names.
    .filter(([name]) => isEnd(name as keyof typeof others))
    .reduce((sum, [, value]) => sum + value, 0n);
  t.is(received, ends, "the outcomes do not add up to what was received");
  t.true(received >= least, "frames got lost");
}
