// SPDX-License-Identifier: Apache-2.0
import type { Director, Rack } from "../../lab/rack.ts";
import { powerOff, wrongClock } from "../faults.ts";
import { underLoad } from "../under-load.ts";

const HOUR_MS = 3_600_000;
const STEADY_MS = 1_000;

export const WRONG_CLOCK = underLoad({
  name: "wrong-clock",
  about: [
    "a director's clock is an hour off, forwards or backwards; then its power goes",
  ],
  brokenWithoutSync: 0.25,
  evidence: { clockOffMinutes: 59 },
  play: async (stage) => {
    const { rack, director, random } = stage.scene;
    const offsetMs = random() < 0.5 ? HOUR_MS : -HOUR_MS;
    await stage.inject(wrongClock(rack, director, offsetMs));
    await stage.whole();
    stage.evidence["clockOffMinutes"] = await clockOffMinutes(rack, director);
    await stage.spread();
    await stage.steady(STEADY_MS);
    await stage.cut(powerOff(rack, director));
    await stage.settle();
  },
});

/** By the agent's log, whose last line is young: the agent has just started. 0 if it does not tell. */
async function clockOffMinutes(
  rack: Rack,
  director: Director,
): Promise<number> {
  const line = await rack.output(director, [
    "tail",
    "-n1",
    "/var/log/weir.log",
  ]);
  const [, time = ""] = /"time":"([^"]+)"/.exec(line) ?? [];
  const offMs = Math.abs(Date.parse(time) - Date.now());
  return Number.isNaN(offMs) ? 0 : Math.round(offMs / 60_000);
}
