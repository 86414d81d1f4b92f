// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import test from "ava";
import { generateLayout } from "../../ops/setup/generate-layout.ts";
import * as layout from "../../src/node/layout.ts";
import { decode, decodeAll, encode, u32 } from "../../src/node/struct.ts";
import * as words from "../../src/node/words.ts";

const MAPPED = "00000000000000000000ffff";

test("generateLayout() makes the src/node/layout.ts that is checked in", async (t) => {
  const path = new URL("../../src/node/layout.ts", import.meta.url);
  t.is(
    readFileSync(path, "utf8"),
    await generateLayout(),
    "layout.ts is not that of weir.h: run node ops/setup/generate-layout.ts",
  );
});

test("encode() puts each field where C reads it, in C's byte order", (t) => {
  const key = {
    saddr: 0x0a030102,
    daddr: 0x0ac80001,
    sport: 80,
    dport: 1024,
    proto: 6,
  };
  t.is(
    hex(encode(layout.weirKey4, key)),
    "0a0301020ac80001" + "00500400" + "06" + "000000",
  );
  t.deepEqual(decode(layout.weirKey4, encode(layout.weirKey4, key)), key);
});

test("encode() refuses what does not fit", (t) => {
  const timeouts = { handshake: 1, established: 2, closed: 3, share: 0 };
  for (const reset of [-1, 2 ** 32, 0.5, Number.NaN])
    t.throws(() => encode(layout.weirTimeouts, { ...timeouts, reset }), {
      instanceOf: RangeError,
    });
  t.throws(
    () => encode(layout.weirSchedule, { real: new Uint16Array(16385) }),
    {
      instanceOf: RangeError,
    },
  );
  t.throws(() => encode(layout.weirAddress, { word: new Uint8Array(4) }), {
    instanceOf: RangeError,
  });
});

test("decode() refuses another length", (t) => {
  t.throws(() => decode(layout.weirService, new Uint8Array(31)), {
    instanceOf: RangeError,
  });
  t.throws(() => decodeAll(u32, new Uint8Array(7)), { instanceOf: RangeError });
});

test("words.service keeps row and entries in one word", (t) => {
  const slot = {
    vip: "192.0.2.10",
    port: 80,
    protocol: "tcp",
    scheduler: "maglev",
    sync: "established",
    row: 7,
    entries: 16381,
  } as const;
  const bytes = encode(words.service, slot);
  t.is(
    hex(bytes),
    `${MAPPED}c000020a` +
      "0050" +
      "0600" +
      "01000200" +
      "fd3f0000" +
      "07000000",
  );
  t.deepEqual(decode(words.service, bytes), slot);
});

test("words.prefix counts the length from the front of the IPv6 form, without host bits", (t) => {
  const bytes = encode(words.prefix, { address: "10.200.0.7", length: 28 });
  t.is(hex(bytes), `7c000000${MAPPED}0ac80000`);
  t.deepEqual(decode(words.prefix, bytes), {
    address: "10.200.0.0",
    length: 28,
  });
});

test("words.node carries prefixes as address and mask, and as first address and size", (t) => {
  const place = {
    aggregate: { address: "10.200.0.0", length: 24 },
    pool: { address: "10.200.0.16", length: 28 },
    ports: { min: 1024, max: 65535 },
    origin: 0x1234,
    lookups: true,
  };
  const bytes = encode(words.node, place);
  t.is(
    hex(bytes.subarray(0, 24)),
    "0ac80000ffffff00" + "1000c80a10000000" + "0004ffff" + "34120000",
  );
  t.deepEqual(decode(words.node, bytes), place);
});

test("words.egressGroup keeps the hops in use", (t) => {
  const hop = {
    dmac: "02:00:00:00:00:0a",
    smac: "02:00:00:00:00:0b",
    ifindex: 4,
    vlan: 7,
    mtu: 1500,
  };
  const bytes = encode(words.egressGroup, { hops: [hop] });
  t.is(
    hex(bytes.subarray(0, 24)),
    "01000000" + "02000000000a02000000000b" + "04000000" + "0700dc05",
  );
  t.deepEqual(decode(words.egressGroup, bytes), { hops: [hop] });
  t.throws(
    () =>
      encode(words.egressGroup, { hops: [{ ...hop, dmac: "2:0:0:0:0:a" }] }),
    {
      instanceOf: RangeError,
    },
  );
});

test("ticksOf() never shortens a time", (t) => {
  t.is(words.ticksOf(1000), 954);
  for (const ms of [1, 200, 60_000, 900_000])
    t.true(words.msOf(words.ticksOf(ms)) >= ms, `${ms} ms became shorter`);
});

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
