// SPDX-License-Identifier: Apache-2.0
import type { Outcome, TestResult } from "./tap.ts";

/** Takes each result as it comes, adds them up and prints them, for people or as TAP for another test runner. */
export class Report {
  readonly #write: (line: string) => void;
  readonly #lines: typeof tapLines;
  readonly #comment: string;
  readonly #counts: Record<Outcome, number> = {
    passed: 0,
    failed: 0,
    skipped: 0,
  };
  readonly #failures: string[] = [];
  #suite = "";
  #inSuite = 0;

  constructor(format: "text" | "tap", write: (line: string) => void) {
    this.#write = write;
    this.#lines = format === "tap" ? tapLines : textLines;
    this.#comment = format === "tap" ? "# " : "";
  }

  get total(): number {
    return this.#counts.passed + this.#counts.failed + this.#counts.skipped;
  }

  /** The number of results since the suite began. */
  get inSuite(): number {
    return this.#inSuite;
  }

  begin(suite: string): void {
    this.#suite = suite;
    this.#inSuite = 0;
    this.#write(`${this.#comment}${suite}`);
  }

  add(result: TestResult): void {
    this.#inSuite++;
    this.#counts[result.outcome]++;
    for (const line of this.#lines(result, this.total)) this.#write(line);
    if (result.outcome === "failed")
      this.#failures.push(`${this.#suite}: ${result.title}`);
  }

  /** A line about what goes on, outside any result. */
  note(line: string): void {
    this.#write(`${this.#comment}      ${line}`);
  }

  /** Ends with the one line that scripts read. @returns the exit code: 0 only if tests ran and none failed. */
  end(): number {
    if (this.#failures.length > 0) {
      this.#write(`${this.#comment}Failed:`);
      for (const failure of this.#failures)
        this.#write(`${this.#comment}  ${failure}`);
    }
    const { passed, failed, skipped } = this.#counts;
    this.#write(
      `${this.#comment}${passed} passed, ${failed} failed, ${skipped} skipped`,
    );
    return failed === 0 && passed > 0 ? 0 : 1;
  }
}

function textLines({ title, outcome, detail }: TestResult): readonly string[] {
  const label = { passed: "ok  ", failed: "FAIL", skipped: "skip" }[outcome];
  return [`  ${label}  ${title}`, ...detail.map((line) => `        ${line}`)];
}

function tapLines(
  { title, outcome, detail }: TestResult,
  number: number,
): readonly string[] {
  const head = `${number} - ${title}`;
  if (outcome === "passed") return [`ok ${head}`];
  if (outcome === "skipped") return [`ok ${head} # SKIP ${detail.join("; ")}`];
  return [`not ok ${head}`, ...detail.map((line) => `  ${line}`), "  ..."];
}
