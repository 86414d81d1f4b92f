// SPDX-License-Identifier: Apache-2.0
/**
 * weir's node in `./weir bench rack`, as a process of its own: node.ts TASK, with the task as JSON. Its maps are filled by the
 * agent's code, its program is on both arms; sessions come from packets, and nobody is told of them.
 *
 * Says `ready`; then each line on standard input is answered by `counters {...}`. Ends with SIGTERM.
 */
import { join } from "node:path";
import { createInterface } from "node:readline";
import { createLog } from "../../../src/log.ts";
import { hostPrefix } from "../../../src/model.ts";
import { findInterfaces } from "../../../src/node/attach.ts";
import { Dataplane } from "../../../src/node/dataplane.ts";
import { OBJECT_PATHS } from "../../../src/node/objects.ts";
import { Periodic } from "../../../src/node/periodic.ts";
import { Sweeper } from "../../../src/node/sweeper.ts";
import { egressOf, egressOfClients } from "../../../src/node/words.ts";
import type { End } from "./place.ts";
import { DATAGRAM_PORT, STREAM_PORT, WEIR } from "./place.ts";

export type Task = {
  readonly directory: string;
  readonly pinDir: string;
};

export type Told = {
  readonly forwarded: number;
  readonly sessions: number;
  /** The longest time between two renewals of the lease since the last answer, ms. */
  readonly renewalMs: number;
};

const SESSIONS = 65_536;
const LEASE_MS = 200;
const SWEEP_MS = 1_000;
/** Of a node that tells nobody of its sessions, any. */
const ORIGIN = 1;

const SERVICES = [
  { protocol: "tcp", port: STREAM_PORT, real: STREAM_PORT },
  { protocol: "udp", port: DATAGRAM_PORT, real: WEIR.datagramPort },
] as const;

const task: Task = JSON.parse(process.argv[2] ?? "");
const log = createLog({ file: join(task.directory, "log") });
const dataplane = Dataplane.open({
  stateDir: join(task.directory, "state"),
  pinDir: task.pinDir,
  limits: {
    sessions: SESSIONS,
    wideSessions: 1_024,
    services: SERVICES.length,
    realServers: SERVICES.length,
  },
  objectPaths: OBJECT_PATHS,
});
let renewedAt = performance.now();
let renewalMs = 0;
await configure();
const periodic = new Periodic(log);
periodic.every(LEASE_MS, renew);
const sweeper = new Sweeper({
  dataplane,
  sharing: undefined,
  origin: ORIGIN,
  serviceOf: () => undefined,
});
await sweeper.once();
sweeper.allowExpiry();
periodic.every(SWEEP_MS, async () => void (await sweeper.ifDue()));
await dataplane.attach([WEIR.front.device, WEIR.back.device]);
console.log("ready");
process.once("SIGTERM", () => void close());
createInterface(process.stdin).on("line", tell);

async function configure(): Promise<void> {
  const { front, back, client, server, target, seen } = WEIR;
  dataplane.nodes.set(0, {
    aggregates: [seen],
    pools: [seen],
    ports: { min: 1024, max: 65535 },
    origin: ORIGIN,
    lookups: false,
    unknownPort: "drop",
    ipOptions: "pass",
    mixed: false,
  });
  dataplane.prefixes.set(seen, "pool");
  dataplane.prefixes.set(hostPrefix(target), "vip");
  const clients = { hops: [await hop(front, client)] };
  dataplane.egressGroups.set(egressOfClients(4), clients);
  const servers = { hops: [await hop(back, server)] };
  SERVICES.forEach(({ protocol, port, real }, number) => {
    const egress = egressOf(number);
    dataplane.egressGroups.set(egress, servers);
    const place = { address: server.address, port: real };
    dataplane.realServers.set(number, { ...place, egress, service: number });
    dataplane.setService(
      number,
      { vip: target, ports: { min: port, max: port }, protocol },
      { scheduler: "rr", sync: "off", wide: false },
      [number],
    );
  });
  renew();
}

async function hop({ device, mac }: End, neighbour: End) {
  const [link] = await findInterfaces([device]);
  const ifindex = link?.ifindex ?? 0;
  return { dmac: neighbour.mac, smac: mac, ifindex, vlan: 0, mtu: 1500 };
}

function renew(): void {
  const now = performance.now();
  renewalMs = Math.max(renewalMs, now - renewedAt);
  renewedAt = now;
  dataplane.renewLease();
}

function tell(): void {
  renew();
  const { forwarded, session_created } = dataplane.readCounters();
  const told: Told = {
    forwarded: Number(forwarded),
    sessions: Number(session_created),
    renewalMs,
  };
  renewalMs = 0;
  console.log(`counters ${JSON.stringify(told)}`);
}

async function close(): Promise<void> {
  periodic.close();
  await dataplane.detach();
  dataplane.close();
  await log.close();
  process.exit();
}
