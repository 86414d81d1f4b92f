// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import fc from "fast-check";
import { editDistance } from "../../src/node/suggestion.ts";

test("editDistance() counts a swap of neighbours as one", (t) => {
  t.is(editDistance("maglev", "magelv"), 1);
  t.is(editDistance("kitten", "sitting"), 3);
  t.is(editDistance("", "abc"), 3);
  fc.assert(
    fc.property(
      fc.string(),
      fc.string(),
      (a, b) => editDistance(a, b) === editDistance(b, a),
    ),
  );
  fc.assert(fc.property(fc.string(), (a) => editDistance(a, a) === 0));
});
