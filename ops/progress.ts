// SPDX-License-Identifier: Apache-2.0
// What a program says while it works: lines that stay, and one line that moves.

/** Without a terminal there is no line that moves: one of its states is printed as a line of its own this often. */
const PLAIN_INTERVAL_MS = 3_000;

const CLEAR_LINE = "\r\u001B[K";

export class Progress {
  readonly #stream: NodeJS.WriteStream;
  readonly #now: () => number;
  #moving = false;
  #printedAtMs: number;

  constructor(
    stream: NodeJS.WriteStream = process.stderr,
    now: () => number = Date.now,
  ) {
    this.#stream = stream;
    this.#now = now;
    this.#printedAtMs = now();
  }

  /** A line that stays. */
  step(text: string): void {
    this.clear();
    this.#print(text);
  }

  /** The line that moves, in its next state. */
  live(text: string): void {
    if (this.#stream.isTTY) {
      this.#stream.write(
        `${CLEAR_LINE}${text.slice(0, this.#stream.columns - 1)}`,
      );
      this.#moving = true;
    } else if (this.#now() - this.#printedAtMs >= PLAIN_INTERVAL_MS) {
      this.#print(text);
    }
  }

  /** Removes the line that moves, before something else is printed. */
  clear(): void {
    if (this.#moving) this.#stream.write(CLEAR_LINE);
    this.#moving = false;
  }

  #print(text: string): void {
    this.#stream.write(`${text}\n`);
    this.#printedAtMs = this.#now();
  }
}
