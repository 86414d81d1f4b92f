// SPDX-License-Identifier: Apache-2.0
// Whatever clients do, no two sessions get the same local address and port towards one real server.
import test from "ava";
import fc from "fast-check";
import { isEnd } from "../model/translate/outcome.ts";
import { PROTOCOL } from "../model/translate/protocols.ts";
import { rangeOf, versionOf } from "../model/translate/address.ts";
import type { Settings } from "../model/translate/world.ts";
import { aWay, CLOSING, frameOf, opening, reversed } from "./arbitrary.ts";
import type { Way } from "./packets.ts";
import { RACK, SERVICES } from "./rack.ts";
import { check, Stage } from "./stage.ts";

/** Each has maps of its own. */
const RUNS = 5;
const STEPS = 120;

/** 16 local addresses and ports of each family: far fewer than the steps open sessions. */
const NARROW: Settings = {
  ...RACK,
  pools: [rangeOf("10.200.0.16/30"), rangeOf("2001:db8:200::10/126")],
  ports: { min: 5000, max: 5003 },
};
/** Of both families of clients, with real servers in common. */
const SHARED = SERVICES.filter(({ reals }) =>
  reals.some(({ address, port }) =>
    SERVICES.some(
      (other) =>
        versionOf(other.vip) === 6 &&
        other.reals.some(
          (real) => real.address === address && real.port === port,
        ),
    ),
  ),
);

type Step = {
  readonly way: Way;
  /** What follows the opening, by its flags and direction. */
  readonly rest: readonly (readonly [boolean, number])[];
};

const step: fc.Arbitrary<Step> = fc.record({
  way: aWay(SHARED),
  rest: fc.array(fc.tuple(fc.boolean(), fc.constantFrom(...CLOSING)), {
    maxLength: 4,
  }),
});

test.serial(
  "director gives no local address and port to two sessions of one real server",
  (t) => {
    const outcomes = new Set<string>();
    const property = fc.property(
      fc.array(step, { minLength: STEPS / 2, maxLength: STEPS }),
      (steps) => {
        const stage = new Stage(t, NARROW);
        try {
          for (const { way, rest } of steps) {
            for (const end of run(stage, way, rest)) outcomes.add(end);
          }
        } finally {
          stage.close();
        }
      },
    );
    // To make it smaller would take minutes.
    check(property, RUNS, { endOnFailure: true });
    t.true(
      outcomes.has("drop_no_lport"),
      "the ports did not run out: this shows too little",
    );
  },
);

/** @returns how the frames ended */
function run(stage: Stage, way: Way, rest: Step["rest"]): readonly string[] {
  const outcomes = [...stage.send(opening(way))];
  const choice = stage.world.sessions.inbound(way)?.choice;
  if (choice !== undefined && way.protocol === PROTOCOL.tcp) {
    const inside = {
      protocol: way.protocol,
      from: choice.local,
      to: choice.real,
    };
    const frames = rest.map(([isInbound, flags]) =>
      frameOf(isInbound ? way : reversed(inside), { flags }),
    );
    outcomes.push(...stage.send(...frames));
  }
  return outcomes.flatMap(({ counted }) => [...counted.keys()].filter(isEnd));
}
