// SPDX-License-Identifier: Apache-2.0
// The load program as the drill sees it: started in a client, told on its standard input, heard on its standard output.

import { LabError } from "../lab/errors.ts";
import { type Family, formatEndpoint } from "../../src/model.ts";
import { addressesOf, CHECKOUT, type Client, type Rack } from "../lab/rack.ts";
import { parseEvent, type Exchange, type LoadEvent } from "./events.ts";
import type { Stall } from "./gaps.ts";
import { LineProgram } from "./line-program.ts";

const ANSWER_LIMIT_MS = 10_000;
/** Each open request ends by itself before that: see SILENCE_MS in load.ts. */
const FINISH_LIMIT_MS = 20_000;

/** A transfer whose answer has begun. */
export type Transfer = {
  readonly id: number;
  /** Address and port of the client. */
  readonly client: string;
  readonly lip: string;
  readonly server: string;
};

export class Load {
  /** What has ended so far, in that order. */
  readonly ended: Exchange[] = [];
  readonly #program: LineProgram<LoadEvent>;
  readonly #client: Client;
  readonly #family: Family;
  #lastId = 0;

  /** Starts the program in a client. @throws LabError */
  static async start(
    rack: Rack,
    client: Client,
    family: Family = 4,
  ): Promise<Load> {
    const load = new Load(rack, client, family);
    await load.#program.answer(
      ({ event }) => event === "ready" || undefined,
      ANSWER_LIMIT_MS,
    );
    return load;
  }

  private constructor(rack: Rack, client: Client, family: Family) {
    this.#client = client;
    this.#family = family;
    this.#program = new LineProgram(
      rack,
      client,
      [
        ...[rack.nodeProgram, `${CHECKOUT}/ops/drill/load.ts`],
        addressesOf(family).vip,
      ],
      `the load program on ${client}`,
      (line) => {
        const event = parseEvent(line);
        if (event.event === "ended") this.ended.push(event.exchange);
        return event;
      },
    );
  }

  /** Opens one transfer and waits until its answer begins. @throws LabError if it breaks before that */
  async open(): Promise<Transfer> {
    const id = ++this.#lastId;
    const opened = this.#program.answer((event) => {
      if (event.event === "begun" && event.id === id) return event;
      if (event.event === "ended" && event.exchange.id === id)
        return event.exchange;
      return undefined;
    }, ANSWER_LIMIT_MS);
    this.#program.tell(`open ${id}`);
    const begun = await opened;
    if ("outcome" in begun)
      throw new LabError(
        `Cannot open a transfer from ${this.#client}: ${begun.outcome}`,
      );
    const { port, lip, server } = begun;
    const address = addressesOf(this.#family).clients[this.#client];
    return { id, client: formatEndpoint({ address, port }), lip, server };
  }

  close({ id }: Transfer): void {
    this.#program.tell(`close ${id}`);
  }

  /** From now on one short request each `everyMs`. */
  request(everyMs: number): void {
    this.#program.tell(`requests ${everyMs}`);
  }

  /** The gaps of the transfers that are open. */
  async stall(): Promise<Stall> {
    const stall = this.#program.answer(
      (event) => (event.event === "report" ? event.stallMs : undefined),
      ANSWER_LIMIT_MS,
    );
    this.#program.tell("report");
    return stall;
  }

  /** Waits for the open requests and ends the transfers; all is in `ended` then. Returns how late the program was itself. */
  async finish(): Promise<number> {
    const ownDelayMs = this.#program.answer(
      (event) => (event.event === "finished" ? event.ownDelayMs : undefined),
      FINISH_LIMIT_MS,
    );
    this.#program.tell("finish");
    return ownDelayMs;
  }

  /** Ends the program wherever it is. */
  kill(): void {
    this.#program.kill();
  }
}
