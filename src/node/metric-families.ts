// SPDX-License-Identifier: Apache-2.0
/** The agent's metrics as plain data: what the CLI shows, by the names and units of Prometheus. */
import type {
  CounterMessage,
  NodeDetail,
  NodeMessage,
  RoutesMessage,
  ServerMessage,
  ServiceMessage,
  SyncMessage,
  SyncPairMessage,
  U64,
} from "../admin/api.ts";
import { formatServer } from "../model.ts";
import { COUNTER_NOTES } from "../admin/counter-notes.ts";
import { SYNC_NOTES } from "../admin/sync-notes.ts";
import type { AdminSource } from "./admin.ts";

export type Family = {
  readonly type: "counter" | "gauge";
  readonly name: string;
  readonly help: string;
  /** All with the same labels. */
  readonly samples: readonly Sample[];
};

export type Sample = {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: U64;
};

export async function familiesOf(
  source: AdminSource,
): Promise<readonly Family[]> {
  const [nodes, services, servers, counters, routes, sync] = await Promise.all([
    source.nodes(),
    source.services(),
    source.servers(),
    source.counters(),
    source.routes(),
    source.sync({}),
  ]);
  return [
    ...counterFamilies(counters),
    ...nodes.flatMap(nodeFamilies),
    ...serviceFamilies(services),
    ...serverFamilies(servers),
    ...routingFamilies(routes),
    ...syncFamilies(sync),
  ];
}

function counterFamilies(
  counters: readonly CounterMessage[],
): readonly Family[] {
  return counters.map(({ name, value }) => ({
    type: "counter",
    name: `weir_${name}_total`,
    help: COUNTER_NOTES[name] ?? name,
    samples: [{ value }],
  }));
}

/** Of the node that answers. */
function nodeFamilies({ detail, state }: NodeMessage): readonly Family[] {
  if (detail === null) return [];
  const { sessions, table, tables, interfaces, startedAtUnixMs } = detail;
  return [
    gauge("weir_forwarding", "1 while the agent is in charge of the node.", [
      { value: Number(state === "forwarding") },
    ]),
    gauge("weir_agent_start_time_seconds", "When the agent started.", [
      { value: Number(startedAtUnixMs) / 1e3 },
    ]),
    gauge(
      "weir_interface_attached",
      "1 if the interface has the program.",
      interfaces.map((one: NodeDetail["interfaces"][number]) => ({
        labels: { interface: one.name },
        value: Number(one.mode !== "none"),
      })),
    ),
    gauge("weir_sessions", "Sessions that the node holds.", [
      { labels: { state: "half_open" }, value: sessions.halfOpen },
      { labels: { state: "established" }, value: sessions.established },
      { labels: { state: "closing" }, value: sessions.closing },
    ]),
    gauge(
      "weir_table_load",
      "How full a session table is, from 0 to 1; plan for 0.6.",
      tables.map(({ name, load }) => ({
        labels: { table: name },
        value: load,
      })),
    ),
    gauge(
      "weir_table_entries",
      "Entries of both session tables' fuller half.",
      [{ value: table.entries }],
    ),
    gauge("weir_table_slots", "Slots of that half.", [
      { value: table.capacity },
    ]),
  ];
}

function serviceFamilies(
  services: readonly ServiceMessage[],
): readonly Family[] {
  const of = (value: (service: ServiceMessage) => U64): readonly Sample[] =>
    services.map((service) => ({
      labels: { service: service.name },
      value: value(service),
    }));
  return [
    gauge(
      "weir_service_announced",
      "1 if this node announces the service's VIP.",
      of(({ announced }) => Number(announced)),
    ),
    gauge(
      "weir_service_servers_up",
      "Real servers that may have new sessions.",
      of(({ serversUp }) => serversUp),
    ),
    gauge(
      "weir_service_sessions",
      "Sessions that the node holds.",
      of(({ sessions }) => sessions),
    ),
  ];
}

function serverFamilies(servers: readonly ServerMessage[]): readonly Family[] {
  const labelsOf = (server: ServerMessage) => ({
    service: server.service,
    server: formatServer(server),
  });
  const of = (value: (server: ServerMessage) => U64): readonly Sample[] =>
    servers.map((server) => ({
      labels: labelsOf(server),
      value: value(server),
    }));
  const inAndOut = (
    inbound: (server: ServerMessage) => U64,
    outbound: (server: ServerMessage) => U64,
  ): readonly Sample[] =>
    servers.flatMap((server) => [
      {
        labels: { ...labelsOf(server), direction: "in" },
        value: inbound(server),
      },
      {
        labels: { ...labelsOf(server), direction: "out" },
        value: outbound(server),
      },
    ]);
  return [
    gauge(
      "weir_server_up",
      "1 if the last checks of the real server say so; 0 also before the first.",
      of(({ health }) => Number(health === "up")),
    ),
    gauge(
      "weir_server_weight",
      "The real server's weight.",
      of(({ weight }) => weight),
    ),
    gauge(
      "weir_server_sessions",
      "Sessions that the node holds.",
      of(({ sessions }) => sessions),
    ),
    counter(
      "weir_server_sessions_created_total",
      "Sessions that the node has created.",
      of(({ sessionsCreated }) => sessionsCreated),
    ),
    counter(
      "weir_server_packets_total",
      "Packets forwarded: in = from clients, out = to clients.",
      inAndOut(
        ({ inboundPackets }) => inboundPackets,
        ({ outboundPackets }) => outboundPackets,
      ),
    ),
    counter(
      "weir_server_bytes_total",
      "Bytes of these packets.",
      inAndOut(
        ({ inboundBytes }) => inboundBytes,
        ({ outboundBytes }) => outboundBytes,
      ),
    ),
  ];
}

function routingFamilies({
  state,
  neighbors,
  routes,
}: RoutesMessage): readonly Family[] {
  return [
    gauge("weir_routing_up", "1 if the routing daemon answers.", [
      { value: Number(state === "up") },
    ]),
    gauge(
      "weir_bgp_neighbor_up",
      "1 if the BGP session is established.",
      neighbors.map(({ address, state: session }) => ({
        labels: { neighbor: address },
        value: Number(session === "established"),
      })),
    ),
    gauge(
      "weir_route_announced",
      "1 if the routing daemon announces the prefix.",
      routes.map(({ prefix, kind, announced }) => ({
        labels: { prefix, kind },
        value: Number(announced),
      })),
    ),
  ];
}

/** None without a bus or another node. */
function syncFamilies(sync: SyncMessage): readonly Family[] {
  const { state, bus, nodes, pairs, risk, counters } = sync;
  if (state === "off") return [];
  const peers = nodes.filter(({ self }) => !self);
  return [
    gauge(
      "weir_sync_synced",
      "1 while the node holds all that its peers hold, as far as it knows.",
      [{ value: Number(state === "synced") }],
    ),
    gauge("weir_sync_bus_up", "1 while the bus is connected.", [
      { value: Number(bus === "up") },
    ]),
    gauge(
      "weir_sync_peer_heard",
      "1 while the peer is heard.",
      peers.map((peer) => ({
        labels: { peer: peer.name },
        value: Number(peer.state !== "unheard"),
      })),
    ),
    gauge(
      "weir_sync_peer_synced",
      "1 while the peer is heard and says that it is synced.",
      peers.map((peer) => ({
        labels: { peer: peer.name },
        value: Number(peer.state === "synced"),
      })),
    ),
    gauge(
      "weir_sync_peer_problems",
      "Problems with the peer that an operator has to mend: see weir sync.",
      peers.map(({ name, problems }) => ({
        labels: { peer: name },
        value: problems.length,
      })),
    ),
    ...pairFamilies(pairs),
    gauge(
      "weir_sync_records_not_on_all",
      "Records published here that not all peers that are heard have merged.",
      [{ value: risk?.notOnAll ?? 0 }],
    ),
    gauge(
      "weir_sync_records_on_none",
      "Records published here that no peer that is heard has merged.",
      [{ value: risk?.onNone ?? 0 }],
    ),
    ...counters.map(({ name, value }) =>
      counter(
        `weir_sync_${name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}_total`,
        SYNC_NOTES[name] ?? name,
        [{ value }],
      ),
    ),
  ];
}

/** What nobody knows here is left out. */
function pairFamilies(pairs: readonly SyncPairMessage[]): readonly Family[] {
  const of = (
    value: (pair: SyncPairMessage) => U64 | boolean | undefined,
    labels: Readonly<Record<string, string>> = {},
  ): readonly Sample[] =>
    pairs.flatMap((pair) => {
      const known = value(pair);
      return known === undefined
        ? []
        : [
            {
              labels: { from: pair.from, to: pair.to, ...labels },
              value: Number(known),
            },
          ];
    });
  return [
    gauge(
      "weir_sync_lag_seconds",
      "From reading a record on one node to having it in the other one's table, over the last thousand messages.",
      [
        ...of(({ lagMs }) => inSeconds(lagMs), { quantile: "0.5" }),
        ...of(({ lagP99Ms }) => inSeconds(lagP99Ms), { quantile: "0.99" }),
      ],
    ),
    gauge(
      "weir_sync_behind_messages",
      "Messages that one node has published and the other has not merged.",
      of(({ seq, applied }) => BigInt(seq) - BigInt(applied)),
    ),
    gauge(
      "weir_sync_queue_bytes",
      "What waits here: for the bus, or for the table.",
      of(({ queue }) => queue),
    ),
    gauge(
      "weir_sync_digest_equal",
      "1 if both held the same settled sessions when they last compared.",
      of(({ digestEqual }) => digestEqual),
    ),
    counter(
      "weir_sync_pair_gaps_total",
      "How often messages were missed.",
      of(({ gaps }) => gaps),
    ),
    counter(
      "weir_sync_pair_resends_total",
      "How often messages were asked for again.",
      of(({ resends }) => resends),
    ),
  ];
}

function inSeconds(durationMs: number | undefined): number | undefined {
  return durationMs === undefined ? undefined : durationMs / 1e3;
}

function gauge(name: string, help: string, samples: readonly Sample[]): Family {
  return { type: "gauge", name, help, samples };
}

function counter(
  name: string,
  help: string,
  samples: readonly Sample[],
): Family {
  return { type: "counter", name, help, samples };
}
