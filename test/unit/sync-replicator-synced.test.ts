// SPDX-License-Identifier: Apache-2.0
// When a node says that it holds all that its peers hold, and what it does for it when they come, go and start again.
import test, { type ExecutionContext } from "ava";
import { type ClusterOptions, SimCluster } from "../histories/cluster.ts";
import { filtered } from "../histories/filter.ts";
import { difference } from "../histories/view.ts";
import { establish } from "./sync-sessions.ts";

function simulated(t: ExecutionContext, options: ClusterOptions): SimCluster {
  const cluster = new SimCluster(options);
  t.teardown(() => cluster.close());
  return cluster;
}

/** Each node hears all others, and all say that they hold everything. */
function allSynced({ nodes }: SimCluster): boolean {
  return nodes.every(({ joined, agent }) => {
    const { self, peers } = agent.status();
    const others = peers.filter(({ heard, synced }) => heard && synced);
    return joined && self.synced && others.length === nodes.length - 1;
  });
}

/** Goes on until all say that they are, and then they have to hold the same. */
async function untilSynced(
  t: ExecutionContext,
  cluster: SimCluster,
  limitMs: number,
): Promise<void> {
  await cluster.until("all are synced", () => allSynced(cluster), limitMs);
  t.is(difference(cluster.nodes), undefined, "they say that they are synced");
}

test("Replicator.join() waits for a node that is heard late, rather than go by an empty table", async (t) => {
  const cluster = simulated(t, { size: 3 });
  const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
  void c.start();
  await cluster.until("c has joined", () => !!c.joined);
  for (let i = 0; i < 20; i++) establish(c, i);
  // Its next agent has published nothing: whoever hears that one misses no envelope.
  await cluster.advance(61_000);
  c.crash();
  void c.start();
  await cluster.until("c has joined again", () => !!c.joined);
  cluster.bus.partition([["a", "b"], ["c"]]);
  void a.start();
  void b.start();
  await cluster.advance(3000);
  t.is(a.joined ?? b.joined, undefined, "one has joined without c");
  cluster.bus.heal();
  await cluster.until("both have joined", () => !!a.joined && !!b.joined, 2000);
  t.is(difference(cluster.nodes), undefined);
  t.like(a.joined, { partial: false });
});

test("Replicator is not synced with a node that it hears late until it has its table", async (t) => {
  const cluster = simulated(t, { size: 3 });
  const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
  void c.start();
  await cluster.until("c has joined", () => !!c.joined);
  for (let i = 0; i < 20; i++) establish(c, i);
  await cluster.advance(61_000);
  c.crash();
  void c.start();
  await cluster.until("c has joined again", () => !!c.joined);
  cluster.bus.partition([["a", "b"], ["c"]]);
  void a.start();
  void b.start();
  await cluster.until("both have joined", () => !!a.joined && !!b.joined);
  cluster.bus.heal();
  await untilSynced(t, cluster, 2000);
});

for (const { title, lossy } of [
  { title: "a node whose agent started again while it was cut off", lossy: [] },
  {
    title: "a node whose agent started again when something of it was missing",
    lossy: ["a", "b"],
  },
])
  test(`Replicator takes the table of ${title}`, async (t) => {
    let isLossy = false;
    const cluster = simulated(t, {
      size: 3,
      limits: { republishMs: 1000, digestMinMs: 1e9 },
      wrap: (transport, node) =>
        filtered(transport, {
          publish: (subject) => !isLossy || !subject.includes(".session.c"),
          request: (subject) =>
            !lossy.includes(node) || !subject.includes(".resend.c"),
        }),
    });
    await cluster.start();
    const c = cluster.node(2);
    establish(c, 0);
    await cluster.advance(300);
    isLossy = lossy.length > 0;
    if (!isLossy) cluster.bus.partition([["a", "b"], ["c"]]);
    for (let i = 1; i < 20; i++) establish(c, i);
    await cluster.advance(isLossy ? 500 : 5000);
    c.crash();
    await cluster.advance(isLossy ? 700 : 5000);
    isLossy = false;
    void c.start();
    cluster.bus.heal();
    await untilSynced(t, cluster, 2000);
    t.is(cluster.node(0).table.sessions().length, 20);
  });

test("Replicator takes the table of a node whose agent started again when its own connection had been lost for a moment", async (t) => {
  const cluster = simulated(t, {
    size: 2,
    limits: { republishMs: 50, digestMinMs: 1e9 },
  });
  await cluster.start();
  await cluster.advance(1000);
  const [a, b] = [cluster.node(0), cluster.node(1)];
  cluster.bus.cut("b");
  for (let i = 0; i < 20; i++) establish(a, i);
  await cluster.advance(100);
  a.crash();
  cluster.bus.restore("b");
  await cluster.advance(300);
  void a.start();
  await untilSynced(t, cluster, 2000);
  t.is(b.table.sessions().length, 20);
});

test("Replicator takes from a third node what it missed of a run that has ended", async (t) => {
  const cluster = simulated(t, {
    size: 3,
    limits: { digestMinMs: 1e9, aloneMs: 500, requestMs: 200 },
    wrap: (transport, node) =>
      filtered(transport, {
        // a is of no help: it comes back without a table, and gets none.
        request: (subject) => node !== "a" || !subject.includes(".snapshot."),
      }),
  });
  const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
  await cluster.start();
  await cluster.advance(1000);
  cluster.bus.partition([["a", "c"], ["b"]]);
  await cluster.advance(2000);
  for (let i = 0; i < 20; i++) establish(a, i);
  await cluster.advance(100);
  a.crash();
  a.loseTable();
  void a.start();
  await cluster.advance(2000);
  cluster.bus.heal();
  await cluster.advance(300);
  await cluster.until("b is synced again", () => b.agent.flags.synced, 2000);
  t.is(difference([b, c]), undefined);
  t.is(b.table.sessions().length, 20);
});

test("Replicator does not take tables again when a peer's agent starts again while all is well", async (t) => {
  const cluster = simulated(t, { size: 3 });
  const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
  await cluster.start();
  for (let i = 0; i < 20; i++) establish(cluster.node(i % 3), i);
  await cluster.advance(2000);
  const loads = () =>
    [a, b].map(({ agent }) => agent.status().self.counters.snapshots);
  const before = loads();
  c.crash();
  await cluster.advance(500);
  void c.start();
  await untilSynced(t, cluster, 2000);
  t.deepEqual(loads(), before, "its agent was away for a few hellos only");
  c.crash();
  await cluster.advance(5000);
  void c.start();
  await untilSynced(t, cluster, 2000);
  t.deepEqual(
    loads(),
    before.map((count) => count + 1),
    "they have nothing from each other that they lack",
  );
});

test("Replicator is not synced while envelopes are missing that came while it heard nothing", async (t) => {
  let isDeaf = false;
  const cluster = simulated(t, {
    size: 3,
    wrap: (transport, node) =>
      filtered(transport, {
        request: (subject) =>
          !isDeaf || node === "a" || !subject.includes(".resend."),
      }),
  });
  await cluster.start();
  await cluster.advance(300);
  cluster.bus.partition([["a"], ["b", "c"]]);
  await cluster.advance(2000);
  for (let i = 0; i < 20; i++) establish(cluster.node(0), i);
  await cluster.advance(100);
  isDeaf = true;
  cluster.bus.heal();
  for (let i = 0; i < 60; i++) {
    await cluster.advance(10);
    t.is(cluster.node(1).table.sessions().length, 0);
    t.false(allSynced(cluster), `synced without them after ${10 * i} ms`);
  }
  isDeaf = false;
  await untilSynced(t, cluster, 2000);
});

/** A cluster in which nobody is answered who asks for lost envelopes, until `answer` is called. */
async function unanswered(t: ExecutionContext) {
  let isAnswered = false;
  const cluster = simulated(t, {
    size: 3,
    faults: { delayMsMin: 1, delayMsMax: 1 },
    wrap: (transport) =>
      filtered(transport, {
        request: (subject) => isAnswered || !subject.includes(".resend."),
      }),
  });
  await cluster.start();
  await cluster.advance(1000);
  return {
    cluster,
    answer: () => {
      isAnswered = true;
    },
  };
}

for (const { title, part, heal } of [
  {
    title: "a peer that it had not heard for seconds",
    part: async (cluster: SimCluster) => {
      cluster.bus.partition([["a"], ["b", "c"]]);
      await cluster.advance(5000);
    },
    heal: (cluster: SimCluster) => cluster.bus.heal(),
  },
  {
    title: "its peers before its connection was lost for a moment",
    part: async (cluster: SimCluster) => {
      for (const name of ["b", "c"]) cluster.bus.cut(name);
      await cluster.advance(100);
    },
    heal: (cluster: SimCluster) => {
      for (const name of ["b", "c"]) cluster.bus.restore(name);
    },
  },
])
  test(`Replicator is synced only when it has merged all of ${title}`, async (t) => {
    const { cluster, answer } = await unanswered(t);
    t.true(allSynced(cluster));
    await part(cluster);
    for (let i = 0; i < 20; i++) establish(cluster.node(0), i);
    await cluster.advance(10);
    heal(cluster);
    for (let ms = 0; ms < 3000; ms++) {
      await cluster.advance(1);
      if (allSynced(cluster)) t.fail(`after ${ms} ms all say so`);
    }
    t.is(cluster.node(1).table.sessions().length, 0);
    answer();
    await cluster.until("all are synced", () => allSynced(cluster), 1000);
    t.is(difference(cluster.nodes), undefined);
  });
