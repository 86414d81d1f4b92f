// SPDX-License-Identifier: Apache-2.0
/**
 * What weir is about, as plain readonly data: the cluster that a config file describes, the sessions that the dataplane
 * holds, and how addresses are read and written.
 *
 * An address is a string in canonical form (IPv4: a dotted quad without leading zeros). Only the functions at the end of
 * this file know what is inside. Numbers are in host order, durations in milliseconds.
 */

export type NodeName = string;
export type Prefix = { readonly address: string; readonly length: number };
export type Endpoint = { readonly address: string; readonly port: number };
export type PortRange = { readonly min: number; readonly max: number };

export type Protocol = "tcp";
export type Scheduler = "maglev" | "rr";

/** A real server of one service. Weight 0: it keeps its sessions and gets no new ones. */
export type RealServer = {
  readonly address: string;
  readonly port: number;
  readonly weight: number;
};

export type HealthCheck = {
  readonly type: "tcp" | "http" | "none";
  /** Of the HTTP request; unused by the other types. */
  readonly path: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Successes in a row that bring a server up, failures in a row that take it down. */
  readonly rise: number;
  readonly fall: number;
};

/** Idle timeouts of a session: before it is established, after, after both FINs, after a RST. */
export type Timeouts = {
  readonly handshakeMs: number;
  readonly establishedMs: number;
  readonly closedMs: number;
  readonly resetMs: number;
};

/** When a session of the service goes to the other nodes; `afterMs`: not before it is established and so old. */
export type SyncPolicy =
  | { readonly policy: "immediate" | "established" | "off" }
  | { readonly policy: "after"; readonly afterMs: number };

export type VirtualService = {
  readonly name: string;
  readonly vip: string;
  readonly port: number;
  readonly protocol: Protocol;
  readonly scheduler: Scheduler;
  readonly timeouts: Timeouts;
  readonly health: HealthCheck;
  readonly sync: SyncPolicy;
  readonly servers: readonly RealServer[];
};

export type Neighbor = {
  readonly address: string;
  readonly asn: number;
  readonly holdTimeMs: number;
};

export type Routing = {
  readonly backend: "gobgp";
  /** The routing daemon's own gRPC socket. */
  readonly socket: string;
  readonly asn: number;
  readonly routerId: string;
  readonly listen: readonly string[];
  readonly neighbors: readonly Neighbor[];
};

/** Where a node's own nats-server listens: for clients, and for the servers of the other nodes. IPv4 or IPv6. */
export type NodeBus = {
  readonly address: string;
  readonly clientPort: number;
  readonly clusterPort: number;
};

/** PEM files, by absolute path. */
export type TlsFiles = {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
};

export type Bus = {
  /** URLs of NATS servers that somebody else runs. Empty: each node runs its own, at `ClusterNode.bus`. */
  readonly servers: readonly string[];
  readonly tls?: TlsFiles;
};

export type ClusterNode = {
  readonly name: NodeName;
  /** `originOf(name)`: how sessions name the node that allocated their local address. */
  readonly origin: number;
  readonly interfaces: readonly string[];
  readonly pool: Prefix;
  readonly ports: PortRange;
  readonly routing: Routing;
  readonly bus?: NodeBus;
  /** Where the agent serves its metrics over HTTP. IPv4 or IPv6. */
  readonly metrics?: Endpoint;
};

/** Sizes of the pinned maps. They are fixed when the maps are created. */
export type Limits = {
  readonly sessions: number;
  readonly services: number;
  readonly realServers: number;
};

export type Cluster = {
  readonly name: string;
  readonly aggregate: Prefix;
  readonly limits: Limits;
  readonly bus: Bus;
  readonly nodes: readonly ClusterNode[];
  readonly services: readonly VirtualService[];
};

/** In the order in which a session goes through them. */
export const SESSION_STATES = [
  "syn",
  "synack",
  "established",
  "finOne",
  "finBoth",
] as const;
export type SessionState = (typeof SESSION_STATES)[number];

/** Who has sent a FIN, and whether anybody has sent a RST. */
export const SESSION_FLAGS = ["clientFin", "realFin", "reset"] as const;
export type SessionFlag = (typeof SESSION_FLAGS)[number];

/** One translated flow pair: `client -> virtual` towards the rack is `local -> real` inside it, and back. */
export type Session = {
  readonly client: Endpoint;
  readonly virtual: Endpoint;
  readonly local: Endpoint;
  readonly real: Endpoint;
  readonly protocol: Protocol;
  readonly state: SessionState;
  readonly flags: readonly SessionFlag[];
  /** The service's name; empty when the config no longer has it. */
  readonly service: string;
  /** The node that allocated `local`: its name, or its number in hexadecimal when the config no longer has it. */
  readonly origin: NodeName;
  /** Names this session among all that ever used the same addresses. */
  readonly generation: bigint;
  readonly idleMs: number;
  readonly expiresInMs: number;
};

/** The 32-bit number of a node: FNV-1a of its name. `check` refuses a cluster in which two nodes share one. */
export function originOf(name: NodeName): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return hash >>> 0;
}

/** The nodes have a way to tell each other of their sessions. `check` refuses a cluster in which some have and some have not. */
export function sharesSessions({ bus, nodes }: Cluster): boolean {
  return (
    bus.servers.length > 0 || nodes.every((node) => node.bus !== undefined)
  );
}

/** `address:port`: the identity of a real server within its service, whatever its place in the list. */
export function formatEndpoint(endpoint: Endpoint): string {
  return `${endpoint.address}:${endpoint.port}`;
}

/** Reads `address:port`; undefined if it is not that. */
export function parseEndpoint(text: string): Endpoint | undefined {
  const colon = text.lastIndexOf(":");
  const address = text.slice(0, Math.max(colon, 0));
  const port = parseDecimal(text.slice(colon + 1), 65535);
  return isAddress(address) && port !== undefined
    ? { address, port }
    : undefined;
}

export function isAddress(text: string): boolean {
  return parseIpv4(text) !== undefined;
}

/** Reads a canonical dotted quad into its 32 bits; undefined for anything else, also for leading zeros. */
export function parseIpv4(text: string): number | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  let bits = 0;
  for (const part of parts) {
    const byte = parseDecimal(part, 255);
    if (byte === undefined) return undefined;
    bits = bits * 256 + byte;
  }
  return bits;
}

export function formatIpv4(bits: number): string {
  return [
    bits >>> 24,
    (bits >>> 16) & 255,
    (bits >>> 8) & 255,
    bits & 255,
  ].join(".");
}

/** Reads `address/length`. Host bits are kept as written: see `networkOf`. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf("/");
  const address = text.slice(0, Math.max(slash, 0));
  const length = parseDecimal(text.slice(slash + 1), 32);
  return isAddress(address) && length !== undefined
    ? { address, length }
    : undefined;
}

export function formatPrefix(prefix: Prefix): string {
  return `${prefix.address}/${prefix.length}`;
}

/** The prefix of one address alone. */
export function hostPrefix(address: string): Prefix {
  return { address, length: 32 };
}

/** The same prefix without host bits. */
export function networkOf(prefix: Prefix): Prefix {
  return { address: formatIpv4(rangeOf(prefix).first), length: prefix.length };
}

/** First and last address of a prefix as 32-bit numbers, both inclusive. Throws RangeError for a malformed address. */
export function rangeOf(prefix: Prefix): {
  readonly first: number;
  readonly last: number;
} {
  const size = 2 ** (32 - prefix.length);
  const bits = ipv4Bits(prefix.address);
  const first = bits - (bits % size);
  return { first, last: first + size - 1 };
}

/** How many addresses a prefix has. */
export function sizeOf(prefix: Prefix): number {
  return 2 ** (32 - prefix.length);
}

export function overlaps(a: Prefix, b: Prefix): boolean {
  const [rangeA, rangeB] = [rangeOf(a), rangeOf(b)];
  return rangeA.first <= rangeB.last && rangeB.first <= rangeA.last;
}

export function contains(outer: Prefix, inner: Prefix | string): boolean {
  const [rangeOuter, rangeInner] = [
    rangeOf(outer),
    rangeOf(typeof inner === "string" ? hostPrefix(inner) : inner),
  ];
  return (
    rangeOuter.first <= rangeInner.first && rangeInner.last <= rangeOuter.last
  );
}

/** The 16 bytes, network order, of the form that the dataplane's configuration maps use (RFC 4291 section 2.5.5.2). */
export function addressBytes(address: string): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes.fill(0xff, 10, 12);
  new DataView(bytes.buffer).setUint32(12, ipv4Bits(address));
  return bytes;
}

/** The address in 16 bytes as `addressBytes` makes them. Throws RangeError if they do not hold an IPv4 address. */
export function addressFromBytes(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const mapped = view.getBigUint64(0) === 0n && view.getUint32(8) === 0xffff;
  if (!mapped)
    throw new RangeError(
      `Cannot read an address: not an IPv4-mapped one: ${Buffer.from(bytes).toString("hex")}`,
    );
  return formatIpv4(view.getUint32(12));
}

function ipv4Bits(address: string): number {
  const bits = parseIpv4(address);
  if (bits === undefined)
    throw new RangeError(
      `Cannot read an address: not a dotted quad: current value is ${address}`,
    );
  return bits;
}

/** A decimal number without sign or leading zeros, at most `max`. */
function parseDecimal(text: string, max: number): number | undefined {
  if (!/^(0|[1-9][0-9]{0,9})$/.test(text)) return undefined;
  const value = Number(text);
  return value <= max ? value : undefined;
}
