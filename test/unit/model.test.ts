// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import fc from "fast-check";
import {
  addressBytes,
  addressFromBytes,
  contains,
  familyOf,
  formatEndpoint,
  formatIpv4,
  formatPorts,
  formatPrefix,
  formatServer,
  hostPrefix,
  isAddress,
  networkOf,
  originOf,
  overlaps,
  parseAddress,
  parseEndpoint,
  parseIpv4,
  parsePrefix,
  type Prefix,
  sizeOf,
} from "../../src/model.ts";

const bits = fc.integer({ min: 0, max: 0xffff_ffff });
/** Groups of IPv6, many of them zero. */
const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
const groups = fc.array(group, { minLength: 8, maxLength: 8 });
const ipv6 = groups
  .map((all) => addressFromBytes(bytesOf(all)))
  .filter((one) => familyOf(one) === 6);
const address = fc.oneof(bits.map(formatIpv4), ipv6);
const prefix: fc.Arbitrary<Prefix> = address.chain((one) =>
  fc.record({
    address: fc.constant(one),
    length: fc.integer({ min: 0, max: hostPrefix(one).length }),
  }),
);

test("parseIpv4() reads back what formatIpv4() writes", (t) => {
  fc.assert(
    fc.property(bits, (value) => parseIpv4(formatIpv4(value)) === value),
  );
  t.is(parseIpv4("192.0.2.10"), 0xc000020a);
});

for (const text of [
  "",
  "1.2.3",
  "1.2.3.4.5",
  "1.2.3.256",
  "01.2.3.4",
  "1.2.3.-4",
  " 1.2.3.4",
  "1.2.3.4 ",
  "1.2.3.x",
  "::1",
  "1.2..3",
]) {
  test(`parseIpv4() refuses ${JSON.stringify(text)}`, (t) => {
    t.is(parseIpv4(text), undefined);
  });
}

/** RFC 5952, section 4, with the examples of RFC 4291 and 5952. */
for (const [text, canonical] of [
  ["2001:db8::1", "2001:db8::1"],
  ["2001:DB8::1", "2001:db8::1"],
  ["2001:0db8:0:0:0:0:0:0001", "2001:db8::1"],
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
  ["2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["0:0:0:0:0:0:0:0", "::"],
  ["1::", "1::"],
  ["::8:7:6:5:4:3:2", "0:8:7:6:5:4:3:2"],
  ["10:0:0:20:0:0:0:100", "10:0:0:20::100"],
  ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  ["192.0.2.10", "192.0.2.10"],
] as const) {
  test(`parseAddress() reads ${text} as ${canonical}`, (t) => {
    t.is(parseAddress(text), canonical);
    t.is(isAddress(text), text === canonical);
  });
}

for (const text of [
  "",
  "2001:db8::1::2",
  "2001:db8:0:0:0:0:0",
  "12345::",
  "fe80::1%eth1",
  "[::1]",
  "::1/128",
  // IPv4, and to be written so.
  "::ffff:192.0.2.10",
  "::ffff:c000:20a",
]) {
  test(`parseAddress() refuses ${JSON.stringify(text)}`, (t) => {
    t.is(parseAddress(text), undefined);
  });
}

test("parseAddress() leaves alone what it has written", (t) => {
  t.notThrows(() =>
    fc.assert(fc.property(address, (one) => parseAddress(one) === one)),
  );
});

test("parsePrefix() reads back what formatPrefix() writes", (t) => {
  fc.assert(
    fc.property(prefix, (value) => {
      t.deepEqual(parsePrefix(formatPrefix(value)), value);
    }),
  );
});

for (const text of [
  "10.0.0.0",
  "10.0.0.0/",
  "10.0.0.0/33",
  "10.0.0.0/08",
  "10.0.0/8",
  "/8",
  "10.0.0.0/8/8",
  "10.0.0.0/-1",
  "2001:db8::/129",
  "2001:db8::/",
  "::ffff:10.0.0.0/104",
]) {
  test(`parsePrefix() refuses ${text}`, (t) => {
    t.is(parsePrefix(text), undefined);
  });
}

test("parseEndpoint() reads back what formatEndpoint() writes", (t) => {
  fc.assert(
    fc.property(address, fc.integer({ min: 0, max: 65535 }), (host, port) => {
      t.deepEqual(parseEndpoint(formatEndpoint({ address: host, port })), {
        address: host,
        port,
      });
    }),
  );
  for (const text of [
    "10.0.0.1",
    "10.0.0.1:",
    "10.0.0.1:65536",
    ":80",
    "10.0.0.1:080",
    "[10.0.0.1]:80",
    "2001:db8::1",
    "2001:db8::1:80",
    "[2001:db8::1]",
    "[2001:db8::1]:",
  ]) {
    t.is(parseEndpoint(text), undefined, `${text} was taken for an endpoint`);
  }
});

test("parseEndpoint() makes an address canonical", (t) => {
  t.deepEqual(parseEndpoint("[2001:DB8:0::1]:53"), {
    address: "2001:db8::1",
    port: 53,
  });
});

test("formatServer() leaves the port out that is the client's", (t) => {
  t.is(formatServer({ address: "10.3.1.2", port: 80 }), "10.3.1.2:80");
  t.is(formatServer({ address: "10.3.1.2", port: 0 }), "10.3.1.2");
  t.is(formatServer({ address: "2001:db8::2", port: 80 }), "[2001:db8::2]:80");
});

test("formatPorts() tells one port, a range, and all", (t) => {
  t.is(formatPorts({ min: 80, max: 80 }), "80");
  t.is(formatPorts({ min: 8000, max: 8999 }), "8000-8999");
  t.is(formatPorts({ min: 0, max: 65535 }), "all");
  t.is(formatPorts({ min: 1, max: 65535 }), "1-65535");
});

test("networkOf() clears the host bits and nothing else", (t) => {
  t.deepEqual(networkOf({ address: "10.200.0.8", length: 28 }), {
    address: "10.200.0.0",
    length: 28,
  });
  t.deepEqual(networkOf({ address: "255.255.255.255", length: 0 }), {
    address: "0.0.0.0",
    length: 0,
  });
  t.deepEqual(networkOf({ address: "2001:db8::ffff:1", length: 97 }), {
    address: "2001:db8::8000:0",
    length: 97,
  });
  fc.assert(
    fc.property(
      address,
      (host) => networkOf(hostPrefix(host)).address === host,
    ),
  );
});

test("networkOf() throws for what is no address", (t) => {
  t.throws(() => networkOf({ address: "ten", length: 8 }), {
    instanceOf: RangeError,
    message: /ten/,
  });
});

test("sizeOf() counts the addresses of a prefix", (t) => {
  t.is(sizeOf({ address: "10.0.0.0", length: 28 }), 16);
  t.is(sizeOf({ address: "2001:db8::", length: 112 }), 65_536);
  t.is(sizeOf({ address: "2001:db8::", length: 96 }), 2 ** 32);
});

test("overlaps() is contains() one way or the other", (t) => {
  t.notThrows(() =>
    fc.assert(
      fc.property(
        prefix,
        prefix,
        (a, b) => overlaps(a, b) === (contains(a, b) || contains(b, a)),
      ),
    ),
  );
});

test("contains() ends at the borders of a prefix", (t) => {
  const pool = { address: "10.200.0.16", length: 28 };
  t.true(contains(pool, "10.200.0.16") && contains(pool, "10.200.0.31"));
  t.false(contains(pool, "10.200.0.15") || contains(pool, "10.200.0.32"));
  const wide = { address: "2001:db8::f0", length: 124 };
  t.true(contains(wide, "2001:db8::f0") && contains(wide, "2001:db8::ff"));
  t.false(contains(wide, "2001:db8::ef") || contains(wide, "2001:db8::100"));
  t.true(contains(wide, { address: "2001:db8::f8", length: 125 }));
  t.false(contains(wide, { address: "2001:db8::f0", length: 123 }));
});

test("contains() keeps the families apart, though bytes of IPv4 addresses are within ::/0", (t) => {
  t.false(contains({ address: "::", length: 0 }, "10.0.0.1"));
  t.false(contains({ address: "0.0.0.0", length: 0 }, "2001:db8::1"));
});

test("addressBytes() writes the IPv4-mapped form in network order", (t) => {
  t.is(
    Buffer.from(addressBytes("192.0.2.10")).toString("hex"),
    "00000000000000000000ffffc000020a",
  );
  t.is(
    Buffer.from(addressBytes("2001:db8::a:1")).toString("hex"),
    "20010db80000000000000000000a0001",
  );
  t.throws(() => addressBytes("ten"), { instanceOf: RangeError });
});

test("addressFromBytes() reads back what addressBytes() writes", (t) => {
  fc.assert(
    fc.property(
      address,
      (value) => addressFromBytes(addressBytes(value)) === value,
    ),
  );
  t.is(addressFromBytes(new Uint8Array(16)), "::");
});

test("originOf() is 32-bit FNV-1a", (t) => {
  // From the test vectors of the FNV authors, draft-eastlake-fnv.
  t.is(originOf(""), 0x811c9dc5);
  t.is(originOf("a"), 0xe40c292c);
  t.is(originOf("foobar"), 0xbf9cf968);
});

function bytesOf(values: readonly number[]): Uint8Array {
  return Uint8Array.from(values.flatMap((value) => [value >> 8, value & 255]));
}
