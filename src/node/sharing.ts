// SPDX-License-Identifier: Apache-2.0
/**
 * This node's part in sharing sessions with the others: its own nats-server, the connection to the bus, and the replicator
 * on the dataplane's table.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Log } from "../log.ts";
import {
  type Cluster,
  type ClusterNode,
  formatPrefix,
  type PortRange,
} from "../model.ts";
import type { Joined } from "../sync/catch-up.ts";
import { systemClock } from "../sync/clock.ts";
import { NatsTransport } from "../sync/nats.ts";
import { natsUrl } from "../sync/nats-config.ts";
import { NatsServer, type NatsServerStatus } from "../sync/nats-server.ts";
import { isEmpty } from "../sync/records.ts";
import { Replicator } from "../sync/replicator.ts";
import type { SyncFlags, SyncStatus } from "../sync/status.ts";
import type { Records, SessionTable } from "../sync/table.ts";
import type { NodePlace } from "./words.ts";

/** Which half of the ports the last start without a snapshot has used. */
const HALF_FILE = "ports-half";

export type SharingOptions = {
  readonly cluster: Cluster;
  readonly node: ClusterNode;
  readonly dataplane: { readonly sharedTable: () => SessionTable };
  readonly stateDir: string;
  /** What is there outlives a reboot, as the maps and `stateDir` do not. */
  readonly dataDir: string;
  readonly log: Log;
};

export class Sharing {
  readonly #options: SharingOptions;
  readonly #server: NatsServer | undefined;
  readonly #transport: NatsTransport;
  readonly #replicator: Replicator;
  #onChange: () => void = () => {};
  /** Until then only one half of the ports is given out. */
  #halfUntilMs = 0;
  #half: 0 | 1 = 0;
  #halfEnds: NodeJS.Timeout | undefined;

  /** @throws BusError if this node's nats-server cannot be started. */
  static async start(options: SharingOptions): Promise<Sharing> {
    const { cluster, node, stateDir, log } = options;
    let sharing: Sharing | undefined;
    const server =
      cluster.bus.servers.length > 0 || node.bus === undefined
        ? undefined
        : await NatsServer.start({
            node: node.name,
            cluster: cluster.name,
            self: node.bus,
            peers: othersOf(cluster, node).flatMap(({ bus }) => bus ?? []),
            tls: cluster.bus.tls,
            directory: join(stateDir, "nats"),
            isPeerMissing: () => sharing?.flags.weakExpiry ?? false,
            log,
          });
    sharing = new Sharing(options, server);
    return sharing;
  }

  private constructor(options: SharingOptions, server: NatsServer | undefined) {
    const { cluster, node, dataplane, log } = options;
    const peers = othersOf(cluster, node);
    this.#options = options;
    this.#server = server;
    this.#transport = new NatsTransport({
      name: node.name,
      servers:
        server === undefined
          ? cluster.bus.servers
          : [server.url, ...peers.flatMap(({ bus }) => bus ?? []).map(natsUrl)],
      tls: cluster.bus.tls,
      log,
    });
    this.#replicator = new Replicator({
      cluster: cluster.name,
      node: node.name,
      incarnation: BigInt(Date.now()) * 1_000_000n,
      pool: node.pools,
      poolHash: poolHashOf(cluster),
      table: dataplane.sharedTable(),
      transport: this.#transport,
      clock: systemClock,
      log,
      peers: peers.map(({ name }) => name),
      onChange: () => this.#onChange(),
    });
  }

  get flags(): SyncFlags {
    return this.#replicator.flags;
  }

  /** Which LIP:ports this node may give out, and whether the dataplane tells of misses. */
  get allocation(): Pick<NodePlace, "pools" | "ports" | "lookups"> {
    const { pools, ports } = this.#options.node;
    const { poolConflict, lookupWanted } = this.flags;
    return {
      pools: poolConflict ? [] : pools,
      ports: Date.now() < this.#halfUntilMs ? halfOf(ports, this.#half) : ports,
      lookups: lookupWanted,
    };
  }

  /** Called whenever `flags` or `allocation` has changed. */
  set onChange(listener: () => void) {
    this.#onChange = listener;
  }

  /**
   * Brings the others' sessions into the table. A node whose table is `fresh` and that finds nobody who knows more does not
   * know which of its ports the sessions of its last incarnation have: it gives out the half that it did not use the last
   * time.
   */
  async join(fresh: boolean): Promise<void> {
    this.#replicator.partial = fresh;
    const joined = await this.#replicator.join();
    this.#tell("joined", joined);
    if (fresh && (joined.alone || joined.partial)) this.#useOneHalf();
    else this.#replicator.partial = false;
  }

  /** The same for a node that the routers had lost. */
  async resync(): Promise<void> {
    this.#tell("resynced", await this.#replicator.resync());
  }

  /** Records that the sweep has read just now. */
  publish(records: Records): void {
    if (!isEmpty(records)) this.#replicator.publish(records);
  }

  /** The nodes of a new config. */
  use(cluster: Cluster): void {
    this.#replicator.setPeers(
      othersOf(cluster, this.#options.node).map(({ name }) => name),
      poolHashOf(cluster),
    );
  }

  status(): SyncStatus & {
    readonly server: NatsServerStatus | undefined;
    readonly bus: string | undefined;
  } {
    return {
      ...this.#replicator.status(),
      server: this.#server?.status(),
      bus: this.#transport.server,
    };
  }

  async close(): Promise<void> {
    clearTimeout(this.#halfEnds);
    this.#replicator.close();
    await this.#transport.close();
    await this.#server?.close();
  }

  #tell(event: string, joined: Joined): void {
    const { log } = this.#options;
    if (joined.alone) log.warn("no peer has sessions for us", { event });
    else log.info("sessions loaded from a peer", { event, ...joined });
  }

  #useOneHalf(): void {
    const { dataDir, cluster, log } = this.#options;
    const file = join(dataDir, HALF_FILE);
    this.#half = readHalf(file) === 0 ? 1 : 0;
    mkdirSync(dataDir, { recursive: true });
    writeFileSync(file, `${this.#half}\n`);
    const longestMs = Math.max(
      0,
      ...cluster.services.map(({ timeouts }) => timeouts.establishedMs),
    );
    this.#halfUntilMs = Date.now() + longestMs;
    this.#halfEnds = setTimeout(() => {
      this.#replicator.partial = false;
      this.#onChange();
    }, longestMs + 1);
    this.#onChange();
    log.warn("only half of the ports is given out", {
      event: "halfOfPorts",
      reason: "noSnapshot",
      half: this.#half,
      longestMs,
    });
  }
}

function othersOf(cluster: Cluster, node: ClusterNode): readonly ClusterNode[] {
  return cluster.nodes.filter(({ name }) => name !== node.name);
}

/** The first or the second half of the ports. */
export function halfOf({ min, max }: PortRange, half: 0 | 1): PortRange {
  const middle = min + Math.ceil((max - min) / 2);
  return half === 0 || middle > max
    ? { min, max: Math.max(min, middle - 1) }
    : { min: middle, max };
}

function readHalf(file: string): 0 | 1 | undefined {
  try {
    return readFileSync(file, "utf8").trim() === "0" ? 0 : 1;
  } catch {
    return undefined; // the first start
  }
}

/** Equal on nodes whose configs agree about the pools. */
function poolHashOf({ nodes }: Cluster): bigint {
  const lines = nodes
    .map(({ name, pools }) => [name, ...pools.map(formatPrefix)].join(" "))
    .toSorted();
  return createHash("sha256")
    .update(lines.join("\n"))
    .digest()
    .readBigUInt64LE();
}
