// SPDX-License-Identifier: Apache-2.0
/**
 * Whether this node has a router. A node that has none may miss what happens: it withdraws its routes, and announces only
 * when it has caught up, or it would pull its old sessions into a hole.
 */
import type { AnnouncerStatus } from "../routing/announcer.ts";
import { Periodic } from "./periodic.ts";
import type { Log } from "../log.ts";

/** A daemon takes seconds to bring a session back, and would announce at once: the loss must be noticed before. */
const LOOK_MS = 250;

export type RouterWatchOptions = {
  readonly status: () => Promise<AnnouncerStatus>;
  /** `lost` or `isUnknown` has changed. */
  readonly onChange: () => void;
  /** Called when a router is there again; until it resolves, the node counts as lost. */
  readonly catchUp: () => Promise<void>;
  readonly log: Log;
  /** Between looks, in milliseconds; for tests. */
  readonly lookMs?: number;
};

export class RouterWatch {
  readonly #options: RouterWatchOptions;
  readonly #periodic: Periodic;
  #state: "unknown" | "there" | "lost" | "catchingUp" = "unknown";

  constructor(options: RouterWatchOptions) {
    this.#options = options;
    this.#periodic = new Periodic(options.log);
  }

  /** The daemon has not said yet: what it announces had better stay as it is. */
  get isUnknown(): boolean {
    return this.#state === "unknown";
  }

  /** Nothing may be announced. */
  get lost(): boolean {
    return this.#state === "lost" || this.#state === "catchingUp";
  }

  start(): void {
    this.#periodic.every(this.#options.lookMs ?? LOOK_MS, () => this.#look());
  }

  close(): void {
    this.#periodic.close();
  }

  async #look(): Promise<void> {
    const { status, onChange, catchUp, log } = this.#options;
    const { neighbors } = await status();
    // A daemon that does not answer, or has not been given its neighbors yet, says nothing about them.
    if (neighbors.every(({ state }) => state === "unknown")) return;
    const there = neighbors.some(({ state }) => state === "established");
    if (there && this.#state === "unknown") {
      this.#state = "there";
      onChange();
    }
    if (!there && (this.#state === "there" || this.#state === "unknown")) {
      this.#state = "lost";
      log.warn("no router is there: withdrawing", { event: "routersLost" });
      onChange();
    }
    if (there && this.#state === "lost") {
      this.#state = "catchingUp";
      log.info("a router is back: catching up", { event: "routerBack" });
      try {
        await catchUp();
        this.#state = "there";
      } catch (error) {
        this.#state = "lost";
        throw error;
      }
      onChange();
    }
  }
}
