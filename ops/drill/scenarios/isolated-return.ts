// SPDX-License-Identifier: Apache-2.0
import { cableOut } from "../faults.ts";
import { underLoad } from "../under-load.ts";

/** The sessions' timeout is 4 s: they are gone after it, a quarter of it, and 5 s; and 4 s more without any peer. */
const ISOLATED_MS = 20_000;
const STEADY_MS = 2_000;

export const ISOLATED_RETURN = underLoad({
  name: "isolated-return",
  about: [
    `a director is cut off from routers and bus, but lives, for ${ISOLATED_MS / 1000} s: longer than the`,
    "sessions' timeouts. Then it is back, and closes nothing",
  ],
  variants: () => ["short-timeouts"],
  brokenWithoutSync: 0.25,
  evidence: { forgotten: 0.5 },
  play: async (stage) => {
    const { rack, director } = stage.scene;
    const isolated = cableOut(rack, director);
    await stage.spread();
    await stage.cut(isolated);
    await stage.settle();
    await stage.steady(ISOLATED_MS, "isolated");
    const { open } = await stage.streams.status();
    const known = await rack.sessionCount(director);
    stage.evidence["forgotten"] = Math.max(0, 1 - known / open);
    await stage.undo(isolated);
    await stage.whole();
    await stage.steady(STEADY_MS);
    await stage.settle();
  },
});
