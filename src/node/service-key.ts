// SPDX-License-Identifier: Apache-2.0
/**
 * What a virtual service is found by. A service of one port is found by exactly that; one of a range of ports by the longest
 * prefix of the port's bits, so that a single port may be taken out of a range by a service of its own.
 */
import {
  formatHost,
  formatPorts,
  type PortRange,
  type Protocol,
} from "../model.ts";

export type ServiceKey = {
  readonly vip: string;
  readonly ports: PortRange;
  readonly protocol: Protocol;
};

/** The ports whose first `length` bits are those of `port`. */
export type PortPrefix = {
  readonly port: number;
  readonly length: number;
};

const PORT_BITS = 16;

/** No range of ports takes more prefixes: that from 1 to 65534 takes so many. */
export const PORT_PREFIXES_MAX = 2 * (PORT_BITS - 1);

/** `vip:ports/protocol` */
export function serviceId({ vip, ports, protocol }: ServiceKey): string {
  return `${formatHost(vip)}:${formatPorts(ports)}/${protocol}`;
}

export function hasOnePort({ ports }: Pick<ServiceKey, "ports">): boolean {
  return ports.min === ports.max;
}

/** The fewest prefixes that have the ports of the range and no others, in the order of their ports. */
export function portPrefixes({ min, max }: PortRange): readonly PortPrefix[] {
  const prefixes: PortPrefix[] = [];
  let port = min;
  while (port <= max) {
    let size = 1;
    // Twice as many, if they all begin with the same bits and the range has them.
    while (port % (2 * size) === 0 && port + 2 * size - 1 <= max) size *= 2;
    prefixes.push({ port, length: PORT_BITS - Math.log2(size) });
    port += size;
  }
  return prefixes;
}
