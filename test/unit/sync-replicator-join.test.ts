// SPDX-License-Identifier: Apache-2.0
// How a node comes to hold what its peers hold, and what the agent is told about it.
import test from "ava";
import { ticksOf } from "../../src/sync/limits.ts";
import { type ClusterOptions, SimCluster } from "../histories/cluster.ts";
import { filtered } from "../histories/filter.ts";
import { difference } from "../histories/view.ts";
import { establish, open } from "./sync-sessions.ts";

type Test = { teardown: (act: () => void) => void };

function simulated(t: Test, options: ClusterOptions): SimCluster {
  const cluster = new SimCluster(options);
  t.teardown(() => cluster.close());
  return cluster;
}

/** All but the last node run, and hold so many sessions. */
async function waiting(
  t: Test,
  sessions: number,
  options: ClusterOptions,
): Promise<SimCluster> {
  const cluster = simulated(t, options);
  const running = cluster.nodes.slice(0, -1);
  for (const node of running) void node.start();
  await cluster.until("the others have joined", () =>
    running.every(({ joined }) => joined),
  );
  for (let i = 0; i < sessions; i++) {
    establish(cluster.node(i % running.length), i);
    if (i % 20 === 0) await cluster.advance(1);
  }
  await cluster.advance(500);
  return cluster;
}

test("Replicator.join() of a cluster of one does not wait", async (t) => {
  const cluster = simulated(t, { size: 1 });
  await cluster.start();
  t.deepEqual(cluster.node(0).joined, { alone: true });
  t.is(cluster.clock.now(), 10);
  t.true(cluster.node(0).agent.flags.synced);
  t.false(cluster.node(0).agent.flags.weakExpiry);
});

test("Replicator.join() goes on alone when nobody answers", async (t) => {
  const cluster = simulated(t, { size: 3 });
  void cluster.node(0).start();
  await cluster.until("it has joined", () => !!cluster.node(0).joined);
  t.deepEqual(cluster.node(0).joined, { alone: true });
  t.true(Math.abs(cluster.clock.now() - 5000) < 100);
  t.true(cluster.node(0).agent.flags.weakExpiry);
});

test("Replicator.join() of nodes that all start now does not wait for a synced one", async (t) => {
  const cluster = simulated(t, { size: 4 });
  await cluster.start();
  t.true(cluster.clock.now() < 200, `it took ${cluster.clock.now()} ms`);
  await cluster.advance(50);
  t.true(cluster.nodes.every(({ agent }) => agent.flags.allPeersSynced));
});

test("Replicator.join() loads the snapshot of a peer, in parts", async (t) => {
  const replyBytes = 5 * 96;
  const limits = { replyBytes, envelopeBytes: replyBytes };
  const cluster = await waiting(t, 60, { size: 3, limits });
  void cluster.node(2).start();
  await cluster.until("it has joined", () => !!cluster.node(2).joined, 1000);
  const { joined, agent } = cluster.node(2);
  t.like(joined, { from: "a", sessions: 60 });
  t.is(difference(cluster.nodes), undefined);
  const served = cluster.node(0).agent.status().self.counters.served;
  t.true(served >= 60 / 5, `${served} parts`);
  t.true(agent.flags.synced);
  t.is(agent.status().self.counters.snapshotRecords, 60);
});

test("Replicator.join() misses nothing that happens meanwhile", async (t) => {
  const cluster = await waiting(t, 60, {
    size: 3,
    limits: { replyBytes: 2 * 96, snapshotCredits: 2 },
    faults: { delayMsMin: 5, delayMsMax: 10 },
  });
  const joining = cluster.node(2).start();
  for (let i = 60; !cluster.node(2).joined; i++) {
    if (i < 90) establish(cluster.node(i % 2), i % 64);
    await cluster.advance(5);
  }
  await joining;
  t.true(cluster.node(2).agent.status().self.counters.receivedEnvelopes > 10);
  await cluster.until(
    "all hold the same",
    () => !difference(cluster.nodes),
    500,
  );
  t.is(cluster.node(2).agent.status().peers[0]?.missing, 0n);
});

test("Replicator.join() turns to another peer when one does not answer", async (t) => {
  const cluster = await waiting(t, 20, {
    size: 3,
    limits: { requestMs: 500 },
    wrap: (transport, node) =>
      filtered(transport, {
        request: (subject) => node !== "c" || !subject.endsWith("snapshot.a"),
      }),
  });
  void cluster.node(2).start();
  await cluster.until("it has joined", () => !!cluster.node(2).joined, 4000);
  t.like(cluster.node(2).joined, { from: "b", sessions: 20 });
  t.is(cluster.node(2).agent.status().self.counters.snapshotsFailed, 1);
});

test("Replicator that has joined alone loads a snapshot when it hears a peer", async (t) => {
  const cluster = await waiting(t, 20, { size: 3 });
  cluster.bus.partition([["a", "b"], ["c"]]);
  void cluster.node(2).start();
  await cluster.until("it has joined", () => !!cluster.node(2).joined);
  await cluster.advance(30_000);
  t.deepEqual(cluster.node(2).joined, { alone: true });
  cluster.bus.heal();
  await cluster.until("c has all", () => !difference(cluster.nodes), 1000);
  t.is(cluster.node(2).table.sessions().length, 20);
  await cluster.advance(500);
  t.true(cluster.node(0).agent.flags.allPeersSynced);
});

test("Replicator.join() of nodes that all start now tells that nobody knows what was before", async (t) => {
  const cluster = simulated(t, { size: 3 });
  await cluster.start();
  t.deepEqual(
    cluster.nodes.map(({ joined }) => joined?.alone ?? joined?.partial),
    [true, true, true],
  );
  cluster.node(2).crash();
  cluster.node(2).loseTable();
  await cluster.advance(2000);
  void cluster.node(2).start();
  await cluster.until("it has joined", () => !!cluster.node(2).joined, 1000);
  t.like(cluster.node(2).joined, { partial: true }, "its peers know no more");
  cluster.node(1).crash();
  void cluster.node(1).start();
  await cluster.until("it has joined", () => !!cluster.node(1).joined, 1000);
  cluster.node(2).crash();
  cluster.node(2).loseTable();
  void cluster.node(2).start();
  await cluster.until("it has joined", () => !!cluster.node(2).joined, 1000);
  t.like(cluster.node(2).joined, { partial: false }, "one kept its table");
});

test("Replicator.resync() loads a snapshot again, and is not synced meanwhile", async (t) => {
  const cluster = await waiting(t, 20, { size: 3 });
  void cluster.node(2).start();
  await cluster.until("it has joined", () => !!cluster.node(2).joined);
  await cluster.advance(300);
  const resync = cluster.node(2).agent.resync();
  t.false(cluster.node(2).agent.flags.synced);
  t.is(cluster.node(2).agent.resync(), resync, "two at the same time");
  await cluster.advance(300);
  t.like(await resync, { from: "a", sessions: 20 });
  t.true(cluster.node(2).agent.flags.synced);
});

test("Replicator.resync() of all nodes at once does not wait for long for one that is dead", async (t) => {
  const faults = { delayMsMin: 20, delayMsMax: 20 };
  const cluster = await waiting(t, 20, { size: 3, faults });
  const [a, b] = [cluster.node(0), cluster.node(1)];
  const beginMs = cluster.clock.now();
  let ended = 0;
  for (const { agent } of [a, b]) {
    void agent.resync().then(() => ended++);
    await cluster.advance(30);
  }
  await cluster.until("both have ended", () => ended === 2);
  const tookMs = cluster.clock.now() - beginMs;
  t.true(tookMs < 1500, `it took ${tookMs} ms`);
});

test("Replicator.join() publishes again what its last run may not have published", async (t) => {
  let isDeaf = true;
  const cluster = simulated(t, {
    size: 2,
    wrap: (transport) =>
      filtered(transport, {
        publish: (subject) => !isDeaf || !subject.includes(".session."),
        request: (subject) => !isDeaf || !subject.includes(".resend."),
      }),
  });
  await cluster.start();
  open(cluster.node(0), 1);
  cluster.node(0).crash();
  isDeaf = false;
  t.is(cluster.node(1).table.sessions().length, 0);
  void cluster.node(0).start();
  await cluster.until("b has it", () => !difference(cluster.nodes), 1000);
  t.is(cluster.node(0).agent.status().self.counters.publishedRecords, 1);
});

test("Replicator.join() ends although the table had no time at first", async (t) => {
  const cluster = simulated(t, { size: 2 });
  const [a, b] = [cluster.node(0), cluster.node(1)];
  void b.start();
  open(a, 1);
  const collect = a.table.collect.bind(a.table);
  let refusals = 3;
  a.table.collect = async (...range) => {
    if (refusals-- > 0) throw new Error("EAGAIN");
    return collect(...range);
  };
  void a.start();
  await cluster.until("both have joined", () => !!a.joined && !!b.joined);
  t.is(difference(cluster.nodes), undefined);
});

test("Replicator.join() does not publish again what is old", async (t) => {
  const cluster = simulated(t, { size: 2, limits: { republishMs: 5000 } });
  await cluster.start();
  establish(cluster.node(0), 1);
  await cluster.advance(6000);
  cluster.node(0).crash();
  void cluster.node(0).start();
  await cluster.until("it has joined", () => !!cluster.node(0).joined);
  t.is(cluster.node(0).agent.status().self.counters.publishedRecords, 0);
  t.is(ticksOf(5000), 4768);
});

test("Replicator tells that expiry is weak while a peer is unheard", async (t) => {
  const cluster = simulated(t, { size: 3 });
  await cluster.start();
  await cluster.advance(300);
  t.false(cluster.node(0).agent.flags.weakExpiry);
  cluster.node(2).crash();
  await cluster.advance(900);
  t.false(cluster.node(0).agent.flags.weakExpiry, "after less than a second");
  await cluster.advance(500);
  t.true(cluster.node(0).agent.flags.weakExpiry);
  cluster.node(0).agent.setPeers(["b"]);
  t.false(
    cluster.node(0).agent.flags.weakExpiry,
    "it waits for a node of no config",
  );
});

test("Replicator does not let ports be used again while a peer lacks sessions", async (t) => {
  const cluster = await waiting(t, 5, {
    size: 3,
    limits: { requestMs: 200 },
    wrap: (transport, node) =>
      filtered(transport, {
        request: (subject) => node !== "c" || !subject.includes(".snapshot."),
      }),
  });
  t.true(cluster.node(0).agent.flags.allPeersSynced);
  void cluster.node(2).start();
  await cluster.until("c gives up", () => !!cluster.node(2).joined);
  await cluster.advance(500);
  t.deepEqual(cluster.node(2).joined, { alone: true });
  t.false(cluster.node(2).agent.flags.synced);
  t.false(cluster.node(0).agent.flags.allPeersSynced);
});

test("Replicator lets one of two nodes with one pool go on", async (t) => {
  const pool = { address: "10.200.0.0", length: 28 };
  const cluster = simulated(t, {
    size: 3,
    pools: [pool, pool],
    poolHashes: [1n, 2n, 1n],
  });
  await cluster.start();
  await cluster.advance(300);
  const agents = cluster.nodes.map(({ agent }) => agent);
  t.deepEqual(
    agents.map(({ flags }) => flags.poolConflict),
    [false, true, false],
  );
  t.true(agents.every(({ flags }) => flags.poolTableDiffers));
  const claims = agents[1]?.status().peers.map((peer) => peer.claimsPool);
  t.deepEqual(claims?.filter(Boolean), [true]);
});

test("Replicator does not flood the bus while nobody gets a snapshot", async (t) => {
  const cluster = simulated(t, {
    size: 3,
    wrap: (transport) => filtered(transport, { request: () => false }),
  });
  await cluster.start();
  await cluster.advance(10_000);
  // Hellos, as many again for changes, and the attempts: some 20 messages a second.
  const { sent = Infinity } = cluster.node(0).transport?.counters ?? {};
  t.true(sent < 15 * 30, `${sent} messages`);
});

test("Replicator.close() says nothing more", async (t) => {
  const cluster = simulated(t, { size: 2 });
  await cluster.start();
  const { agent, transport } = cluster.node(0);
  agent.close();
  const { sent } = transport?.counters ?? { sent: -1 };
  open(cluster.node(0), 1);
  await cluster.advance(3000);
  t.is(transport?.counters.sent, sent);
});
