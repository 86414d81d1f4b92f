// SPDX-License-Identifier: Apache-2.0
// One connection of a stock program, on which somebody asks and waits for the answer, again and again: a person at a
// shell's prompt, or an application that holds a connection to its redis. That the other end is still the same one is a
// part of each second answer.

import { setTimeout as delay } from "node:timers/promises";
import { LabError } from "../lab/errors.ts";
import type { Family } from "../../src/model.ts";
import { addressesOf, RACK, type Client, type Rack } from "../lab/rack.ts";
import type { Outcome } from "./events.ts";
import { LineProgram } from "./line-program.ts";

/** No answer for so long: broken. */
const SILENCE_MS = 5_000;
const THINK_MS = 100;

/** What came of one. Times are in ms since 1970. */
export type Talk = {
  readonly kind: "redis" | "shell";
  readonly who: Client;
  /** `stopped`: by the drill. */
  readonly outcome: Outcome;
  readonly beginMs: number;
  readonly endMs: number;
  readonly bytesVerified: number;
  /** How long the slowest answer took. */
  readonly slowestMs: number;
};

type Language = {
  readonly program: (vip: string) => readonly string[];
  /** The question of that number, from 0. */
  readonly ask: (number: number, id: string) => string;
  /** `before`: the last answer to a question of the same kind. */
  readonly isRight: (number: number, answer: string, before: string) => boolean;
};

const { ports } = RACK;

const LANGUAGES: Readonly<Record<Talk["kind"], Language>> = {
  redis: {
    program: (vip) => ["redis-cli", "-h", vip, "-p", String(ports.redis)],
    ask: (number, id) => (number % 2 === 0 ? `INCR ${id}` : "CLIENT ID"),
    isRight: (number, answer, before) =>
      number % 2 === 0
        ? answer === String(number / 2 + 1)
        : /^\d+$/.test(answer) && (before === "" || answer === before),
  },
  shell: {
    program: (vip) => [
      ...["bash", "-c", SHELL_CLIENT, "shell", vip, String(ports.shell)],
    ],
    ask: (number) => (number % 2 === 0 ? `echo $((7 * ${number}))` : "echo $$"),
    isRight: (number, answer, before) =>
      number % 2 === 0
        ? answer === String(7 * number)
        : /^\d+$/.test(answer) && (before === "" || answer === before),
  },
};

/** A line out, a line in. */
const SHELL_CLIENT = `exec 3<>"/dev/tcp/$1/$2" || exit 1
while read -r line; do
	printf '%s\\n' "$line" >&3
	read -r answer <&3 || exit 1
	printf '%s\\n' "$answer"
done`;

export class Dialogue {
  readonly #program: LineProgram<string>;
  readonly #client: Client;
  readonly #kind: Talk["kind"];
  readonly #id = `drill-${crypto.randomUUID()}`;
  readonly #beginMs = Date.now();
  readonly #talk: Promise<Talk>;
  #stopped = false;
  #slowestMs = 0;
  #bytesVerified = 0;

  /** It begins at once. */
  constructor(rack: Rack, client: Client, family: Family, kind: Talk["kind"]) {
    this.#client = client;
    this.#kind = kind;
    this.#program = new LineProgram(
      rack,
      client,
      LANGUAGES[kind].program(addressesOf(family).vip),
      `the ${kind} session on ${client}`,
      (line) => line,
    );
    this.#talk = this.#run();
  }

  /** Ends it, and tells what came of it. */
  async finish(): Promise<Talk> {
    this.#stopped = true;
    return this.#talk;
  }

  close(): void {
    this.#stopped = true;
    this.#program.kill();
  }

  async #run(): Promise<Talk> {
    const outcome = await this.#outcome();
    this.#program.kill();
    return {
      kind: this.#kind,
      who: this.#client,
      outcome,
      beginMs: this.#beginMs,
      endMs: Date.now(),
      bytesVerified: this.#bytesVerified,
      slowestMs: Math.round(this.#slowestMs),
    };
  }

  async #outcome(): Promise<Outcome> {
    const { ask, isRight } = LANGUAGES[this.#kind];
    const before = ["", ""];
    for (let number = 0; !this.#stopped; number++) {
      const askedAt = performance.now();
      const answer = await this.#answerTo(ask(number, this.#id));
      const tookMs = performance.now() - askedAt;
      this.#slowestMs = Math.max(this.#slowestMs, tookMs);
      if (answer === undefined)
        return tookMs >= SILENCE_MS ? "timedOut" : "endedEarly";
      if (!isRight(number, answer, before[number % 2] ?? ""))
        return "corrupted";
      before[number % 2] = answer;
      this.#bytesVerified += answer.length;
      await delay(THINK_MS);
    }
    return "stopped";
  }

  async #answerTo(question: string): Promise<string | undefined> {
    try {
      const answer = this.#program.answer((line) => line, SILENCE_MS);
      this.#program.tell(question);
      return await answer;
    } catch (error) {
      if (error instanceof LabError) return undefined;
      throw error;
    }
  }
}
