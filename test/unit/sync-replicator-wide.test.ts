// SPDX-License-Identifier: Apache-2.0
// Sessions that IPv6 takes part in, beside those of IPv4 alone: both go the same ways.
import test from "ava";
import { type ClusterOptions, SimCluster } from "../histories/cluster.ts";
import { filtered } from "../histories/filter.ts";
import { difference } from "../histories/view.ts";
import { isMapped, isWide } from "../model/session.ts";
import { encodeAll } from "../model/wire.ts";
import { establish, open, wideClientOf } from "./sync-sessions.ts";

type Test = { teardown: (act: () => void) => void };

function simulated(t: Test, options: ClusterOptions): SimCluster {
  const cluster = new SimCluster(options);
  t.teardown(() => cluster.close());
  return cluster;
}

/** Half of the sessions are wide. */
function establishBoth(cluster: SimCluster, sessions: number): void {
  for (let i = 0; i < sessions; i++) {
    const client = i % 2 === 0 ? undefined : wideClientOf(i >> 1);
    establish(cluster.node(0), i, client);
  }
}

/** How many sessions a node holds, and how many of them are wide. */
const held = (cluster: SimCluster, i: number) => {
  const sessions = cluster.node(i).table.sessions();
  return [sessions.length, sessions.filter(isWide).length];
};

test("Replicator.publish() brings narrow and wide sessions to all peers", async (t) => {
  const cluster = simulated(t, { size: 3 });
  await cluster.start();
  establishBoth(cluster, 12);
  await cluster.advance(20);
  t.deepEqual(held(cluster, 2), [12, 6]);
  t.is(difference(cluster.nodes), undefined);
  const families = cluster
    .node(2)
    .table.sessions()
    .map(({ caddr, key }) => `${isMapped(caddr)} ${isMapped(key.saddr)}`);
  t.is(new Set(families).size, 4, "not each pair of families is there");
});

test("Replicator.publish() puts both kinds into one envelope, and splits what is too long", async (t) => {
  const cluster = simulated(t, { size: 2, maxPayload: 8192 });
  await cluster.start();
  cluster.node(0).table.ring.stalled = true;
  for (let i = 0; i < 30; i++) {
    open(cluster.node(0), i);
    open(cluster.node(0), i, wideClientOf(i));
  }
  cluster.node(0).table.ring.stalled = false;
  cluster.node(0).table.ring.drain();
  await cluster.advance(20);
  const { counters } = cluster.node(1).agent.status().self;
  t.is(counters.receivedRecords, 60);
  // 3072 bytes each: 30 narrow ones and a wide one, then 21 wide ones, then the rest.
  t.is(counters.receivedEnvelopes, 3);
  t.is(cluster.node(0).agent.status().self.resend.records, 60);
  t.is(
    cluster.node(0).agent.status().self.counters.publishedBytes,
    30 * (96 + 144),
  );
  t.is(difference(cluster.nodes), undefined);
});

for (const { title, options } of [
  {
    title: "in parts",
    options: { limits: { replyBytes: 5 * 96, snapshotCredits: 2 } },
  },
  { title: "of one record", options: { limits: { replyBytes: 1 } } },
])
  test(`Replicator.join() loads a snapshot of both kinds ${title}`, async (t) => {
    const cluster = simulated(t, { size: 2, ...options });
    void cluster.node(0).start();
    await cluster.until("it has joined", () => !!cluster.node(0).joined);
    establishBoth(cluster, 40);
    await cluster.advance(100);
    void cluster.node(1).start();
    await cluster.until("it has joined", () => !!cluster.node(1).joined, 1000);
    t.like(cluster.node(1).joined, { from: "a", sessions: 40 });
    t.deepEqual(held(cluster, 1), [40, 20]);
    t.is(difference(cluster.nodes), undefined);
  });

test("Replicator goes on where a table ends a chunk before its room does", async (t) => {
  const cluster = simulated(t, { size: 2, limits: { republishMs: 60_000 } });
  void cluster.node(0).start();
  await cluster.until("it has joined", () => !!cluster.node(0).joined);
  establishBoth(cluster, 12);
  const { table } = cluster.node(0);
  const collect = table.collect.bind(table);
  // As one that goes over two tables: at the end of the first, whatever that has.
  const boundary = table.positions / 2n;
  table.collect = async (from, to, roomBytes, changedWithinTicks) => {
    const end = from < boundary && to > boundary ? boundary : to;
    const chunk = await collect(from, end, roomBytes, changedWithinTicks);
    return { ...chunk, next: chunk.next ?? (end < to ? end : undefined) };
  };
  cluster.node(0).crash();
  void cluster.node(0).start();
  await cluster.until("it has joined", () => !!cluster.node(0).joined);
  t.is(cluster.node(0).agent.status().self.counters.publishedRecords, 12);
  void cluster.node(1).start();
  await cluster.until("it has joined", () => !!cluster.node(1).joined, 1000);
  t.is(difference(cluster.nodes), undefined);
});

test("Replicator repairs a wide session, and tells of one that settled without a FIN", async (t) => {
  const cluster = simulated(t, { size: 2 });
  const donor = simulated(t, { size: 1 });
  await cluster.start();
  await donor.start();
  for (const i of [0, 1]) establish(donor.node(0), i, wideClientOf(i));
  const now = donor.node(0).table.now();
  const sessions = donor.node(0).table.sessions();
  const [closed] = sessions;
  if (closed === undefined) throw new Error("there is no session");
  const [a, b] = [cluster.node(0).table, cluster.node(1).table];
  a.mergeNow(encodeAll(sessions, now), 0);
  const closing = { ...closed, state: 6, flags: closed.flags | 2 };
  b.mergeNow(encodeAll([closing], now), 0);
  await cluster.until("both hold both", () => !difference(cluster.nodes));
  t.deepEqual(held(cluster, 1), [2, 2]);
  t.is(a.get(closed.key)?.state, 6);
});

test("Replicator asks the peers for a wide session whose packets it gets", async (t) => {
  const cluster = simulated(t, {
    size: 2,
    wrap: (transport, node) =>
      filtered(transport, {
        request: (subject) => node !== "b" || subject.includes(".lookup."),
      }),
  });
  await cluster.start();
  cluster.bus.partition([["a"], ["b"]]);
  await cluster.advance(2000);
  const sessions = [
    ...[0, 1, 2].map((i) => establish(cluster.node(0), i, wideClientOf(i))),
    establish(cluster.node(0), 3),
  ];
  await cluster.advance(10);
  cluster.bus.heal();
  await cluster.advance(250);
  const { director, agent } = cluster.node(1);
  const fromClient = () =>
    [0, 1].map((i) => director.inbound(wideClientOf(i), { ack: true }).kind);
  // Two real servers of IPv4, of which this node cannot tell what their clients speak.
  const fromReal = () =>
    sessions.slice(2).map(({ key }) => director.outbound(key, {}).kind);
  t.deepEqual([...new Set([...fromClient(), ...fromReal()])], ["drop"]);
  await cluster.advance(10);
  t.deepEqual([...new Set([...fromClient(), ...fromReal()])], ["forward"]);
  const { counters } = agent.status().self;
  t.like(counters, { lookupKeys: 7, lookupRequests: 1, lookupFound: 4 });
});
