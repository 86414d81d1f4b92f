// SPDX-License-Identifier: Apache-2.0
/** A simulated cluster: real replicators on a bus in memory and a virtual clock, with model tables as their dataplanes. */
import { silentLog } from "../../src/log.ts";
import type { Joined } from "../../src/sync/catch-up.ts";
import type { Clock } from "../../src/sync/clock.ts";
import type { Limits } from "../../src/sync/limits.ts";
import {
  type Faults,
  MemoryBus,
  type MemoryTransport,
} from "../../src/sync/memory.ts";
import { Replicator } from "../../src/sync/replicator.ts";
import type { Transport } from "../../src/sync/transport.ts";
import { VirtualClock } from "../../src/sync/virtual-clock.ts";
import { originOf, type Prefix } from "../../src/model.ts";
import { ModelDirector, type Service } from "../model/director.ts";
import { mapped } from "../model/session.ts";
import { ModelTable, type Settings } from "../model/table.ts";

const SERVERS4 = [
  { address: mapped(0x0a030102), port: 80 },
  { address: mapped(0x0a030103), port: 80 },
];
export const IPV6 = 0x2001_0db8n << 96n;
const SERVERS6 = [
  { address: IPV6 + 0x3_0002n, port: 80 },
  { address: IPV6 + 0x3_0003n, port: 80 },
];

/** Of clients and real servers that both speak IPv4, and of all others. */
export const NARROW_SERVICE: Service = {
  vaddr: mapped(0xcb007101),
  servers: SERVERS4,
};
export const WIDE_SERVICES: readonly Service[] = [
  { vaddr: IPV6 + 0x1_0001n, servers: SERVERS6 },
  { vaddr: mapped(0xcb007102), servers: SERVERS6 },
  { vaddr: IPV6 + 0x1_0002n, servers: SERVERS4 },
];
const SERVICES = [NARROW_SERVICE, ...WIDE_SERVICES];

/** Local ports of each node's LIPs, one of each family: few, so that they come back. */
const PORTS = { min: 1024, max: 1055 };

const SWEEP_MS = 1000;

export type ClusterOptions = {
  readonly size: number;
  readonly seed?: number;
  readonly faults?: Partial<Faults>;
  readonly limits?: Partial<Limits>;
  readonly table?: Partial<Settings>;
  readonly maxPayload?: number;
  /** By node, where they are not what they should be. */
  readonly pools?: readonly Prefix[];
  readonly poolHashes?: readonly bigint[];
  /** In place of the bus itself: what a replicator sees of it. */
  readonly wrap?: (transport: Transport, node: string) => Transport;
};

export class SimCluster {
  readonly clock = new VirtualClock();
  readonly bus: MemoryBus;
  readonly nodes: readonly SimNode[];

  constructor(options: ClusterOptions) {
    this.bus = new MemoryBus({
      clock: this.clock,
      seed: options.seed ?? 1,
      ...(options.faults && { faults: options.faults }),
      ...(options.maxPayload && { maxPayload: options.maxPayload }),
    });
    const names = Array.from({ length: options.size }, (_, i) =>
      String.fromCharCode(97 + i),
    );
    this.nodes = names.map((name, i) => new SimNode(this, names, i, options));
  }

  /** @throws Error if there is no such node. */
  node(i: number): SimNode {
    const node = this.nodes[i];
    if (node === undefined) throw new Error(`Cannot find node ${i}`);
    return node;
  }

  get alive(): readonly SimNode[] {
    return this.nodes.filter((node) => node.isAlive);
  }

  /** Starts all, and goes on until they have joined. */
  async start(): Promise<void> {
    const joins = this.nodes.map((node) => node.start());
    await this.until("all have joined", () =>
      this.nodes.every((node) => node.joined !== undefined),
    );
    await Promise.all(joins);
  }

  advance(ms: number): Promise<void> {
    return this.clock.advance(ms);
  }

  /** Goes on until it is so. @throws Error if it takes longer than the limit. */
  async until(
    what: string,
    isSo: () => boolean,
    limitMs = 20_000,
  ): Promise<void> {
    const end = this.clock.now() + limitMs;
    while (!isSo()) {
      if (this.clock.now() >= end)
        throw new Error(`After ${limitMs} ms it is not so that ${what}`);
      await this.advance(10);
    }
  }

  close(): void {
    for (const node of this.nodes) node.crash();
  }
}

/** Clocks of nodes have nothing in common: this far apart. */
const CLOCKS_APART_MS = 1_000_003;

export class SimNode {
  readonly name: string;
  readonly clock: Clock;
  /** The dataplane: it may outlive the agent. */
  table: ModelTable;
  director: ModelDirector;
  replicator: Replicator | undefined;
  transport: MemoryTransport | undefined;
  joined: Joined | undefined;
  readonly #cluster: SimCluster;
  readonly #names: readonly string[];
  readonly #index: number;
  readonly #options: ClusterOptions;
  #starts = 0;
  /** The table is that of a machine that has just started. */
  #isFresh = true;
  #cancelSweep = () => {};

  constructor(
    cluster: SimCluster,
    names: readonly string[],
    index: number,
    options: ClusterOptions,
  ) {
    this.#cluster = cluster;
    this.#names = names;
    this.#index = index;
    this.#options = options;
    this.name = names[index] ?? "";
    const { clock } = cluster;
    this.clock = {
      now: () => clock.now() + (index + 1) * CLOCKS_APART_MS,
      after: (ms, act) => clock.after(ms, act),
    };
    this.table = this.#newTable();
    this.director = this.#newDirector();
  }

  get isAlive(): boolean {
    return this.replicator !== undefined;
  }

  /** @throws Error if the agent does not run. */
  get agent(): Replicator {
    if (this.replicator === undefined)
      throw new Error(`The agent of ${this.name} does not run`);
    return this.replicator;
  }

  /** Starts the agent. Resolves when it has joined, for which the clock has to go on. */
  async start(): Promise<void> {
    this.transport = this.#cluster.bus.join(this.name);
    this.#starts++;
    this.joined = undefined;
    const replicator = new Replicator({
      cluster: "rack",
      node: this.name,
      incarnation: BigInt(this.#starts * 1000 + this.#index),
      pool: [
        this.#options.pools?.[this.#index] ?? {
          address: `10.200.0.${this.#index * 16}`,
          length: 28,
        },
      ],
      poolHash: this.#options.poolHashes?.[this.#index] ?? 1n,
      table: this.table,
      transport:
        this.#options.wrap?.(this.transport, this.name) ?? this.transport,
      clock: this.clock,
      log: silentLog,
      peers: this.#names.filter((name) => name !== this.name),
      ...(this.#options.limits && { limits: this.#options.limits }),
    });
    this.replicator = replicator;
    const sweep = () => {
      this.#cancelSweep = this.clock.after(SWEEP_MS, sweep);
      this.table.sweep(replicator.flags.weakExpiry);
    };
    this.#cancelSweep = this.clock.after(SWEEP_MS, sweep);
    replicator.partial = this.#isFresh;
    const joined = await replicator.join();
    replicator.partial &&= joined.alone ?? joined.partial;
    if (this.replicator === replicator) this.joined = joined;
    this.#isFresh = false;
  }

  /** The agent dies, and says nothing. The table stays, and packets still change it. */
  crash(): void {
    this.#cancelSweep();
    this.replicator?.close();
    this.replicator = undefined;
    this.joined = undefined;
    if (this.transport !== undefined) this.#cluster.bus.crash(this.name);
    this.transport = undefined;
  }

  /** The machine restarts: the table is empty. */
  loseTable(): void {
    this.table = this.#newTable();
    this.director = this.#newDirector();
    this.#isFresh = true;
  }

  #newTable(): ModelTable {
    return new ModelTable({
      ...this.#options.table,
      now: () => Math.floor((this.clock.now() * 1e6) / 2 ** 20),
      origin: originOf(this.name),
    });
  }

  #newDirector(): ModelDirector {
    const pool = {
      addresses: [
        mapped(0x0ac80001 + this.#index * 16),
        IPV6 + (0xc8n << 32n) + BigInt(1 + this.#index * 16),
      ],
      ports: PORTS,
    };
    return new ModelDirector(this.table, pool, SERVICES);
  }
}
