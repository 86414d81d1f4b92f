// SPDX-License-Identifier: Apache-2.0
/** Where the flows of `./weir bench fastpath` go. */
import type { Protocol } from "../../../src/model.ts";
import type { Family } from "./frames.ts";

export const AGGREGATES = ["10.200.0.0/16", "2001:db8:200::/48"] as const;
/** 256 LIPs of each family: FLOW_ADDRESSES. */
export const POOLS = ["10.200.1.0/24", "2001:db8:200::/120"] as const;
/** From FLOW_PORT on. */
export const PORTS = { min: 1024, max: 65535 } as const;

/** The first client, the first LIP, the virtual service's and the real server's address. */
export const ADDRESSES = {
  4: {
    client: "10.64.0.0",
    lip: "10.200.1.0",
    vip: "192.0.2.10",
    real: "10.3.0.2",
    router: "10.64.255.1",
  },
  6: {
    client: "2001:db8:64::",
    lip: "2001:db8:200::",
    vip: "2001:db8:ffff::10",
    real: "2001:db8:3::2",
    router: "2001:db8:64:ffff::1",
  },
} as const;

type Service = {
  readonly family: Family;
  readonly protocol: Protocol;
  readonly vip: string;
  readonly real: string;
  readonly port: number;
  readonly sync: "off" | "immediate";
};

/** Sessions that are measured are filled in without records; those whose creation is measured write them. */
export const FILLED_PORT = 80;
export const CREATED_PORT = 81;
export const UDP_PORT = 53;

export const SERVICES: readonly Service[] = ([4, 6] as const).flatMap(
  (family) => {
    const { vip, real } = ADDRESSES[family];
    const at = { family, vip, real } as const;
    return [
      { ...at, protocol: "tcp", port: FILLED_PORT, sync: "off" } as const,
      {
        ...at,
        protocol: "tcp",
        port: CREATED_PORT,
        sync: "immediate",
      } as const,
      { ...at, protocol: "udp", port: UDP_PORT, sync: "off" } as const,
    ];
  },
);
