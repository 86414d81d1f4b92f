// SPDX-License-Identifier: Apache-2.0
/**
 * The dataplane's configuration in the agent's words: addresses as text, plain numbers, names instead of codes. layout.ts
 * knows where each byte is, this file what it says.
 */
import type {
  Endpoint,
  PortRange,
  Prefix,
  Protocol,
  Scheduler,
  SyncPolicy,
  Timeouts,
} from "../model.ts";
import {
  addressBytes,
  addressFromBytes,
  formatIpv4,
  networkOf,
  rangeOf,
  sizeOf,
} from "../model.ts";
import type { Field } from "./struct.ts";
import { converted, struct, u32 } from "./struct.ts";
import type { Backend } from "./desired.ts";
import type { EgressGroup, EgressHop } from "./egress.ts";
import * as layout from "./layout.ts";

const IPPROTO_TCP = 6;
/** By their WEIR_SYNC_* numbers. */
const SYNC_POLICIES: readonly SyncPolicy["policy"][] = [
  "immediate",
  "off",
  "established",
  "after",
];
/** The prefix of IPv4-mapped addresses, ::ffff:0:0/96. */
const MAPPED_LENGTH = 96;

/** The egress group towards clients. */
export const EGRESS_CLIENTS = layout.WEIR_EGRESS_CLIENTS;

/** The egress group towards a real server. */
export function egressOf(real: number): number {
  return EGRESS_CLIENTS + 1 + real;
}

export type ServiceKey = {
  readonly vip: string;
  readonly port: number;
  readonly protocol: Protocol;
};

/** A virtual service, and the schedule that is in force: the first `entries` of row `row` of the schedules. */
export type ServiceSlot = ServiceKey & {
  readonly scheduler: Scheduler;
  readonly sync: SyncPolicy["policy"];
  readonly row: number;
  /** 0: no real server takes new sessions. */
  readonly entries: number;
};

export type RealServerSlot = Endpoint & {
  /** Egress group towards it. */
  readonly egress: number;
  /** Number of its service. */
  readonly service: number;
};

/** Where this node stands in the cluster. */
export type NodePlace = {
  readonly aggregate: Prefix;
  /** Undefined: this node gives out no local address. */
  readonly pool: Prefix | undefined;
  readonly ports: PortRange;
  readonly origin: number;
  /** The agent wants to hear of packets that no session claims. */
  readonly lookups: boolean;
};

/** How long sessions of a real server live, and when they are told of if the service's policy is `after`. */
export type SessionTerms = Timeouts & { readonly shareAfterMs?: number };

/** Whose a prefix is. */
export type Owner = "vip" | "pool";

export const serviceKey: Field<ServiceKey> = converted(
  layout.weirServiceKey,
  readServiceKey,
  writeServiceKey,
);

export const service: Field<ServiceSlot> = converted(
  layout.weirService,
  ({ key, scheduler, sync, schedule }) => ({
    ...readServiceKey(key),
    scheduler: scheduler === layout.WEIR_SCHEDULER_MAGLEV ? "maglev" : "rr",
    sync: SYNC_POLICIES[sync] ?? "immediate",
    row: Number(schedule >> 32n),
    entries: Number(BigInt.asUintN(32, schedule)),
  }),
  ({ scheduler, sync, row, entries, ...key }) => ({
    key: writeServiceKey(key),
    sync: SYNC_POLICIES.indexOf(sync),
    scheduler:
      scheduler === "maglev"
        ? layout.WEIR_SCHEDULER_MAGLEV
        : layout.WEIR_SCHEDULER_RR,
    mode: layout.WEIR_MODE_FULLNAT,
    schedule: (BigInt(row) << 32n) | BigInt(entries),
  }),
);

/** Numbers of real servers. */
export const schedule: Field<ArrayLike<number> & Iterable<number>> = converted(
  layout.weirSchedule,
  ({ real }) => real,
  (real) => ({ real }),
);

export const realServer: Field<RealServerSlot> = converted(
  layout.weirRealServer,
  ({ raddr, rport, egress, service: serviceNumber }) => ({
    address: addressFromBytes(raddr.word),
    port: rport,
    egress,
    service: serviceNumber,
  }),
  (slot) => ({
    raddr: { word: addressBytes(slot.address) },
    rport: slot.port,
    egress: slot.egress,
    service: slot.service,
    used: 1,
  }),
);

export const egressGroup: Field<EgressGroup> = converted(
  layout.weirEgressGroup,
  ({ hops, hop }) => ({ hops: Array.from(hop).slice(0, hops).map(readHop) }),
  ({ hops }) => ({ hops: hops.length, hop: hops.map(writeHop) }),
);

export const prefix: Field<Prefix> = converted(
  layout.weirPrefix,
  ({ length, address: { word } }) => ({
    address: addressFromBytes(word),
    length: length - MAPPED_LENGTH,
  }),
  (given) => {
    const network = networkOf(given);
    return {
      length: MAPPED_LENGTH + network.length,
      address: { word: addressBytes(network.address) },
    };
  },
);

export const owner: Field<Owner> = converted(
  u32,
  (code) => (code === layout.WEIR_OWN_VIP ? "vip" : "pool"),
  (name) => (name === "vip" ? layout.WEIR_OWN_VIP : layout.WEIR_OWN_POOL),
);

/** Writing it notes how far the clocks are apart at that moment. */
export const node: Field<NodePlace> = converted(
  layout.weirNode,
  (raw) => ({
    aggregate: {
      address: formatIpv4(raw.aggregate4),
      length: Math.clz32(~raw.aggregate4_mask),
    },
    pool:
      raw.pool4_size === 0
        ? undefined
        : {
            address: formatIpv4(raw.pool4),
            length: 32 - Math.log2(raw.pool4_size),
          },
    ports: { min: raw.port_min, max: raw.port_max },
    origin: raw.origin,
    lookups: raw.lookups !== 0,
  }),
  ({ aggregate, pool, ports, origin, lookups }) => ({
    aggregate4: rangeOf(aggregate).first,
    aggregate4_mask: 2 ** 32 - sizeOf(aggregate),
    pool4: pool === undefined ? 0 : rangeOf(pool).first,
    pool4_size: pool === undefined ? 0 : sizeOf(pool),
    port_min: ports.min,
    port_max: ports.max,
    origin,
    lookups: lookups ? 1 : 0,
    realtime_offset: BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint(),
  }),
);

/** struct bpf_devmap_val of linux/bpf.h, without a program: an ifindex. */
export const device: Field<number> = converted(
  struct(8, { ifindex: [0, u32] }),
  ({ ifindex }) => ifindex,
  (ifindex) => ({ ifindex }),
);

/** Of sessions whose real server the config no longer has. */
export const DEFAULT_TIMEOUTS: Timeouts = {
  handshakeMs: msOf(layout.WEIR_DEFAULT_HANDSHAKE_TICKS),
  establishedMs: msOf(layout.WEIR_DEFAULT_ESTABLISHED_TICKS),
  closedMs: msOf(layout.WEIR_DEFAULT_CLOSED_TICKS),
  resetMs: msOf(layout.WEIR_DEFAULT_RESET_TICKS),
};

/** In ticks, rounded up: a session never expires early. */
export const timeouts: Field<SessionTerms> = converted(
  layout.weirTimeouts,
  (ticks) => ({
    handshakeMs: msOf(ticks.handshake),
    establishedMs: msOf(ticks.established),
    closedMs: msOf(ticks.closed),
    resetMs: msOf(ticks.reset),
    shareAfterMs: msOf(ticks.share),
  }),
  (ms) => ({
    handshake: ticksOf(ms.handshakeMs),
    established: ticksOf(ms.establishedMs),
    closed: ticksOf(ms.closedMs),
    reset: ticksOf(ms.resetMs),
    share: ticksOf(ms.shareAfterMs ?? 0),
  }),
);

export function writeBackend(backend: Backend): layout.WeirBackend4 {
  const { service: key, server, real, egress } = backend;
  return {
    vaddr: rangeOf({ address: key.vip, length: 32 }).first,
    vport: key.port,
    raddr: rangeOf({ address: server.address, length: 32 }).first,
    rport: server.port,
    real,
    egress,
    proto: IPPROTO_TCP,
  };
}

export function isSameService(a: ServiceKey, b: ServiceKey): boolean {
  return a.vip === b.vip && a.port === b.port && a.protocol === b.protocol;
}

export function ticksOf(ms: number): number {
  return Math.ceil((ms * 1e6) / 2 ** layout.WEIR_TICK_SHIFT);
}

export function msOf(ticks: number): number {
  return (ticks * 2 ** layout.WEIR_TICK_SHIFT) / 1e6;
}

export function protocolOf(number: number): Protocol {
  if (number !== IPPROTO_TCP)
    throw new RangeError(
      `Cannot name an IP protocol: weir has none with this number: current value is ${number}`,
    );
  return "tcp";
}

function readServiceKey(key: layout.WeirServiceKey): ServiceKey {
  return {
    vip: addressFromBytes(key.vaddr.word),
    port: key.vport,
    protocol: protocolOf(key.proto),
  };
}

function writeServiceKey(key: ServiceKey): layout.WeirServiceKey {
  return {
    vaddr: { word: addressBytes(key.vip) },
    vport: key.port,
    proto: IPPROTO_TCP,
  };
}

function readHop(hop: layout.WeirHop): EgressHop {
  return { ...hop, dmac: formatMac(hop.dmac), smac: formatMac(hop.smac) };
}

function writeHop(hop: EgressHop): layout.WeirHop {
  return { ...hop, dmac: parseMac(hop.dmac), smac: parseMac(hop.smac) };
}

function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(
    ":",
  );
}

function parseMac(text: string): Uint8Array {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text))
    throw new RangeError(`Cannot read a MAC address: current value is ${text}`);
  return Uint8Array.from(text.split(":"), (byte) => Number.parseInt(byte, 16));
}
