// SPDX-License-Identifier: Apache-2.0
/**
 * This node's own nats-server, and the agent as its supervisor: it starts it, starts it again when it dies or freezes, and
 * ends it when the agent ends.
 *
 * An agent that is killed leaves the server running, and the next agent adopts it: the bus stays whole meanwhile, with the
 * routes of all nodes, and the node is back on it as soon as its agent is. A server with another config, or one that does
 * not answer, is ended and replaced. One agent at a time uses a directory: its lock on the state directory sees to that.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { BusError } from "../errors.ts";
import type { Log } from "../log.ts";
import { endDeadRoutes } from "./dead-routes.ts";
import { natsUrl, renderNatsConfig } from "./nats-config.ts";
import type { NatsConfig } from "./nats-config.ts";
import { NatsProcess } from "./nats-process.ts";
import type { Vitals } from "./nats-process.ts";

/** Between looks at its monitoring. */
const LOOK_MS = 1000;
/** So many looks without an answer: it is frozen. */
const UNANSWERED_MAX = 3;
/** From the start of the process until it serves. Milliseconds, unless the machine is very busy. */
const READY_MS_MAX = 10_000;
const READY_POLL_MS = 20;
/** Before it is started again; doubled each time that it lived for less than STABLE_MS. */
const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 5000;
const STABLE_MS = 10_000;
/** Of the server's log, in an error. */
const LOG_LINES = 5;

export type NatsServerOptions = Omit<NatsConfig, "directory"> & {
  /** Of this node alone, made if need be: config, process id and log of the server. Absolute. */
  readonly directory: string;
  readonly log: Log;
  /** Is there a node that should be heard and is not? Then its route may be dead. */
  readonly isPeerMissing?: () => boolean;
  /** Between looks at its monitoring, in milliseconds; for tests. */
  readonly lookMs?: number;
};

export type NatsServerStatus = {
  /** It answers. */
  readonly state: "up" | "down";
  readonly pid: number | undefined;
  /** An earlier agent has started it. */
  readonly adopted: boolean;
  /** Since this agent runs. */
  readonly restarts: number;
  /** Servers of other nodes that it is connected to. */
  readonly routes: number;
  readonly slowConsumers: number;
  /** Dead connections to other servers that were ended, since this agent runs. */
  readonly deadRoutes: number;
  readonly lastError: string | undefined;
};

export class NatsServer {
  /** For this node's client. */
  readonly url: string;
  readonly #options: NatsServerOptions;
  readonly #config: string;
  readonly #logFile: string;
  readonly #closing = new AbortController();
  #process: NatsProcess | undefined;
  #vitals: Vitals | undefined;
  #restarts = 0;
  #deadRoutes = 0;
  #lastError: string | undefined;
  #supervision: Promise<void> = Promise.resolve();

  /**
   * Resolves when the server serves clients.
   *
   * @throws BusError: it cannot be started, ends at once, or does not get ready. Nothing is left running.
   */
  static async start(options: NatsServerOptions): Promise<NatsServer> {
    const server = new NatsServer(options);
    await server.#begin();
    server.#supervision = server.#supervise();
    return server;
  }

  private constructor(options: NatsServerOptions) {
    this.#options = options;
    this.#config = path.join(options.directory, "nats-server.conf");
    this.#logFile = path.join(options.directory, "nats-server.log");
    this.url = natsUrl(options.self);
  }

  status(): NatsServerStatus {
    return {
      state: this.#vitals === undefined ? "down" : "up",
      pid: this.#process?.pid,
      adopted: this.#process?.adopted ?? false,
      restarts: this.#restarts,
      routes: this.#vitals?.routes ?? 0,
      slowConsumers: this.#vitals?.slowConsumers ?? 0,
      deadRoutes: this.#deadRoutes,
      lastError: this.#lastError,
    };
  }

  /** Ends the server. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#supervision;
    await this.#process?.end();
    this.#vitals = undefined;
    this.#process = undefined;
  }

  async #begin(): Promise<void> {
    mkdirSync(this.#options.directory, { recursive: true });
    const text = renderNatsConfig(this.#options);
    const left = NatsProcess.find(this.#config);
    if (left !== undefined && readText(this.#config) === text) {
      this.#vitals = await left.vitals();
      if (this.#vitals !== undefined) {
        this.#process = left;
        this.#tell("natsServerAdopted");
        return;
      }
    }
    await left?.end();
    writeFileSync(this.#config, text);
    await this.#launch();
  }

  /** @throws BusError */
  async #launch(): Promise<void> {
    const started = await NatsProcess.start(this.#config, this.#logFile);
    let hasExited = false;
    void started.exited.then(() => (hasExited = true));
    const deadline = performance.now() + READY_MS_MAX;
    for (;;) {
      const vitals = await started.vitals();
      if (vitals !== undefined) {
        this.#process = started;
        this.#vitals = vitals;
        this.#tell("natsServerUp");
        return;
      }
      if (hasExited) throw this.#failure("it ended at once");
      if (performance.now() > deadline || this.#closing.signal.aborted) {
        await started.kill();
        throw this.#failure("it did not get ready");
      }
      await delay(READY_POLL_MS);
    }
  }

  #failure(what: string): BusError {
    const lines = readText(this.#logFile).trim().split("\n");
    const end = lines.slice(-LOG_LINES).join("; ");
    return new BusError(
      `Cannot run nats-server: ${what}: its log ${this.#logFile} ends with: ${end}`,
    );
  }

  async #supervise(): Promise<void> {
    let backoffMs = BACKOFF_MS_MIN;
    while (!this.#closing.signal.aborted) {
      const since = performance.now();
      if (this.#process) await this.#watch(this.#process);
      if (performance.now() - since > STABLE_MS) backoffMs = BACKOFF_MS_MIN;
      await this.#pause(backoffMs, this.#closing.signal);
      backoffMs = Math.min(backoffMs * 2, BACKOFF_MS_MAX);
      if (!this.#closing.signal.aborted) await this.#restart();
    }
  }

  /** Resolves when the server is gone, or closed. */
  async #watch(watched: NatsProcess): Promise<void> {
    // A race against the promise itself would leave something with it for each look, for as long as the server lives.
    const exit = new AbortController();
    void watched.exited.then(() => exit.abort());
    const ended = AbortSignal.any([exit.signal, this.#closing.signal]);
    for (let unanswered = 0; unanswered < UNANSWERED_MAX;) {
      await this.#pause(this.#options.lookMs ?? LOOK_MS, ended);
      if (this.#closing.signal.aborted) return;
      if (exit.signal.aborted || !watched.isAlive) {
        this.#lose("died");
        return;
      }
      this.#vitals = await watched.vitals();
      unanswered = this.#vitals === undefined ? unanswered + 1 : 0;
      if (this.#options.isPeerMissing?.() === true) await this.#endDeadRoutes();
    }
    await watched.kill();
    this.#lose("frozen");
  }

  async #endDeadRoutes(): Promise<void> {
    const { self, log } = this.#options;
    try {
      for (const route of await endDeadRoutes(self)) {
        this.#deadRoutes++;
        log.warn("a dead route has been ended", {
          event: "deadRoute",
          ...route,
        });
      }
    } catch (error) {
      log.warn("cannot end dead routes", { op: "endDeadRoutes", error });
    }
  }

  #lose(reason: "died" | "frozen"): void {
    this.#vitals = undefined;
    this.#process = undefined;
    this.#lastError = `it ${reason === "died" ? "died" : "did not answer"}`;
    this.#options.log.error("nats-server is gone", {
      event: "natsServerDown",
      reason,
    });
  }

  async #restart(): Promise<void> {
    this.#restarts++;
    try {
      await this.#launch();
    } catch (error) {
      this.#lastError = String(error);
      this.#options.log.error("cannot start nats-server", {
        op: "startNatsServer",
        error,
      });
    }
  }

  #tell(event: "natsServerUp" | "natsServerAdopted"): void {
    this.#options.log.info("nats-server is up", {
      event,
      url: this.url,
      pid: this.#process?.pid,
    });
  }

  /** For that time, or until the signal. */
  #pause(ms: number, signal: AbortSignal): Promise<void> {
    return delay(ms, undefined, { signal }).catch(() => {});
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
