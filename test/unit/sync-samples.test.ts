// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import { LIMITS } from "../../src/sync/limits.ts";
import { Peer } from "../../src/sync/peer.ts";
import { ClockOffset } from "../../src/sync/samples.ts";

test("ClockOffset believes the exchange with the shortest round trip", (t) => {
  const offset = new ClockOffset();
  offset.add(100, 140, 5125, 0);
  offset.add(200, 204, 5202, 0);
  offset.add(300, 360, 5310, 20);
  t.deepEqual(offset.best, { roundTripMs: 4, offsetMs: 5000 });
});

test("ClockOffset leaves out an answer to an earlier run of this node", (t) => {
  const offset = new ClockOffset();
  offset.add(90_000, 10, 5000, 3);
  t.is(offset.best, undefined);
});

test("Peer.restart() forgets the clock of the run before", (t) => {
  const peer = new Peer("n1", LIMITS);
  peer.restart(1n);
  peer.offset.add(100, 104, 90_102, 0);
  peer.lagMs.add(7);
  peer.restart(2n);
  t.is(peer.offset.best, undefined);
  t.deepEqual(peer.lagMs.percentiles(0.5), [undefined]);
});
