// SPDX-License-Identifier: Apache-2.0
/** Labs of two nodes, web and browser, for the tests of the lab runner. */
import { fileURLToPath } from "node:url";
import type { ExecutionContext } from "ava";
import { deployLab, destroyLab, type Lab } from "../../ops/lab/lab.ts";

export const PAIR = fileURLToPath(new URL("pair.clab.yml", import.meta.url));

let labs = 0;

/** A lab name that no other test and no other run uses. */
export function newName(t: ExecutionContext): string {
  const name = `test${process.pid}-${labs++}`;
  t.teardown(async () => {
    await destroyLab(name);
  });
  return name;
}

export async function deployPair(t: ExecutionContext): Promise<Lab> {
  return deployLab(PAIR, { name: newName(t) });
}

export async function output(
  lab: Lab,
  node: string,
  script: string,
): Promise<string> {
  const { code, stdout, stderr } = await lab.exec(
    node,
    ["bash", "-c", script],
    { timeoutMs: 10_000 },
  );
  if (code !== 0)
    throw new Error(`${script} on ${node} ended with ${code}: ${stderr}`);
  return stdout.trim();
}
