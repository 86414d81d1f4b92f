// SPDX-License-Identifier: Apache-2.0
// Commands inside a node, for programs: run to the end with the output collected, or long-running with streams.

import { spawn, type ChildProcess } from "node:child_process";
import { constants } from "node:os";
import type { Readable, Writable } from "node:stream";
import { LabError, LabTimeoutError } from "./errors.ts";

/** Output beyond this is an error: a test that wants more should read a stream. */
const OUTPUT_MAX_BYTES = 64 * 1024 * 1024;
/** How long to wait for the end of the output after a command has ended: what it left in the background may hold it open. */
const DRAIN_LIMIT_MS = 200;

export type CommandResult = {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
};

export type CommandOptions = {
  /** The command is killed after this time, and the promise rejects with LabTimeoutError. No limit without it. */
  readonly timeoutMs?: number;
  /** The command is killed when this fires, and the promise rejects with its reason. */
  readonly signal?: AbortSignal;
  readonly input?: string | Uint8Array;
};

/** A command that runs in a node until it ends or is killed. */
export type LabProcess = {
  /** The host's number of the process that waits for the command. */
  readonly pid: number;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** The exit code; 128 + n when signal n ended it. Never rejects once the command was started. */
  readonly exited: Promise<number>;
  /** SIGKILL for the command and its children (its process group). For any other signal run `kill` in the node. */
  kill(): void;
};

/** Runs a whole command line (as node.ts `enter` makes it). `node` and `argv` are what error messages show. */
export async function runCommand(
  node: string,
  argv: readonly string[],
  entered: readonly string[],
  { timeoutMs, signal, input = "" }: CommandOptions = {},
): Promise<CommandResult> {
  signal?.throwIfAborted();
  const command = startCommand(entered);
  const output = { stdout: "", stderr: "" };
  let failure: Error | undefined;
  const stop = (error: Error) => {
    failure ??= error;
    command.kill();
  };
  const collect = (name: "stdout" | "stderr") => (text: string) => {
    output[name] += text;
    if (output[name].length > OUTPUT_MAX_BYTES) {
      stop(
        new LabError(
          `Cannot keep the output of \`${argv.join(" ")}\` on ${node}: more than ${OUTPUT_MAX_BYTES} bytes`,
        ),
      );
    }
  };
  command.stdout.setEncoding("utf8").on("data", collect("stdout"));
  command.stderr.setEncoding("utf8").on("data", collect("stderr"));
  command.stdin.end(input);
  const onAbort = () =>
    stop(
      signal?.reason instanceof Error ? signal.reason : new Error("aborted"),
    );
  signal?.addEventListener("abort", onAbort, { once: true });
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(
          () => stop(new LabTimeoutError(node, argv, timeoutMs, output)),
          timeoutMs,
        );
  try {
    const code = await command.exited;
    if (failure !== undefined) throw failure;
    return { code, ...output };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

export function startCommand(entered: readonly string[]): LabProcess {
  const [program = "", ...args] = entered;
  // Detached: a process group of its own, so that kill() reaches what the command itself has started.
  const child = spawn(program, args, {
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.on("error", () => {}); // The command ended without reading all of its input; its exit code tells.
  return {
    pid: child.pid ?? -1,
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    exited: exitCode(child),
    kill() {
      // Only while it is not collected yet: afterwards the number may belong to somebody else.
      if (
        child.pid !== undefined &&
        child.exitCode === null &&
        child.signalCode === null
      )
        process.kill(-child.pid, "SIGKILL");
    },
  };
}

/** The exit code, once the output has ended too (or DRAIN_LIMIT_MS later). */
export function exitCode(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      const status = code ?? 128 + signalNumber(signal);
      const timer = setTimeout(() => {
        child.stdout?.destroy();
        child.stderr?.destroy();
      }, DRAIN_LIMIT_MS);
      child.on("close", () => {
        clearTimeout(timer);
        resolve(status);
      });
    });
  });
}

function signalNumber(signal: NodeJS.Signals | null): number {
  return signal === null ? 0 : constants.signals[signal];
}
