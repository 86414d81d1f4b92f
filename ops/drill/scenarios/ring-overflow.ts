// SPDX-License-Identifier: Apache-2.0
import { agentStop, rehash } from "../faults.ts";
import { pinnedCounter } from "../pinned.ts";
import { underLoad } from "../under-load.ts";

const STORM_PER_SECOND = 1_000;
/** It takes 15 s with TCP, whose connections change five times each; a flow of datagrams does twice. */
const STORM_LIMIT_MS = 90_000;
/** Nothing is written into the ring where nothing is shared. */
const UNSHARED_STORM_MS = 10_000;
const POLL_MS = 1_000;
/** The storm goes on until so many changes of sessions found no room in the ring. */
const LOST_MIN = 1_000;
const TRICKLE_MS = 5_000;
/** What the ring had no room for is told by the next sweep, a second later at most. */
const SWEPT_MS = 3_000;

export const RING_OVERFLOW = underLoad({
  name: "ring-overflow",
  about: [
    "a director's agent stands still until more sessions have changed than its ring holds;",
    "when it has caught up, the router's hash changes",
  ],
  // A flow of datagrams is no new session while that of an earlier one with the same ports has not expired.
  variants: ({ protocol }) => (protocol === "udp" ? ["short-timeouts"] : []),
  brokenWithoutSync: 0.01,
  evidence: { eventsLost: LOST_MIN },
  play: async (stage) => {
    const { rack, director, shared } = stage.scene;
    const limitMs = shared ? STORM_LIMIT_MS : UNSHARED_STORM_MS;
    const stopped = agentStop(rack, director);
    const counted = () => pinnedCounter(rack, director, "event_lost");
    const before = await counted();
    const lost = async () => (await counted()) - before;
    await stage.open(0.5);
    await stage.inject(stopped);
    stage.streams.storm(STORM_PER_SECOND);
    stage.trickle(0.5, TRICKLE_MS);
    for (const end = Date.now() + limitMs; Date.now() < end;) {
      await stage.steady(POLL_MS, "storm, agent stopped");
      if ((await lost()) >= LOST_MIN) break;
    }
    stage.streams.storm(0);
    stage.evidence["eventsLost"] = await lost();
    await stage.undo(stopped);
    await stage.synced();
    await stage.steady(SWEPT_MS, "sweep");
    await stage.inject(rehash(rack));
    await stage.settle();
  },
});
