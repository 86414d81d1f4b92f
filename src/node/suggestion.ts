// SPDX-License-Identifier: Apache-2.0
/** What a person who mistyped a word probably meant. */

/** "did you mean ...?" if one of `words` is close to `input`. Case, hyphens and underscores do not count. */
export function suggestion(
  input: unknown,
  words: readonly string[],
): string | undefined {
  if (typeof input !== "string") return undefined;
  const plain = (word: string): string =>
    word.toLowerCase().replaceAll(/[-_]/g, "");
  const ranked = words
    .map((word) => ({
      word,
      distance: editDistance(plain(input), plain(word)),
    }))
    .filter(
      ({ word, distance }) => distance <= Math.min(3, word.length / 2 - 0.5),
    )
    .toSorted((a, b) => a.distance - b.distance);
  return ranked[0] && `did you mean "${ranked[0].word}"?`;
}

/** Insertions, deletions, substitutions and swaps of neighbours that lead from a to b (optimal string alignment). */
export function editDistance(a: string, b: string): number {
  let beforePrevious: readonly number[] = [];
  let previous: readonly number[] = Array.from(
    { length: b.length + 1 },
    (_, j) => j,
  );
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      const swapped =
        i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row.push(
        Math.min(
          (row[j - 1] ?? 0) + 1,
          (previous[j] ?? 0) + 1,
          (previous[j - 1] ?? 0) + (same ? 0 : 1),
          swapped ? (beforePrevious[j - 2] ?? 0) + 1 : Infinity,
        ),
      );
    }
    [beforePrevious, previous] = [previous, row];
  }
  return previous[b.length] ?? 0;
}
