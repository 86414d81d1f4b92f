// SPDX-License-Identifier: Apache-2.0
/** Weights as shares: of the schedule of a service, and of the hops of an egress group. */

/** The smallest whole numbers in the same proportion. */
export function inLowestTerms(weights: readonly number[]): readonly number[] {
  const divisor = weights.reduce(greatestCommonDivisor, 0);
  return weights.map((weight) => weight / divisor);
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
