// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import {
  CaptureError,
  readCapture,
  writeCapture,
} from "../../src/simulate/capture.ts";

const FRAME = Uint8Array.from({ length: 61 }, (_, index) => index);
const TIME_NS = 1_700_000_000_123_456_789n;

/** As tcpdump writes it. */
function pcap(
  little: boolean,
  { magic = 0xa1b2c3d4, linkType = 1, original = FRAME.length } = {},
): Uint8Array {
  const bytes = new Uint8Array(24 + 16 + FRAME.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic, little);
  view.setUint16(4, 2, little);
  view.setUint16(6, 4, little);
  view.setUint32(16, 262_144, little);
  view.setUint32(20, linkType, little);
  view.setUint32(24, 1_700_000_000, little);
  view.setUint32(28, 123_456, little);
  view.setUint32(32, FRAME.length, little);
  view.setUint32(36, original, little);
  bytes.set(FRAME, 40);
  return bytes;
}

for (const little of [true, false])
  test(`readCapture() reads pcap, ${little ? "little" : "big"}-endian`, (t) => {
    t.deepEqual(readCapture(pcap(little)), [
      { iface: undefined, timeNs: 1_700_000_000_123_456_000n, bytes: FRAME },
    ]);
    t.like(readCapture(pcap(little, { magic: 0xa1b23c4d }))[0], {
      timeNs: 1_700_000_000_000_123_456n,
    });
  });

test("readCapture() reads what writeCapture() has written", (t) => {
  const frames = [
    { iface: "eth1", timeNs: TIME_NS, bytes: FRAME },
    { iface: "eth2", timeNs: TIME_NS + 1n, bytes: FRAME.subarray(0, 60) },
    { iface: "eth1", timeNs: TIME_NS + 2n, bytes: FRAME },
  ];
  const read = readCapture(writeCapture(frames));
  t.deepEqual(
    read,
    frames.map((frame) => ({ ...frame, bytes: frame.bytes.slice() })),
  );
});

for (const { what, bytes, message } of [
  { what: "an empty file", bytes: new Uint8Array(), message: /has 0 bytes/ },
  {
    what: "text",
    bytes: new TextEncoder().encode("this is certainly no capture"),
    message: /begins with 0x74686973/,
  },
  {
    what: "another link type",
    bytes: pcap(true, { linkType: 101 }),
    message: /byte 20: link type 101 is not Ethernet/,
  },
  {
    what: "a frame cut short",
    bytes: pcap(true, { original: 1500 }),
    message: /byte 40: of a frame of 1500 bytes only 61 were captured/,
  },
  {
    what: "a file cut short",
    bytes: pcap(true).subarray(0, 60),
    message: /byte 40: the file ends 41 bytes too early/,
  },
])
  test(`readCapture() refuses ${what}`, (t) => {
    t.throws(() => readCapture(bytes), { instanceOf: CaptureError, message });
  });
