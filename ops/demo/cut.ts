// SPDX-License-Identifier: Apache-2.0
// The demo's second part: a director loses its power in the middle of downloads and other connections.

import { powerOff } from "../drill/faults.ts";
import type { LoadRun, Percentiles } from "../drill/load-run.ts";
import { Stage } from "../drill/stage.ts";
import type { Director, Rack } from "../lab/rack.ts";
import type { Progress } from "../progress.ts";

/** What `--json` prints as `cut`. Fields may be added, never renamed. */
export type Cut = Pick<LoadRun, "tookOver" | "byKind" | "bytesVerified"> & {
  readonly director: Director;
  /** Connections during this part, of all kinds, and those that the director carried a half of when its power went. */
  readonly connections: number;
  readonly carried: number;
  readonly broken: number;
  readonly excused: number;
  /** Of the latter: how long nothing came through. */
  readonly stallMs: Percentiles;
};

const CONNECTIONS = 300;

/** Leaves the director without power, or, with `restore`, as it was. @throws LabError */
export async function cutOff(
  rack: Rack,
  director: Director,
  progress: Progress,
  restore: boolean,
): Promise<Cut> {
  const stage = await Stage.set({
    ...{ rack, director, progress, connections: CONNECTIONS },
    ...{ random: Math.random, sabotage: false, shared: true },
    ...{ family: 4, protocol: "tcp", runsBefore: 0 },
  });
  try {
    progress.step(
      `opening ${CONNECTIONS} connections, downloads, and sessions of redis and a shell`,
    );
    await stage.open(1);
    const off = powerOff(rack, director);
    await stage.cut(off);
    await stage.settle();
    const measured = await stage.finish();
    if (restore) {
      await stage.undo(off);
      await stage.whole();
    }
    const { connections, excused, hit, hitStallMs, ...rest } = measured;
    return {
      director,
      connections: connections.opened,
      carried: hit,
      broken: connections.broken,
      excused,
      stallMs: hitStallMs,
      ...{ tookOver: rest.tookOver, byKind: rest.byKind },
      bytesVerified: rest.bytesVerified,
    };
  } finally {
    stage.close();
  }
}
