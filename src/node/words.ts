// SPDX-License-Identifier: Apache-2.0
/**
 * The dataplane's configuration in the agent's words: addresses as text, plain numbers, names instead of codes. layout.ts
 * knows where each byte is, this file what it says.
 */
import type {
  Endpoint,
  Family,
  Prefix,
  Protocol,
  Scheduler,
  SyncPolicy,
  Timeouts,
} from "../model.ts";
import {
  addressBytes,
  addressFromBytes,
  familyOf,
  networkOf,
  PROTOCOLS,
} from "../model.ts";
import type { Field } from "./struct.ts";
import { converted, struct, u32 } from "./struct.ts";
import type { Backend } from "./desired.ts";
import type { EgressGroup, EgressHop } from "./egress.ts";
import * as layout from "./layout.ts";
import type { PortPrefix, ServiceKey } from "./service-key.ts";

export { node, type NodePlace } from "./node-place.ts";

/** Of the IP header. */
export const PROTOCOL_NUMBERS: Readonly<Record<Protocol, number>> = {
  tcp: 6,
  udp: 17,
};
/** By their WEIR_SYNC_* numbers. */
const SYNC_POLICIES: readonly SyncPolicy["policy"][] = [
  "immediate",
  "off",
  "established",
  "after",
];
/** The prefix of IPv4-mapped addresses, ::ffff:0:0/96. */
const MAPPED_LENGTH = 96;

/** The length of a service's prefix of no port at all: address, protocol and a byte of padding. */
const RANGE_LENGTH = 144;

/** The egress group towards clients of one family. */
export function egressOfClients(family: Family): number {
  return family === 4
    ? layout.WEIR_EGRESS_CLIENTS4
    : layout.WEIR_EGRESS_CLIENTS6;
}

/** The egress group towards a real server. */
export function egressOf(real: number): number {
  return layout.WEIR_EGRESS_REALS + real;
}

/** A virtual service, and the schedule that is in force: the first `entries` of row `row` of the schedules. */
export type ServiceSlot = ServiceKey & {
  readonly scheduler: Scheduler;
  readonly sync: SyncPolicy["policy"];
  /** Its sessions live in the wide table: it or its real servers speak IPv6. */
  readonly wide: boolean;
  readonly row: number;
  /** 0: no real server takes new sessions. */
  readonly entries: number;
};

/** A part of the ports of a service. */
export type ServiceRange = Omit<ServiceKey, "ports"> & PortPrefix;

export type RealServerSlot = Endpoint & {
  /** Egress group towards it. */
  readonly egress: number;
  /** Number of its service. */
  readonly service: number;
};

/** How long sessions of a real server live, and when they are told of if the service's policy is `after`. */
export type SessionTerms = Timeouts & { readonly shareAfterMs?: number };

/** Whose a prefix is. */
export type Owner = "vip" | "pool";

/** Of a service of one port. */
export const serviceKey: Field<ServiceKey> = converted(
  layout.weirServiceKey,
  (key) => readServiceKey(key, key.vport),
  writeServiceKey,
);

export const serviceRange: Field<ServiceRange> = converted(
  layout.weirServiceRange,
  ({ length, vaddr, proto, vport }) => ({
    vip: addressFromBytes(vaddr.word),
    protocol: protocolOf(proto),
    port: vport,
    length: length - RANGE_LENGTH,
  }),
  ({ vip, protocol, port, length }) => ({
    length: RANGE_LENGTH + length,
    vaddr: { word: addressBytes(vip) },
    proto: PROTOCOL_NUMBERS[protocol],
    vport: port,
  }),
);

export const service: Field<ServiceSlot> = converted(
  layout.weirService,
  ({ key, scheduler, sync, wide, schedule, vport_max }) => ({
    ...readServiceKey(key, vport_max),
    scheduler: scheduler === layout.WEIR_SCHEDULER_MAGLEV ? "maglev" : "rr",
    sync: SYNC_POLICIES[sync] ?? "immediate",
    wide: wide !== 0,
    row: Number(schedule >> 32n),
    entries: Number(BigInt.asUintN(32, schedule)),
  }),
  ({ scheduler, sync, wide, row, entries, ...key }) => ({
    key: writeServiceKey(key),
    vport_max: key.ports.max,
    sync: SYNC_POLICIES.indexOf(sync),
    wide: wide ? 1 : 0,
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
  ({ length, address: { word } }) => {
    const address = addressFromBytes(word);
    return { address, length: length - unusedBits(address) };
  },
  (given) => {
    const { address, length } = networkOf(given);
    return {
      length: unusedBits(address) + length,
      address: { word: addressBytes(address) },
    };
  },
);

export const owner: Field<Owner> = converted(
  u32,
  (code) => (code === layout.WEIR_OWN_VIP ? "vip" : "pool"),
  (name) => (name === "vip" ? layout.WEIR_OWN_VIP : layout.WEIR_OWN_POOL),
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

export const backend: Field<Backend> = converted(
  layout.weirBackend,
  ({ vaddr, raddr, vport_min, vport_max, rport, real, egress, proto }) => ({
    service: {
      vip: addressFromBytes(vaddr.word),
      ports: { min: vport_min, max: vport_max },
      protocol: protocolOf(proto),
    },
    server: { address: addressFromBytes(raddr.word), port: rport },
    real,
    egress,
  }),
  ({ service: { vip, ports, protocol }, server, real, egress }) => ({
    vaddr: { word: addressBytes(vip) },
    raddr: { word: addressBytes(server.address) },
    vport_min: ports.min,
    vport_max: ports.max,
    rport: server.port,
    real,
    egress,
    proto: PROTOCOL_NUMBERS[protocol],
  }),
);

export function ticksOf(ms: number): number {
  return Math.ceil((ms * 1e6) / 2 ** layout.WEIR_TICK_SHIFT);
}

export function msOf(ticks: number): number {
  return (ticks * 2 ** layout.WEIR_TICK_SHIFT) / 1e6;
}

export function protocolOf(number: number): Protocol {
  const protocol = PROTOCOLS.find((one) => PROTOCOL_NUMBERS[one] === number);
  if (protocol === undefined)
    throw new RangeError(
      `Cannot name an IP protocol: weir has none with this number: current value is ${number}`,
    );
  return protocol;
}

function readServiceKey(
  { vaddr, vport, proto }: layout.WeirServiceKey,
  portMax: number,
): ServiceKey {
  return {
    vip: addressFromBytes(vaddr.word),
    ports: { min: vport, max: portMax },
    protocol: protocolOf(proto),
  };
}

function writeServiceKey({
  vip,
  ports,
  protocol,
}: ServiceKey): layout.WeirServiceKey {
  return {
    vaddr: { word: addressBytes(vip) },
    vport: ports.min,
    proto: PROTOCOL_NUMBERS[protocol],
  };
}

/** Of the 128 bits that the dataplane's prefixes are counted in, those before an address of this family. */
function unusedBits(address: string): number {
  return familyOf(address) === 4 ? MAPPED_LENGTH : 0;
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
