// SPDX-License-Identifier: Apache-2.0
// The model of the translation between IPv4 and IPv6, held against the tables and examples of RFC 7915 by hand.
import test from "ava";
import { address, type Version } from "../model/translate/address.ts";
import { buildIp, none } from "../model/translate/build.ts";
import { sumOf } from "../model/translate/checksum.ts";
import { readIp } from "../model/translate/ip.ts";
import {
  isUntranslatable,
  translatedHeader,
} from "../model/translate/rfc7915.ts";
import { translatedHeads } from "../model/translate/rfc7915-icmp.ts";

const TO6 = {
  saddr: address("2001:db8:1c6:3364:2::"),
  daddr: address("2001:db8:1c0:2:21::"),
  ttl: 63,
  id: 0,
};
const TO4 = {
  saddr: address("192.0.2.33"),
  daddr: address("198.51.100.2"),
  ttl: 63,
  id: 0x1234,
};

function read(hex: string, version: Version) {
  const { ip } = readIp(Buffer.from(hex.replaceAll(" ", ""), "hex"), version);
  if (ip === undefined) throw new Error("the example is malformed");
  return ip;
}

const HEADERS: readonly {
  readonly what: string;
  readonly version: Version;
  readonly before: string;
  readonly after: string;
}[] = [
  {
    what: "a whole IPv4 packet",
    version: 4,
    before:
      "45b80020 abcd4000 40110000 c0000221 c6336402" +
      "0102030405060708090a0b0c",
    after:
      "6b800000 000c113f 20010db801c633640002000000000000 20010db801c000020021000000000000",
  },
  {
    what: "a first fragment of IPv4",
    version: 4,
    before: "4500001c abcd2000 40060000 c0000221 c6336402" + "0102030405060708",
    after:
      "60000000 00102c3f 20010db801c633640002000000000000 20010db801c000020021000000000000" +
      "06000001 0000abcd",
  },
  {
    what: "a last fragment of IPv4",
    version: 4,
    before: "45000018 abcd00b9 40010000 c0000221 c6336402" + "01020304",
    after:
      "60000000 000c2c3f 20010db801c633640002000000000000 20010db801c000020021000000000000" +
      "3a0005c8 0000abcd",
  },
  {
    what: "IPv4 with options",
    version: 4,
    before:
      "4600001c abcd0000 40110000 c0000221 c6336402 01010100" + "01020304",
    after:
      "60000000 0004113f 20010db801c633640002000000000000 20010db801c000020021000000000000",
  },
  {
    what: "a short IPv6 packet",
    version: 6,
    before:
      "6b812345 00040640 20010db801c000020021000000000000 20010db801c633640002000000000000 01020304",
    after: "45b80018 12340000 3f067c9d c0000221 c6336402",
  },
  {
    what: "an IPv6 fragment",
    version: 6,
    before:
      "60000000 00102c40 20010db801c000020021000000000000 20010db801c633640002000000000000" +
      "110005c9 99991111 0102030405060708",
    after: "4500001c 111120b9 3f115db0 c0000221 c6336402",
  },
  {
    what: "IPv6 with destination options",
    version: 6,
    before:
      "60000000 000c3c40 20010db801c000020021000000000000 20010db801c633640002000000000000" +
      "1100010400000000 01020304",
    after: "45000018 12340000 3f117d4a c0000221 c6336402",
  },
];

for (const { what, version, before, after } of HEADERS)
  test(`translatedHeader() translates ${what}`, (t) => {
    const ip = read(before, version);
    const header = translatedHeader(ip, version === 4 ? TO6 : TO4);
    t.is(header.toString("hex"), after.replaceAll(" ", ""));
    if (version === 6) t.is(sumOf(header), 0, "the checksum is wrong");
  });

test("translatedHeader() forbids to fragment what is longer than 1260 bytes", (t) => {
  const flagsOf = (length: number): number => {
    const { saddr, daddr } = TO6;
    const packet = buildIp(
      { saddr, daddr, protocol: 17 },
      Buffer.alloc(length),
    );
    return translatedHeader(read(packet.toString("hex"), 6), TO4).readUInt16BE(
      6,
    );
  };
  t.is(flagsOf(1240), 0);
  t.is(flagsOf(1241), 0x4000);
});

const routing = (left: number) => ({
  type: 43,
  bytes: Buffer.from([0, 0, 4, left, 0, 0, 0, 0]),
});
for (const { what, packet, version, expected } of [
  {
    what: "a source route that has not expired",
    version: 4,
    packet: { options: Buffer.from("8307040a00000100", "hex") },
    expected: true,
  },
  {
    what: "a source route that has",
    version: 4,
    packet: { options: Buffer.from("0189070800000100", "hex") },
    expected: false,
  },
  {
    what: "a record of the route",
    version: 4,
    packet: { options: Buffer.from("0707040000000000", "hex") },
    expected: false,
  },
  {
    what: "segments left in a routing header",
    version: 6,
    packet: { extensions: [routing(1)] },
    expected: true,
  },
  {
    what: "no segments left",
    version: 6,
    packet: { extensions: [routing(0)] },
    expected: false,
  },
] as const)
  test(`isUntranslatable() is ${expected} for ${what}`, (t) => {
    const { saddr, daddr } = version === 4 ? TO4 : TO6;
    const bytes = buildIp({ ...packet, saddr, daddr, protocol: 17 }, none);
    t.is(isUntranslatable(read(bytes.toString("hex"), version)), expected);
  });

/** Type, code and the word behind the checksum; undefined: nothing corresponds. Sections 4.2 and 5.2. */
const ERRORS: readonly {
  readonly version: Version;
  readonly cases: readonly (readonly [string, string | undefined])[];
}[] = [
  {
    version: 4,
    cases: [
      ...["0", "1", "5", "6", "7", "8", "11", "12"].map(
        (code) => [`3/${code} 00000000`, "1/0 00000000"] as const,
      ),
      ...["9", "10", "13", "15"].map(
        (code) => [`3/${code} 00000000`, "1/1 00000000"] as const,
      ),
      ["3/2 00000000", "4/1 00000006"],
      ["3/3 00000000", "1/4 00000000"],
      ["3/4 00000578", "2/0 0000058c"],
      ["3/4 00000200", "2/0 00000500"],
      ["3/4 000005dc", "2/0 000005dc"],
      ["3/4 00000000", "2/0 00000500"],
      ["3/14 00000000", undefined],
      ["3/16 00000000", undefined],
      ["4/0 00000000", undefined],
      ["5/1 c0000201", undefined],
      ["11/0 00000000", "3/0 00000000"],
      ["11/1 00000000", "3/1 00000000"],
      ["12/0 00000000", "4/0 00000000"],
      ["12/0 02000000", "4/0 00000004"],
      ["12/2 08000000", "4/0 00000007"],
      ["12/0 09000000", "4/0 00000006"],
      ["12/0 0f000000", "4/0 00000008"],
      ["12/0 10000000", "4/0 00000018"],
      ["12/0 04000000", undefined],
      ["12/0 0a000000", undefined],
      ["12/1 00000000", undefined],
    ],
  },
  {
    version: 6,
    cases: [
      ["1/0 00000000", "3/1 00000000"],
      ["1/1 00000000", "3/10 00000000"],
      ["1/2 00000000", "3/1 00000000"],
      ["1/3 00000000", "3/1 00000000"],
      ["1/4 00000000", "3/3 00000000"],
      ["1/5 00000000", undefined],
      ["2/0 00000500", "3/4 000004ec"],
      ["2/0 000005dc", "3/4 000005c8"],
      ["2/0 00002328", "3/4 000005c8"],
      ["3/0 00000000", "11/0 00000000"],
      ["3/1 00000000", "11/1 00000000"],
      ["4/0 00000001", "12/0 01000000"],
      ["4/0 00000005", "12/0 02000000"],
      ["4/0 00000006", "12/0 09000000"],
      ["4/0 00000007", "12/0 08000000"],
      ["4/0 00000017", "12/0 0c000000"],
      ["4/0 00000027", "12/0 10000000"],
      ["4/0 00000002", undefined],
      ["4/0 00000028", undefined],
      ["4/1 00000028", "3/2 00000000"],
      ["4/2 00000028", undefined],
      ["100/0 00000000", undefined],
    ],
  },
];
const SIZES = { mtu4: 1500, mtu6: 1500, quoted: 1000, guess: 0 };

for (const { version, cases } of ERRORS)
  test(`translatedHeads() translates the errors of IPv${version}`, (t) => {
    for (const [before, after] of cases) {
      const [, type, code, word = ""] = /(\d+)\/(\d+) (.*)/.exec(before) ?? [];
      const [head] = translatedHeads(
        version,
        {
          type: Number(type),
          code: Number(code),
          rest: Buffer.from(word, "hex"),
        },
        SIZES,
      );
      const seen =
        head && `${head.type}/${head.code} ${head.rest.toString("hex")}`;
      t.is(seen, after, `of ${before}`);
    }
  });
