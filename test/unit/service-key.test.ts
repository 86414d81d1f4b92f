// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import fc from "fast-check";
import {
  PORT_PREFIXES_MAX,
  portPrefixes,
  serviceId,
} from "../../src/node/service-key.ts";

const ports = fc
  .tuple(fc.nat({ max: 65_535 }), fc.nat({ max: 65_535 }))
  .map(([a, b]) => ({ min: Math.min(a, b), max: Math.max(a, b) }));

for (const [range, prefixes] of [
  [{ min: 80, max: 80 }, ["80/16"]],
  [{ min: 80, max: 81 }, ["80/15"]],
  [{ min: 79, max: 80 }, ["79/16", "80/16"]],
  [
    { min: 8000, max: 8999 },
    ["8000/10", "8064/9", "8192/7", "8704/8", "8960/11", "8992/13"],
  ],
  [{ min: 0, max: 65_535 }, ["0/0"]],
  [{ min: 32_768, max: 65_535 }, ["32768/1"]],
] as const) {
  test(`portPrefixes() makes ${prefixes.join(", ")} of ${range.min}-${range.max}`, (t) => {
    t.deepEqual(
      portPrefixes(range).map(({ port, length }) => `${port}/${length}`),
      [...prefixes],
    );
  });
}

test("portPrefixes() has each port of the range once, and no other", (t) => {
  t.notThrows(() =>
    fc.assert(
      fc.property(ports, ({ min, max }) => {
        let next = min;
        for (const { port, length } of portPrefixes({ min, max })) {
          const size = 2 ** (16 - length);
          if (port !== next || port % size !== 0) return false;
          next += size;
        }
        return next === max + 1;
      }),
    ),
  );
});

test("portPrefixes() makes as few prefixes as a search of all ways", (t) => {
  // Dynamic programming over a small space: the best way to cover [from, max] for each `from`.
  const fewest = (min: number, max: number): number => {
    const best = new Map([[max + 1, 0]]);
    for (let from = max; from >= min; from--) {
      const ways = [1, 2, 4, 8, 16, 32, 64]
        .filter((size) => from % size === 0 && from + size - 1 <= max)
        .map((size) => 1 + (best.get(from + size) ?? Infinity));
      best.set(from, Math.min(...ways));
    }
    return best.get(min) ?? NaN;
  };
  for (let min = 0; min < 64; min++)
    for (let max = min; max < 64; max++)
      t.is(
        portPrefixes({ min, max }).length,
        fewest(min, max),
        `${min}-${max}`,
      );
});

test("PORT_PREFIXES_MAX is what the worst range takes", (t) => {
  t.is(portPrefixes({ min: 1, max: 65_534 }).length, PORT_PREFIXES_MAX);
  t.notThrows(() =>
    fc.assert(
      fc.property(
        ports,
        (range) => portPrefixes(range).length <= PORT_PREFIXES_MAX,
      ),
    ),
  );
});

test("serviceId() tells services of one VIP apart by ports and protocol", (t) => {
  const vip = "192.0.2.10";
  t.is(
    serviceId({ vip, ports: { min: 80, max: 80 }, protocol: "tcp" }),
    "192.0.2.10:80/tcp",
  );
  t.is(
    serviceId({ vip, ports: { min: 8000, max: 8999 }, protocol: "udp" }),
    "192.0.2.10:8000-8999/udp",
  );
  t.is(
    serviceId({
      vip: "2001:db8::10",
      ports: { min: 0, max: 65_535 },
      protocol: "tcp",
    }),
    "[2001:db8::10]:all/tcp",
  );
});
