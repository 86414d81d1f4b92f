// SPDX-License-Identifier: Apache-2.0
// What reaches the peers, and what is done about that which does not.
import test from "ava";
import { hello } from "../../src/sync/wire.ts";
import { type ClusterOptions, SimCluster } from "../histories/cluster.ts";
import { filtered } from "../histories/filter.ts";
import { difference } from "../histories/view.ts";
import { establish, open } from "./sync-sessions.ts";

async function started(
  t: { teardown: (act: () => void) => void },
  options: ClusterOptions,
): Promise<SimCluster> {
  const cluster = new SimCluster(options);
  t.teardown(() => cluster.close());
  await cluster.start();
  return cluster;
}

/** A cluster whose first node's envelopes are lost while `isLossy` says so. */
async function lossy(
  t: { teardown: (act: () => void) => void },
  isLossy: (seqOfCall: number) => boolean,
  options: Partial<ClusterOptions> = {},
): Promise<SimCluster> {
  let calls = 0;
  return started(t, {
    size: 2,
    ...options,
    wrap: (transport, node) =>
      filtered(transport, {
        publish: (subject) =>
          node !== "a" || !subject.includes(".session.") || !isLossy(++calls),
      }),
  });
}

test("Replicator.publish() brings a session to all peers, as the ring has it", async (t) => {
  const cluster = await started(t, { size: 4 });
  establish(cluster.node(0), 1);
  await cluster.advance(20);
  t.is(difference(cluster.nodes), undefined);
  t.is(cluster.node(3).table.sessions().length, 1, "the session is not there");
  t.is(cluster.node(3).agent.status().self.counters.gaps, 0);
});

test("Replicator.publish() splits what the bus cannot carry at once", async (t) => {
  const cluster = await started(t, { size: 2, maxPayload: 8192 });
  for (let i = 0; i < 30; i++) open(cluster.node(1), i);
  await cluster.advance(20);
  cluster
    .node(0)
    .agent.publish(
      (await cluster.node(0).table.collect(0n, 4096n, 1e6)).records,
    );
  await cluster.advance(20);
  t.is(cluster.node(0).agent.status().self.counters.publishedEnvelopes, 1);
  const many = (await cluster.node(0).table.collect(0n, 4096n, 1e6)).records;
  cluster.node(0).agent.publish({
    ...many,
    narrow: Buffer.concat([many.narrow, many.narrow, many.narrow]),
  });
  await cluster.advance(20);
  const { counters } = cluster.node(1).agent.status().self;
  t.is(counters.receivedEnvelopes, 1 + Math.ceil(90 / 32));
  t.is(counters.receivedRecords, 30 + 90);
});

test("Replicator asks again for an envelope that did not come, and once only", async (t) => {
  const cluster = await lossy(t, (call) => call === 2);
  for (let i = 0; i < 3; i++) {
    open(cluster.node(0), i);
    await cluster.advance(5);
  }
  t.is(cluster.node(1).table.sessions().length, 2);
  await cluster.advance(30);
  t.is(cluster.node(1).table.sessions().length, 3);
  const [peer] = cluster.node(1).agent.status().peers;
  t.is(peer?.gaps, 1);
  t.is(peer?.resends, 1);
  t.is(peer?.missing, 0n);
});

test("Replicator does not ask again for what is late only", async (t) => {
  const cluster = await started(t, {
    size: 2,
    faults: { reorder: 1, delayMsMax: 15 },
  });
  for (let i = 0; i < 30; i++) {
    open(cluster.node(0), i);
    await cluster.advance(1);
  }
  await cluster.advance(50);
  t.is(cluster.node(1).table.sessions().length, 30);
  t.is(cluster.node(1).agent.status().self.counters.resendRequests, 0);
});

test("Replicator learns from the hello that the last envelope was lost", async (t) => {
  const cluster = await lossy(t, (call) => call === 1);
  open(cluster.node(0), 1);
  await cluster.until(
    "the session is there",
    () => cluster.node(1).table.sessions().length === 1,
    300,
  );
  t.is(cluster.node(1).agent.status().peers[0]?.resends, 1);
});

test("Replicator adds the time that a resent record was held to its ages", async (t) => {
  const cluster = await lossy(t, (call) => call === 1);
  cluster.bus.partition([["a"], ["b"]]);
  open(cluster.node(0), 1);
  await cluster.advance(5000);
  cluster.bus.heal();
  await cluster.advance(500);
  const [session] = cluster.node(1).table.sessions();
  const age = cluster.node(1).table.now() - (session?.seen ?? 0);
  t.true(Math.abs((age * 2 ** 20) / 1e6 - 5500) < 10, `it is ${age} ticks`);
});

test("Replicator loads a snapshot when the resend buffer no longer has what was lost", async (t) => {
  const cluster = await started(t, {
    size: 2,
    limits: { resendBytes: 10 * (96 + 256) },
  });
  cluster.bus.partition([["a"], ["b"]]);
  for (let i = 0; i < 30; i++) open(cluster.node(0), i);
  await cluster.advance(1500);
  for (let i = 0; i < 30; i++) {
    establish(cluster.node(0), i);
    await cluster.advance(1);
  }
  const before = cluster.node(1).agent.status().self.counters.snapshots;
  cluster.bus.heal();
  await cluster.until("both hold the same", () => !difference(cluster.nodes));
  const { counters } = cluster.node(1).agent.status().self;
  t.is(counters.snapshots, before + 1);
  t.true(counters.resendGone > 0);
  t.is(cluster.node(1).table.sessions().length, 30);
  t.is(cluster.node(1).agent.status().peers[0]?.missing, 0n);
});

test("Replicator keeps and counts what the bus does not take, and sends it when asked", async (t) => {
  const cluster = await started(t, { size: 3 });
  cluster.bus.cut("a");
  for (let i = 0; i < 5; i++) open(cluster.node(0), i);
  t.is(cluster.node(0).agent.status().self.counters.unsent, 5);
  t.is(cluster.node(0).agent.status().self.transport, "down");
  cluster.bus.restore("a");
  await cluster.advance(300);
  t.is(difference(cluster.nodes), undefined);
  t.is(cluster.node(2).table.sessions().length, 5);
});

test("Replicator tells a new incarnation from late messages of the one before", async (t) => {
  const cluster = await started(t, { size: 2 });
  open(cluster.node(0), 1);
  await cluster.advance(50);
  cluster.node(0).crash();
  open(cluster.node(0), 2); // the dataplane goes on without its agent
  await cluster.advance(50);
  void cluster.node(0).start();
  await cluster.advance(500);
  open(cluster.node(0), 3);
  await cluster.advance(50);
  t.is(cluster.node(1).table.sessions().length, 3);
  const [peer] = cluster.node(1).agent.status().peers;
  t.is(peer?.incarnation, 2000n);
  t.is(peer?.missing, 0n);
});

test("Replicator gets from a third node what a dead one sent to that one only", async (t) => {
  const cluster = await started(t, {
    size: 3,
    wrap: (transport, node) =>
      filtered(transport, {
        // c hears nothing of a's sessions, and cannot ask a.
        request: (subject) => node !== "c" || !subject.endsWith(".resend.a"),
      }),
  });
  cluster.bus.partition([["a", "b"], ["c"]]);
  open(cluster.node(0), 1);
  await cluster.advance(50);
  cluster.node(0).crash();
  cluster.bus.heal();
  await cluster.until(
    "c has the session of the dead node",
    () => cluster.node(2).table.sessions().length === 1,
  );
  t.is(cluster.node(2).agent.status().peers[0]?.missing, 0n);
});

test("Replicator drops what comes while too much waits for the table, and asks again", async (t) => {
  const cluster = await started(t, {
    size: 2,
    limits: { mergeBytes: 10 * 96 },
  });
  const { table } = cluster.node(1);
  const merge = table.merge.bind(table);
  let isStuck = true;
  const waiting: (() => void)[] = [];
  table.merge = async (records, delayTicks) => {
    if (isStuck) await new Promise<void>((resolve) => waiting.push(resolve));
    return merge(records, delayTicks);
  };
  for (let i = 0; i < 30; i++) open(cluster.node(0), i);
  await cluster.advance(100);
  const during = cluster.node(1).agent.status();
  t.true(during.self.counters.mergeOverflow >= 20);
  t.is(during.self.mergeBacklogBytes, 10 * 96);
  t.is(during.peers[0]?.applied, 0n, "what waits is taken for merged");
  isStuck = false;
  for (const go of waiting) go();
  await cluster.until("all is there", () => !difference(cluster.nodes));
  t.is(table.sessions().length, 30);
});

test("Replicator gives the table no more merges at once than its bound, however small", async (t) => {
  const cluster = await started(t, { size: 2, limits: { mergesMax: 8 } });
  const [a, b] = [cluster.node(0), cluster.node(1)];
  const merge = b.table.merge.bind(b.table);
  let most = 0;
  let waiting = 0;
  b.table.merge = async (records, delayTicks) => {
    most = Math.max(most, ++waiting);
    await new Promise<void>((go) => b.clock.after(1, go));
    waiting--;
    return merge(records, delayTicks);
  };
  for (let i = 0; i < 30; i++) open(a, i);
  await cluster.until("all is there", () => !difference(cluster.nodes), 1000);
  t.is(most, 8);
  const dropped = b.agent.status().self.counters.mergeOverflow;
  t.true(dropped > 0);
  cluster.bus.partition([["a"], ["b"]]);
  for (let i = 30; i < 60; i++) open(a, i);
  await cluster.advance(500);
  cluster.bus.heal();
  await cluster.until("all is there", () => !difference(cluster.nodes), 1000);
  const { counters } = b.agent.status().self;
  t.is(counters.mergeOverflow, dropped, "what it had asked for was dropped");
});

test("Replicator.status() tells lag and risk without common clocks", async (t) => {
  const cluster = await started(t, {
    size: 2,
    faults: { delayMsMin: 4, delayMsMax: 4 },
  });
  await cluster.advance(1000);
  open(cluster.node(0), 1);
  await cluster.advance(2);
  t.is(cluster.node(0).agent.status().risk.notOnAll, 1);
  t.is(cluster.node(0).agent.status().risk.onNone, 1);
  await cluster.advance(400);
  t.is(cluster.node(0).agent.status().risk.notOnAll, 0);
  const [peer] = cluster.node(1).agent.status().peers;
  t.is(Math.round((peer?.lagMs.p99 ?? 0) * 10) / 10, 4);
  t.is(peer?.roundTripMs, 8);
  t.true((peer?.recordsPerSecond ?? 0) > 0);
});

test("Replicator counts and drops what is no message of its cluster", async (t) => {
  const cluster = await started(t, { size: 2 });
  const stranger = cluster.bus.join("stranger");
  for (const subject of ["session.b", "hello.b", "digest.b"])
    stranger.publish(`weir.rack.${subject}`, Buffer.from("nonsense"));
  await cluster.advance(20);
  t.is(cluster.node(0).agent.status().self.counters.malformed, 3);
});

test("Replicator notices an agent that runs under its own name, and one that lies about its name", async (t) => {
  const cluster = await started(t, { size: 2 });
  const hellos: Uint8Array[] = [];
  const stranger = cluster.bus.join("stranger");
  stranger.subscribe("weir.rack.hello.b", ({ data }) => hellos.push(data));
  await cluster.advance(300);
  const [data] = hellos;
  if (data === undefined) throw new Error("no hello came");
  cluster.bus.crash("b");
  stranger.publish("weir.rack.hello.b", data);
  stranger.publish("weir.rack.hello.a", data);
  await cluster.advance(20);
  t.is(cluster.node(0).agent.status().self.counters.foreignSender, 1);
  const said = hello.decode(data, "rack");
  if (said.refusal !== undefined) throw new Error(said.detail);
  stranger.publish(
    "weir.rack.hello.a",
    hello.encode({ ...said.message, node: "a" }),
  );
  await cluster.advance(20);
  t.is(cluster.node(0).agent.status().self.counters.ownName, 1);
});

test("Replicator takes itself for no peer when what it said comes back", async (t) => {
  const cluster = await started(t, { size: 2 });
  const mirror = cluster.bus.join("mirror");
  const said: [string, Uint8Array][] = [];
  for (const kind of ["session", "hello", "digest"])
    mirror.subscribe(`weir.rack.${kind}.a`, ({ subject, data }) =>
      said.push([subject, data]),
    );
  open(cluster.node(0), 1);
  await cluster.advance(6000);
  for (const [subject, data] of said) mirror.publish(subject, data);
  await cluster.advance(50);
  const { agent } = cluster.node(0);
  const { self, peers } = agent.status();
  t.deepEqual(
    new Set(said.map(([subject]) => subject.split(".")[2])),
    new Set(["session", "hello", "digest"]),
  );
  t.deepEqual(
    peers.map(({ node }) => node),
    ["b"],
  );
  t.false(agent.flags.weakExpiry);
  t.is(self.counters.ownName, 0);
});

test("Replicator asks again for what the table did not take", async (t) => {
  const cluster = await started(t, { size: 2 });
  const { table } = cluster.node(1);
  const merge = table.merge.bind(table);
  let refusals = 2;
  table.merge = async (records, delayTicks) => {
    if (refusals-- > 0) throw new Error("EAGAIN");
    return merge(records, delayTicks);
  };
  open(cluster.node(0), 1);
  await cluster.until("it is there", () => table.sessions().length === 1);
  t.is(cluster.node(1).agent.status().self.counters.mergeFailed, 2);
});
