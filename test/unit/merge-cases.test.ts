// SPDX-License-Identifier: Apache-2.0
// Named cases of the merge: what each has cost other designs is in the titles.
import test, { type ExecutionContext } from "ava";
import { clientKey } from "../model/arbitrary.ts";
import type { Verdict } from "../model/director.ts";
import { type Member, ModelRack, viewOf } from "../model/rack.ts";
import {
  CLIENT_ISN,
  ESTABLISHED,
  FIN_BOTH,
  REAL_ISN,
  type Session,
  SYN,
} from "../model/session.ts";
import { TIMEOUTS } from "../model/table.ts";

const SYN_SEGMENT = { syn: true, sequence: 100 };
const SYNACK_SEGMENT = { syn: true, ack: true, sequence: 200 };
const DATA = { ack: true };
const FIN = { fin: true, ack: true, sequence: 300 };
const RST = { rst: true };
const alice = clientKey(0);
const bob = clientKey(1);

function passed(t: ExecutionContext, verdict: Verdict): Session {
  if (verdict.kind === "forward") return verdict.session;
  t.fail("a packet of a session was not forwarded");
  throw new Error("unreachable");
}

/** A handshake through one node. */
function open(t: ExecutionContext, { director }: Member, client = alice) {
  const { key } = passed(t, director.inbound(client, SYN_SEGMENT));
  passed(t, director.outbound(key, SYNACK_SEGMENT));
  passed(t, director.inbound(client, DATA));
  return passed(t, director.outbound(key, DATA));
}

/** All nodes hold the same, and this session is the client's on each. */
function agree(
  t: ExecutionContext,
  rack: ModelRack,
  client: typeof alice,
  session: Session,
): void {
  for (const { table } of rack.members) {
    t.deepEqual(viewOf(table), viewOf(rack.member(0).table));
    t.is(table.named(client)?.generation, session.generation);
  }
}

test("a LIP:port given to another client during a partition is that client's everywhere afterwards", async (t) => {
  const rack = new ModelRack(3, 1); // one port: it has to be reused
  const [origin, peer] = [rack.member(0), rack.member(1)];
  const old = open(t, origin);
  peer.isolated = true;
  passed(t, origin.director.inbound(alice, FIN));
  passed(t, origin.director.outbound(old.key, FIN));
  rack.pass(60 + 15 + 5 + 15 + 2); // closed, a quarter, the margin; then held for a quarter
  const young = open(t, origin, bob);
  t.deepEqual(young.key, old.key, "the port was not reused");
  t.is(peer.table.named(alice)?.state, ESTABLISHED, "the peer has not heard");
  await rack.heal();
  agree(t, rack, bob, young);
  t.is(
    peer.table.named(alice),
    undefined,
    "the old client's packets reach the new client's connection",
  );
});

test("a late record of the LIP:port's last client does not bring it back", async (t) => {
  const rack = new ModelRack(3, 1);
  const [origin, peer, late] = [rack.member(0), rack.member(1), rack.member(2)];
  const old = open(t, origin);
  late.isolated = true;
  passed(t, origin.director.inbound(alice, RST));
  rack.pass(10 + 2 + 5 + 2 + 3);
  const young = open(t, origin, bob);
  t.is(young.key.dport, old.key.dport);
  passed(t, late.director.outbound(old.key, FIN));
  const stale = await late.table.collect(0n, late.table.positions, 1000);
  const result = await peer.table.merge(stale.records, 5000);
  t.is(result.stale, 1);
  t.is(peer.table.named(alice), undefined);
});

test("an established session beats the half-open one that another node made of a repeated SYN", async (t) => {
  const rack = new ModelRack(2, 4);
  const [left, right] = [rack.member(0), rack.member(1)];
  right.isolated = true;
  const first = passed(t, left.director.inbound(alice, SYN_SEGMENT));
  rack.pass(1);
  const second = open(t, right);
  t.not(first.generation, second.generation);
  await rack.heal();
  agree(t, rack, alice, second);
  t.is(
    left.director.outbound(first.key, SYNACK_SEGMENT).kind,
    "reset",
    "a second SYN/ACK went to the client",
  );
});

test("of two half-open sessions the first is the client's, and once one is answered, that one", async (t) => {
  const rack = new ModelRack(2, 4);
  const [left, right] = [rack.member(0), rack.member(1)];
  right.isolated = true;
  const first = passed(t, left.director.inbound(alice, SYN_SEGMENT));
  rack.pass(1);
  const second = passed(t, right.director.inbound(alice, SYN_SEGMENT));
  const answered = passed(
    t,
    right.director.outbound(second.key, SYNACK_SEGMENT),
  );
  t.is(left.table.named(alice)?.generation, first.generation);
  await rack.heal();
  agree(t, rack, alice, answered);
});

test("a half-open session that is known is used again, whichever node made it", (t) => {
  const rack = new ModelRack(2, 4);
  const first = passed(t, rack.member(0).director.inbound(alice, SYN_SEGMENT));
  const again = passed(t, rack.member(1).director.inbound(alice, SYN_SEGMENT));
  t.is(again.generation, first.generation);
  t.is(again.state, SYN);
});

test("an isolated origin that returns after the timeout closes nothing, and holds its session again", async (t) => {
  const rack = new ModelRack(3, 4);
  const [origin, peer] = [rack.member(0), rack.member(1)];
  const session = open(t, origin);
  origin.isolated = true;
  for (let i = 0; i < 15; i++) {
    rack.pass(100);
    passed(t, peer.director.inbound(alice, DATA));
    passed(t, peer.director.outbound(session.key, DATA));
  }
  t.is(origin.table.get(session.key), undefined, "it should have expired");
  await rack.heal();
  agree(t, rack, alice, session);
  t.is(origin.table.named(alice)?.state, ESTABLISHED);
});

test("an expired session keeps its LIP:port from its origin's next client for a quarter", (t) => {
  const rack = new ModelRack(1, 1);
  const { table, director } = rack.member(0);
  const session = open(t, rack.member(0));
  rack.pass(900 + 225 + 5 + 1);
  t.is(table.get(session.key), undefined);
  rack.pass(224);
  t.deepEqual(director.outbound(session.key, DATA), {
    kind: "drop",
    reason: "noSession",
  });
  t.deepEqual(director.inbound(bob, SYN_SEGMENT), {
    kind: "drop",
    reason: "noLport",
  });
  rack.pass(2);
  t.is(director.inbound(bob, SYN_SEGMENT).kind, "forward");
});

test("a record of an expired session that another node still uses brings it back", async (t) => {
  const rack = new ModelRack(2, 1);
  const [origin, peer] = [rack.member(0), rack.member(1)];
  const session = open(t, origin);
  origin.isolated = true;
  rack.pass(1000);
  passed(t, peer.director.inbound(alice, DATA));
  rack.pass(131);
  t.is(origin.table.get(session.key), undefined);
  t.true(origin.table.isTaken(session.key), "it is not held");
  await rack.heal();
  agree(t, rack, alice, session);
});

test("a fact that only one node has learned is known to all, in either order", async (t) => {
  const rack = new ModelRack(2, 4);
  const [left, right] = [rack.member(0), rack.member(1)];
  const { key } = passed(t, left.director.inbound(alice, SYN_SEGMENT));
  left.isolated = true;
  passed(t, right.director.outbound(key, SYNACK_SEGMENT));
  t.is(left.table.get(key)?.facts[REAL_ISN], undefined);
  await rack.heal();
  for (const { table } of rack.members) {
    t.is(table.get(key)?.facts[CLIENT_ISN], 100);
    t.is(table.get(key)?.facts[REAL_ISN], 200);
  }
});

test("a FIN on each of two nodes that do not hear each other makes it closed on both", async (t) => {
  const rack = new ModelRack(2, 4);
  const [left, right] = [rack.member(0), rack.member(1)];
  const session = open(t, left);
  left.isolated = true;
  passed(t, left.director.inbound(alice, FIN));
  passed(t, right.director.outbound(session.key, FIN));
  await rack.heal();
  for (const { table } of rack.members)
    t.is(table.get(session.key)?.state, FIN_BOTH);
});

test("a session whose packets all pass a node that did not make it stays at its origin", (t) => {
  const rack = new ModelRack(2, 4);
  const [origin, other] = [rack.member(0), rack.member(1)];
  const session = open(t, origin);
  const timeout = TIMEOUTS.established;
  for (const end = rack.now + 5 * timeout; rack.now < end;) {
    rack.pass(50);
    passed(t, other.director.inbound(alice, DATA));
    const idle = rack.now - (origin.table.get(session.key)?.seen ?? 0);
    t.true(idle <= timeout / 2, "the origin was not told of its packets");
  }
});

test("a session that goes on after a stranger's RST goes on everywhere", (t) => {
  const rack = new ModelRack(3, 4);
  const [left, right] = [rack.member(0), rack.member(1)];
  const session = open(t, left);
  passed(t, right.director.inbound(alice, RST));
  for (let i = 0; i < 60; i++) {
    rack.pass(1);
    passed(t, right.director.inbound(alice, RST)); // and again
    passed(t, left.director.outbound(session.key, DATA));
  }
  agree(t, rack, alice, session);
});

test("a client's new SYN after both FINs supersedes, and the old session's records change nothing", async (t) => {
  const rack = new ModelRack(2, 4);
  const [left, right] = [rack.member(0), rack.member(1)];
  const old = open(t, left);
  passed(t, left.director.inbound(alice, FIN));
  passed(t, left.director.outbound(old.key, FIN));
  const before = await left.table.collect(0n, left.table.positions, 1000);
  const young = open(t, right);
  t.is(young.supersedes, old.generation);
  await left.table.merge(before.records, 0);
  await right.table.merge(before.records, 0);
  agree(t, rack, alice, young);
});

test("a session that a client gave up for a new one does not get it back by late data", (t) => {
  const rack = new ModelRack(2, 4);
  const [left, right] = [rack.member(0), rack.member(1)];
  const old = open(t, left);
  passed(t, left.director.inbound(alice, RST));
  rack.pass(3); // the RST's grace time
  const young = passed(t, right.director.inbound(alice, SYN_SEGMENT));
  passed(t, left.director.outbound(old.key, DATA));
  t.is(left.table.get(old.key)?.reset, undefined, "it should be open again");
  t.is(young.supersedes, old.generation);
  agree(t, rack, alice, young);
});

test("a table without room says so and keeps what it has", async (t) => {
  const small = new ModelRack(1, 8, { positions: 2 }).member(0);
  const big = new ModelRack(1, 8).member(0);
  for (let i = 0; i < 5; i++) open(t, big, clientKey(i));
  const all = await big.table.collect(0n, big.table.positions, 1000);
  const result = await small.table.merge(all.records, 0);
  t.is(result.inserted, 2);
  t.is(result.full, 3);
  t.is(small.table.sessions().length, 2);
});
