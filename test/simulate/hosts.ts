// SPDX-License-Identifier: Apache-2.0
/** Who speaks in odd.pcapng: the hosts around the node of weir.yaml. */

export type Odd = {
  /** Its name: no two have one name. */
  readonly what: string;
  readonly iface: "eth1" | "eth2";
  readonly bytes: Buffer;
};

export const CLIENT = "198.51.100.1:40000";
export const OTHER = "198.51.100.2:40000";
/** The way back to it is known, but not the next hop's MAC. */
export const UNRESOLVED = "203.0.113.1:40000";
/** There is no way back to it. */
export const NOWHERE = "100.64.0.1:40000";
export const WEB = "192.0.2.10:80";
export const LIP = "10.200.0.1:1024";
export const WEB_REAL = "10.3.1.2:8080";
export const DNS = "192.0.2.10:53";
export const DNS_REAL = "10.3.4.2:5353";
export const CLIENT6 = "[2001:db8:c::1]:40000";
export const WEB6 = "[2001:db8:100::10]:80";
export const DNS6 = "[2001:db8:100::10]:53";
export const DNS6_REAL = "[2001:db8:3:4::2]:53";
export const LIP6 = "[2001:db8:200::1]:1024";
export const WEB6_REAL = "[2001:db8:3:1::2]:8080";
export const FOUR_TO_SIX = "192.0.2.46:80";
export const FOUR_TO_SIX_DNS = "192.0.2.46:53";
export const FOUR_TO_SIX_REAL = "[2001:db8:3:46::2]:8080";
export const SIX_TO_FOUR = "[2001:db8:100::64]:80";
/** Every other port is for IPv4 real servers of IPv6 clients: this one, if there is a second. */
export const SIX_TO_FOUR_LIP = "10.200.0.1:1025";
export const SIX_TO_FOUR_REAL = "10.3.64.2:8080";
export const ROUTER = "198.51.100.254";
export const ROUTER6 = "2001:db8:c::fe";
export const REAL_ROUTER = "10.3.255.254";

/** Frames that come in where clients are. Several are numbered. */
export function fromClient(
  what: string,
  ...frames: readonly Buffer[]
): readonly Odd[] {
  return named("eth1", what, frames);
}

/** The same where real servers are. */
export function fromReal(
  what: string,
  ...frames: readonly Buffer[]
): readonly Odd[] {
  return named("eth2", what, frames);
}

function named(
  iface: Odd["iface"],
  what: string,
  frames: readonly Buffer[],
): readonly Odd[] {
  return frames.map((bytes, index) => ({
    what: frames.length === 1 ? what : `${what} ${index + 1}`,
    iface,
    bytes,
  }));
}
