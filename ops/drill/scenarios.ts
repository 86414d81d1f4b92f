// SPDX-License-Identifier: Apache-2.0
import { AGENT_STOP } from "./scenarios/agent-stop.ts";
import { BUS_DOWN } from "./scenarios/bus-down.ts";
import { BUS_PARTITION } from "./scenarios/bus-partition.ts";
import { ISOLATED_RETURN } from "./scenarios/isolated-return.ts";
import { LINK_FLAP } from "./scenarios/link-flap.ts";
import { POWER_OFF } from "./scenarios/power-off.ts";
import { POWER_OFF_STORM } from "./scenarios/power-off-storm.ts";
import { REHASH } from "./scenarios/rehash.ts";
import { REJOIN } from "./scenarios/rejoin.ts";
import { RING_OVERFLOW } from "./scenarios/ring-overflow.ts";
import { SPLIT_HALVES } from "./scenarios/split-halves.ts";
import { WRONG_CLOCK } from "./scenarios/wrong-clock.ts";
import type { LoadScenario } from "./under-load.ts";

/** In the order of the help. */
export const LOAD_SCENARIOS: readonly LoadScenario[] = [
  POWER_OFF,
  POWER_OFF_STORM,
  REJOIN,
  BUS_PARTITION,
  BUS_DOWN,
  ISOLATED_RETURN,
  LINK_FLAP,
  REHASH,
  SPLIT_HALVES,
  AGENT_STOP,
  WRONG_CLOCK,
  RING_OVERFLOW,
];
