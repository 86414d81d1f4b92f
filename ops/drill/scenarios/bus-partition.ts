// SPDX-License-Identifier: Apache-2.0
import { busCut, powerOff } from "../faults.ts";
import { underLoad } from "../under-load.ts";

/** Half of the connections is there before, the other half comes during the partition. */
const PARTED_MS = 10_000;

export const BUS_PARTITION = underLoad({
  name: "bus-partition",
  about: [
    `a director's bus is cut off for ${PARTED_MS / 1000} s while new connections come; when it has`,
    "healed, the director's power goes",
  ],
  brokenWithoutSync: 0.25,
  evidence: { unheard: 2 },
  play: async (stage) => {
    const { rack, director } = stage.scene;
    const partition = busCut(rack, director);
    await stage.open(0.5);
    await stage.inject(partition);
    stage.trickle(0.5, PARTED_MS / 2);
    await stage.steady(PARTED_MS, "bus cut");
    stage.evidence["unheard"] = await stage.unheardBy(director);
    await stage.undo(partition);
    await stage.synced();
    await stage.part();
    await stage.cut(powerOff(rack, director));
    await stage.settle();
  },
});
