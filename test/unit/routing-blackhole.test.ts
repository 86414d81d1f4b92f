// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import fc from "fast-check";
import { formatPrefix, parsePrefix } from "../../src/model.ts";
import type { Prefix } from "../../src/model.ts";
import {
  parseBlackholes,
  planBlackholes,
} from "../../src/routing/blackhole.ts";
import type { BlackholeRoute } from "../../src/routing/blackhole.ts";

const anyPrefix: fc.Arbitrary<Prefix> = fc.oneof(
  fc.record({
    address: fc.constantFrom("10.1.0.0", "10.2.0.0"),
    length: fc.constantFrom(16, 32),
  }),
  fc.record({
    address: fc.constantFrom("2001:db8:1::", "2001:db8:2::"),
    length: fc.constantFrom(64, 128),
  }),
);

const anyKernel: fc.Arbitrary<readonly BlackholeRoute[]> = fc.uniqueArray(
  fc.record({ prefix: anyPrefix, own: fc.boolean() }),
  { selector: ({ prefix }) => formatPrefix(prefix) },
);

/** A kernel that does these lines, and fails where the real one would. */
function perform(
  kernel: readonly BlackholeRoute[],
  lines: readonly string[],
): readonly BlackholeRoute[] {
  let routes = kernel;
  for (const line of lines) {
    const [, verb, text = ""] =
      /^route (add|del) blackhole (\S+) proto 87( metric 1)?$/.exec(line) ?? [];
    const prefix = parsePrefix(text);
    if (prefix === undefined) throw new Error(`Not a command: ${line}`);
    const isIt = (route: BlackholeRoute) => formatPrefix(route.prefix) === text;
    if (routes.some(isIt) === (verb === "add"))
      throw new Error(`The kernel refuses: ${line}`);
    routes =
      verb === "add"
        ? [...routes, { prefix, own: true }]
        : routes.filter((route) => !isIt(route));
  }
  return routes;
}

test("planBlackholes() covers the list, and leaves what is not ours", (t) => {
  fc.assert(
    fc.property(fc.array(anyPrefix), anyKernel, (desired, kernel) => {
      const after = perform(kernel, planBlackholes(desired, kernel));
      const wanted = new Set(desired.map(formatPrefix));
      const present = new Set(after.map(({ prefix }) => formatPrefix(prefix)));
      t.true(
        [...wanted].every((prefix) => present.has(prefix)),
        "a prefix has no blackhole route",
      );
      t.true(
        after.every(
          ({ prefix, own }) => !own || wanted.has(formatPrefix(prefix)),
        ),
        "a route of ours is left over",
      );
      t.deepEqual(
        after.filter(({ own }) => !own),
        kernel.filter(({ own }) => !own),
        "somebody else's route was touched",
      );
      t.deepEqual(planBlackholes(desired, after), [], "it does not end");
    }),
  );
});

test("planBlackholes() drops host bits, which the kernel would refuse", (t) => {
  t.deepEqual(
    planBlackholes(
      [
        { address: "10.200.0.9", length: 24 },
        { address: "2001:db8:200::9", length: 64 },
      ],
      [],
    ),
    [
      "route add blackhole 10.200.0.0/24 proto 87",
      "route add blackhole 2001:db8:200::/64 proto 87 metric 1",
    ],
  );
});

test("parseBlackholes() reads what ip prints", (t) => {
  const json = `[{"type":"blackhole","dst":"10.1.0.0/24","protocol":"87","flags":[]},
    {"type":"blackhole","dst":"10.9.9.9","flags":[]},
    {"type":"blackhole","dst":"default","protocol":"static","flags":[]}]`;
  t.deepEqual(parseBlackholes(json, 4), [
    { prefix: { address: "10.1.0.0", length: 24 }, own: true },
    { prefix: { address: "10.9.9.9", length: 32 }, own: false },
    { prefix: { address: "0.0.0.0", length: 0 }, own: false },
  ]);
  const wide = `[{"type":"blackhole","dst":"2001:db8:200::/64","dev":"lo","protocol":"87","metric":1,"flags":[],"pref":"medium"},
    {"type":"blackhole","dst":"2001:db8:ffff::10","dev":"lo","protocol":"static","metric":1024,"flags":[],"pref":"medium"},
    {"type":"blackhole","dst":"default","dev":"lo","protocol":"static","metric":1024,"flags":[],"pref":"medium"}]`;
  t.deepEqual(parseBlackholes(wide, 6), [
    { prefix: { address: "2001:db8:200::", length: 64 }, own: true },
    { prefix: { address: "2001:db8:ffff::10", length: 128 }, own: false },
    { prefix: { address: "::", length: 0 }, own: false },
  ]);
  t.throws(() => parseBlackholes(`[{"type":"blackhole"}]`, 4), {
    message: /no destination in/,
  });
});
