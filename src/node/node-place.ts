// SPDX-License-Identifier: Apache-2.0
/** struct weir_node in the agent's words. */
import {
  addressBytes,
  addressFromBytes,
  type Family,
  familyOf,
  formatIpv4,
  networkOf,
  parseIpv4,
  type PortRange,
  type Prefix,
  sizeOf,
} from "../model.ts";
import * as layout from "./layout.ts";
import type { Field } from "./struct.ts";
import { converted } from "./struct.ts";

/** Where this node stands in the cluster, and what it does with packets that no service is meant by. */
export type NodePlace = {
  /** At most one of each family, IPv4 first; so are the pools. */
  readonly aggregates: readonly Prefix[];
  /** Empty: this node gives out no local address. */
  readonly pools: readonly Prefix[];
  readonly ports: PortRange;
  readonly origin: number;
  /** The agent wants to hear of packets that no session claims. */
  readonly lookups: boolean;
  readonly unknownPort: "drop" | "reject";
  readonly ipOptions: "pass" | "drop";
  /** There are sessions whose client and real server differ in family. */
  readonly mixed: boolean;
};

/** Writing it notes how far the clocks are apart at that moment. */
export const node: Field<NodePlace> = converted(
  layout.weirNode,
  (raw) => ({
    aggregates: [
      ...present(raw.aggregate4_mask !== 0, {
        address: formatIpv4(raw.aggregate4),
        length: Math.clz32(~raw.aggregate4_mask),
      }),
      ...present(lengthOf(raw.aggregate6_mask.word) !== 0, {
        address: addressFromBytes(raw.aggregate6.word),
        length: lengthOf(raw.aggregate6_mask.word),
      }),
    ],
    pools: [
      ...present(raw.pool4_size !== 0, {
        address: formatIpv4(raw.pool4),
        length: 32 - Math.log2(raw.pool4_size),
      }),
      ...present(raw.pool6_size !== 0, {
        address: addressFromBytes(raw.pool6.word),
        // A /96 is written one address short.
        length: 128 - Math.ceil(Math.log2(raw.pool6_size)),
      }),
    ],
    ports: { min: raw.port_min, max: raw.port_max },
    origin: raw.origin,
    lookups: raw.lookups !== 0,
    unknownPort: raw.unknown === layout.WEIR_UNKNOWN_REJECT ? "reject" : "drop",
    ipOptions: raw.options === layout.WEIR_OPTIONS_DROP ? "drop" : "pass",
    mixed: raw.mixed !== 0,
  }),
  (place) => {
    const [aggregate4, aggregate6] = byFamily(place.aggregates);
    const [pool4, pool6] = byFamily(place.pools);
    return {
      aggregate4: ipv4Of(aggregate4),
      aggregate4_mask:
        aggregate4 === undefined ? 0 : 2 ** 32 - sizeOf(aggregate4),
      pool4: ipv4Of(pool4),
      pool4_size: pool4 === undefined ? 0 : sizeOf(pool4),
      port_min: place.ports.min,
      port_max: place.ports.max,
      origin: place.origin,
      lookups: place.lookups ? 1 : 0,
      realtime_offset:
        BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint(),
      unknown:
        place.unknownPort === "reject"
          ? layout.WEIR_UNKNOWN_REJECT
          : layout.WEIR_UNKNOWN_DROP,
      options:
        place.ipOptions === "drop"
          ? layout.WEIR_OPTIONS_DROP
          : layout.WEIR_OPTIONS_PASS,
      mixed: place.mixed ? 1 : 0,
      aggregate6: { word: ipv6Of(aggregate6) },
      aggregate6_mask: { word: maskOf(aggregate6) },
      pool6: { word: ipv6Of(pool6) },
      pool6_size:
        pool6 === undefined ? 0 : Math.min(sizeOf(pool6), 2 ** 32 - 1),
    };
  },
);

function present<T>(isThere: boolean, value: T): readonly T[] {
  return isThere ? [value] : [];
}

/** The IPv4 one and the IPv6 one. */
function byFamily(
  prefixes: readonly Prefix[],
): readonly [Prefix | undefined, Prefix | undefined] {
  const of = (family: Family) =>
    prefixes.find(({ address }) => familyOf(address) === family);
  return [of(4), of(6)];
}

function ipv4Of(prefix: Prefix | undefined): number {
  return (prefix && parseIpv4(networkOf(prefix).address)) ?? 0;
}

function ipv6Of(prefix: Prefix | undefined): Uint8Array {
  return prefix === undefined
    ? new Uint8Array(16)
    : addressBytes(networkOf(prefix).address);
}

function maskOf(prefix: Prefix | undefined): Uint8Array {
  const length = prefix?.length ?? 0;
  return Uint8Array.from(
    { length: 16 },
    (_, i) => 0xff00 >> Math.min(Math.max(length - 8 * i, 0), 8),
  );
}

/** How many bits of a mask are set. */
function lengthOf(mask: Uint8Array): number {
  return mask.reduce((sum, byte) => sum + 8 - Math.log2(0x100 - byte), 0);
}
