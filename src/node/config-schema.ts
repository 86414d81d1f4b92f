// SPDX-License-Identifier: Apache-2.0
/**
 * The config file: one YAML file for the whole cluster, of which each node picks its own section by name. This is the one
 * description of its keys, their limits and their defaults; the type follows from it. What keys mean is written beside
 * them in the sample, ops/config/weir.yaml.
 */
import type * as t from "io-ts";
import { PROTOCOLS } from "../model.ts";
import { type Draft, Maybe, oneOf, Optional, Refused } from "./config-codec.ts";
import {
  Choice,
  Fields,
  List,
  Names,
  OneOrList,
  OptionalSection,
} from "./config-containers.ts";
import { simulate } from "./config-simulate.ts";
import {
  address,
  asn,
  busUrl,
  duration,
  file,
  httpPath,
  interfaceName,
  ipv4,
  listenAt,
  name,
  port,
  ports,
  prefix,
  servicePorts,
  socket,
  sync,
  whole,
} from "./config-values.ts";

/** Indexes of egress groups are 16 bits, and three groups are not real servers'. */
const REAL_SERVERS_MAX = 65_533;
/** Each service takes 64 KiB of kernel memory for its two schedules. */
const SERVICES_MAX = 4_096;
const SESSIONS_MIN = 1_024;
const SESSIONS_MAX = 16_777_216;
const sessionCount = whole("a number of sessions", SESSIONS_MIN, SESSIONS_MAX);
/** Ticks of the session table wrap after 26 days and are compared by signed difference. */
const DURATION_MAX_MS = 7 * 24 * 3_600_000;

const limits = new Fields("a mapping", {
  sessions: new Optional(sessionCount, 131_072),
  wide_sessions: new Maybe(sessionCount),
  services: new Optional(whole("a number of services", 1, SERVICES_MAX), 256),
  real_servers: new Optional(
    whole("a number of real servers", 1, REAL_SERVERS_MAX),
    1_024,
  ),
});

const neighbor = new Fields("a mapping", {
  address,
  asn,
  // RFC 4271 section 4.2: whole seconds, at least 3.
  hold_time: new Optional(duration(3_000, 65_535_000, 1_000), "9s"),
});

const routing = new Fields("a mapping", {
  backend: new Optional(oneOf("a known routing backend", ["gobgp"]), "gobgp"),
  socket: new Optional(socket, "/run/gobgpd.sock"),
  asn,
  router_id: ipv4,
  listen: new List("a list of addresses", address),
  neighbors: new List("a list of neighbors", neighbor),
});

const nodeBus = new Fields("a mapping", {
  address,
  client_port: new Optional(port, 4_222),
  cluster_port: new Optional(port, 6_222),
});

const metrics = new Fields("a mapping", { listen: listenAt });

const node = new Fields("a mapping", {
  interfaces: new List("a list of interfaces", interfaceName),
  pool: new OneOrList("a list of prefixes", prefix),
  ports: new Optional(ports, "1024-65535"),
  routing,
  bus: new OptionalSection(nodeBus),
  metrics: new OptionalSection(metrics),
  simulate: new OptionalSection(simulate),
});

const tls = new Fields("a mapping", {
  ca: file,
  cert: file,
  key: file,
});

const bus = new Fields("a mapping", {
  servers: new Optional(new List("a list of URLs", busUrl), []),
  tls: new OptionalSection(tls),
});

const timeout = duration(1_000, DURATION_MAX_MS);
const tcpTimeouts = new Fields("a mapping", {
  handshake: new Optional(timeout, "60s"),
  established: new Optional(timeout, "15m"),
  closed: new Optional(timeout, "60s"),
  reset: new Optional(timeout, "10s"),
});
const tcpAlone = new Refused(
  "is not for udp",
  "remove it: UDP has neither FIN nor RST",
);
const udpTimeouts = new Fields("a mapping", {
  handshake: new Optional(timeout, "30s"),
  established: new Optional(timeout, "120s"),
  closed: tcpAlone,
  reset: tcpAlone,
});

const checkType = oneOf("a known type of health check", [
  "tcp",
  "http",
  "none",
]);
const check = {
  path: new Optional(httpPath, "/"),
  port: new Maybe(port),
  interval: new Optional(duration(100, 3_600_000), "1s"),
  timeout: new Optional(duration(10, 3_600_000), "1s"),
  rise: new Optional(whole("a number of checks", 1, 100), 2),
  fall: new Optional(whole("a number of checks", 1, 100), 3),
};
const tcpHealth = new Fields("a mapping", {
  type: new Optional(checkType, "tcp"),
  ...check,
});
const udpHealth = new Fields("a mapping", {
  type: new Optional(checkType, "none"),
  ...check,
});

const server = new Fields("a mapping", {
  address,
  port: new Maybe(port),
  weight: new Optional(whole("a weight", 0, 65_535), 1),
});

const endpoint = {
  name,
  vip: address,
  port: new Maybe(port),
  ports: new Maybe(servicePorts),
  protocol: new Optional(oneOf("a known protocol", PROTOCOLS), "tcp"),
  scheduler: new Optional(
    oneOf("a known scheduler", ["maglev", "rr"]),
    "maglev",
  ),
};
const targets = {
  sync: new Optional(sync, "immediate"),
  servers: new List("a list of servers", server),
};
const tcpService = new Fields(
  "a mapping",
  {
    ...endpoint,
    timeouts: new Optional(tcpTimeouts, {}),
    health: new Optional(tcpHealth, {}),
    ...targets,
  },
  ["port", "ports"],
);
const udpService = new Fields(
  "a mapping",
  {
    ...endpoint,
    timeouts: new Optional(udpTimeouts, {}),
    health: new Optional(udpHealth, {}),
    ...targets,
  },
  ["port", "ports"],
);
const service = new Choice("protocol", "udp", udpService, tcpService);

export const configFile = new Fields("a mapping", {
  cluster: name,
  aggregate: new OneOrList("a list of prefixes", prefix),
  unknown_port: new Optional(
    oneOf("a known answer", ["drop", "reject"]),
    "drop",
  ),
  ip_options: new Optional(
    oneOf("a known treatment", ["pass", "drop"]),
    "pass",
  ),
  limits: new Optional(limits, {}),
  bus: new Optional(bus, {}),
  nodes: new Names("a mapping", name, node),
  services: new List("a list of services", service),
});

export type ConfigFile = t.TypeOf<typeof configFile>;
export type ConfigDraft = Draft<ConfigFile>;
