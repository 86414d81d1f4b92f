// SPDX-License-Identifier: Apache-2.0
import type { Context } from "./context.ts";
import { bytesOf, countRecords } from "./records.ts";
import type { MergeResult, Records } from "./table.ts";

/** The way into the table, for all that comes from peers: with a bound, and counted. */
export class Merger {
  readonly #context: Context;
  #backlog = 0;
  #merges = 0;

  constructor(context: Context) {
    this.#context = context;
  }

  /** Bytes that the table has been given and has not merged yet. */
  get backlog(): number {
    return this.#backlog;
  }

  /** More would be refused soon: who can wait should. */
  get isBusy(): boolean {
    const { mergeBytes, mergesMax } = this.#context.limits;
    return this.#backlog > mergeBytes / 2 || this.#merges > mergesMax / 2;
  }

  /** As merge(); undefined at once, and counted, if too much waits already. */
  offer(
    records: Records,
    delayTicks: number,
  ): Promise<MergeResult | undefined> | undefined {
    const { limits, counters } = this.#context;
    if (
      this.#backlog + bytesOf(records) > limits.mergeBytes ||
      this.#merges >= limits.mergesMax
    ) {
      counters.mergeOverflow++;
      return undefined;
    }
    return this.merge(records, delayTicks);
  }

  /** Undefined, and counted: the table did not take them. */
  async merge(
    records: Records,
    delayTicks: number,
  ): Promise<MergeResult | undefined> {
    const { table, counters, log, signal } = this.#context;
    const bytes = bytesOf(records);
    this.#backlog += bytes;
    this.#merges++;
    try {
      const result = await table.merge(records, delayTicks);
      counters.receivedRecords += countRecords(records);
      counters.inserted += result.inserted;
      counters.replaced += result.replaced;
      counters.advanced += result.advanced;
      counters.unchanged += result.unchanged;
      counters.stale += result.stale;
      counters.refused += result.refused;
      counters.full += result.full;
      counters.busy += result.busy;
      counters.conflicts += result.conflicts;
      return result;
    } catch (error) {
      counters.mergeFailed++;
      if (!signal.aborted)
        log.warn("merge failed", {
          op: "merge",
          reason: "tableRefused",
          error,
        });
      return undefined;
    } finally {
      this.#backlog -= bytes;
      this.#merges--;
    }
  }
}
