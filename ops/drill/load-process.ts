// SPDX-License-Identifier: Apache-2.0
// The load program as the drill sees it: started in a client, told on its standard input, heard on its standard output.

import { createInterface } from "node:readline";
import { LabError } from "../lab/errors.ts";
import type { LabProcess } from "../lab/lab.ts";
import { CHECKOUT, RACK, type Client, type Rack } from "../lab/rack.ts";
import { parseEvent, type Exchange, type LoadEvent } from "./events.ts";
import type { Stall } from "./gaps.ts";

const ANSWER_LIMIT_MS = 10_000;
/** Each open request ends by itself before that: see SILENCE_MS in load.ts. */
const FINISH_LIMIT_MS = 20_000;

/** A transfer whose answer has begun. */
export type Transfer = {
  readonly id: number;
  /** `address:port` of the client. */
  readonly client: string;
  readonly lip: string;
  readonly server: string;
};

type Waiter = {
  readonly hear: (event: LoadEvent) => void;
  readonly fail: (reason: string) => void;
};

export class Load {
  /** What has ended so far, in that order. */
  readonly ended: Exchange[] = [];
  readonly #process: LabProcess;
  readonly #client: Client;
  readonly #waiters = new Set<Waiter>();
  #lastId = 0;
  #errors = "";
  /** Why it can no longer be used. */
  #failure: string | undefined;

  /** Starts the program in a client. @throws LabError */
  static async start(rack: Rack, client: Client): Promise<Load> {
    const program = rack.lab.spawn(client, [
      rack.nodeProgram,
      `${CHECKOUT}/ops/drill/load.ts`,
      RACK.vip,
    ]);
    const load = new Load(program, client);
    await load.#answer((event) => event.event === "ready" || undefined);
    return load;
  }

  private constructor(program: LabProcess, client: Client) {
    this.#process = program;
    this.#client = client;
    createInterface({ input: program.stdout }).on("line", (line) =>
      this.#hear(line),
    );
    program.stderr
      .setEncoding("utf8")
      .on("data", (text: string) => (this.#errors += text));
    const end = () => this.#fail(`it has ended: ${this.#errors.trim()}`);
    program.exited.then(end, end);
  }

  /** Opens one transfer and waits until its answer begins. @throws LabError if it breaks before that */
  async open(): Promise<Transfer> {
    const id = ++this.#lastId;
    const opened = this.#answer((event) => {
      if (event.event === "begun" && event.id === id) return event;
      if (event.event === "ended" && event.exchange.id === id)
        return event.exchange;
      return undefined;
    });
    this.#tell(`open ${id}`);
    const begun = await opened;
    if ("outcome" in begun)
      throw new LabError(
        `Cannot open a transfer from ${this.#client}: ${begun.outcome}`,
      );
    const { port, lip, server } = begun;
    const client = `${RACK.clients[this.#client]}:${port}`;
    return { id, client, lip, server };
  }

  close({ id }: Transfer): void {
    this.#tell(`close ${id}`);
  }

  /** From now on one short request each `everyMs`. */
  request(everyMs: number): void {
    this.#tell(`requests ${everyMs}`);
  }

  /** The gaps of the transfers that are open. */
  async stall(): Promise<Stall> {
    const stall = this.#answer((event) =>
      event.event === "report" ? event.stallMs : undefined,
    );
    this.#tell("report");
    return stall;
  }

  /** Waits for the open requests and ends the transfers; all is in `ended` then. Returns how late the program was itself. */
  async finish(): Promise<number> {
    const ownDelayMs = this.#answer(
      (event) => (event.event === "finished" ? event.ownDelayMs : undefined),
      FINISH_LIMIT_MS,
    );
    this.#tell("finish");
    return ownDelayMs;
  }

  /** Ends the program wherever it is. */
  kill(): void {
    this.#process.kill();
  }

  #tell(line: string): void {
    this.#process.stdin.write(`${line}\n`);
  }

  /** The first event that `read` makes something of. @throws LabError when there is none in time */
  async #answer<T>(
    read: (event: LoadEvent) => T | undefined,
    limitMs = ANSWER_LIMIT_MS,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const close = () => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
      };
      const waiter: Waiter = {
        hear: (event) => {
          const answer = read(event);
          if (answer === undefined) return;
          close();
          resolve(answer);
        },
        fail: (reason) => {
          close();
          const what = `Cannot use the load program on ${this.#client}`;
          reject(new LabError(`${what}: ${reason}`));
        },
      };
      const timer = setTimeout(
        () => waiter.fail(`no answer for ${limitMs / 1000} s`),
        limitMs,
      );
      this.#waiters.add(waiter);
      if (this.#failure !== undefined) waiter.fail(this.#failure);
    });
  }

  #hear(line: string): void {
    try {
      const event = parseEvent(line);
      if (event.event === "ended") this.ended.push(event.exchange);
      for (const { hear } of this.#waiters) hear(event);
    } catch (error) {
      this.#fail(error instanceof Error ? error.message : String(error));
    }
  }

  #fail(reason: string): void {
    this.#failure ??= reason;
    for (const { fail } of this.#waiters) fail(reason);
  }
}
