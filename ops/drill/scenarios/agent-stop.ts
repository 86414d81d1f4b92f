// SPDX-License-Identifier: Apache-2.0
import { agentStop, rehash } from "../faults.ts";
import { underLoad } from "../under-load.ts";

const STOPPED_MS = 20_000;
const STORM_PER_SECOND = 50;

export const AGENT_STOP = underLoad({
  name: "agent-stop",
  about: [
    `a director's agent stands still (SIGSTOP) for ${STOPPED_MS / 1000} s, while connections come and go;`,
    "when it has caught up, the router's hash changes",
  ],
  brokenWithoutSync: 0.1,
  play: async (stage) => {
    const { rack, director } = stage.scene;
    const stopped = agentStop(rack, director);
    await stage.open(0.5);
    await stage.inject(stopped);
    stage.trickle(0.5, STOPPED_MS / 2);
    stage.streams.storm(STORM_PER_SECOND);
    await stage.steady(STOPPED_MS, "agent stopped");
    stage.streams.storm(0);
    await stage.undo(stopped);
    await stage.synced();
    await stage.inject(rehash(rack));
    await stage.settle();
  },
});
