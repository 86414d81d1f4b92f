// SPDX-License-Identifier: Apache-2.0
/**
 * The order in which the dataplane gives new sessions to the real servers of a service: a table of real-server indexes,
 * read by the client's hash (maglev) or entry after entry (rr). Pure: the same servers give the same table, on every node.
 */
import { createHash } from "node:crypto";
import type { Scheduler } from "../model.ts";
import { WEIR_SCHEDULE_SIZE } from "./layout.ts";
import { inLowestTerms } from "./weights.ts";

export type ScheduledServer = {
  /** What the table names it by: an index into the dataplane's real servers, 0 to 65535. */
  readonly index: number;
  /** `address:port`. The order of a maglev table depends on this and on nothing else of the server. */
  readonly identity: string;
  /** 0: gets no new sessions. */
  readonly weight: number;
};

/** Remembers each service's last table: most changes concern one service of many, and a maglev table takes milliseconds. */
export class ScheduleCache {
  readonly #tables = new Map<
    string,
    { readonly inputs: string; readonly table: Uint16Array }
  >();

  /** As `scheduleOf`; the same array as before if the servers are the same. */
  scheduleOf(
    service: string,
    scheduler: Scheduler,
    servers: readonly ScheduledServer[],
  ): Uint16Array {
    const inputs = JSON.stringify([scheduler, servers]);
    const known = this.#tables.get(service);
    if (known?.inputs === inputs) return known.table;
    const table = scheduleOf(scheduler, servers);
    this.#tables.set(service, { inputs, table });
    return table;
  }
}

/** The table of a service; of length 0 if no server may have new sessions. */
export function scheduleOf(
  scheduler: Scheduler,
  servers: readonly ScheduledServer[],
): Uint16Array {
  return scheduler === "maglev"
    ? maglevTable(servers)
    : roundRobinSequence(servers);
}

/**
 * A lookup table of `size` entries (a prime), filled as in Eisenbud et al., "Maglev", NSDI 2016, section 3.4: each server
 * has its own permutation of the entries, and they take turns to claim the next free one of it. A server of the highest
 * weight claims one in every turn, one of half that weight in every second; all claim in the first, so that none is without.
 *
 * The table does not depend on the order of `servers`. When a server leaves, few entries of the others change.
 */
export function maglevTable(
  servers: readonly ScheduledServer[],
  size = WEIR_SCHEDULE_SIZE,
): Uint16Array {
  const active = servers
    .filter(({ weight }) => weight > 0)
    .toSorted(byIdentity);
  if (active.length === 0) return new Uint16Array(0);
  const weightMax = Math.max(...active.map(({ weight }) => weight));
  const claimants = active.map(({ index, identity, weight }) => {
    const [offset, skip] = hashesOf(identity);
    return {
      index,
      weight,
      next: offset % size,
      skip: (skip % (size - 1)) + 1,
      credit: weightMax - weight,
    };
  });

  const table = new Uint16Array(size);
  const taken = new Uint8Array(size);
  let free = size;
  for (;;) {
    for (const claimant of claimants) {
      claimant.credit += claimant.weight;
      if (claimant.credit < weightMax) continue;
      claimant.credit -= weightMax;
      while (taken[claimant.next] === 1)
        claimant.next = (claimant.next + claimant.skip) % size;
      table[claimant.next] = claimant.index;
      taken[claimant.next] = 1;
      if (--free === 0) return table;
    }
  }
}

/**
 * The shortest sequence in which each server stands as often as its weight says, spread out evenly: smooth weighted round
 * robin, in which every server gains its weight at each step and the richest is taken and pays for all. Weights that would
 * need more than `sizeMax` entries are scaled down; a weight above 0 stays above 0 for up to `sizeMax` servers.
 */
export function roundRobinSequence(
  servers: readonly ScheduledServer[],
  sizeMax = WEIR_SCHEDULE_SIZE,
): Uint16Array {
  const active = servers.filter(({ weight }) => weight > 0).slice(0, sizeMax);
  const weights = fitWeights(
    active.map(({ weight }) => weight),
    sizeMax,
  );
  const total = sum(weights);
  const rivals = active.map(({ index }, position) => ({
    index,
    weight: weights[position] ?? 0,
    credit: 0,
  }));
  return Uint16Array.from({ length: total }, () => {
    for (const rival of rivals) rival.credit += rival.weight;
    const richest = rivals.reduce((best, rival) =>
      rival.credit > best.credit ? rival : best,
    );
    richest.credit -= total;
    return richest.index;
  });
}

/** The smallest whole numbers in the same proportion; if their sum exceeds `sumMax`, close to it. */
function fitWeights(
  weights: readonly number[],
  sumMax: number,
): readonly number[] {
  const reduced = inLowestTerms(weights);
  const total = sum(reduced);
  if (total <= sumMax) return reduced;
  // Each may be raised to 1, so leave an entry for each.
  const scale = (sumMax - weights.length) / total;
  return reduced.map((weight) => Math.max(1, Math.floor(weight * scale)));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}

function byIdentity(a: ScheduledServer, b: ScheduledServer): number {
  return a.identity < b.identity ? -1 : 1;
}

/** Two independent 32-bit hashes. All nodes of a cluster must agree on them, also nodes of different versions. */
function hashesOf(identity: string): readonly [number, number] {
  const digest = createHash("sha256").update(identity).digest();
  return [digest.readUInt32BE(0), digest.readUInt32BE(4)];
}
