// SPDX-License-Identifier: Apache-2.0
/**
 * What weir is about, as plain readonly data: the cluster that a config file describes, the sessions that the dataplane
 * holds, and how addresses are read and written.
 *
 * An address is a string in canonical form: IPv4 as a dotted quad without leading zeros, IPv6 as RFC 5952 writes it, and an
 * IPv4-mapped one only ever as the IPv4 address that it is. Only the functions at the end of this file know what is inside.
 * Numbers are in host order, durations in milliseconds.
 */
import { isIPv6 } from "node:net";

export type NodeName = string;
export type Prefix = { readonly address: string; readonly length: number };
export type Endpoint = { readonly address: string; readonly port: number };
/** Both ends are inside. */
export type PortRange = { readonly min: number; readonly max: number };
/** IPv4 or IPv6. */
export type Family = 4 | 6;

export const PROTOCOLS = ["tcp", "udp"] as const;
export type Protocol = (typeof PROTOCOLS)[number];
export type Scheduler = "maglev" | "rr";

/** A real server of one service. Weight 0: it keeps its sessions and gets no new ones. */
export type RealServer = {
  readonly address: string;
  /** 0: the port that the client has asked for. */
  readonly port: number;
  readonly weight: number;
};

export type HealthCheck = {
  readonly type: "tcp" | "http" | "none";
  /** Of the HTTP request; unused by the other types. */
  readonly path: string;
  /** What is asked instead of the real server's own port. */
  readonly port?: number;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Successes in a row that bring a server up, failures in a row that take it down. */
  readonly rise: number;
  readonly fall: number;
};

/** Idle timeouts of a session: before it is established, after, after both FINs, after a RST (the last two of TCP alone). */
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
  readonly ports: PortRange;
  readonly protocol: Protocol;
  readonly scheduler: Scheduler;
  readonly timeouts: Timeouts;
  readonly health: HealthCheck;
  readonly sync: SyncPolicy;
  /** All of one family, which may be another one than the VIP's. */
  readonly servers: readonly RealServer[];
};

export type Neighbor = {
  /** IPv4 or IPv6, as that of `Routing.listen`. */
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
  /** At most one of each family, IPv4 first. */
  readonly pools: readonly Prefix[];
  readonly ports: PortRange;
  readonly routing: Routing;
  readonly bus?: NodeBus;
  /** Where the agent serves its metrics over HTTP. IPv4 or IPv6. */
  readonly metrics?: Endpoint;
};

/** Sizes of the pinned maps. They are fixed when the maps are created. */
export type Limits = {
  /** Whose client and real server both speak IPv4. */
  readonly sessions: number;
  /** All others. */
  readonly wideSessions: number;
  readonly services: number;
  readonly realServers: number;
};

export type Cluster = {
  readonly name: string;
  /** Cover the pools of all nodes. At most one of each family, IPv4 first. */
  readonly aggregates: readonly Prefix[];
  /** What becomes of packets to a VIP that has no service on their port. */
  readonly unknownPort: "drop" | "reject";
  /** What becomes of packets with IPv4 options, or with IPv6 extension headers that carry options or routes. */
  readonly ipOptions: "pass" | "drop";
  readonly limits: Limits;
  readonly bus: Bus;
  readonly nodes: readonly ClusterNode[];
  readonly services: readonly VirtualService[];
};

/** Those of TCP in the order in which a session goes through them. UDP has `unanswered`, and then `established`. */
export const SESSION_STATES = [
  "syn",
  "synack",
  "established",
  "finOne",
  "finBoth",
  "unanswered",
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

export const ALL_PORTS: PortRange = { min: 0, max: 65_535 };

/** `80`, `8000-8999`, or `all`. */
export function formatPorts({ min, max }: PortRange): string {
  if (min === max) return String(min);
  return min === ALL_PORTS.min && max === ALL_PORTS.max
    ? "all"
    : `${min}-${max}`;
}

/** `address:port`, or `[address]:port` for IPv6. */
export function formatEndpoint({ address, port }: Endpoint): string {
  return `${formatHost(address)}:${port}`;
}

/** As it stands before a colon and a port. */
export function formatHost(address: string): string {
  return familyOf(address) === 6 ? `[${address}]` : address;
}

/** A real server as people read it: without a port if that is the one that the client has asked for. */
export function formatServer(server: Endpoint): string {
  return server.port === 0 ? server.address : formatEndpoint(server);
}

/** Reads `address:port` and `[address]:port`; undefined if it is neither. */
export function parseEndpoint(text: string): Endpoint | undefined {
  const [, inBrackets, plain, digits = ""] =
    /^(?:\[([^\]]*)\]|([^:]*)):(.*)$/.exec(text) ?? [];
  const address = parseAddress(inBrackets ?? plain ?? "");
  const port = parseDecimal(digits, 65_535);
  if (address === undefined || port === undefined) return undefined;
  // Brackets belong to IPv6 alone.
  const bracketed = inBrackets === undefined ? 4 : 6;
  return bracketed === familyOf(address) ? { address, port } : undefined;
}

export function familyOf(address: string): Family {
  return address.includes(":") ? 6 : 4;
}

/** The canonical form of an address; undefined for what is none, for an IPv4-mapped one and for one with a zone. */
export function parseAddress(text: string): string | undefined {
  if (parseIpv4(text) !== undefined) return text;
  const bytes = parseIpv6(text);
  return bytes === undefined || isMapped(bytes) ? undefined : formatIpv6(bytes);
}

/** It is an address, and in its canonical form. */
export function isAddress(text: string): boolean {
  return parseAddress(text) === text;
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
  const address = parseAddress(text.slice(0, Math.max(slash, 0)));
  if (address === undefined) return undefined;
  const length = parseDecimal(text.slice(slash + 1), widthOf(address));
  return length === undefined ? undefined : { address, length };
}

export function formatPrefix(prefix: Prefix): string {
  return `${prefix.address}/${prefix.length}`;
}

/** The prefix of one address alone. */
export function hostPrefix(address: string): Prefix {
  return { address, length: widthOf(address) };
}

/** The same prefix without host bits. Throws RangeError for a malformed address, as all that follow. */
export function networkOf({ address, length }: Prefix): Prefix {
  const kept = BYTES_BITS - widthOf(address) + length;
  const network = addressBytes(address).map(
    (byte, i) => byte & (0xff00 >> Math.min(Math.max(kept - 8 * i, 0), 8)),
  );
  return { address: addressFromBytes(network), length };
}

/** How many addresses a prefix has; above 2^53 only nearly so. */
export function sizeOf({ address, length }: Prefix): number {
  return 2 ** (widthOf(address) - length);
}

export function overlaps(a: Prefix, b: Prefix): boolean {
  return contains(a, b) || contains(b, a);
}

export function contains(outer: Prefix, inner: Prefix | string): boolean {
  const { address, length } =
    typeof inner === "string" ? hostPrefix(inner) : inner;
  return (
    familyOf(address) === familyOf(outer.address) &&
    length >= outer.length &&
    networkOf({ address, length: outer.length }).address ===
      networkOf(outer).address
  );
}

/** The 16 bytes, network order, of the form that the dataplane uses: IPv4 is mapped (RFC 4291 section 2.5.5.2). */
export function addressBytes(address: string): Uint8Array {
  const ipv4 = parseIpv4(address);
  const bytes = ipv4 === undefined ? parseIpv6(address) : mapped(ipv4);
  if (bytes === undefined)
    throw new RangeError(
      `Cannot read an address: neither IPv4 nor IPv6: current value is ${address}`,
    );
  return bytes;
}

/** The address in 16 bytes as `addressBytes` makes them. */
export function addressFromBytes(bytes: Uint8Array): string {
  return isMapped(bytes)
    ? formatIpv4(viewOf(bytes).getUint32(12))
    : formatIpv6(bytes);
}

const BYTES_BITS = 128;

function widthOf(address: string): number {
  return familyOf(address) === 6 ? BYTES_BITS : 32;
}

function mapped(ipv4: number): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes.fill(0xff, 10, 12);
  viewOf(bytes).setUint32(12, ipv4);
  return bytes;
}

function isMapped(bytes: Uint8Array): boolean {
  const view = viewOf(bytes);
  return view.getBigUint64(0) === 0n && view.getUint32(8) === 0xffff;
}

/** Any spelling of RFC 4291 section 2.2, without a zone. */
function parseIpv6(text: string): Uint8Array | undefined {
  if (!isIPv6(text) || text.includes("%")) return undefined;
  const groups = text.replace(/[^:]+\.[^:]+$/, (quad) => {
    const bits = parseIpv4(quad) ?? 0;
    return `${(bits >>> 16).toString(16)}:${(bits & 0xffff).toString(16)}`;
  });
  const [head = [], tail = []] = groups
    .split("::")
    .map((part) => part.split(":").filter((group) => group !== ""));
  const zeros = Array.from(
    { length: 8 - head.length - tail.length },
    () => "0",
  );
  const bytes = new Uint8Array(16);
  const view = viewOf(bytes);
  for (const [i, group] of [...head, ...zeros, ...tail].entries())
    view.setUint16(2 * i, Number.parseInt(group, 16));
  return bytes;
}

/** RFC 5952 section 4: no leading zeros, and `::` for the first of the longest runs of at least two zeros. */
function formatIpv6(bytes: Uint8Array): string {
  const view = viewOf(bytes);
  const text = Array.from({ length: 8 }, (_, i) =>
    view.getUint16(2 * i).toString(16),
  ).join(":");
  const [longest] = [...text.matchAll(/\b0(?::0)+\b/g)].toSorted(
    ([a], [b]) => b.length - a.length,
  );
  if (longest === undefined) return text;
  const head = text.slice(0, longest.index).replace(/:$/, "");
  const tail = text.slice(longest.index + longest[0].length);
  return `${head}::${tail.replace(/^:/, "")}`;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A decimal number without sign or leading zeros, at most `max`. */
function parseDecimal(text: string, max: number): number | undefined {
  if (!/^(0|[1-9][0-9]{0,9})$/.test(text)) return undefined;
  const value = Number(text);
  return value <= max ? value : undefined;
}
