// SPDX-License-Identifier: Apache-2.0
// A program inside the rack that is told lines on its standard input and tells lines on its standard output.

import { createInterface } from "node:readline";
import { LabError } from "../lab/errors.ts";
import type { LabProcess } from "../lab/lab.ts";
import type { Rack } from "../lab/rack.ts";

type Waiter<E> = {
  readonly hear: (event: E) => void;
  readonly fail: (reason: string) => void;
};

export class LineProgram<E> {
  readonly #process: LabProcess;
  readonly #what: string;
  readonly #parse: (line: string) => E;
  readonly #waiters = new Set<Waiter<E>>();
  #errors = "";
  /** Why it can no longer be used. */
  #failure: string | undefined;

  /**
   * Starts it in a node. `parse` reads one line that it tells, or throws; then the program cannot be used any more.
   * @param what for sentences: "the load program on c1"
   */
  constructor(
    rack: Rack,
    node: string,
    argv: readonly string[],
    what: string,
    parse: (line: string) => E,
  ) {
    const program = rack.lab.spawn(node, argv);
    this.#process = program;
    this.#what = what;
    this.#parse = parse;
    createInterface({ input: program.stdout }).on("line", (line) =>
      this.#hear(line),
    );
    program.stderr
      .setEncoding("utf8")
      .on("data", (text: string) => (this.#errors += text));
    const end = () => this.#fail(`it has ended: ${this.#errors.trim()}`);
    program.exited.then(end, end);
  }

  tell(line: string): void {
    this.#process.stdin.write(`${line}\n`);
  }

  /** The first event from now on that `read` makes something of. @throws LabError when there is none in time */
  async answer<T>(
    read: (event: E) => T | undefined,
    limitMs: number,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const close = () => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
      };
      const waiter: Waiter<E> = {
        hear: (event) => {
          const answer = read(event);
          if (answer === undefined) return;
          close();
          resolve(answer);
        },
        fail: (reason) => {
          close();
          reject(new LabError(`Cannot use ${this.#what}: ${reason}`));
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

  /** Ends it wherever it is. */
  kill(): void {
    this.#process.kill();
  }

  #hear(line: string): void {
    try {
      const event = this.#parse(line);
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
