// SPDX-License-Identifier: Apache-2.0
import { powerOff } from "../faults.ts";
import { underLoad } from "../under-load.ts";

const STEADY_MS = 1_000;

export const POWER_OFF = underLoad({
  name: "power-off",
  about: [
    "cut a director's packets off with its link, then kill all of its processes.",
    "Before that the router's hash changes, so that forward half and origin part",
  ],
  brokenWithoutSync: 0.25,
  play: async (stage) => {
    await stage.spread();
    await stage.steady(STEADY_MS);
    await stage.cut(powerOff(stage.scene.rack, stage.scene.director));
    await stage.settle();
  },
});
