// SPDX-License-Identifier: Apache-2.0
/** What each command of the CLI is made of. */
import { parseArgs, type ParseArgsOptionsConfig } from "node:util";
import { ADMIN_SOCKET } from "../admin/api.ts";
import { UsageError } from "../errors.ts";

export type Command = {
  /** How to call it, what it shows, its options and examples. */
  readonly help: string;
  /**
   * Resolves to the exit code.
   *
   * @throws UsageError, AgentUnreachableError
   */
  readonly run: (args: readonly string[], output: Output) => Promise<number>;
};

export type Output = {
  /** To standard output; resolves when there is room for more. */
  readonly write: (text: string) => Promise<void>;
  /** To standard error: for the person, never part of the answer. */
  readonly note: (text: string) => void;
};

/** The options of every command about a running node. */
export const AGENT_OPTIONS = {
  json: { type: "boolean", default: false },
  socket: { type: "string", default: ADMIN_SOCKET },
} as const;

export const AGENT_OPTIONS_HELP = `  --json         print JSON instead of a table
  --socket PATH  where the agent listens (default ${ADMIN_SOCKET})`;

/**
 * Reads options and, if `allowPositionals`, arguments.
 *
 * @throws UsageError for anything else.
 */
export function readArgs<const O extends ParseArgsOptionsConfig>(
  args: readonly string[],
  options: O,
  allowPositionals = false,
): ReturnType<
  typeof parseArgs<{ options: O; strict: true; allowPositionals: boolean }>
> {
  try {
    return parseArgs({
      args: [...args],
      options,
      strict: true,
      allowPositionals,
    });
  } catch (error) {
    throw new UsageError(
      error instanceof Error ? error.message : String(error),
      { cause: error },
    );
  }
}

/** Pretty JSON. A 64-bit number that JSON's readers would round is written as a string. */
export function toJson(value: unknown): string {
  const plain = (_key: string, one: unknown): unknown => {
    if (typeof one !== "bigint") return one;
    return one <= BigInt(Number.MAX_SAFE_INTEGER)
      ? Number(one)
      : one.toString();
  };
  return JSON.stringify(value, plain, 2);
}
