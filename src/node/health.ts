// SPDX-License-Identifier: Apache-2.0
/**
 * Which real servers may take new sessions. Every target has its own loop of checks: the first result decides at once, later
 * ones by `rise` successes or `fall` failures in a row.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "../log.ts";
import type { HealthCheck } from "../model.ts";
import { formatEndpoint } from "../model.ts";
import type { ProbeResult } from "./probe.ts";
import { probe } from "./probe.ts";

/** The first checks of n new targets are spread at random over n times this, but at most over their interval. */
const START_GAP_MS = 1;
const FIRST_RESULTS_POLL_MS = 20;

/** `unknown` until the first result: like `down`, it takes no sessions. */
export type HealthState = "unknown" | "up" | "down";

/** A real server as one service checks it. `id` names it in all calls; one server in two services is two targets. */
export type HealthTarget = {
  readonly id: string;
  readonly address: string;
  readonly port: number;
  readonly check: HealthCheck;
};

export type HealthStatus = {
  readonly target: HealthTarget;
  readonly state: HealthState;
  /** Why it is in this state: `ok`, `unchecked`, or the reason of the failure. */
  readonly reason: string;
  /** Changes of state so far; the first result counts as one. */
  readonly transitions: number;
  /** Results in a row that speak against the state. */
  readonly contrary: number;
  /** The last check; absent before the first. */
  readonly last?: {
    readonly startedAt: Date;
    readonly durationMs: number;
    /** Absent if it succeeded. */
    readonly error?: string;
  };
};

/** Called for each change of state, with the new one. */
export type HealthListener = (
  target: HealthTarget,
  state: HealthState,
  reason: string,
) => void;

export type HealthOptions = {
  readonly log: Log;
  readonly onChange: HealthListener;
  /** Returns a number in [0, 1). */
  readonly random?: () => number;
};

export class HealthMonitor {
  readonly #report: HealthListener;
  readonly #random: () => number;
  #watches: ReadonlyMap<string, Watch> = new Map();

  constructor({ log, onChange, random = Math.random }: HealthOptions) {
    this.#random = random;
    this.#report = (target, state, reason) => {
      const server = formatEndpoint(target);
      const level = state === "down" ? "warn" : "info";
      log[level]("real server changed its health", {
        event: "healthChanged",
        target: target.id,
        server,
        state,
        reason,
      });
      onChange(target, state, reason);
    };
  }

  /**
   * Takes the whole list of targets. Those that stay keep their health; a new address or port begins at `unknown`, and after a
   * change of the check's type the old state stands until the first result decides. Targets without a check are up when
   * this returns. Throws if two targets share an id.
   */
  set(targets: readonly HealthTarget[]): void {
    const old = this.#watches;
    const unknown = targets.filter(({ id }) => !old.has(id)).length;
    const watches = new Map<string, Watch>();
    for (const target of targets) {
      if (watches.has(target.id))
        throw new RangeError(
          `Cannot watch two targets of one id: current value is ${target.id}`,
        );
      watches.set(target.id, old.get(target.id) ?? new Watch(this.#report));
    }
    for (const [id, watch] of old) if (!watches.has(id)) watch.close();
    this.#watches = watches;
    for (const target of targets) {
      const spreadMs = Math.min(
        unknown * START_GAP_MS,
        target.check.intervalMs,
      );
      watches.get(target.id)?.set(target, this.#random() * spreadMs);
    }
  }

  /** Whether this target may take new sessions. */
  isUp(id: string): boolean {
    return this.#watches.get(id)?.state === "up";
  }

  /** Resolves when every target has had its first result, when that takes too long, or when it is `given up`. */
  async firstResults(limitMs: number, givenUp: () => boolean): Promise<void> {
    const deadline = Date.now() + limitMs;
    while (
      Date.now() < deadline &&
      !givenUp() &&
      this.status().some(({ state }) => state === "unknown")
    )
      await sleep(FIRST_RESULTS_POLL_MS);
  }

  /** In the order of `set`. */
  status(): readonly HealthStatus[] {
    return [...this.#watches.values()].flatMap((watch) => watch.status());
  }

  /** Ends all checks and closes their sockets. No listener is called afterwards. */
  close(): void {
    this.set([]);
  }
}

/** One target, its health and its loop. */
class Watch {
  readonly #report: HealthListener;
  #target: HealthTarget | undefined;
  #state: HealthState = "unknown";
  #reason = "unchecked";
  #transitions = 0;
  #contrary = 0;
  /** The next result decides alone. */
  #fresh = true;
  #last: HealthStatus["last"];
  #timer: NodeJS.Timeout | undefined;
  #running: AbortController | undefined;

  constructor(report: HealthListener) {
    this.#report = report;
  }

  get state(): HealthState {
    return this.#state;
  }

  /** Begins, or goes on with other parameters. `delayMs` is the time until a first check. */
  set(target: HealthTarget, delayMs: number): void {
    const old = this.#target;
    this.#target = target;
    if (old !== undefined && sameCheck(old, target)) return;
    this.#stop();
    if (old !== undefined && !sameServer(old, target)) {
      this.#last = undefined;
      this.#become(target, "unknown", "unchecked");
    }
    if (old === undefined || !sameSubject(old, target)) this.#fresh = true;
    if (target.check.type === "none") this.#take(target, { ok: true });
    else this.#schedule(target, delayMs);
  }

  status(): readonly HealthStatus[] {
    if (this.#target === undefined) return [];
    const status = {
      target: this.#target,
      state: this.#state,
      reason: this.#reason,
      transitions: this.#transitions,
      contrary: this.#contrary,
    };
    return [
      this.#last === undefined ? status : { ...status, last: this.#last },
    ];
  }

  close(): void {
    this.#stop();
    this.#target = undefined;
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#running?.abort();
    this.#running = undefined;
  }

  #schedule(target: HealthTarget, delayMs: number): void {
    this.#timer = setTimeout(() => void this.#check(target), delayMs);
  }

  async #check(target: HealthTarget): Promise<void> {
    const running = new AbortController();
    this.#running = running;
    const startedAt = new Date();
    const startMs = performance.now();
    const result = await probe(target, target.check, running.signal);
    if (running.signal.aborted) return;
    const durationMs = performance.now() - startMs;
    this.#last = result.ok
      ? { startedAt, durationMs }
      : { startedAt, durationMs, error: result.error };
    // From start to start, so that slow answers do not slow the checks; never two at a time.
    this.#schedule(target, Math.max(0, target.check.intervalMs - durationMs));
    this.#take(target, result);
  }

  #take(target: HealthTarget, result: ProbeResult): void {
    const state = result.ok ? "up" : "down";
    const reason = result.ok ? "ok" : result.reason;
    const needed = result.ok ? target.check.rise : target.check.fall;
    this.#contrary = state === this.#state ? 0 : this.#contrary + 1;
    const decided = this.#fresh || this.#contrary >= needed;
    this.#fresh = false;
    if (decided) this.#become(target, state, reason);
  }

  #become(target: HealthTarget, state: HealthState, reason: string): void {
    this.#reason = reason;
    this.#contrary = 0;
    if (state === this.#state) return;
    this.#state = state;
    this.#transitions++;
    this.#report(target, state, reason);
  }
}

function sameServer(a: HealthTarget, b: HealthTarget): boolean {
  return a.address === b.address && a.port === b.port;
}

/** The same server asked for the same thing: earlier results speak for later ones. */
function sameSubject(a: HealthTarget, b: HealthTarget): boolean {
  return sameServer(a, b) && a.check.type === b.check.type;
}

function sameCheck(a: HealthTarget, b: HealthTarget): boolean {
  const [checkA, checkB] = [a.check, b.check];
  return (
    sameSubject(a, b) &&
    checkA.path === checkB.path &&
    checkA.intervalMs === checkB.intervalMs &&
    checkA.timeoutMs === checkB.timeoutMs &&
    checkA.rise === checkB.rise &&
    checkA.fall === checkB.fall
  );
}
