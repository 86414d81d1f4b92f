// SPDX-License-Identifier: Apache-2.0
import { powerOff } from "../faults.ts";
import { sharesOf } from "../load-run.ts";
import { underLoad } from "../under-load.ts";

/** Of the connections; the others come while the director does. */
const EARLY = 0.8;
const LATE_MS = 6_000;
const STEADY_MS = 2_000;

export const REJOIN = underLoad({
  name: "rejoin",
  about: [
    "a director without power comes back while the others carry everything; it takes its",
    "part of the connections that are open",
  ],
  brokenWithoutSync: 0.1,
  evidence: { carriedByReturned: 0.1 },
  play: async (stage) => {
    const { rack, director } = stage.scene;
    const off = powerOff(rack, director);
    await stage.inject(off);
    await stage.gone();
    await stage.open(EARLY);
    stage.trickle(1 - EARLY, LATE_MS);
    await stage.undo(off);
    await stage.whole();
    await stage.steady(STEADY_MS);
    await stage.settle();
    const { forward } = sharesOf(director, await stage.view());
    stage.evidence["carriedByReturned"] = forward;
  },
});
