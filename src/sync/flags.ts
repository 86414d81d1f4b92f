// SPDX-License-Identifier: Apache-2.0
import type { CatchUp } from "./catch-up.ts";
import { type Claim, earlierClaims, prefixesOf } from "./claims.ts";
import type { Context } from "./context.ts";
import type { Lookups } from "./lookups.ts";
import type { Membership } from "./membership.ts";
import type { SyncFlags } from "./status.ts";

const FLAGS = [
  "synced",
  "lookupWanted",
  "weakExpiry",
  "allPeersSynced",
  "poolConflict",
  "poolTableDiffers",
] as const satisfies readonly (keyof SyncFlags)[];

/** What the flags follow from. */
export type FlagSources = {
  readonly membership: Membership;
  readonly catchUp: CatchUp;
  readonly lookups: Lookups;
  /** This node's. */
  readonly claim: Claim;
  readonly poolHash: bigint;
};

export function readFlags(sources: FlagSources): SyncFlags {
  const { membership, catchUp, lookups, poolHash } = sources;
  const { heard, unheard } = membership;
  const { synced } = catchUp;
  return {
    synced,
    lookupWanted: lookups.wanted,
    weakExpiry: unheard.length > 0,
    allPeersSynced:
      synced && heard.every(({ hello }) => hello?.synced ?? false),
    poolConflict: claimsBefore(sources).length > 0,
    poolTableDiffers: heard.some(
      ({ hello }) => hello !== undefined && hello.poolHash !== poolHash,
    ),
  };
}

/** Peers that claimed an address of this node's pool before it did, heard or not. */
export function claimsBefore({
  claim,
  membership,
}: FlagSources): readonly string[] {
  return earlierClaims(
    claim,
    membership.peers.map(({ node, incarnation, hello }) => ({
      node,
      incarnation,
      pool: prefixesOf(hello?.pool ?? []),
    })),
  );
}

export function changedFlags(
  before: SyncFlags,
  flags: SyncFlags,
): readonly (keyof SyncFlags)[] {
  return FLAGS.filter((name) => flags[name] !== before[name]);
}

/** Of the changes, those that an operator would ask about. */
export function logFlags(
  { log }: Context,
  changed: readonly (keyof SyncFlags)[],
  flags: SyncFlags,
  claims: readonly string[],
): void {
  if (changed.includes("synced"))
    log.info("synced has changed", {
      event: flags.synced ? "synced" : "unsynced",
    });
  if (changed.includes("poolConflict"))
    if (flags.poolConflict)
      log.error("another node claims this node's pool", {
        event: "poolConflict",
        peers: claims,
      });
    else
      log.info("no other node claims this node's pool", { event: "poolFree" });
  if (changed.includes("poolTableDiffers") && flags.poolTableDiffers)
    log.error("a peer has other pools in its config", {
      event: "poolTableDiffers",
    });
}
