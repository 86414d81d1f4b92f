// SPDX-License-Identifier: Apache-2.0
/**
 * Whether this node still has a router. A node that has lost its last one may have missed what happened since: it withdraws
 * its routes, and announces again only when it has caught up, or it would pull its old sessions into a hole.
 */
import type { AnnouncerStatus } from "../routing/announcer.ts";
import { Periodic } from "./periodic.ts";
import type { Log } from "../log.ts";

/** A daemon takes seconds to bring a session back, and would announce at once: the loss must be noticed before. */
const LOOK_MS = 250;

export type RouterWatchOptions = {
  readonly status: () => Promise<AnnouncerStatus>;
  /** `lost` has changed. */
  readonly onChange: () => void;
  /** Called when a router is there again; until it resolves, the node counts as lost. */
  readonly catchUp: () => Promise<void>;
  readonly log: Log;
};

export class RouterWatch {
  readonly #options: RouterWatchOptions;
  readonly #periodic: Periodic;
  #state: "never" | "there" | "lost" | "catchingUp" = "never";

  constructor(options: RouterWatchOptions) {
    this.#options = options;
    this.#periodic = new Periodic(options.log);
  }

  /** Nothing may be announced. */
  get lost(): boolean {
    return this.#state === "lost" || this.#state === "catchingUp";
  }

  start(): void {
    this.#periodic.every(LOOK_MS, () => this.#look());
  }

  close(): void {
    this.#periodic.close();
  }

  async #look(): Promise<void> {
    const { status, onChange, catchUp, log } = this.#options;
    const { neighbors } = await status();
    const there = neighbors.some(({ state }) => state === "established");
    if (there && this.#state === "never") this.#state = "there";
    if (!there && this.#state === "there") {
      this.#state = "lost";
      log.warn("no router is left: withdrawing", { event: "routersLost" });
      onChange();
    }
    if (there && this.#state === "lost") {
      this.#state = "catchingUp";
      log.info("a router is back: catching up", { event: "routerBack" });
      await catchUp();
      this.#state = "there";
      onChange();
    }
  }
}
