// SPDX-License-Identifier: Apache-2.0
/**
 * The config file: one YAML file for the whole cluster, of which each node picks its own section by name. This is the one
 * description of its keys, their limits and their defaults; the type follows from it. What keys mean is written beside
 * them in the sample, ops/config/weir.yaml.
 */
import type * as t from "io-ts";
import {
  isAddress,
  parsePrefix,
  type PortRange,
  type Prefix,
} from "../model.ts";
import {
  type Draft,
  Fields,
  Leaf,
  List,
  Names,
  oneOf,
  Optional,
} from "./config-codec.ts";

/** Map indexes of real servers are 16 bits, and two egress groups are not theirs. */
const REAL_SERVERS_MAX = 65_533;
/** Each service takes 64 KiB of kernel memory for its two schedules. */
const SERVICES_MAX = 4_096;
const SESSIONS_MIN = 1_024;
const SESSIONS_MAX = 16_777_216;
/** Ticks of the session table wrap after 26 days and are compared by signed difference. */
const DURATION_MAX_MS = 7 * 24 * 3_600_000;
/** Linux IFNAMSIZ less the final zero. */
const INTERFACE_NAME_MAX = 15;
/** sun_path of a unix socket less the final zero. */
const SOCKET_PATH_MAX = 107;

const DURATION_UNITS: readonly (readonly [unit: string, ms: number])[] = [
  ["ms", 1],
  ["s", 1_000],
  ["m", 60_000],
  ["h", 3_600_000],
];

const name = new Leaf(
  "a name",
  "1 to 32 of a-z, 0-9 and hyphen",
  textLike(/^[a-z0-9-]{1,32}$/),
);
const address = new Leaf(
  "an IPv4 address",
  "four numbers from 0 to 255, such as 192.0.2.10",
  (input) =>
    typeof input === "string" && isAddress(input) ? input : undefined,
);
const prefix = new Leaf<Prefix>(
  "an IPv4 prefix",
  "an address and a length, such as 10.200.0.0/28",
  (input) => (typeof input === "string" ? parsePrefix(input) : undefined),
);
const ports = new Leaf<PortRange>(
  "a range of ports",
  "lowest and highest, such as 1024-65535",
  readPorts,
);
const port = whole("a port", 1, 65_535);
const asn = whole("an AS number", 1, 4_294_967_295);
const interfaceName = new Leaf(
  "the name of an interface",
  `1 to ${INTERFACE_NAME_MAX} characters, such as eth1`,
  textLike(new RegExp(`^[^\\s/:]{1,${INTERFACE_NAME_MAX}}$`)),
);
const socket = new Leaf(
  "the path of a unix socket",
  `an absolute path of at most ${SOCKET_PATH_MAX} bytes, such as /run/gobgpd.sock`,
  textLike(new RegExp(`^/[\\x21-\\x7e]{1,${SOCKET_PATH_MAX - 1}}$`)),
);
const httpPath = new Leaf(
  "the path of an HTTP request",
  "a path such as /healthz",
  textLike(/^\/[\x21-\x7e]{0,1023}$/),
);

const limits = new Fields("a mapping", {
  sessions: new Optional(
    whole("a number of sessions", SESSIONS_MIN, SESSIONS_MAX),
    131_072,
  ),
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
  router_id: address,
  listen: new List("a list of addresses", address),
  neighbors: new List("a list of neighbors", neighbor),
});

const node = new Fields("a mapping", {
  interfaces: new List("a list of interfaces", interfaceName),
  pool: prefix,
  ports: new Optional(ports, "1024-65535"),
  routing,
});

const timeouts = new Fields("a mapping", {
  handshake: new Optional(duration(1_000, DURATION_MAX_MS), "60s"),
  established: new Optional(duration(1_000, DURATION_MAX_MS), "15m"),
  closed: new Optional(duration(1_000, DURATION_MAX_MS), "60s"),
  reset: new Optional(duration(1_000, DURATION_MAX_MS), "10s"),
});

const health = new Fields("a mapping", {
  type: new Optional(
    oneOf("a known type of health check", ["tcp", "http", "none"]),
    "tcp",
  ),
  path: new Optional(httpPath, "/"),
  interval: new Optional(duration(100, 3_600_000), "1s"),
  timeout: new Optional(duration(10, 3_600_000), "1s"),
  rise: new Optional(whole("a number of checks", 1, 100), 2),
  fall: new Optional(whole("a number of checks", 1, 100), 3),
});

const server = new Fields("a mapping", {
  address,
  port,
  weight: new Optional(whole("a weight", 0, 65_535), 1),
});

const service = new Fields("a mapping", {
  name,
  vip: address,
  port,
  protocol: new Optional(oneOf("a known protocol", ["tcp"]), "tcp"),
  scheduler: new Optional(
    oneOf("a known scheduler", ["maglev", "rr"]),
    "maglev",
  ),
  timeouts: new Optional(timeouts, {}),
  health: new Optional(health, {}),
  servers: new List("a list of servers", server),
});

export const configFile = new Fields("a mapping", {
  cluster: name,
  aggregate: prefix,
  limits: new Optional(limits, {}),
  nodes: new Names("a mapping", name, node),
  services: new List("a list of services", service),
});

export type ConfigFile = t.TypeOf<typeof configFile>;
export type ConfigDraft = Draft<ConfigFile>;

function textLike(pattern: RegExp): (input: unknown) => string | undefined {
  return (input) =>
    typeof input === "string" && pattern.test(input) ? input : undefined;
}

function whole(what: string, min: number, max: number): Leaf<number> {
  return new Leaf(what, `a whole number from ${min} to ${max}`, (input) =>
    typeof input === "number" &&
    Number.isInteger(input) &&
    input >= min &&
    input <= max
      ? input
      : undefined,
  );
}

function readPorts(input: unknown): PortRange | undefined {
  const [, low, high] =
    (typeof input === "string" && /^(\d{1,5})-(\d{1,5})$/.exec(input)) || [];
  const [min, max] = [Number(low), Number(high)];
  return min >= 1 && max <= 65_535 && min <= max ? { min, max } : undefined;
}

/** Written as `200ms`, `5s`, `15m` or `1h`; decoded to milliseconds. */
function duration(minMs: number, maxMs: number, stepMs = 1): Leaf<number> {
  const examples = ["500ms", "5s", "15m", "1h"].filter(
    (text) => (parseDuration(text) ?? 0) % stepMs === 0,
  );
  const wanted = `a duration from ${formatDuration(minMs)} to ${formatDuration(maxMs)}, such as ${examples.slice(0, -1).join(", ")} or ${examples.at(-1)}`;
  return new Leaf("a duration", wanted, (input) => {
    const durationMs =
      typeof input === "string" ? parseDuration(input) : undefined;
    return durationMs !== undefined &&
      durationMs >= minMs &&
      durationMs <= maxMs &&
      durationMs % stepMs === 0
      ? durationMs
      : undefined;
  });
}

function parseDuration(text: string): number | undefined {
  const [, digits, unit] = /^(\d{1,10})([a-z]{1,2})$/.exec(text) ?? [];
  const [, unitMs] = DURATION_UNITS.find(([one]) => one === unit) ?? [];
  return unitMs && Number(digits) * unitMs;
}

/** In the largest unit that says it exactly. */
function formatDuration(durationMs: number): string {
  const [unit, unitMs] = DURATION_UNITS.findLast(
    ([, ms]) => durationMs % ms === 0,
  ) ?? ["ms", 1];
  return `${durationMs / unitMs}${unit}`;
}
