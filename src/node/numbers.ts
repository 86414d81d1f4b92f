// SPDX-License-Identifier: Apache-2.0
/**
 * Services and real servers have numbers: their slots in the dataplane's arrays. Sessions hold the number of their real
 * server for as long as they live, so a number stays with its holder over reloads and restarts, and is only given to
 * another one when no session refers to it any more.
 */
import { WeirError } from "../errors.ts";

/**
 * A number for each of `wanted`. Whoever holds one keeps it; the others get the lowest that is neither held nor `reserved`.
 *
 * @throws WeirError if there are not enough; `what` names the things, `limit` the config's key.
 */
export function assignNumbers(
  wanted: readonly string[],
  held: ReadonlyMap<string, number>,
  reserved: ReadonlySet<number>,
  { what, limit, capacity }: NumberSpace,
): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>();
  for (const key of wanted) {
    const number = held.get(key);
    if (number !== undefined) numbers.set(key, number);
  }
  const taken = new Set([...numbers.values(), ...reserved]);
  let next = 0;
  for (const key of wanted) {
    if (numbers.has(key)) continue;
    while (taken.has(next)) next++;
    if (next >= capacity)
      throw new WeirError(
        `Cannot place ${what} ${key}: all numbers are in use, some perhaps by sessions of removed ones: current value of limits.${limit} is ${capacity}`,
      );
    numbers.set(key, next);
    taken.add(next);
  }
  return numbers;
}

export type NumberSpace = {
  readonly what: string;
  readonly limit: string;
  readonly capacity: number;
};
