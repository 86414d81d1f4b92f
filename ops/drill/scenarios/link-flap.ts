// SPDX-License-Identifier: Apache-2.0
import { cableOut } from "../faults.ts";
import { underLoad } from "../under-load.ts";

const DOWN_MS = 5_000;
const STEADY_MS = 2_000;

export const LINK_FLAP = underLoad({
  name: "link-flap",
  about: [`a director's link is down for ${DOWN_MS / 1000} s`],
  brokenWithoutSync: 0.25,
  play: async (stage) => {
    const { rack, director } = stage.scene;
    const flap = cableOut(rack, director);
    await stage.spread();
    await stage.cut(flap);
    await stage.steady(DOWN_MS, "link down");
    await stage.undo(flap);
    await stage.whole();
    await stage.steady(STEADY_MS);
    await stage.settle();
  },
});
