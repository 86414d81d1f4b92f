// SPDX-License-Identifier: Apache-2.0
/**
 * How packets come to this node: the routes that its routing daemon announces, and the kernel's blackhole routes, which see
 * to it that a packet that the dataplane does not take never goes back to the router.
 */
import type { Log } from "../log.ts";
import { formatPrefix, parsePrefix, type Prefix } from "../model.ts";
import type { Announcer, AnnouncerStatus } from "../routing/announcer.ts";
import type { BlackholeRoutes } from "../routing/blackhole.ts";
import type { DataplaneState, DesiredRoute } from "./desired.ts";

export class Reachability {
  readonly #announcer: Announcer;
  readonly #blackholes: BlackholeRoutes;
  readonly #log: Log;
  /** What the announcer was last told, and how that ended. */
  #told: string | undefined;
  #done: Promise<boolean> = Promise.resolve(false);
  #failed = false;
  /** All that has a blackhole route, and whether the routers are known not to send anything else. */
  #blocked: ReadonlyMap<string, Prefix> = new Map();
  #settled = false;

  constructor(announcer: Announcer, blackholes: BlackholeRoutes, log: Log) {
    this.#announcer = announcer;
    this.#blackholes = blackholes;
    this.#log = log;
  }

  status(): Promise<AnnouncerStatus> {
    return this.#announcer.status();
  }

  get blocked(): readonly Prefix[] {
    return [...this.#blocked.values()];
  }

  /**
   * Blackhole routes for the VIPs and aggregates of these states, before anything is announced. Those of earlier calls stay
   * as long as the routers may still send packets for them.
   */
  async block(...states: readonly DataplaneState[]): Promise<void> {
    const blocked = new Map(this.#settled ? [] : this.#blocked);
    for (const text of states.flatMap(({ prefixes }) => [...prefixes.keys()])) {
      const prefix = parsePrefix(text);
      if (prefix !== undefined) blocked.set(text, prefix);
    }
    this.#blocked = blocked;
    await this.#blackholes.set([...blocked.values()]);
  }

  /**
   * Makes the wanted ones of `routes` all that is announced. Resolves with true when the daemon holds them, and with false
   * when that takes too long: the announcer goes on trying by itself, and the next call asks how far it is.
   */
  announce(routes: readonly DesiredRoute[]): Promise<boolean> {
    const prefixes = routes
      .filter(({ wanted }) => wanted)
      .map(({ prefix }) => prefix);
    const told = prefixes.map(formatPrefix).join(" ");
    const news = told !== this.#told;
    if (!news && !this.#failed) return this.#done;
    this.#told = told;
    this.#settled = false;
    this.#failed = false;
    if (news)
      this.#log.info("routes wanted", { event: "routesWanted", routes: told });
    this.#done = this.#announcer
      .set(prefixes.map((prefix) => ({ prefix })))
      .then(
        () => {
          if (told === this.#told) this.#settled = true;
          return true;
        },
        (error: unknown) => {
          if (told === this.#told) this.#failed = true;
          if (news)
            this.#log.warn("routes not in place yet", {
              op: "announce",
              error,
            });
          return false;
        },
      );
    return this.#done;
  }

  /** The routes stay as they are. */
  async close(): Promise<void> {
    await this.#announcer.close();
  }
}
