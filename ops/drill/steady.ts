// SPDX-License-Identifier: Apache-2.0
// The traffic of a run: steady transfers from one client, short requests from the other. Two programs, so that the many
// requests do not make the clock of the few transfers late.

import type { Family } from "../../src/model.ts";
import { LabError } from "../lab/errors.ts";
import {
  directorOf,
  DIRECTORS,
  type Director,
  type Rack,
} from "../lab/rack.ts";
import type { Exchange } from "./events.ts";
import { worstStall, type Stall } from "./gaps.ts";
import { Load, type Transfer } from "./load-process.ts";

/** The router chooses directors at random: nobody gets that many transfers without meeting all three. */
const OPEN_MAX = 100;

export type Traffic = {
  readonly transfers: readonly Exchange[];
  readonly requests: readonly Exchange[];
  readonly stallMs: Stall;
  readonly ownDelayMs: number;
};

export class SteadyTraffic {
  readonly #transfers: Load;
  readonly #requests: Load;

  /** @throws LabError; what has started nevertheless ends with the rack */
  static async start(rack: Rack, family: Family): Promise<SteadyTraffic> {
    const [transfers, requests] = await Promise.all([
      Load.start(rack, "c1", family),
      Load.start(rack, "c2", family),
    ]);
    return new SteadyTraffic(transfers, requests);
  }

  private constructor(transfers: Load, requests: Load) {
    this.#transfers = transfers;
    this.#requests = requests;
  }

  request(everyMs: number): void {
    this.#requests.request(everyMs);
  }

  /** Opens transfers until each director carries one, keeps one of each, and returns them. @throws LabError */
  async openOneEach(): Promise<ReadonlyMap<Director, Transfer>> {
    const kept = new Map<Director, Transfer>();
    for (let opened = 0; kept.size < DIRECTORS.length; opened++) {
      if (opened === OPEN_MAX)
        throw new LabError(
          `Cannot open a transfer through each director: ${OPEN_MAX} of them went through ${[...kept.keys()].join(" and ")}`,
        );
      const transfer = await this.#transfers.open();
      const director = directorOf(transfer.lip);
      if (director === undefined || kept.has(director))
        this.#transfers.close(transfer);
      else kept.set(director, transfer);
    }
    return kept;
  }

  /** One more, through whichever director. */
  async open(): Promise<Transfer> {
    return this.#transfers.open();
  }

  /** Of all transfers so far. */
  async stall(): Promise<Stall> {
    const open = await this.#transfers.stall();
    return worstStall([
      open,
      ...this.#transfers.ended.map(({ stallMs }) => stallMs),
    ]);
  }

  /** Lets what is short come to its end, ends what is long, and tells what became of all. */
  async finish(): Promise<Traffic> {
    const delays = await Promise.all([
      this.#transfers.finish(),
      this.#requests.finish(),
    ]);
    const transfers = this.#transfers.ended;
    return {
      transfers,
      requests: this.#requests.ended,
      stallMs: worstStall(transfers.map(({ stallMs }) => stallMs)),
      ownDelayMs: Math.round(Math.max(...delays)),
    };
  }

  close(): void {
    this.#transfers.kill();
    this.#requests.kill();
  }
}
