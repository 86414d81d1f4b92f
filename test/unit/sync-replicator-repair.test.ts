// SPDX-License-Identifier: Apache-2.0
// What finds differences that nobody noticed when they came about: digests, and packets without a session.
import test from "ava";
import { NO_RECORDS } from "../../src/sync/records.ts";
import { subjectOf, lookupRequest } from "../../src/sync/wire.ts";
import { type ClusterOptions, SimCluster } from "../histories/cluster.ts";
import { filtered } from "../histories/filter.ts";
import { difference } from "../histories/view.ts";
import type { SimNode } from "../histories/cluster.ts";
import type { Key, Session } from "../model/session.ts";
import { encodeAll } from "../model/wire.ts";
import { clientOf, establish, wideClientOf } from "./sync-sessions.ts";

async function started(
  t: { teardown: (act: () => void) => void },
  options: ClusterOptions,
): Promise<SimCluster> {
  const cluster = new SimCluster(options);
  t.teardown(() => cluster.close());
  await cluster.start();
  return cluster;
}

/** Puts a session into the table of one node, which tells nobody. */
function smuggle(from: SimNode, session: Session, into: SimNode): void {
  const records = encodeAll([session], from.table.now());
  into.table.mergeNow(records, 0);
}

/** A cluster in which only a has the sessions of those clients, and none knows that the others lack them. */
async function unequal(
  t: { teardown: (act: () => void) => void },
  options: Partial<ClusterOptions> = {},
  clients: readonly Key[] = [clientOf(1)],
): Promise<SimCluster> {
  const donor = await started(t, { size: 1 });
  for (const [i, client] of clients.entries())
    establish(donor.node(0), i, client);
  const cluster = await started(t, { size: 3, ...options });
  for (const session of donor.node(0).table.sessions())
    smuggle(donor.node(0), session, cluster.node(0));
  return cluster;
}

const moved = (node: SimNode) =>
  node.agent.status().self.counters.repairedRecords;

test("Replicator repairs a session that only one node has, when two rounds have told", async (t) => {
  const cluster = await unequal(t);
  const differs = () =>
    cluster
      .node(1)
      .agent.status()
      .peers.some(({ digestEqual }) => digestEqual === false);
  await cluster.until("a digest differs", differs, 20_000);
  t.is(cluster.node(1).table.sessions().length, 0, "repaired after one round");
  await cluster.until("all have it", () => !difference(cluster.nodes), 6000);
  await cluster.advance(5500);
  for (const node of cluster.nodes)
    t.true(
      node.agent.status().peers.every(({ digestEqual }) => digestEqual),
      `${node.name} still sees a difference`,
    );
  t.deepEqual(cluster.nodes.map(moved), [0, 1, 1]);
});

for (const { title, client } of [
  { title: "all", client: clientOf },
  { title: "all wide ones", client: wideClientOf },
])
  test(`Replicator repairs ${title} that a node lacks in one round, though no answer has room for it`, async (t) => {
    const limits = { replyBytes: 10 * 96 };
    const clients = Array.from({ length: 60 }, (_, i) => client(i));
    const cluster = await unequal(t, { size: 2, limits }, clients);
    const differs = () =>
      cluster.node(1).agent.status().peers[0]?.digestEqual === false;
    await cluster.until("a digest differs", differs, 20_000);
    await cluster.until("b has all", () => !difference(cluster.nodes), 6000);
    t.is(moved(cluster.node(1)), 60);
  });

test("Replicator moves nothing while all is well", async (t) => {
  const cluster = await started(t, { size: 3, faults: { delayMsMax: 10 } });
  for (let i = 0; i < 120; i++) {
    if (i < 30) establish(cluster.node(i % 3), i);
    await cluster.advance(500);
  }
  const { counters } = cluster.node(1).agent.status().self;
  t.true(counters.digestRounds >= 8, `${counters.digestRounds} rounds`);
  t.deepEqual(cluster.nodes.map(moved), [0, 0, 0]);
});

test("Replicator tells a peer whose session settled without a FIN of that FIN", async (t) => {
  const cluster = await unequal(t, { size: 2 });
  const [session] = cluster.node(0).table.sessions();
  if (session === undefined) throw new Error("a has no session");
  const closing = { ...session, state: 6, flags: session.flags | 2 };
  smuggle(cluster.node(0), closing, cluster.node(1));
  await cluster.until("both know", () => !difference(cluster.nodes));
  t.is(cluster.node(0).table.get(session.key)?.state, 6);
});

test("Replicator does not start rounds without a peer, and one node starts them", async (t) => {
  const cluster = await started(t, { size: 3 });
  await cluster.advance(11_000);
  const round = () => cluster.node(2).agent.status().self.digestRound;
  t.is(round(), 2n);
  cluster.node(0).crash();
  await cluster.advance(11_000);
  t.true(round() >= 3n, "nobody took over");
  cluster.node(1).crash();
  await cluster.advance(1500);
  const last = round();
  await cluster.advance(11_000);
  t.is(round(), last);
});

/** c can ask for nothing but single sessions. */
const deaf: Partial<ClusterOptions> = {
  size: 3,
  wrap: (transport, node) =>
    filtered(transport, {
      request: (subject) => node !== "c" || subject.includes(".lookup."),
    }),
};

test("Replicator asks the peers for a session whose packets it gets, after a change", async (t) => {
  const cluster = await started(t, { size: 3, ...deaf });
  cluster.bus.partition([["a", "b"], ["c"]]);
  await cluster.advance(2000);
  const session = establish(cluster.node(0), 1);
  await cluster.advance(10);
  cluster.bus.heal();
  await cluster.advance(250);
  const c = cluster.node(2);
  t.true(c.agent.flags.lookupWanted);
  t.is(c.table.sessions().length, 0);
  const verdict = () => c.director.inbound(clientOf(1), { ack: true }).kind;
  t.is(verdict(), "drop");
  t.is(verdict(), "drop");
  await cluster.advance(10);
  t.is(verdict(), "forward");
  t.is(c.table.get(session.key)?.generation, session.generation);
  const { counters } = c.agent.status().self;
  t.like(counters, { lookupKeys: 1, lookupRequests: 2, lookupFound: 2 });
});

test("Replicator takes a miss for final when nothing has changed lately", async (t) => {
  const cluster = await started(t, { size: 2 });
  t.true(cluster.node(0).agent.flags.lookupWanted);
  await cluster.advance(10_500);
  t.false(cluster.node(0).agent.flags.lookupWanted);
  cluster.node(0).director.inbound(clientOf(1), { ack: true });
  await cluster.advance(10);
  const { counters } = cluster.node(0).agent.status().self;
  t.like(counters, { missesFinal: 1, lookupRequests: 0 });
});

test("Replicator asks for no more keys than its bound in a time", async (t) => {
  const cluster = await started(t, { size: 2, limits: { lookupKeys: 10 } });
  for (let i = 0; i < 30; i++)
    cluster.node(0).director.inbound(clientOf(i), { ack: true });
  await cluster.advance(10);
  const { counters } = cluster.node(0).agent.status().self;
  t.like(counters, { lookupKeys: 10, lookupDropped: 20 });
});

test("Replicator answers no more requests at once than its bound", async (t) => {
  const cluster = await started(t, { size: 2, limits: { servedMax: 3 } });
  const { table, agent } = cluster.node(0);
  let go = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  table.find = async () => {
    await gate;
    return NO_RECORDS;
  };
  const before = agent.status().self.counters.served;
  const asker = cluster.bus.join("asker");
  const data = lookupRequest.encode({
    keys: { narrow: new Uint8Array(16), wide: new Uint8Array() },
  });
  const answers = Array.from({ length: 5 }, () =>
    asker
      .request(subjectOf("rack", "lookup", "a"), data, { timeoutMs: 100 })
      .then(
        () => "answered",
        () => "not answered",
      ),
  );
  await cluster.advance(10);
  go();
  await cluster.advance(200);
  const answered = (await Promise.all(answers)).filter(
    (one) => one === "answered",
  );
  t.is(answered.length, 3);
  const { counters } = agent.status().self;
  t.is(counters.servedRefused, 2);
  t.is(counters.served - before, 3);
});
