// SPDX-License-Identifier: Apache-2.0
/**
 * One node for the benchmark, as a process of its own: weir-node.ts TASK, with the task as JSON. What an agent does for
 * sessions is all here: dataplane, sweeps, replicator, bus. What it does for routing and health is not.
 *
 * Says `joined {"joinMs": number}` when it has the sessions of the others; ends with SIGTERM. A line on standard input is
 * answered by `state {...}`.
 */
import { join } from "node:path";
import { createInterface } from "node:readline";
import { createLog } from "../../src/log.ts";
import type { NodeBus, Prefix } from "../../src/model.ts";
import { originOf, parsePrefix } from "../../src/model.ts";
import { OBJECT_PATHS } from "../../src/node/objects.ts";
import { findInterfaces } from "../../src/node/attach.ts";
import { Dataplane } from "../../src/node/dataplane.ts";
import { Periodic } from "../../src/node/periodic.ts";
import { Sweeper } from "../../src/node/sweeper.ts";
import { egressOf, egressOfClients } from "../../src/node/words.ts";
import { systemClock } from "../../src/sync/clock.ts";
import { NatsServer } from "../../src/sync/nats-server.ts";
import { NatsTransport } from "../../src/sync/nats.ts";
import { Replicator } from "../../src/sync/replicator.ts";

export type Task = {
  readonly node: string;
  /** Of this node alone. */
  readonly directory: string;
  readonly pinDir: string;
  readonly device: string;
  /** As text: `10.200.0.0/24`. */
  readonly pool: string;
  readonly sessions: number;
  /** Absent: sessions are not shared. */
  readonly bus?: {
    readonly self: NodeBus;
    readonly peer: { readonly node: string; readonly bus: NodeBus };
  };
};

const CLUSTER = "bench";
const AGGREGATE = prefix("10.200.0.0/16");
const VIP = "192.0.2.10";
const REAL_SERVER = { address: "10.3.0.2", port: 8080 };
/** The next hop that conntrackd.ts and weir-pair.ts both have; nobody is there. */
const HOP_MAC = "02:00:00:00:00:03";
const OWN_MAC = "02:00:00:00:00:01";

/** The load is IPv4. */
const WIDE_SESSIONS = 1024;
const SWEEP_MS = 1_000;
const LEASE_MS = 200;

const task: Task = JSON.parse(process.argv[2] ?? "");
const log = createLog({ file: join(task.directory, "log") });
const dataplane = Dataplane.open({
  stateDir: join(task.directory, "state"),
  pinDir: task.pinDir,
  limits: {
    sessions: task.sessions,
    wideSessions: WIDE_SESSIONS,
    services: 1,
    realServers: 1,
  },
  objectPaths: OBJECT_PATHS,
});
await configure();
const periodic = new Periodic(log);
periodic.every(LEASE_MS, () => dataplane.renewLease());
// As the agent does: the first pass repairs, and takes longer than all others.
await sweeperFor(undefined).once();
const sync = task.bus && (await startSync(task.bus));
const sweeper = sweeperFor(sync?.replicator);
sweeper.allowExpiry();
periodic.every(SWEEP_MS, async () => void (await sweeper.ifDue()));
if (sync === undefined) console.log("joined {}");
process.once("SIGTERM", () => void close());
createInterface(process.stdin).on("line", () => void tell());

async function configure(): Promise<void> {
  const [link] = await findInterfaces([task.device]);
  const ifindex = link?.ifindex ?? 0;
  const hop = { dmac: HOP_MAC, smac: OWN_MAC, ifindex, vlan: 0, mtu: 1500 };
  const egress = egressOf(0);
  dataplane.nodes.set(0, {
    aggregates: [AGGREGATE],
    pools: [prefix(task.pool)],
    ports: { min: 1024, max: 65535 },
    origin: originOf(task.node),
    lookups: false,
    unknownPort: "drop",
    ipOptions: "pass",
    mixed: false,
  });
  dataplane.prefixes.set(AGGREGATE, "pool");
  dataplane.prefixes.set({ address: VIP, length: 32 }, "vip");
  dataplane.egressGroups.set(egressOfClients(4), { hops: [hop] });
  dataplane.egressGroups.set(egress, { hops: [hop] });
  dataplane.realServers.set(0, { ...REAL_SERVER, egress, service: 0 });
  const ports = { min: 80, max: 80 };
  const service = { vip: VIP, ports, protocol: "tcp" } as const;
  dataplane.setBackends([{ service, server: REAL_SERVER, real: 0, egress }]);
  const policy = {
    scheduler: "rr",
    sync: task.bus === undefined ? "off" : "immediate",
    wide: false,
  } as const;
  dataplane.setService(0, service, policy, [0]);
  dataplane.renewLease();
  await dataplane.attach([task.device]);
}

async function startSync({ self, peer }: NonNullable<Task["bus"]>) {
  const { node, directory } = task;
  const server = await NatsServer.start({
    node,
    cluster: CLUSTER,
    self,
    peers: [peer.bus],
    directory: join(directory, "nats"),
    log,
  });
  const transport = new NatsTransport({
    name: node,
    servers: [server.url],
    log,
  });
  const replicator = new Replicator({
    cluster: CLUSTER,
    node,
    incarnation: BigInt(Date.now()) * 1_000_000n,
    pool: [prefix(task.pool)],
    poolHash: 1n,
    table: dataplane.sharedTable(),
    transport,
    clock: systemClock,
    log,
    peers: [peer.node],
  });
  const begin = performance.now();
  await replicator.join();
  console.log(`joined {"joinMs":${performance.now() - begin}}`);
  return { server, transport, replicator };
}

function sweeperFor(sharing: Replicator | undefined): Sweeper {
  return new Sweeper({
    dataplane,
    sharing,
    origin: originOf(task.node),
    serviceOf: () => undefined,
  });
}

/** What to look at when a measurement is not as expected. */
async function tell(): Promise<void> {
  const { sessions } = await dataplane.fingerprint();
  const counters = Object.entries(dataplane.readCounters()).filter(
    ([, count]) => count > 0n,
  );
  const state = {
    sessions,
    counters: Object.fromEntries(counters),
    sync: sync?.replicator.status(),
  };
  const text = JSON.stringify(state, (_, value: unknown) =>
    typeof value === "bigint" ? Number(value) : value,
  );
  console.log(`state ${text}`);
}

async function close(): Promise<void> {
  periodic.close();
  sync?.replicator.close();
  await sync?.transport.close();
  await sync?.server.close();
  await dataplane.detach();
  dataplane.close();
  await log.close();
  process.exit();
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`${text} is no prefix`);
  return parsed;
}
