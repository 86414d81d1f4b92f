// SPDX-License-Identifier: Apache-2.0
// Many frames in one call of the addon.
import test from "ava";
import { loadAddon } from "../../src/node/addon.ts";
import { open, temporaryPins } from "./addon-fixture.ts";
import { build } from "./packet.ts";

const LOOPBACK = 1;
const COUNTERS = "weir_counters";
/** The first word of weir_counters: `received`. */
const RECEIVED = 0;
const ARP = Buffer.from(build({ ethertype: 0x0806 }));
const HEAD = 12;

function withLengths(...frames: readonly Buffer[]): Buffer {
  return Buffer.concat(
    frames.flatMap((frame) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(frame.length, 0);
      return [length, frame];
    }),
  );
}

test.serial(
  "testRunMany() gives each frame's verdict, rises and bytes",
  (t) => {
    open(t, temporaryPins(t));
    const addon = loadAddon();
    const longer = Buffer.concat([ARP, Buffer.alloc(7)]);
    const output = addon.testRunMany(
      COUNTERS,
      withLengths(ARP, longer),
      LOOPBACK,
      4096,
    );
    let at = 0;
    for (const frame of [ARP, longer]) {
      const { verdict } = addon.testRun(frame, LOOPBACK, 1);
      t.is(output.readUInt32LE(at), verdict);
      t.is(output.readUInt32LE(at + 4), frame.length);
      t.is(output.readUInt32LE(at + 8), 2, "received and passed_foreign rose");
      t.is(output.readUInt32LE(at + HEAD), RECEIVED);
      t.is(output.readUInt32LE(at + HEAD + 4), 1, "it was not counted once");
      at += HEAD + 2 * 8;
      t.deepEqual(output.subarray(at, at + frame.length), frame);
      at += frame.length;
    }
    t.is(output.length, at);
  },
);

test.serial("testRunMany() refuses what does not fit", (t) => {
  open(t, temporaryPins(t));
  const addon = loadAddon();
  const frames = withLengths(ARP);
  t.throws(() => addon.testRunMany("weir_none", frames, LOOPBACK, 4096), {
    code: "ENOENT",
  });
  t.throws(() => addon.testRunMany("weir_layouts", frames, LOOPBACK, 4096), {
    code: "EINVAL",
  });
  t.throws(() => addon.testRunMany(COUNTERS, frames, LOOPBACK, 64), {
    code: "ENOSPC",
  });
  for (const cut of [3, 4, frames.length - 1])
    t.throws(
      () => addon.testRunMany(COUNTERS, frames.subarray(0, cut), LOOPBACK, 99),
      { code: "EINVAL" },
      `the first ${cut} bytes were taken`,
    );
  t.is(addon.testRunMany(COUNTERS, Buffer.alloc(0), LOOPBACK, 0).length, 0);
});
