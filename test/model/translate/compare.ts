// SPDX-License-Identifier: Apache-2.0
/** Says in a sentence how what came out differs from what had to. */

/** Bytes that are shown of either. */
const SHOWN = 8;

/** From the one that it is most like; undefined: it is one of them. */
export function leastDifference(
  what: string,
  actual: Buffer,
  expected: readonly Buffer[],
): string | undefined {
  if (expected.some((one) => actual.equals(one))) return undefined;
  const [nearest] = expected.toSorted(
    (a, b) => firstDifference(actual, b) - firstDifference(actual, a),
  );
  return nearest && difference(what, actual, nearest);
}

export function difference(
  what: string,
  actual: Buffer,
  expected: Buffer,
): string | undefined {
  if (actual.equals(expected)) return undefined;
  const first = firstDifference(actual, expected);
  const show = (bytes: Buffer) =>
    bytes.toString("hex", first, first + SHOWN) || "nothing";
  return `${what} has ${actual.length} bytes of ${expected.length}, and at ${first} ${show(actual)} in place of ${show(expected)}`;
}

function firstDifference(actual: Buffer, expected: Buffer): number {
  const at = actual.findIndex((byte, i) => byte !== expected[i]);
  return at === -1 ? actual.length : at;
}
