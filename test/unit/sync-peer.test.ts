// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import { LIMITS } from "../../src/sync/limits.ts";
import { Peer } from "../../src/sync/peer.ts";
import type { Hello } from "../../src/sync/wire.ts";

const HELLO: Hello = {
  cluster: "rack",
  node: "n1",
  incarnation: 1n,
  seq: 0n,
  pool: [],
  poolHash: 0n,
  sentAtMs: 0,
  echoes: [],
  applied: [],
  synced: true,
  digestRound: 0n,
  sessions: 0n,
  partial: false,
};

/** A hello that says that `seq` envelopes were published, and answers one that this node sent at that time. */
function hear(peer: Peer, atMs: number, seq: bigint, sentAtMs?: number): void {
  const echo =
    sentAtMs === undefined
      ? undefined
      : { node: "n0", sentAtMs, heldMs: atMs - sentAtMs };
  peer.hear({ ...HELLO, seq }, atMs, echo);
}

function arrive(peer: Peer, ...seqs: bigint[]): void {
  for (const seq of seqs) peer.sequence.arrive(seq);
}

/** One that is heard, and owes nothing after 1000 ms. */
function heard(): Peer {
  const peer = new Peer("n1", LIMITS);
  peer.restart(1n);
  hear(peer, 800, 0n);
  hear(peer, 1000, 0n, 800);
  return peer;
}

test("Peer owes all up to the hello that answers one sent since it was first heard", (t) => {
  const peer = new Peer("n1", LIMITS);
  peer.restart(1n);
  arrive(peer, 1n);
  hear(peer, 800, 1n);
  t.true(peer.isOwing, "the hello may have been on its way for long");
  hear(peer, 1000, 3n, 799);
  t.true(peer.isOwing, "an answer to an earlier hello says it is all");
  hear(peer, 1200, 3n, 800);
  t.true(peer.isOwing, "not all has come");
  arrive(peer, 2n, 3n);
  t.false(peer.isOwing);
});

test("Peer owes after a silence, also if this node has not noticed it", (t) => {
  const peer = heard();
  t.false(peer.isOwing);
  hear(peer, 1900, 1n);
  t.false(peer.isOwing, "a late envelope is no silence");
  arrive(peer, 1n);
  hear(peer, 3000, 1n);
  t.true(peer.isOwing);
  hear(peer, 3200, 1n, 3000);
  t.false(peer.isOwing);
});

test("Peer.restart() makes it owe what its first hello tells of, and no more while it was heard", (t) => {
  const peer = heard();
  peer.restart(2n);
  t.false(peer.isOwing);
  hear(peer, 1200, 1n);
  t.true(peer.isOwing);
  arrive(peer, 1n);
  t.false(peer.isOwing);
  peer.restart(3n);
  peer.doubt(1300);
  hear(peer, 1400, 0n);
  t.true(peer.isOwing, "messages were lost meanwhile");
  peer.restart(4n);
  hear(peer, 9000, 0n);
  t.true(peer.isOwing, "it was silent for long");
});
