// SPDX-License-Identifier: Apache-2.0
/**
 * Keeps the ways out up to date: reads the kernel's links, routes and neighbours, asks it to keep the next hops resolved,
 * and follows its changes.
 *
 * The kernel is asked for the route to each destination, so policy routing holds as far as it depends on destinations
 * alone: rules on source addresses or incoming interfaces are not followed. CLIENTS are the main table's default routes.
 */
import { isIP } from "node:net";
import { WeirError } from "../errors.ts";
import type { Log } from "../log.ts";
import type {
  EgressGroup,
  EgressPath,
  EgressProblem,
  Kernel,
} from "./egress.ts";
import { isClients, planNeighbours, resolve } from "./egress.ts";
import type { IpCommand } from "./ip.ts";
import { IpMonitor } from "./ip.ts";
import {
  manageNeighbours,
  readKernel,
  releaseNeighbours,
  rereadNeighbours,
} from "./kernel.ts";
import { decodeNeighbourEvent, neighbourKey } from "./rtnetlink.ts";

/** All that may change a next hop. */
const MONITORED = ["link", "address", "route", "rule", "nexthop", "neigh"];
/** Events that come together are answered together. */
const DEBOUNCE_MS = 5;
/** After a reading of t, the next one waits for this many t: a storm of events costs a fifth of a core. */
const REST_FACTOR = 4;
/** Everything is read anew so often, whatever was or was not heard. */
const REPAIR_MS = 5000;
/** After a reading that failed, the next one begins so long after its start. */
const RETRY_MS = 1000;
/** Names in one log line. */
const LOGGED_MAX = 8;

export type EgressDesire = {
  /** Frames leave through these, or through VLAN devices on them. */
  readonly interfaces: readonly string[];
  /** Addresses, and those of CLIENTS. */
  readonly destinations: readonly string[];
};

export type EgressStatus = {
  readonly destinations: readonly {
    readonly destination: string;
    readonly hops: number;
    readonly problems: readonly EgressProblem[];
  }[];
  /** Readings of the kernel's tables so far, and what the last one took. */
  readonly readings: number;
  readonly readAt?: Date;
  readonly durationMs?: number;
  /** Why the last reading failed; the groups are then those of the last one that did not. */
  readonly error?: string;
};

export type EgressOptions = {
  readonly log: Log;
  /** Called with all groups, by destination, whenever one of them has changed. */
  readonly onChange: (groups: ReadonlyMap<string, EgressGroup>) => void;
  readonly ip?: IpCommand;
  readonly repairMs?: number;
};

/** What must be read again. */
type Stale = "nothing" | "neighbours" | "everything";

type Waiter = {
  readonly done: () => void;
  readonly failed: (error: WeirError) => void;
};

const NO_DESIRE: EgressDesire = { interfaces: [], destinations: [] };

export class EgressWatcher {
  readonly #log: Log;
  readonly #onChange: EgressOptions["onChange"];
  readonly #ip: IpCommand;
  readonly #repairMs: number;
  readonly #monitor: IpMonitor;
  #desire: EgressDesire | undefined;
  #waiters: Waiter[] = [];
  #kernel: Kernel = {
    links: new Map(),
    neighbours: new Map(),
    routes: new Map(),
  };
  #paths: ReadonlyMap<string, EgressPath> = new Map();
  /** The neighbours of all paths, by `neighbourKey`. */
  #wanted: ReadonlySet<string> = new Set();

  #stale: Stale = "nothing";
  #reading = false;
  /** Neighbour events that came during a reading: only its result can tell whether they are news. */
  #unjudged: string[] = [];
  #timer: NodeJS.Timeout | undefined;
  #timerDueMs = Infinity;
  #restUntilMs = 0;
  #repairDueMs = 0;

  #readings = 0;
  #lastReading:
    { readonly readAt: Date; readonly durationMs: number } | undefined;
  #error: string | undefined;
  /** The kernel takes over all neighbours that it is asked to. */
  #managing = true;
  #closed = false;

  constructor(options: EgressOptions) {
    this.#log = options.log;
    this.#onChange = options.onChange;
    this.#ip = options.ip ?? ["ip"];
    this.#repairMs = options.repairMs ?? REPAIR_MS;
    this.#monitor = new IpMonitor({
      command: this.#ip,
      objects: MONITORED,
      log: options.log,
      onLine: (line) => this.#hear(line),
      onGap: () => this.#readSoon("everything"),
    });
  }

  /**
   * Takes the whole desire. Resolves when the groups for it have been handed to the listener: next hops that the kernel
   * has to resolve first follow within milliseconds. Rejects with WeirError if the kernel's tables cannot be read; the
   * watcher goes on trying. Throws RangeError for a destination that is no address.
   */
  set(desire: EgressDesire): Promise<void> {
    for (const destination of desire.destinations)
      if (!isClients(destination) && isIP(destination) === 0)
        throw new RangeError(
          `Cannot find the way to a destination: not an address: current value is ${destination}`,
        );
    if (this.#closed) return Promise.reject(closedError());
    this.#desire = desire;
    return new Promise((done, failed) => {
      this.#waiters.push({ done, failed });
      this.#readSoon("everything");
    });
  }

  /** Destinations in the order of `set`. */
  status(): EgressStatus {
    const destinations = [...this.#paths].map(
      ([destination, { hops, problems }]) => ({
        destination,
        hops: hops.length,
        problems,
      }),
    );
    return {
      destinations,
      readings: this.#readings,
      ...this.#lastReading,
      ...(this.#error === undefined ? {} : { error: this.#error }),
    };
  }

  /** Stops. The kernel goes on keeping the neighbours resolved, because the dataplane goes on forwarding. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#monitor.close();
    for (const { failed } of this.#waiters.splice(0)) failed(closedError());
  }

  #hear(line: string): void {
    if (!line.startsWith("[")) return; // further lines of an event
    if (!line.startsWith("[NEIGH]")) this.#readSoon("everything");
    else if (this.#reading) this.#unjudged.push(line);
    else if (this.#isNews(line)) this.#readSoon("neighbours");
  }

  /** Most neighbour events confirm what is known, and many come: several each second for 1000 servers. */
  #isNews(line: string): boolean {
    const event = decodeNeighbourEvent(line);
    if (event === undefined) return true;
    const key = neighbourKey(event);
    if (!this.#wanted.has(key)) return false;
    return event.deleted || event.mac !== this.#kernel.neighbours.get(key)?.mac;
  }

  #readSoon(stale: Stale): void {
    if (this.#stale !== "everything") this.#stale = stale;
    this.#schedule();
  }

  /** Sets the timer for what is stale, or for the next repair. */
  #schedule(): void {
    if (this.#closed || this.#reading || this.#desire === undefined) return;
    const nowMs = performance.now();
    const dueMs = Math.max(
      this.#stale === "nothing" ? this.#repairDueMs : nowMs + DEBOUNCE_MS,
      this.#restUntilMs,
      nowMs,
    );
    if (dueMs >= this.#timerDueMs) return;
    clearTimeout(this.#timer);
    this.#timerDueMs = dueMs;
    this.#timer = setTimeout(() => void this.#read(), dueMs - nowMs);
  }

  async #read(): Promise<void> {
    const startMs = performance.now();
    const whole = this.#stale !== "neighbours" || startMs >= this.#repairDueMs;
    if (whole) this.#repairDueMs = startMs + this.#repairMs;
    this.#stale = "nothing";
    this.#timerDueMs = Infinity;
    this.#reading = true;
    const waiters = this.#waiters.splice(0);
    const desire = this.#desire ?? NO_DESIRE;
    const kernel = await this.#readKernel(desire, whole);
    if (this.#closed || kernel instanceof WeirError) {
      const error = kernel instanceof WeirError ? kernel : closedError();
      this.#repairDueMs = startMs + Math.min(RETRY_MS, this.#repairMs);
      for (const { failed } of waiters) failed(error);
    } else {
      this.#follow(desire, kernel);
      for (const { done } of waiters) done();
      await this.#keepResolved();
    }
    const durationMs = performance.now() - startMs;
    this.#lastReading = { readAt: new Date(), durationMs };
    this.#readings++;
    this.#restUntilMs = startMs + (1 + REST_FACTOR) * durationMs;
    this.#reading = false;
    const unjudged = this.#unjudged.splice(0);
    if (unjudged.some((line) => this.#isNews(line)))
      this.#readSoon("neighbours");
    this.#schedule();
  }

  /** The kernel's tables, or the old ones with new neighbours. An error is logged when it begins and when it ends. */
  async #readKernel(
    { destinations }: EgressDesire,
    whole: boolean,
  ): Promise<Kernel | WeirError> {
    try {
      const kernel = whole
        ? await readKernel(this.#ip, destinations)
        : await rereadNeighbours(this.#ip, this.#kernel);
      if (this.#error !== undefined)
        this.#log.info("can read the kernel's tables again", {
          event: "egressReadable",
        });
      this.#error = undefined;
      return kernel;
    } catch (error) {
      if (!(error instanceof WeirError)) throw error;
      if (this.#error === undefined && !this.#closed)
        this.#log.error("cannot read the kernel's tables", {
          op: "readKernel",
          error,
        });
      this.#error = error.message;
      return error;
    }
  }

  /** Works out all paths and tells the listener if a group has changed. */
  #follow({ interfaces, destinations }: EgressDesire, kernel: Kernel): void {
    const usable = new Set(interfaces);
    const paths = new Map(
      destinations.map((destination) => [
        destination,
        resolve(destination, kernel, usable),
      ]),
    );
    const changed = differences(this.#paths, paths);
    this.#kernel = kernel;
    this.#paths = paths;
    this.#wanted = new Set(
      [...paths.values()].flatMap(({ neighbours }) =>
        neighbours.map(neighbourKey),
      ),
    );
    if (changed.length === 0) return;
    this.#log.info("ways out have changed", {
      event: "egressChanged",
      changed: changed.length,
      some: changed.slice(0, LOGGED_MAX),
      withoutHops: destinations.filter(
        (destination) => paths.get(destination)?.hops.length === 0,
      ).length,
    });
    this.#onChange(paths);
  }

  async #keepResolved(): Promise<void> {
    const { manage, release } = planNeighbours(
      this.#paths.values(),
      this.#kernel.neighbours,
    );
    if (manage.length + release.length === 0) return;
    await releaseNeighbours(this.#ip, release);
    const { refused, error } = await manageNeighbours(this.#ip, manage);
    if (refused > 0 && this.#managing)
      this.#log.warn("the kernel does not keep neighbours resolved", {
        op: "manageNeighbours",
        reason: "refused",
        neighbours: refused,
        error,
      });
    this.#managing = refused === 0;
  }
}

/** The destinations that came, went, or have other hops. */
function differences(
  old: ReadonlyMap<string, EgressGroup>,
  now: ReadonlyMap<string, EgressGroup>,
): readonly string[] {
  const hopsOf = (groups: ReadonlyMap<string, EgressGroup>, name: string) =>
    JSON.stringify(groups.get(name)?.hops);
  return [...new Set([...old.keys(), ...now.keys()])].filter(
    (name) => hopsOf(old, name) !== hopsOf(now, name),
  );
}

function closedError(): WeirError {
  return new WeirError("Cannot find the ways out: the watcher was closed");
}
