// SPDX-License-Identifier: Apache-2.0
/** What the agent tells through the admin API. */
import type {
  CounterMessage,
  NodeDetail,
  NodeMessage,
  RoutesMessage,
  ServerMessage,
  ServiceMessage,
  SyncMessage,
  U64,
} from "../admin/api.ts";
import {
  formatPorts,
  formatPrefix,
  hostPrefix,
  type Session,
} from "../model.ts";
import type { AdminSource } from "./admin.ts";
import { peerState, syncMessageOf } from "./admin-sync.ts";
import type { Agent } from "./agent.ts";
import type { Sweep } from "./dataplane.ts";
import { realServersOf } from "./desired.ts";
import type { HealthStatus } from "./health.ts";

/** Sessions decoded at a time. */
const BATCH = 256;

export class AgentAdmin implements AdminSource {
  readonly #agent: Agent;

  constructor(agent: Agent) {
    this.#agent = agent;
  }

  async nodes(): Promise<readonly NodeMessage[]> {
    const { cluster, node: self } = this.#agent.config;
    const status = this.#agent.sharing?.status();
    return cluster.nodes.map(({ name, pools }) => ({
      name,
      self: name === self.name,
      pool: pools.slice(0, 1).map(formatPrefix).join(),
      pools: pools.map(formatPrefix),
      state:
        name === self.name
          ? this.#agent.state
          : (peerState(status, name) ?? "unknown"),
      detail: name === self.name ? this.#detail() : null,
    }));
  }

  #detail(): NodeMessage["detail"] {
    const { attachments, config, dataplane, startedAt, sweeper } = this.#agent;
    const sweep = sweeper.last;
    return {
      incarnation: dataplane.incarnation,
      startedAtUnixMs: startedAt.getTime(),
      interfaces: config.node.interfaces.map((name) => {
        const found = attachments.find((one) => one.interface === name);
        return {
          name,
          ifindex: found?.ifindex ?? 0,
          mode: found?.mode ?? "none",
        };
      }),
      sessions: {
        total: sweep?.sessions ?? 0n,
        halfOpen: sweep?.half_open ?? 0n,
        established: sweep?.established ?? 0n,
        closing: sweep?.closing ?? 0n,
      },
      table: fuller(sweep),
      tables: [
        {
          name: "narrow",
          sessions: sweep?.narrow_sessions ?? 0n,
          load: Number(sweep?.narrow_load ?? 0n) / 1_000,
        },
        {
          name: "wide",
          sessions: sweep?.wide_sessions ?? 0n,
          load: Number(sweep?.wide_load ?? 0n) / 1_000,
        },
      ],
    };
  }

  async services(): Promise<readonly ServiceMessage[]> {
    const { reachability, config } = this.#agent;
    const { announced } = await reachability.status();
    const prefixes = new Set(
      announced.map(({ prefix }) => formatPrefix(prefix)),
    );
    const servers = await this.servers();
    return config.cluster.services.map((service) => {
      const own = servers.filter((server) => server.service === service.name);
      return {
        name: service.name,
        vip: service.vip,
        port: service.ports.min,
        ports: formatPorts(service.ports),
        protocol: service.protocol,
        scheduler: service.scheduler,
        serversUp: own.filter(({ health }) => health === "up").length,
        serversTotal: own.length,
        announced: prefixes.has(formatPrefix(hostPrefix(service.vip))),
        sessions: own.reduce((sum, { sessions }) => sum + BigInt(sessions), 0n),
      };
    });
  }

  async servers(): Promise<readonly ServerMessage[]> {
    const { config, dataplane, health, numbers, sweeper } = this.#agent;
    const statuses = new Map(
      health.status().map((status) => [status.target.id, status]),
    );
    return realServersOf(config.cluster).flatMap(({ id, service, server }) => {
      const number = numbers.realServers.get(id);
      if (number === undefined) return [];
      const traffic = dataplane.readTraffic(number);
      const status = statuses.get(id);
      return {
        service: service.name,
        address: server.address,
        port: server.port,
        weight: server.weight,
        health: status?.state ?? "unknown",
        lastCheck: lastCheck(status),
        sessions: sweeper.last?.sessionsPerReal[number] ?? 0,
        sessionsCreated: traffic.sessions,
        inboundPackets: traffic.inbound_packets,
        inboundBytes: traffic.inbound_bytes,
        outboundPackets: traffic.outbound_packets,
        outboundBytes: traffic.outbound_bytes,
      };
    });
  }

  async *sessions(): AsyncGenerator<readonly Session[]> {
    const agent = this.#agent;
    const origins = new Map(
      agent.config.cluster.nodes.map(({ origin, name }) => [origin, name]),
    );
    let batch: Session[] = [];
    for await (const session of agent.dataplane.sessions({
      service: (real) => agent.serviceOf(real)?.name ?? "",
      origin: (number) => origins.get(number) ?? number.toString(16),
      timeouts: (real) => agent.sweeper.termsOf(real),
    })) {
      batch.push(session);
      if (batch.length < BATCH) continue;
      yield batch;
      batch = [];
    }
    yield batch;
  }

  async counters(): Promise<readonly CounterMessage[]> {
    return Object.entries(this.#agent.dataplane.readCounters()).map(
      ([name, value]) => ({ name, value }),
    );
  }

  async routes(): Promise<RoutesMessage> {
    const { reachability, routes } = this.#agent;
    const status = await reachability.status();
    const announced = new Set(
      status.announced.map(({ prefix }) => formatPrefix(prefix)),
    );
    return {
      state: status.state,
      error: status.lastError ?? "",
      neighbors: status.neighbors,
      routes: routes.map(({ prefix, kind, wanted }) => ({
        prefix: formatPrefix(prefix),
        kind,
        wanted,
        announced: announced.has(formatPrefix(prefix)),
      })),
      blackholes: reachability.blocked.map(formatPrefix),
    };
  }

  async sync({
    fingerprint = false,
    since = 0n,
  }: {
    readonly fingerprint?: boolean;
    readonly since?: U64;
  }): Promise<SyncMessage> {
    const { config, dataplane, sharing, sweeper } = this.#agent;
    return syncMessageOf({
      names: config.cluster.nodes.map(({ name }) => name),
      self: config.node.name,
      status: sharing?.status(),
      sessions: sweeper.last?.sessions ?? 0n,
      fingerprint: fingerprint
        ? await dataplane.fingerprint(BigInt(since))
        : null,
    });
  }
}

function lastCheck(
  status: HealthStatus | undefined,
): ServerMessage["lastCheck"] {
  if (status?.last === undefined) return null;
  const { startedAt, durationMs, error } = status.last;
  return { atUnixMs: startedAt.getTime(), durationMs, error: error ?? "" };
}

/** The two halves have as many slots each; an orphan may make one fuller for a while. */
function fuller(sweep: Sweep | undefined): NodeDetail["table"] {
  if (sweep === undefined) return { entries: 0n, capacity: 0n };
  const { inbound_entries: inbound, outbound_entries: outbound } = sweep;
  return inbound > outbound
    ? { entries: inbound, capacity: sweep.inbound_slots }
    : { entries: outbound, capacity: sweep.outbound_slots };
}
