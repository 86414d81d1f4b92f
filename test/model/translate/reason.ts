// SPDX-License-Identifier: Apache-2.0
/** What can become of a frame, by the names of the counters. */
import type { WeirCounters } from "../../../src/node/layout.ts";

export type Counter = keyof WeirCounters;
export type Reason = Counter;

/** What is wrong with a packet. */
export type Faults = {
  /** Not empty: it has to be dropped, for one of these reasons. */
  readonly faults: readonly Reason[];
  /** It may be dropped for one of these reasons, or not. */
  readonly doubts: readonly Reason[];
};

/** All faults of a packet: any of them is a right reason, in whatever order they are looked for. */
export class Finding implements Faults {
  readonly faults: Reason[] = [];
  readonly doubts: Reason[] = [];

  /** It has to be dropped for any one of these. */
  fault(...reasons: readonly Reason[]): void {
    this.faults.push(...reasons);
  }

  doubt(...reasons: readonly Reason[]): void {
    this.doubts.push(...reasons);
  }

  add({ faults, doubts }: Faults): void {
    this.fault(...faults);
    this.doubt(...doubts);
  }
}
