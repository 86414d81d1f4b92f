// SPDX-License-Identifier: Apache-2.0
/** What nodes promise by saying that they are synced: the others may lose power. */
import { LIMITS } from "../../src/sync/limits.ts";
import type { SyncStatus } from "../../src/sync/status.ts";
import type { SimNode } from "./cluster.ts";

/** What is missing for longer than gapMs makes a node unsynced: a hello tells of it, a tick notices, the next hello says so. */
const GRACE_MS = LIMITS.gapMs + 3 * LIMITS.helloMs;

type Published = {
  readonly atMs: number;
  readonly incarnation: bigint;
  readonly seq: bigint;
};

export class SyncedPromise {
  /** By node, oldest first. */
  readonly #published = new Map<string, Published[]>();

  /** To be called now and then. @returns a sentence about a node that is behind while all say that none is */
  broken(nodes: readonly SimNode[], nowMs: number): string | undefined {
    const statuses = nodes
      .filter(({ isAlive }) => isAlive)
      .map(({ agent }) => agent.status());
    for (const { self } of statuses) this.#note(self, nowMs);
    const isPromised =
      statuses.length === nodes.length && statuses.every(saysSynced);
    if (!isPromised) return undefined;
    for (const { self, peers } of statuses)
      for (const { node, incarnation, applied } of peers) {
        const seq = this.#seqOf(node, incarnation, nowMs - GRACE_MS);
        if (applied < seq)
          return `at ${nowMs} ms all are synced, and ${self.node} has ${applied} of the ${seq} messages of ${node}`;
      }
    return undefined;
  }

  #note({ node, incarnation, seq }: SyncStatus["self"], atMs: number): void {
    const published = this.#published.get(node) ?? [];
    published.push({ atMs, incarnation, seq });
    this.#published.set(node, published);
  }

  /** How many messages a run of a node had published by then. */
  #seqOf(node: string, incarnation: bigint, atMs: number): bigint {
    const then = this.#published
      .get(node)
      ?.findLast((one) => one.atMs <= atMs && one.incarnation === incarnation);
    return then?.seq ?? 0n;
  }
}

/** Of this node and of all others, which it hears. */
function saysSynced({ self, peers }: SyncStatus): boolean {
  return self.synced && peers.every(({ heard, synced }) => heard && synced);
}
