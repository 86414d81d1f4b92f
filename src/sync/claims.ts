// SPDX-License-Identifier: Apache-2.0
import { overlaps, parsePrefix, type Prefix } from "../model.ts";

/** Who says that which addresses are its own to allocate. */
export type Claim = {
  readonly node: string;
  readonly incarnation: bigint;
  readonly pool: readonly Prefix[];
};

/**
 * Nodes whose pool overlaps this one's and that claimed it first: a node that finds one must not allocate. Of two, the one
 * that started later gives way, so exactly one of them does.
 */
export function earlierClaims(
  own: Claim,
  others: readonly Claim[],
): readonly string[] {
  return others
    .filter((other) => isEarlier(other, own) && conflicts(other, own))
    .map(({ node }) => node);
}

/** Prefixes as a hello has them; what cannot be read claims nothing. */
export function prefixesOf(pool: readonly string[]): readonly Prefix[] {
  return pool.flatMap((text) => parsePrefix(text) ?? []);
}

function isEarlier(a: Claim, b: Claim): boolean {
  return a.incarnation === b.incarnation
    ? a.node < b.node
    : a.incarnation < b.incarnation;
}

function conflicts(a: Claim, b: Claim): boolean {
  return a.pool.some((one) => b.pool.some((other) => overlaps(one, other)));
}
