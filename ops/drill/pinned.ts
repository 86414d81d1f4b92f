// SPDX-License-Identifier: Apache-2.0
import type { Director, Rack } from "../lab/rack.ts";
import { parsePerCpuCounter } from "../lab/reports.ts";

/** The only layout version that a fresh rack has. */
export const PINS = "/sys/fs/bpf/weir/v*";

/** A counter of a director's dataplane, straight from the pinned map: when its agent is away there is nobody to ask. */
export async function pinnedCounter(
  rack: Rack,
  director: Director,
  name: string,
): Promise<number> {
  const command = `bpftool --json map dump pinned ${PINS}/weir_counters`;
  const dump = await rack.output(director, ["bash", "-c", command]);
  return parsePerCpuCounter(dump, name);
}
