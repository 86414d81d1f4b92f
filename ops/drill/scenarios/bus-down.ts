// SPDX-License-Identifier: Apache-2.0
import { busCut, rehash } from "../faults.ts";
import { underLoad } from "../under-load.ts";

const DOWN_MS = 60_000;
const STORM_PER_SECOND = 50;

export const BUS_DOWN = underLoad({
  name: "bus-down",
  about: [
    `no director hears another one for ${DOWN_MS / 1000} s, while connections come and go; when the bus`,
    "has healed, the router's hash changes",
  ],
  brokenWithoutSync: 0.1,
  evidence: { unheard: 2 },
  play: async (stage) => {
    const { rack, director } = stage.scene;
    const down = busCut(rack);
    await stage.open(0.5);
    await stage.inject(down);
    stage.trickle(0.5, DOWN_MS / 2);
    stage.streams.storm(STORM_PER_SECOND);
    await stage.steady(DOWN_MS, "bus down");
    stage.streams.storm(0);
    stage.evidence["unheard"] = await stage.unheardBy(director);
    await stage.undo(down);
    await stage.synced();
    await stage.inject(rehash(rack));
    await stage.settle();
  },
});
