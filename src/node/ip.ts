// SPDX-License-Identifier: Apache-2.0
/**
 * Runs iproute2's `ip`, which speaks netlink for us: batches of queries, batches of changes, and `ip monitor`. What the
 * answers mean is in rtnetlink.ts.
 */
import type { ChildProcess } from "node:child_process";
import { execFile, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { WeirError } from "../errors.ts";
import type { Log } from "../log.ts";

/** A batch that takes longer is ended and counts as failed. 1000 route lookups take 20 ms. */
const BATCH_TIMEOUT_MS = 5000;
/** Of one batch's answers. A neighbour or a route is 100 to 200 bytes. */
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

/** A monitor that ended is started again after this time, doubled each time up to the maximum. */
const RESTART_MS = 500;
const RESTART_MAX_MS = 30_000;
/** `ip monitor` does not say when it has begun to listen. It has, so long after its start. */
const SETTLE_MS = 300;

/** The command line that `ip` begins with: `["ip"]`, or that of a wrapper which enters another network namespace. */
export type IpCommand = readonly [string, ...string[]];

/**
 * The JSON answers to `lines`, each a query as `ip` takes it (`route get fibmatch 10.3.1.2`), in their order. An answer
 * is undefined if the kernel refused that query: no route, or one that forbids. Rejects with WeirError if `ip` itself
 * fails. No line may hold a syntax error: it would end the batch.
 */
export async function queryIp(
  command: IpCommand,
  lines: readonly string[],
): Promise<readonly unknown[]> {
  const { answers, refused } = await runBatch(
    command,
    ["-json", "-details"],
    lines,
  );
  if (answers.length + refused.size !== lines.length)
    throw new WeirError(
      `Cannot read the kernel's tables: ip answered ${answers.length} and refused ${refused.size} of ${lines.length} queries`,
    );
  let next = 0;
  return lines.map((_line, index) =>
    refused.has(index) ? undefined : parse(answers[next++]),
  );
}

/** Makes changes, each a line as `ip` takes it. Returns those that failed; all, if `ip` did not run to its end. */
export async function changeIp(
  command: IpCommand,
  lines: readonly string[],
): Promise<{ readonly failed: readonly string[]; readonly error: string }> {
  if (lines.length === 0) return { failed: [], error: "" };
  try {
    const { refused, error } = await runBatch(command, [], lines);
    return {
      failed: lines.filter((_line, index) => refused.has(index)),
      error,
    };
  } catch (error) {
    if (!(error instanceof WeirError)) throw error;
    return { failed: lines, error: error.message };
  }
}

/**
 * Runs a batch to its end, also past lines that fail. With -json, each line that succeeds prints one line; each line that
 * fails prints its number.
 */
function runBatch(
  [file, ...prefix]: IpCommand,
  options: readonly string[],
  lines: readonly string[],
): Promise<{
  readonly answers: readonly string[];
  readonly refused: ReadonlySet<number>;
  readonly error: string;
}> {
  const args = [...prefix, ...options, "-force", "-batch", "-"];
  return new Promise((resolve, reject) => {
    const child = execFile(
      file,
      args,
      { timeout: BATCH_TIMEOUT_MS, maxBuffer: OUTPUT_BYTES_MAX },
      (error, stdout, stderr) => {
        const refused = new Set(
          [...stderr.matchAll(/^Command failed -:(\d+)$/gm)].map(
            ([, line]) => Number(line) - 1,
          ),
        );
        // A batch that ran to its end but had failing lines exits with 1.
        if (error !== null && error.code !== 1)
          reject(
            new WeirError(`Cannot run ip: ${stderr.trim() || error.message}`, {
              cause: error,
            }),
          );
        else
          resolve({
            answers: stdout.split("\n").filter((line) => line !== ""),
            refused,
            error: stderr.trim(),
          });
      },
    );
    // An `ip` that ends before it has read everything says so by its exit code.
    child.stdin?.on("error", () => {});
    child.stdin?.end(lines.map((line) => `${line}\n`).join(""));
  });
}

function parse(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch (cause) {
    throw new WeirError(
      `Cannot read the kernel's tables: ip printed no JSON: current value is ${text?.slice(0, 200)}`,
      { cause },
    );
  }
}

export type IpMonitorOptions = {
  readonly command: IpCommand;
  /** What to follow: `link`, `route`, ... */
  readonly objects: readonly string[];
  readonly log: Log;
  /** Called for each line, with a label in front: `[NEIGH]10.0.0.2 dev eth1 lladdr ...`. */
  readonly onLine: (line: string) => void;
  /** Called when changes may have been missed: soon after each start, and after a loss. */
  readonly onGap: () => void;
};

/**
 * `ip monitor`, started again whenever it ends. If the agent is killed, it ends with the next event, because nobody reads
 * its output.
 */
export class IpMonitor {
  readonly #options: IpMonitorOptions;
  #child: ChildProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  #restartMs = RESTART_MS;
  #closed = false;

  constructor(options: IpMonitorOptions) {
    this.#options = options;
    this.#start();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#child?.kill("SIGKILL");
  }

  #start(): void {
    const { command, objects, log, onLine, onGap } = this.#options;
    const [file, ...prefix] = command;
    const args = [...prefix, "monitor", ...objects, "label"];
    const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    this.#timer = setTimeout(() => {
      this.#restartMs = RESTART_MS;
      onGap();
    }, SETTLE_MS);
    createInterface(child.stdout).on("line", (line) => {
      if (!this.#closed) onLine(line);
    });
    // Among others, `ip` says here that its socket's buffer was too small for a burst of events.
    createInterface(child.stderr).on("line", (text) => {
      if (this.#closed) return;
      log.warn("ip monitor complains", { event: "ipMonitorError", text });
      onGap();
    });
    let failure: Error | undefined;
    child.on("error", (error) => (failure = error));
    child.on("close", (code, signal) => {
      clearTimeout(this.#timer);
      if (this.#closed) return;
      log.warn("ip monitor ended", {
        event: "ipMonitorEnded",
        code,
        signal,
        error: failure,
        restartMs: this.#restartMs,
      });
      this.#timer = setTimeout(() => this.#start(), this.#restartMs);
      this.#restartMs = Math.min(2 * this.#restartMs, RESTART_MAX_MS);
    });
  }
}
