// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import test from "ava";
import { generateLayout } from "../../ops/setup/generate-layout.ts";
import { familyOf, type Prefix } from "../../src/model.ts";
import * as layout from "../../src/node/layout.ts";
import { decode, decodeAll, encode, u32 } from "../../src/node/struct.ts";
import * as words from "../../src/node/words.ts";

const MAPPED = "00000000000000000000ffff";
const PLACE: words.NodePlace = {
  aggregates: [
    { address: "10.200.0.0", length: 24 },
    { address: "2001:db8:200::", length: 49 },
  ],
  pools: [
    { address: "10.200.0.16", length: 28 },
    { address: "2001:db8:200::10:0", length: 112 },
  ],
  ports: { min: 1024, max: 65535 },
  origin: 0x1234,
  lookups: true,
  unknownPort: "reject",
  ipOptions: "drop",
  mixed: true,
};

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
  t.throws(() => decode(layout.weirService, new Uint8Array(39)), {
    instanceOf: RangeError,
  });
  t.throws(() => decodeAll(u32, new Uint8Array(7)), { instanceOf: RangeError });
});

test("words.service keeps row and entries in one word", (t) => {
  const slot = {
    vip: "192.0.2.10",
    ports: { min: 80, max: 81 },
    protocol: "udp",
    scheduler: "maglev",
    sync: "established",
    wide: true,
    row: 7,
    entries: 16381,
  } as const;
  const bytes = encode(words.service, slot);
  t.is(
    hex(bytes),
    `${MAPPED}c000020a` +
      "0050" +
      "1100" +
      "01000201" +
      "fd3f0000" +
      "07000000" +
      "5100000000000000",
  );
  t.deepEqual(decode(words.service, bytes), slot);
});

test("words.serviceRange counts the bits of a port behind address and protocol", (t) => {
  const range = {
    vip: "2001:db8::10",
    protocol: "tcp",
    port: 8064,
    length: 9,
  } as const;
  const bytes = encode(words.serviceRange, range);
  t.is(
    hex(bytes),
    "99000000" + "20010db8000000000000000000000010" + "0600" + "1f80",
  );
  t.deepEqual(decode(words.serviceRange, bytes), range);
  const all = encode(words.serviceRange, { ...range, port: 0, length: 0 });
  t.is(all[0], 144, "all ports are not all bits of address and protocol");
});

test("words.backend has a port of 0 for that of the client", (t) => {
  const backend = {
    service: {
      vip: "2001:db8::10",
      ports: { min: 8000, max: 8999 },
      protocol: "udp",
    },
    server: { address: "10.3.1.2", port: 0 },
    real: 5,
    egress: 8,
  } as const;
  const bytes = encode(words.backend, backend);
  t.is(
    hex(bytes),
    "20010db8000000000000000000000010" +
      `${MAPPED}0a030102` +
      "401f2723" +
      "0000" +
      "0500" +
      "0800" +
      "1100",
  );
  t.deepEqual(decode(words.backend, bytes), backend);
});

test("words.prefix counts the length from the front of the IPv6 form, without host bits", (t) => {
  const bytes = encode(words.prefix, { address: "10.200.0.7", length: 28 });
  t.is(hex(bytes), `7c000000${MAPPED}0ac80000`);
  t.deepEqual(decode(words.prefix, bytes), {
    address: "10.200.0.0",
    length: 28,
  });
  const wide = { address: "2001:db8:200::", length: 96 };
  t.is(
    hex(encode(words.prefix, wide)),
    "60000000" + "20010db8020000000000000000000000",
  );
  t.deepEqual(decode(words.prefix, encode(words.prefix, wide)), wide);
});

test("words.node carries prefixes as address and mask, and as first address and size", (t) => {
  const bytes = encode(words.node, PLACE);
  t.is(
    hex(bytes.subarray(0, 24)),
    "0ac80000ffffff00" + "1000c80a10000000" + "0004ffff" + "34120000",
  );
  t.is(hex(bytes.subarray(32, 40)), "01000000" + "01010100");
  t.is(
    hex(bytes.subarray(40)),
    "20010db8020000000000000000000000" +
      "ffffffffffff80000000000000000000" +
      "20010db8020000000000000000100000" +
      "0000010000000000",
  );
  t.deepEqual(decode(words.node, bytes), PLACE);
});

test("words.node has no mask and no size for a family that the node lacks", (t) => {
  for (const family of [4, 6] as const) {
    const only = (prefixes: readonly Prefix[]) =>
      prefixes.filter(({ address }) => familyOf(address) === family);
    const place = {
      ...PLACE,
      aggregates: only(PLACE.aggregates),
      pools: only(PLACE.pools),
    };
    t.deepEqual(decode(words.node, encode(words.node, place)), place);
  }
  const without = { ...PLACE, pools: [] };
  t.deepEqual(decode(words.node, encode(words.node, without)), without);
});

test("words.node counts the addresses of an IPv6 pool in 32 bits", (t) => {
  const place = {
    ...PLACE,
    pools: [{ address: "2001:db8:200::", length: 96 }],
  };
  const bytes = encode(words.node, place);
  t.is(hex(bytes.subarray(88, 92)), "ffffffff");
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
    hex(bytes.subarray(0, 28)),
    "0100000000000000" + "02000000000a02000000000b" + "04000000" + "0700dc05",
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
