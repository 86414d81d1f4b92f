// SPDX-License-Identifier: Apache-2.0
import { rehash } from "../faults.ts";
import { movedShare } from "../load-run.ts";
import { underLoad } from "../under-load.ts";

const TIMES = 3;
const STEADY_MS = 1_500;

export const REHASH = underLoad({
  name: "rehash",
  about: [
    "the router's hash changes again and again: two thirds of all flows move each time",
  ],
  brokenWithoutSync: 0.25,
  evidence: { moved: 0.5 },
  play: async (stage) => {
    const { rack } = stage.scene;
    await stage.open(0.7);
    stage.trickle(0.3, TIMES * STEADY_MS);
    const change = rehash(rack);
    for (let time = 0; time < TIMES; time++) {
      const before = await stage.view();
      await stage.inject(change);
      stage.evidence["moved"] = movedShare(before, await stage.view());
      await stage.steady(STEADY_MS);
      await stage.undo(change);
      await stage.steady(STEADY_MS);
    }
    await stage.settle();
  },
});
