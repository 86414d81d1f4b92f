// SPDX-License-Identifier: Apache-2.0
// Changes of a rack's configuration under its running agents.

import { until, type Director, type Rack } from "../../ops/lab/rack.ts";

export const AGENT_PID = "/run/weir-agent.pid";

const CONFIG = "/etc/weir/weir.yaml";
const AGENT_LOG = "/var/log/weir.log";
const RELOAD_LIMIT_MS = 15_000;

/** Edits a director's own copy of the config with a script for sed -E. */
export async function edit(
  rack: Rack,
  director: Director,
  script: string,
): Promise<void> {
  await rack.output(director, ["sed", "-E", "-i", script, CONFIG]);
}

/** Sends SIGHUP and waits for the line that the log gets upon it. @throws LabError */
export async function reload(
  rack: Rack,
  director: Director,
  message: string,
): Promise<void> {
  const count = async () => {
    const found = await rack.lab.exec(director, [
      ...["grep", "-c", `"msg":"${message}"`, AGENT_LOG],
    ]);
    return Number(found.stdout);
  };
  const before = await count();
  await rack.output(director, ["bash", "-c", `kill -HUP $(<${AGENT_PID})`]);
  await until(
    `reload ${director}`,
    async () =>
      (await count()) > before ? undefined : `no "${message}" in its log`,
    RELOAD_LIMIT_MS,
  );
}
