// SPDX-License-Identifier: Apache-2.0
/** Numbers of the protocols, as IANA lists them. */

export const ETHERTYPE = { ipv4: 0x0800, ipv6: 0x86dd } as const;
export const TPID = { customer: 0x8100, service: 0x88a8 } as const;

export const PROTOCOL = {
  hopByHop: 0,
  icmp: 1,
  tcp: 6,
  udp: 17,
  routing: 43,
  fragment: 44,
  icmpv6: 58,
  none: 59,
  destination: 60,
} as const;

export const TCP_FLAG = {
  fin: 0x01,
  syn: 0x02,
  rst: 0x04,
  psh: 0x08,
  ack: 0x10,
} as const;

/** Type numbers of ICMP (RFC 792). */
export const ICMP = {
  echoReply: 0,
  unreachable: 3,
  quench: 4,
  redirect: 5,
  echoRequest: 8,
  timeExceeded: 11,
  parameterProblem: 12,
} as const;

/** Type numbers of ICMPv6 (RFC 4443). */
export const ICMPV6 = {
  unreachable: 1,
  tooBig: 2,
  timeExceeded: 3,
  parameterProblem: 4,
  echoRequest: 128,
  echoReply: 129,
} as const;
