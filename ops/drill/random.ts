// SPDX-License-Identifier: Apache-2.0
// Numbers that a seed determines, so that a drill can be repeated with the same choices.

/** Numbers in [0, 1): Numerical Recipes' 32-bit linear congruential generator, upper bits. Good enough for moments. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) / 2 ** 24;
  };
}
