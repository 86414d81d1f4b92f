// SPDX-License-Identifier: Apache-2.0
import type { Rack } from "../lab/rack.ts";

/** Ends with an error if there is no such process. A killed one is gone when its parent, process 1, has collected it. */
const SCRIPT = `pid=$(<"$1") && kill -0 "$pid" && date +%s%6N && kill -KILL "$pid" || exit 1
while kill -0 "$pid" 2>/dev/null; do sleep 0.01; done`;

/**
 * Kills the process of a node whose number is in a file, as if it had crashed, and waits until it is gone.
 * @returns when that was, in ms since 1970
 * @throws LabError if there was no such process
 */
export async function kill(
  rack: Rack,
  node: string,
  pidFile: string,
): Promise<number> {
  const microseconds = await rack.output(node, [
    ...["bash", "-c", SCRIPT, "kill", pidFile],
  ]);
  return Number(microseconds) / 1000;
}
