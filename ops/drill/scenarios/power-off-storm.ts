// SPDX-License-Identifier: Apache-2.0
import { powerOff } from "../faults.ts";
import { underLoad } from "../under-load.ts";

const STORM_PER_SECOND = 500;
const BEFORE_MS = 1_500;
const AFTER_MS = 2_000;

export const POWER_OFF_STORM = underLoad({
  name: "power-off-storm",
  about: [
    `the same, while ${STORM_PER_SECOND} short connections a second come and go`,
  ],
  brokenWithoutSync: 0.05,
  evidence: { storm: 1_000 },
  play: async (stage) => {
    await stage.spread();
    stage.streams.storm(STORM_PER_SECOND);
    await stage.steady(BEFORE_MS, "storm");
    await stage.cut(powerOff(stage.scene.rack, stage.scene.director));
    await stage.steady(AFTER_MS, "storm");
    stage.streams.storm(0);
    await stage.settle();
    stage.evidence["storm"] = (await stage.streams.status()).complete;
  },
});
