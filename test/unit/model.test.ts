// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import fc from "fast-check";
import {
  addressBytes,
  addressFromBytes,
  contains,
  formatEndpoint,
  formatIpv4,
  formatPrefix,
  hostPrefix,
  networkOf,
  originOf,
  overlaps,
  parseEndpoint,
  parseIpv4,
  parsePrefix,
  type Prefix,
  rangeOf,
  sizeOf,
} from "../../src/model.ts";

const bits = fc.integer({ min: 0, max: 0xffff_ffff });
const address = bits.map(formatIpv4);
const prefix: fc.Arbitrary<Prefix> = fc.record({
  address,
  length: fc.integer({ min: 0, max: 32 }),
});

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
  ]) {
    t.is(parseEndpoint(text), undefined, `${text} was taken for an endpoint`);
  }
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
  fc.assert(
    fc.property(
      address,
      (host) => networkOf(hostPrefix(host)).address === host,
    ),
  );
});

test("rangeOf() has both ends inside and as many addresses as sizeOf() says", (t) => {
  t.notThrows(() =>
    fc.assert(
      fc.property(prefix, (value) => {
        const { first, last } = rangeOf(value);
        return (
          last - first + 1 === sizeOf(value) &&
          contains(value, formatIpv4(first)) &&
          contains(value, formatIpv4(last)) &&
          contains(value, value.address)
        );
      }),
    ),
  );
});

test("rangeOf() throws for what is no address", (t) => {
  t.throws(() => rangeOf({ address: "ten", length: 8 }), {
    instanceOf: RangeError,
    message: /ten/,
  });
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
});

test("addressBytes() writes the IPv4-mapped form in network order", (t) => {
  t.is(
    Buffer.from(addressBytes("192.0.2.10")).toString("hex"),
    "00000000000000000000ffffc000020a",
  );
});

test("addressFromBytes() reads back what addressBytes() writes", (t) => {
  fc.assert(
    fc.property(
      address,
      (value) => addressFromBytes(addressBytes(value)) === value,
    ),
  );
  t.throws(() => addressFromBytes(new Uint8Array(16)), {
    instanceOf: RangeError,
  });
});

test("originOf() is 32-bit FNV-1a", (t) => {
  // From the test vectors of the FNV authors, draft-eastlake-fnv.
  t.is(originOf(""), 0x811c9dc5);
  t.is(originOf("a"), 0xe40c292c);
  t.is(originOf("foobar"), 0xbf9cf968);
});
