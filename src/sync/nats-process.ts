// SPDX-License-Identifier: Apache-2.0
/** One process of nats-server: started here, or found as an earlier agent has left it. */
import { spawn } from "node:child_process";
import {
  closeSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { BusError } from "../errors.ts";
import { PID_FILE } from "./nats-config.ts";

const PROGRAM = "nats-server";
/** It closes its listeners and says goodbye to its clients. Then it is killed. */
const END_MS_MAX = 2000;
const POLL_MS = 20;
const MONITORING_MS_MAX = 1000;
/** When a server starts and the log is larger, the log becomes `.old`, and the one before goes. */
const LOG_BYTES_MAX = 1024 * 1024;

/** What its monitoring says. */
export type Vitals = {
  /** Connections to the servers of other nodes. */
  readonly routes: number;
  /** Clients and servers that it has dropped because they did not read fast enough. */
  readonly slowConsumers: number;
};

export class NatsProcess {
  readonly pid: number;
  readonly adopted: boolean;
  /** Resolves when a process that was started here has ended; of an adopted one nobody is told. */
  readonly exited: Promise<void>;
  readonly #config: string;

  private constructor(
    config: string,
    pid: number,
    adopted: boolean,
    exited: Promise<void>,
  ) {
    this.#config = config;
    this.pid = pid;
    this.adopted = adopted;
    this.exited = exited;
  }

  /**
   * Starts one, in a session of its own: neither Ctrl-C at the agent's terminal nor the agent's death reaches it. Its output
   * goes to a file for the same reason.
   *
   * @throws BusError
   */
  static async start(config: string, log: string): Promise<NatsProcess> {
    keepSmall(log);
    const output = openSync(log, "a");
    try {
      const child = spawn(PROGRAM, ["-c", config], {
        detached: true,
        stdio: ["ignore", output, output],
        cwd: "/",
      });
      const exited = new Promise<void>((resolve) =>
        child.once("exit", () => resolve()),
      );
      await new Promise((resolve, reject) =>
        child.once("spawn", resolve).once("error", reject),
      );
      if (child.pid === undefined) throw new Error("it has no process id");
      return new NatsProcess(config, child.pid, false, exited);
    } catch (cause) {
      throw new BusError(`Cannot start ${PROGRAM}: ${messageOf(cause)}`, {
        cause,
      });
    } finally {
      closeSync(output);
    }
  }

  /** The one that runs with this config file, which lies in the directory of its pid file; undefined if there is none. */
  static find(config: string): NatsProcess | undefined {
    const text = readText(path.join(path.dirname(config), PID_FILE));
    const pid = Number.parseInt(text, 10);
    return pid > 1 && runsWith(pid, config)
      ? new NatsProcess(config, pid, true, new Promise(() => {}))
      : undefined;
  }

  get isAlive(): boolean {
    return runsWith(this.pid, this.#config);
  }

  /** Undefined: it does not answer, because it starts, ends or is frozen. */
  async vitals(): Promise<Vitals | undefined> {
    try {
      const ports: unknown = JSON.parse(readText(this.#portsFile));
      const [url] = fieldOf<readonly string[]>(ports, "monitoring") ?? [];
      const response = await fetch(`${url}/varz`, {
        signal: AbortSignal.timeout(MONITORING_MS_MAX),
      });
      const varz: unknown = await response.json();
      return {
        routes: Number(fieldOf(varz, "routes")),
        slowConsumers: Number(fieldOf(varz, "slow_consumers")),
      };
    } catch {
      return undefined;
    }
  }

  /** Resolves when it is gone. */
  async end(): Promise<void> {
    this.#signal("SIGTERM");
    for (
      const deadline = performance.now() + END_MS_MAX;
      this.isAlive && performance.now() < deadline;
    )
      await delay(POLL_MS);
    await this.kill();
  }

  /** Resolves when it is gone, frozen or not. */
  async kill(): Promise<void> {
    this.#signal("SIGKILL");
    while (this.isAlive) await delay(POLL_MS);
    rmSync(this.#portsFile, { force: true });
  }

  get #portsFile(): string {
    const name = `${PROGRAM}_${this.pid}.ports`;
    return path.join(path.dirname(this.#config), name);
  }

  /** To that process only: another one may have its number meanwhile. */
  #signal(signal: NodeJS.Signals): void {
    if (!this.isAlive) return;
    try {
      process.kill(this.pid, signal);
    } catch (error) {
      if (fieldOf(error, "code") !== "ESRCH") throw error;
    }
  }
}

/** A process that has ended and was not waited for has no command line any more. */
function runsWith(pid: number, config: string): boolean {
  const [program = "", ...words] = readText(`/proc/${pid}/cmdline`).split("\0");
  return path.basename(program) === PROGRAM && words.includes(config);
}

function keepSmall(log: string): void {
  const { size } = statSync(log, { throwIfNoEntry: false }) ?? { size: 0 };
  if (size > LOG_BYTES_MAX) renameSync(log, `${log}.old`);
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function fieldOf<T>(value: unknown, name: string): T | undefined {
  return (value as Readonly<Record<string, T>> | undefined)?.[name];
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
