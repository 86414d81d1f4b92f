// SPDX-License-Identifier: Apache-2.0
import { splitHalves } from "../faults.ts";
import { partedShare } from "../load-run.ts";
import { underLoad } from "../under-load.ts";

const STEADY_MS = 3_000;

export const SPLIT_HALVES = underLoad({
  name: "split-halves",
  about: [
    "one director carries all that comes from clients, another one all that comes from real",
    "servers, also the handshakes; then the router does as usual",
  ],
  brokenWithoutSync: 0.25,
  evidence: { parted: 1 },
  play: async (stage) => {
    const { rack, director } = stage.scene;
    const [reply = director] = stage.others;
    const split = splitHalves(rack, director, reply);
    await stage.inject(split);
    await stage.open(1);
    await stage.steady(STEADY_MS);
    stage.evidence["parted"] = partedShare(await stage.view());
    await stage.undo(split);
    await stage.steady(STEADY_MS);
    await stage.settle();
  },
});
