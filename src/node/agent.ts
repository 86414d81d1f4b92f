// SPDX-License-Identifier: Apache-2.0
/**
 * One node's agent: it fills the maps, attaches, announces, and keeps all three as the config and the health of the real
 * servers say. It is never in the way of a packet: when it dies, the pinned dataplane and the routing daemon go on, and the
 * next one adopts both.
 */
import { DataplaneError, WeirError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Cluster, ClusterNode, VirtualService } from "../model.ts";
import { formatPrefix } from "../model.ts";
import { type Attachment, findInterfaces } from "./attach.ts";
import type { Dataplane } from "./dataplane.ts";
import type { DataplaneState, DesiredRoute, Numbers } from "./desired.ts";
import {
  backendsOf,
  desiredRoutes,
  desiredState,
  destinationsOf,
  healthTargets,
} from "./desired.ts";
import type { EgressGroup } from "./egress.ts";
import { EgressWatcher } from "./egress-watcher.ts";
import { HealthMonitor } from "./health.ts";
import { Periodic } from "./periodic.ts";
import { Placement } from "./placement.ts";
import { observe, perform, plan } from "./plan.ts";
import { untilQuiet } from "./quiet.ts";
import type { Reachability } from "./reachability.ts";
import { RouterWatch } from "./router-watch.ts";
import { ScheduleCache } from "./schedule.ts";
import type { Sharing } from "./sharing.ts";
import { Sweeper } from "./sweeper.ts";

/** The egress lease is renewed this often and lasts a second. */
const LEASE_RENEWAL_MS = 200;
const SWEEP_INTERVAL_MS = 1000;
/** The host's interfaces and blackhole routes are looked at this often, and mended. */
const HOST_CHECK_MS = 5000;
/** Changes that come together are brought into the maps together. */
const RECONCILE_DELAY_MS = 10;
/** Beyond the slowest check, how long a start or a reload waits for the first result of each. */
const FIRST_HEALTH_GRACE_MS = 1000;

export type AgentState = "starting" | "forwarding" | "stopping";

/** A config that has been read and accepted, and this node's place in it. */
export type AgentConfig = {
  readonly cluster: Cluster;
  readonly node: ClusterNode;
};

export type AgentParts = {
  readonly dataplane: Dataplane;
  readonly reachability: Reachability;
  /** Undefined: the nodes of this cluster do not share their sessions. */
  readonly sharing: Sharing | undefined;
  readonly log: Log;
};

export class Agent {
  readonly startedAt = new Date();
  readonly health: HealthMonitor;
  readonly dataplane: Dataplane;
  readonly reachability: Reachability;
  readonly sharing: Sharing | undefined;
  readonly #log: Log;
  /** Undefined: there is nothing to catch up with, or no router is to be expected. */
  readonly #routers: RouterWatch | undefined;
  readonly sweeper: Sweeper;
  readonly #egress: EgressWatcher;
  readonly #schedules = new ScheduleCache();
  readonly #placement: Placement;
  readonly #periodic: Periodic;
  #config: AgentConfig;
  #state: AgentState = "starting";
  /** Start, reload and stop, one after the other. While one is on, it alone writes maps and routes. */
  #turn: Promise<void> = Promise.resolve();
  #busy = false;
  #reconcileSoon: NodeJS.Timeout | undefined;
  #groups: ReadonlyMap<string, EgressGroup> = new Map();
  #observed: DataplaneState;
  #attachments: readonly Attachment[] = [];
  /** The sessions of the other nodes are in the table. */
  #joined: boolean;

  /** Reads what the maps hold; changes nothing yet. */
  constructor(config: AgentConfig, parts: AgentParts) {
    this.#config = config;
    this.dataplane = parts.dataplane;
    this.reachability = parts.reachability;
    this.sharing = parts.sharing;
    this.#joined = parts.sharing === undefined;
    this.#log = parts.log;
    this.#periodic = new Periodic(parts.log);
    this.#observed = observe(parts.dataplane);
    this.#placement = new Placement(this.#observed.realServers);
    this.sweeper = new Sweeper({
      dataplane: parts.dataplane,
      sharing: parts.sharing,
      origin: config.node.origin,
      serviceOf: (real) => this.#placement.serviceOf(real),
    });
    this.health = new HealthMonitor({
      log: parts.log,
      onChange: () => this.#reconcile(),
    });
    const { sharing } = parts;
    if (sharing) {
      sharing.onChange = () => this.#reconcile();
      if (config.node.routing.neighbors.length > 0)
        this.#routers = new RouterWatch({
          log: parts.log,
          status: () => this.reachability.status(),
          onChange: () => this.#reconcile(),
          catchUp: () => sharing.resync(),
        });
    }
    this.#egress = new EgressWatcher({
      log: parts.log,
      onChange: (groups) => {
        this.#groups = groups;
        this.#reconcile();
      },
    });
  }

  get config(): AgentConfig {
    return this.#config;
  }

  get state(): AgentState {
    return this.#state;
  }

  get attachments(): readonly Attachment[] {
    return this.#attachments;
  }

  get numbers(): Numbers {
    return this.#placement.numbers;
  }

  /** All that this node may announce. Nothing is wanted while the dataplane is not attached, or sessions are missing. */
  get routes(): readonly DesiredRoute[] {
    const { cluster, node } = this.#config;
    return desiredRoutes(cluster, node, {
      isUp: (id) => this.health.isUp(id),
      ready:
        this.#attachments.length > 0 && this.#joined && !this.#routers?.lost,
    });
  }

  /** The service that a real server's number belongs, or last belonged, to; undefined if no config of this agent had it. */
  serviceOf(real: number): VirtualService | undefined {
    return this.#placement.serviceOf(real);
  }

  /** Throws if the config does not fit, the maps cannot be filled or the program cannot be attached. */
  start(): Promise<void> {
    return this.#inTurn(async () => {
      await findInterfaces(this.#config.node.interfaces);
      // Two passes: then it is known which numbers of an earlier config no session uses.
      for (let pass = 0; pass < 2; pass++)
        this.#placement.release((await this.sweeper.once()).sessionsPerReal);
      await this.#adopt(this.#config);
      this.#refuseWhenStopping();
      this.#state = "forwarding";
      this.sweeper.allowExpiry();
      this.#routers?.start();
      this.#periodic.every(LEASE_RENEWAL_MS, () => this.#renewLease());
      this.#periodic.every(SWEEP_INTERVAL_MS, () => this.#sweepWhenDue());
      this.#periodic.every(HOST_CHECK_MS, () =>
        this.#inTurn(() => this.#checkHost()),
      );
    });
  }

  /** Takes over another config. Rejects, and goes on with the old one, if it does not fit or cannot be put in place. */
  reload(next: AgentConfig): Promise<void> {
    return this.#inTurn(async () => {
      this.#refuseWhenStopping();
      const old = this.#config;
      await findInterfaces(next.node.interfaces);
      this.#placement.numbersFor(next.cluster, this.#observed);
      try {
        await this.#adopt(next);
      } catch (error) {
        this.#refuseWhenStopping();
        this.#log.warn("going back to the old config", { op: "reload" });
        await this.#adopt(old);
        throw error;
      }
    });
  }

  /**
   * Leaves: withdraws all routes, waits until nothing comes any more, detaches. The blackhole routes stay, so that a late
   * packet never goes back to the router; so do the maps, for the next start. If the routes cannot be withdrawn, the
   * program stays attached: better a node that forwards than one that swallows.
   */
  async stop(): Promise<void> {
    this.#state = "stopping";
    await this.#inTurn(async () => {
      if (await this.reachability.announce([])) {
        await untilQuiet(this.dataplane);
        await this.dataplane.detach();
      } else {
        this.#log.error("left attached: the routes may still be announced", {
          op: "stop",
          reason: "routesNotWithdrawn",
        });
      }
    });
    await this.close();
  }

  /** Lets go of everything as it is: the dataplane forwards, the routes stand. */
  async close(): Promise<void> {
    clearTimeout(this.#reconcileSoon);
    this.#periodic.close();
    this.#routers?.close();
    this.health.close();
    this.#egress.close();
    await this.reachability.close();
    await this.sharing?.close();
    this.dataplane.close();
  }

  #inTurn(act: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(async () => {
      this.#busy = true;
      try {
        await act();
      } finally {
        this.#busy = false;
        this.#reconcile();
      }
    });
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /** From what the maps hold to what `config` says. Fill, attach, announce; what goes is withdrawn before it is taken out. */
  async #adopt(config: AgentConfig): Promise<void> {
    const before = this.#observed;
    this.#placement.use(config.cluster, before);
    this.#config = config;
    this.sharing?.use(config.cluster);
    this.health.set(healthTargets(config.cluster));
    await Promise.all([this.#watchEgress(), this.#firstHealth()]);
    const desired = this.#desired();
    await this.reachability.block(before, desired);
    const goes = [...before.prefixes.keys()].some(
      (prefix) => !desired.prefixes.has(prefix),
    );
    if (goes) {
      // What the maps hold is attached already, or nothing is.
      await this.#attach();
      await this.reachability.announce(
        this.routes.filter(
          ({ prefix, kind }) =>
            kind === "pool" || before.prefixes.has(formatPrefix(prefix)),
        ),
      );
    }
    const fresh = before.node === undefined;
    this.#fill(this.#desired());
    await this.#attach();
    this.#renewLease();
    if (!this.#joined) {
      await this.sharing?.join(fresh);
      this.#refuseWhenStopping();
      this.#joined = true;
    }
    void this.#announce();
  }

  async #watchEgress(): Promise<void> {
    const { cluster, node } = this.#config;
    await this.#egress.set({
      interfaces: node.interfaces,
      destinations: destinationsOf(cluster, this.#placement.retired),
    });
  }

  /** An agent that adopts must not take good servers out for want of news. */
  async #firstHealth(): Promise<void> {
    const slowest = this.#config.cluster.services.map(
      ({ health }) => health.timeoutMs + health.intervalMs,
    );
    await this.health.firstResults(
      Math.max(0, ...slowest) + FIRST_HEALTH_GRACE_MS,
      () => this.#state === "stopping",
    );
    this.#refuseWhenStopping();
  }

  #refuseWhenStopping(): void {
    if (this.#state === "stopping")
      throw new WeirError("Cannot go on: the agent is stopping");
  }

  /** Something has changed: maps and routes follow soon. */
  #reconcile(): void {
    if (this.#state !== "forwarding" || this.#busy) return;
    this.#reconcileSoon ??= setTimeout(() => {
      this.#reconcileSoon = undefined;
      if (this.#state !== "forwarding" || this.#busy) return;
      try {
        this.#fill(this.#desired());
      } catch (error) {
        // The maps' sizes were checked when the config was accepted: this is the kernel's refusal, and may pass.
        this.#log.error("maps not brought up to date", { op: "fill", error });
      }
      void this.#announce();
    }, RECONCILE_DELAY_MS);
  }

  #desired(): DataplaneState {
    const { cluster, node } = this.#config;
    return desiredState(cluster, node, {
      numbers: this.#placement.numbers,
      isUp: (id) => this.health.isUp(id),
      groups: this.#groups,
      retired: this.#placement.retired,
      wasMixed: this.#observed.node?.mixed ?? false,
      schedules: this.#schedules,
      allocation: this.sharing?.allocation ?? {
        pools: node.pools,
        ports: node.ports,
        lookups: false,
      },
    });
  }

  #fill(desired: DataplaneState): void {
    try {
      for (const action of plan(desired, this.#observed))
        perform(this.dataplane, action);
      this.#observed = desired;
      this.dataplane.setBackends(backendsOf(desired));
    } catch (error) {
      this.#observed = observe(this.dataplane);
      throw error;
    }
  }

  async #attach(): Promise<void> {
    const before = this.#attachments;
    this.#attachments = await this.dataplane.attach(
      this.#config.node.interfaces,
    );
    if (before.length === 0)
      this.#log.info("dataplane attached", {
        event: "dataplaneAttached",
        interfaces: this.#attachments,
      });
  }

  /** Not before it is known whether there is a router: without one, the sessions of others may be missing here. */
  #announce(): Promise<boolean> {
    return this.#routers?.isUnknown
      ? Promise.resolve(false)
      : this.reachability.announce(this.routes);
  }

  /** Only while the kernel's tables can be read: the dataplane had better ask the kernel itself than trust old hops. */
  #renewLease(): void {
    if (this.#egress.status().error === undefined) this.dataplane.renewLease();
  }

  async #sweepWhenDue(): Promise<void> {
    const sweep = await this.sweeper.ifDue();
    if (sweep !== undefined && this.#placement.release(sweep.sessionsPerReal))
      this.#reconcile();
  }

  /** An interface that was made anew, or lost the program, gets it again; while one is missing, nothing is announced. */
  async #checkHost(): Promise<void> {
    if (this.#state !== "forwarding") return;
    try {
      await this.#attach();
    } catch (error) {
      this.#log.error("dataplane not attached", { op: "attach", error });
      // Any other error means that nobody knows: no reason to leave.
      if (error instanceof DataplaneError) this.#attachments = [];
    }
    await this.reachability.block(this.#observed);
    void this.#announce();
  }
}
