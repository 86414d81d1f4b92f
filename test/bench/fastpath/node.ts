// SPDX-License-Identifier: Apache-2.0
/**
 * The node that `./weir bench fastpath` measures, as a process of its own: node.ts TASK, with the task as JSON. Its maps are
 * filled by the agent's code; sessions come from the packets that fastpath.c sends.
 *
 * Says `ready`; then a line on standard input is answered: `sweep MS` by `swept {...}`, one pass in which sessions expire that
 * were idle for longer than MS and the dataplane's own margin. Ends with SIGTERM.
 */
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Prefix } from "../../../src/model.ts";
import { parsePrefix } from "../../../src/model.ts";
import { findInterfaces } from "../../../src/node/attach.ts";
import { Dataplane } from "../../../src/node/dataplane.ts";
import { OBJECT_PATHS } from "../../../src/node/objects.ts";
import { egressOf, egressOfClients } from "../../../src/node/words.ts";
import { AGGREGATES, POOLS, PORTS, SERVICES } from "./place.ts";

export type Task = {
  readonly directory: string;
  readonly pinDir: string;
  readonly device: string;
  readonly sessions: number;
  readonly wideSessions: number;
};

const HOP_MAC = "02:00:00:00:00:03";
const OWN_MAC = "02:00:00:00:00:01";
const LEASE_MS = 200;
const LONG_MS = 86_400_000;

const task: Task = JSON.parse(process.argv[2] ?? "");
const dataplane = Dataplane.open({
  stateDir: join(task.directory, "state"),
  pinDir: task.pinDir,
  limits: {
    sessions: task.sessions,
    wideSessions: task.wideSessions,
    services: SERVICES.length,
    realServers: SERVICES.length,
  },
  objectPaths: OBJECT_PATHS,
});
await configure();
setInterval(() => dataplane.renewLease(), LEASE_MS);
await sweep(LONG_MS);
console.log("ready");
process.once("SIGTERM", () => void close());
createInterface(process.stdin).on("line", (line) => void tell(line));

async function configure(): Promise<void> {
  const [link] = await findInterfaces([task.device]);
  const ifindex = link?.ifindex ?? 0;
  const hop = { dmac: HOP_MAC, smac: OWN_MAC, ifindex, vlan: 0, mtu: 1500 };
  dataplane.nodes.set(0, {
    aggregates: AGGREGATES.map(prefix),
    pools: POOLS.map(prefix),
    ports: PORTS,
    origin: 1,
    lookups: false,
    unknownPort: "drop",
    ipOptions: "pass",
    mixed: false,
  });
  for (const aggregate of AGGREGATES)
    dataplane.prefixes.set(prefix(aggregate), "pool");
  for (const family of [4, 6] as const)
    dataplane.egressGroups.set(egressOfClients(family), { hops: [hop] });
  SERVICES.forEach(({ vip, port, protocol, real, family, sync }, number) => {
    const length = family === 4 ? 32 : 128;
    dataplane.prefixes.set({ address: vip, length }, "vip");
    const egress = egressOf(number);
    dataplane.egressGroups.set(egress, { hops: [hop] });
    const server = { address: real, port };
    dataplane.realServers.set(number, { ...server, egress, service: number });
    dataplane.setService(
      number,
      { vip, ports: { min: port, max: port }, protocol },
      { scheduler: "rr", sync, wide: family === 6 },
      [number],
    );
  });
  dataplane.renewLease();
  await dataplane.attach([task.device]);
}

async function sweep(idleMs: number) {
  const lives = {
    handshakeMs: idleMs,
    establishedMs: idleMs,
    closedMs: idleMs,
    resetMs: idleMs,
  };
  const begin = performance.now();
  const { sessions, expired } = await dataplane.sweep({
    terms: () => lives,
    origin: 1,
    weak: false,
    hold: false,
  });
  return { ms: performance.now() - begin, sessions, expired };
}

async function tell(line: string): Promise<void> {
  const [, ms = ""] = /^sweep (\d+)$/.exec(line) ?? [];
  const { ms: took, sessions, expired } = await sweep(Number(ms));
  const result = {
    ms: took,
    sessions: Number(sessions),
    expired: Number(expired),
  };
  console.log(`swept ${JSON.stringify(result)}`);
}

async function close(): Promise<void> {
  await dataplane.detach();
  dataplane.close();
  process.exit();
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`${text} is no prefix`);
  return parsed;
}
