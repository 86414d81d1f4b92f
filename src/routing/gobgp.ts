// SPDX-License-Identifier: Apache-2.0
/**
 * The `Announcer` for gobgpd 3 (Debian's version), over gRPC.
 *
 * One loop looks at the daemon and corrects it until there is nothing to correct: at once when there is a new list, when
 * the daemon goes away or a session changes, and every few seconds in case somebody else has emptied its table. The daemon
 * keeps nothing over a restart, so all of it may have to be handed over again at any time.
 */
import { networkInterfaces } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { RoutingError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Routing } from "../model.ts";
import {
  normalizeRoutes,
  RoutingConflictError,
  RoutingTimeoutError,
} from "./announcer.ts";
import type { Announcer, AnnouncerStatus, Route } from "./announcer.ts";
import type { Interfaces } from "./families.ts";
import { reasonOf } from "./gobgp-client.ts";
import type { Watch } from "./gobgp-client.ts";
import { GobgpDaemon } from "./gobgp-daemon.ts";
import { Waiters } from "./waiters.ts";

/** A failed attempt is repeated after the first of these, then the second, and so on; the last one stays. */
const RETRY_MS = [50, 100, 200, 300] as const;

const SET_TIMEOUT_MS = 10_000;
const READ_BACK_MS = 5000;

export type GobgpOptions = {
  readonly routing: Routing;
  readonly log: Log;
  /** How long `set` waits for the daemon. */
  readonly setTimeoutMs?: number;
  /** How often the daemon is read back while nothing happens. */
  readonly readBackMs?: number;
  /** Of the daemon's network namespace, if it is another one than this program's. */
  readonly interfaces?: () => Interfaces;
};

/** How the last attempt ended; `none` before the first one has. */
type Outcome =
  | { readonly kind: "none" }
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly error: RoutingError };

export class GobgpAnnouncer implements Announcer {
  readonly #routing: Routing;
  readonly #log: Log;
  readonly #setTimeoutMs: number;
  readonly #readBackMs: number;
  readonly #daemon: GobgpDaemon;
  readonly #loop: Promise<void>;
  readonly #closing = new AbortController();
  readonly #waiters = new Waiters();
  readonly #established = new Set<string>();

  #desired: readonly Route[] | undefined;
  /** Counts the calls of `set`. */
  #revision = 0;
  #outcome: Outcome = { kind: "none" };
  #failures = 0;
  #watch: Watch | undefined;
  /** Ends the current pause; made anew for each turn of the loop. */
  #wake = new AbortController();

  /**
   * Starts to look after the daemon's neighbors; its routes stay as they are until the first `set`.
   *
   * @throws RoutingError for a neighbor that gobgpd cannot have.
   */
  constructor(options: GobgpOptions) {
    this.#routing = options.routing;
    this.#log = options.log;
    this.#setTimeoutMs = options.setTimeoutMs ?? SET_TIMEOUT_MS;
    this.#readBackMs = options.readBackMs ?? READ_BACK_MS;
    this.#daemon = new GobgpDaemon(
      options.routing,
      options.interfaces ?? networkInterfaces,
      options.log,
    );
    this.#loop = this.#run();
  }

  async set(routes: readonly Route[]): Promise<void> {
    const desired = normalizeRoutes(routes);
    if (this.#closing.signal.aborted) throw closedError();
    this.#desired = desired;
    this.#revision += 1;
    this.#wake.abort();
    await this.#waiters.wait(this.#revision, this.#setTimeoutMs, () => {
      const { name } = this.#daemon;
      const { error } = failureOf(this.#outcome);
      return new RoutingTimeoutError(name, this.#setTimeoutMs, error);
    });
  }

  async status(): Promise<AnnouncerStatus> {
    try {
      const found = await this.#daemon.status();
      const { error } = failureOf(this.#outcome);
      const up =
        this.#outcome.kind === "done" &&
        found.neighbors.some(({ state }) => state === "established");
      return error === undefined
        ? { state: up ? "up" : "starting", ...found }
        : { state: "down", ...found, lastError: error.message };
    } catch (cause) {
      const { error = this.#wrap(cause) } = failureOf(this.#outcome);
      const neighbors = this.#routing.neighbors.map(({ address, asn }) => ({
        address,
        asn,
        state: "unknown",
        uptimeMs: 0,
        families: [],
      }));
      return {
        state: "down",
        neighbors,
        announced: [],
        lastError: error.message,
      };
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#watch?.cancel();
    await this.#loop;
    this.#daemon.close();
    this.#waiters.rejectAll(closedError());
  }

  async #run(): Promise<void> {
    const closing = this.#closing.signal;
    while (!closing.aborted) {
      this.#wake = new AbortController();
      const { signal } = this.#wake;
      await pause(await this.#attempt(), AbortSignal.any([signal, closing]));
      // A daemon that ends its stream each time must not keep the loop spinning.
      if (this.#watch === undefined) await pause(RETRY_MS[0], closing);
    }
  }

  /** Brings the daemon to the desired state if that can be done now; returns how long to wait until the next attempt. */
  async #attempt(): Promise<number> {
    const revision = this.#revision;
    try {
      await this.#daemon.start();
      this.#watch ??= this.#openWatch();
      await this.#daemon.converge(() => this.#desired);
    } catch (cause) {
      this.#failed(cause instanceof RoutingError ? cause : this.#wrap(cause));
      return RETRY_MS[Math.min(this.#failures++, RETRY_MS.length - 1)] ?? 0;
    }
    if (this.#outcome.kind === "failed")
      this.#log.info("routing daemon is in order", { event: "routingUp" });
    this.#outcome = { kind: "done" };
    this.#failures = 0;
    this.#waiters.reached(revision);
    return this.#readBackMs;
  }

  #failed(error: RoutingError): void {
    if (failureOf(this.#outcome).error?.message !== error.message)
      this.#log.warn("routing daemon is not in order", {
        event: "routingDown",
        error,
      });
    this.#outcome = { kind: "failed", error };
    if (error instanceof RoutingConflictError) this.#waiters.rejectAll(error);
  }

  #openWatch(): Watch {
    return this.#daemon.watch(
      (neighbor, established) => this.#sessionChanged(neighbor, established),
      () => {
        this.#watch = undefined;
        for (const neighbor of this.#established)
          this.#sessionChanged(neighbor, false);
        this.#wake.abort();
      },
    );
  }

  #sessionChanged(neighbor: string, established: boolean): void {
    if (established === this.#established.has(neighbor)) return;
    if (established) {
      this.#established.add(neighbor);
      this.#log.info("BGP session is up", { event: "neighborUp", neighbor });
    } else {
      this.#established.delete(neighbor);
      this.#log.warn("BGP session is down", {
        event: "neighborDown",
        neighbor,
      });
    }
    this.#wake.abort();
  }

  #wrap(cause: unknown): RoutingError {
    return new RoutingError(
      `Cannot use ${this.#daemon.name}: ${reasonOf(cause)}`,
      { cause },
    );
  }
}

function failureOf(outcome: Outcome): { readonly error?: RoutingError } {
  return outcome.kind === "failed" ? { error: outcome.error } : {};
}

function closedError(): RoutingError {
  return new RoutingError("Cannot announce routes: the announcer is closed");
}

/** Resolves after that time, or early when the signal is aborted. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => {});
}
