// SPDX-License-Identifier: Apache-2.0
/** The real programs and the model of them side by side, for tests. */
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import type { Counters } from "../../src/node/dataplane.ts";
import { type Frame, readFrame } from "../model/translate/ethernet.ts";
import { type Ip, readIp } from "../model/translate/ip.ts";
import { judge } from "../model/translate/judge.ts";
import type { Outcome } from "../model/translate/outcome.ts";
import { type Settings, World } from "../model/translate/world.ts";
import { Director } from "./director.ts";

const LIMITS = { sessions: 20_000, wideSessions: 20_000 };

export class Stage {
  readonly world: World;
  readonly #director: Director;

  /** Removed after the test. */
  constructor(t: ExecutionContext, settings: Settings) {
    this.world = new World(settings);
    this.#director = new Director(settings, LIMITS);
    t.teardown(() => this.#director.close());
  }

  /** Runs frames, and throws if the model has something against what becomes of one of them. */
  send(...frames: readonly Buffer[]): readonly Outcome[] {
    const outcomes = this.#director.run(frames);
    for (const [i, frame] of frames.entries()) {
      const outcome = outcomes[i];
      const complaint =
        outcome === undefined
          ? "it has no outcome"
          : judge(frame, outcome, this.world);
      if (complaint !== undefined)
        throw new Error(
          `${complaint}\n  in  ${frame.toString("hex")}\n  out ${outcome?.frame.toString("hex")}`,
        );
    }
    return outcomes;
  }

  counters(): Counters {
    return this.#director.counters();
  }

  /** So that another one can be made before the test ends. */
  close(): void {
    this.#director.close();
  }

  /** The packet that comes out for one that is forwarded. */
  forward(frame: Buffer): Ip {
    const [outcome] = this.send(frame);
    if (outcome?.counted.get("forwarded") !== 1)
      throw new Error(`a frame was not forwarded: ${frame.toString("hex")}`);
    return packetOf(outcome.frame);
  }
}

/** Fails with what the property's code has thrown for the smallest counterexample. */
export function check<Values>(
  property: fc.IProperty<Values>,
  numRuns: number,
  parameters: fc.Parameters<Values> = {},
): void {
  fc.assert(property, { numRuns, includeErrorInReport: true, ...parameters });
}

export function packetOf(bytes: Buffer): Ip {
  const frame: Frame | undefined = readFrame(bytes);
  const ip = frame && readIp(frame.body, frame.version).ip;
  if (ip === undefined)
    throw new Error(`there is no packet in ${bytes.toString("hex")}`);
  return ip;
}
