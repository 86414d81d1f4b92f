// SPDX-License-Identifier: Apache-2.0
/** The passes over the session table: what they are told of services and peers, and what the peers are told of them. */
import type { VirtualService } from "../model.ts";
import type { Dataplane, Sweep } from "./dataplane.ts";
import type { Sharing } from "./sharing.ts";
import type { SessionTerms } from "./words.ts";

/** As long as the dataplane's clock can tell. */
const FOREVER_MS = 20 * 24 * 3600 * 1000;
const FOREVER: SessionTerms = {
  handshakeMs: FOREVER_MS,
  establishedMs: FOREVER_MS,
  closedMs: FOREVER_MS,
  resetMs: FOREVER_MS,
};

/** A pass over a table of millions takes a tenth of a second or more: so much of the time at most goes into passes. */
const TIME_SHARE = 0.05;
const PAUSE_MS_MAX = 30_000;

export type SweeperOptions = {
  readonly dataplane: Dataplane;
  readonly sharing: Pick<Sharing, "flags" | "publish"> | undefined;
  /** Of this node. */
  readonly origin: number;
  /** The service that a real server's number belongs to. */
  readonly serviceOf: (real: number) => VirtualService | undefined;
};

export class Sweeper {
  readonly #options: SweeperOptions;
  #last: Sweep | undefined;
  #mayExpire = false;
  #nextAtMs = 0;

  constructor(options: SweeperOptions) {
    this.#options = options;
  }

  /** The last pass; undefined before the first. */
  get last(): Sweep | undefined {
    return this.#last;
  }

  /** Until it is known which numbers are whose, nothing expires. */
  allowExpiry(): void {
    this.#mayExpire = true;
  }

  /** Of the sessions of a real server, by its number; undefined = the dataplane's own. */
  termsOf(real: number): SessionTerms | undefined {
    if (!this.#mayExpire) return FOREVER;
    const service = this.#options.serviceOf(real);
    return service?.sync.policy === "after"
      ? { ...service.timeouts, shareAfterMs: service.sync.afterMs }
      : service?.timeouts;
  }

  /** A pass, unless the last one was so long that it is too early. */
  async ifDue(): Promise<Sweep | undefined> {
    return performance.now() < this.#nextAtMs ? undefined : this.once();
  }

  async once(): Promise<Sweep> {
    const { dataplane, sharing, origin } = this.#options;
    const begin = performance.now();
    const { weakExpiry = false, allPeersSynced = true } = sharing?.flags ?? {};
    this.#last = await dataplane.sweep({
      terms: (real) => this.termsOf(real),
      origin,
      weak: weakExpiry,
      hold: !allPeersSynced,
    });
    sharing?.publish(this.#last.news);
    const end = performance.now();
    this.#nextAtMs = end + Math.min((end - begin) / TIME_SHARE, PAUSE_MS_MAX);
    return this.#last;
  }
}
