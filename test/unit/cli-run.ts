// SPDX-License-Identifier: Apache-2.0
/** Runs a command as the terminal does, in this process. */
import { runCommand } from "../../src/cli/main.ts";

export type Result = {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
};

export async function run(...args: readonly string[]): Promise<Result> {
  let stdout = "";
  let stderr = "";
  const code = await runCommand(args, {
    write: async (text) => {
      stdout += text;
    },
    note: (text) => {
      stderr += `${text}\n`;
    },
  });
  return { code, stdout, stderr };
}
