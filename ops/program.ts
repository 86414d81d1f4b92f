// SPDX-License-Identifier: Apache-2.0
// What all commands in this folder do with their command line, and with an end that is not a good one.

import { parseArgs, type ParseArgsConfig } from "node:util";
import { UsageError, WeirError } from "../src/errors.ts";
import { LabError } from "./lab/errors.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/**
 * Runs `./weir NAME` to its end and sets the exit code. A command line that makes no sense, or a machine or a lab that does
 * not do what is asked of it, is a sentence on standard error; any other error is a fault of ours, and crashes.
 */
export async function runProgram(
  name: string,
  main: (args: readonly string[]) => Promise<number>,
): Promise<void> {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`weir ${name}: ${error.message}\nSee: weir ${name} --help`);
      process.exitCode = EXIT_USAGE;
    } else if (error instanceof LabError || error instanceof WeirError) {
      console.error(`weir ${name}: ${error.message}`);
      process.exitCode = EXIT_FAILED;
    } else {
      throw error;
    }
  }
}

/** `parseArgs`, whose complaints are about the command line. @throws UsageError */
export function readArgs<const C extends ParseArgsConfig>(
  config: C,
): ReturnType<typeof parseArgs<C>> {
  try {
    return parseArgs(config);
  } catch (cause) {
    throw new UsageError(
      cause instanceof Error ? cause.message : String(cause),
      { cause },
    );
  }
}
