// SPDX-License-Identifier: Apache-2.0

export type Outcome = "passed" | "failed" | "skipped";

export type TestResult = {
  readonly title: string;
  readonly outcome: Outcome;
  /** What the test has to say, line by line: why it failed or was skipped, or figures. */
  readonly detail: readonly string[];
};

const RESULT = /^(not )?ok \d+ - (.*?)(?: # SKIP ?(.*))?$/;

/**
 * Reads a TAP stream (testanything.org, version 13) as ava writes it: a result line; after `not ok`, log lines that begin
 * with "#" and a YAML block that ends with "  ...".
 */
export class TapReader {
  readonly #onResult: (result: TestResult) => void;
  #failure: { readonly title: string; readonly detail: string[] } | undefined;

  constructor(onResult: (result: TestResult) => void) {
    this.#onResult = onResult;
  }

  /** Takes one line without its newline. A passed test is handed over at once, a failed one with its last line. */
  line(text: string): void {
    const [, not, title, reason] = RESULT.exec(text) ?? [];
    if (title !== undefined) {
      this.end();
      if (not !== undefined) this.#failure = { title, detail: [] };
      else if (reason === undefined)
        this.#onResult({ title, outcome: "passed", detail: [] });
      else
        this.#onResult({
          title,
          outcome: "skipped",
          detail: reason === "" ? [] : [reason],
        });
    } else if (text === "  ...") {
      this.end();
    } else if (this.#failure && /^(?:#| {2})/.test(text) && text !== "  ---") {
      this.#failure.detail.push(text);
    }
  }

  /** Hands over a failure that still waits for its last line. */
  end(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure) this.#onResult({ ...failure, outcome: "failed" });
  }
}
