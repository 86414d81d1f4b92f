// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** How long an interrupted child may clean up before it is killed. */
const GRACE_MS = 10_000;

export type Exit = {
  /** The exit status, or the name of the signal that ended the child. */
  readonly status: number | string;
  /** What it wrote to stderr, line by line. */
  readonly errors: readonly string[];
};

export type ChildOptions = {
  readonly env?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly onLine: (line: string) => void;
  /** Lines of stderr, while the child runs; Exit has them too. */
  readonly onErrorLine?: (line: string) => void;
};

/**
 * Runs a program in a process group of its own until it and its output have ended; nothing of the group is left then.
 * When the signal aborts, the group gets SIGINT, and SIGKILL if it is still there later.
 */
export async function runChild(
  program: string,
  args: readonly string[],
  options: ChildOptions,
): Promise<Exit> {
  options.signal.throwIfAborted();
  const child = spawn(program, args, {
    detached: true,
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const errors: string[] = [];
  createInterface(child.stdout).on("line", options.onLine);
  createInterface(child.stderr).on("line", (line) => {
    errors.push(line);
    options.onErrorLine?.(line);
  });

  let deadline: NodeJS.Timeout | undefined;
  const interrupt = (): void => {
    signalGroup(child.pid, "SIGINT");
    deadline = setTimeout(() => signalGroup(child.pid, "SIGKILL"), GRACE_MS);
  };
  options.signal.addEventListener("abort", interrupt, { once: true });

  try {
    const status = await new Promise<number | string>((resolve, reject) => {
      child.once("error", (cause) =>
        reject(new Error(`Cannot run ${program}: ${cause.message}`, { cause })),
      );
      // Descendants that outlive the child would keep its output open, and "close" away.
      child.once("exit", () => signalGroup(child.pid, "SIGKILL"));
      child.once("close", (code, name) => resolve(code ?? name ?? "unknown"));
    });
    options.signal.throwIfAborted();
    return { status, errors };
  } finally {
    clearTimeout(deadline);
    options.signal.removeEventListener("abort", interrupt);
  }
}

function signalGroup(pid: number | undefined, name: NodeJS.Signals): void {
  if (pid === undefined) return; // it never started
  try {
    process.kill(-pid, name);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH"))
      throw error;
  }
}
