// SPDX-License-Identifier: Apache-2.0
/** What corresponds to an ICMP error in ICMPv6, and the other way round: RFC 7915, sections 4.2 and 5.2. */
import type { Version } from "./address.ts";
import { ICMP, ICMPV6 } from "./protocols.ts";

export type IcmpHead = {
  readonly type: number;
  readonly code: number;
  /** The 4 bytes behind the checksum. */
  readonly rest: Buffer;
};

export type Sizes = {
  /** MTUs of the interfaces that the error comes in by and leaves by. */
  readonly mtu4: number;
  readonly mtu6: number;
  /** Total length of the quoted packet. */
  readonly quoted: number;
  /** What was told where the error says only that a packet was too big (RFC 1191 section 5); 0: unknown. */
  readonly guess: number;
};

const MTU_DIFFERENCE = 20;
const MTU_IPV6_MIN = 1280;
/** An ICMP error has 16 bits for it. */
const MTU_IPV4_MAX = 0xffff;
/** RFC 1191 section 7. */
const PLATEAUS = [
  65535, 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68,
];

/**
 * What corresponds to it, the RFC's own answer first; the others tell of an MTU that makes no difference to who is told. None:
 * nothing corresponds.
 */
export function translatedHeads(
  version: Version,
  head: IcmpHead,
  sizes: Sizes,
): readonly IcmpHead[] {
  return version === 4 ? toIcmpv6(head, sizes) : toIcmp(head, sizes);
}

/** Of ICMP's destination unreachable, by code. Fragmentation needed and protocol unreachable become other types. */
const UNREACHABLE_TO_6: Readonly<Record<number, number>> = {
  0: 0, // network
  1: 0, // host
  3: 4, // port
  5: 0, // source route failed
  6: 0, // network unknown
  7: 0, // host unknown
  8: 0, // source host isolated
  9: 1, // network administratively prohibited
  10: 1, // host administratively prohibited
  11: 0, // network unreachable for the type of service
  12: 0, // host unreachable for the type of service
  13: 1, // communication administratively prohibited
  15: 1, // precedence cutoff
};
const PROTOCOL_UNREACHABLE = 2;
const FRAGMENTATION_NEEDED = 4;
const UNREACHABLE_TO_4: Readonly<Record<number, number>> = {
  0: 1, // no route
  1: 10, // administratively prohibited
  2: 1, // beyond the scope of the source address
  3: 1, // address
  4: 3, // port
};
/** Where a field of the IPv4 header is in IPv6's: figure 3. */
const POINTER_TO_6: Readonly<Record<number, number>> = {
  ...{ 0: 0, 1: 1, 2: 4, 3: 4, 8: 7, 9: 6 },
  ...{ 12: 8, 13: 8, 14: 8, 15: 8, 16: 24, 17: 24, 18: 24, 19: 24 },
};
/** Figure 6. */
function pointerTo4(pointer: number): number | undefined {
  if (pointer >= 8 && pointer < 24) return 12;
  if (pointer >= 24 && pointer < 40) return 16;
  return { 0: 0, 1: 1, 4: 2, 5: 2, 6: 9, 7: 8 }[pointer];
}
/** ICMPv6's parameter problem: an unrecognized next header. */
const UNRECOGNIZED_NEXT_HEADER = 1;
const NEXT_HEADER_AT = 6;

function toIcmpv6(
  { type, code, rest }: IcmpHead,
  sizes: Sizes,
): readonly IcmpHead[] {
  if (type === ICMP.timeExceeded)
    return [{ type: ICMPV6.timeExceeded, code, rest: word(0) }];
  if (type === ICMP.unreachable) {
    if (code === PROTOCOL_UNREACHABLE)
      return [
        {
          type: ICMPV6.parameterProblem,
          code: UNRECOGNIZED_NEXT_HEADER,
          rest: word(NEXT_HEADER_AT),
        },
      ];
    if (code === FRAGMENTATION_NEEDED)
      return mtusTo6(rest.readUInt16BE(2), sizes).map((mtu) => ({
        type: ICMPV6.tooBig,
        code: 0,
        rest: word(mtu),
      }));
    return withCode(ICMPV6.unreachable, UNREACHABLE_TO_6[code]);
  }
  if (type !== ICMP.parameterProblem || (code !== 0 && code !== 2)) return [];
  const pointer = POINTER_TO_6[rest.readUInt8(0)];
  return pointer === undefined
    ? []
    : [{ type: ICMPV6.parameterProblem, code: 0, rest: word(pointer) }];
}

function toIcmp(
  { type, code, rest }: IcmpHead,
  sizes: Sizes,
): readonly IcmpHead[] {
  if (type === ICMPV6.timeExceeded)
    return [{ type: ICMP.timeExceeded, code, rest: word(0) }];
  if (type === ICMPV6.unreachable)
    return withCode(ICMP.unreachable, UNREACHABLE_TO_4[code]);
  if (type === ICMPV6.tooBig)
    return mtusTo4(rest.readUInt32BE(0), sizes).map((mtu) => ({
      type: ICMP.unreachable,
      code: FRAGMENTATION_NEEDED,
      rest: word(mtu),
    }));
  if (type !== ICMPV6.parameterProblem) return [];
  if (code === UNRECOGNIZED_NEXT_HEADER)
    return [
      {
        type: ICMP.unreachable,
        code: PROTOCOL_UNREACHABLE,
        rest: word(0),
      },
    ];
  const pointer = pointerTo4(rest.readUInt32BE(0));
  return code !== 0 || pointer === undefined
    ? []
    : [{ type: ICMP.parameterProblem, code: 0, rest: word(pointer * 2 ** 24) }];
}

/** Whether an MTU is cut down to the next hop's makes no difference: nothing larger gets that far. */
function mtusTo6(told: number, sizes: Sizes): readonly number[] {
  const { mtu4, mtu6, quoted, guess } = sizes;
  const longer = (told === 0 ? plateau(quoted) : told) + MTU_DIFFERENCE;
  const least = Math.min(longer, mtu6, mtu4 + MTU_DIFFERENCE);
  const mtus = [least, longer].map((mtu) => Math.max(MTU_IPV6_MIN, mtu));
  const isFair = guess >= MTU_IPV6_MIN && guess <= mtu6;
  return told === 0 && isFair ? [...mtus, guess] : mtus;
}

/** Nobody may take less than 1280 for a path's MTU in IPv6 (RFC 8201 section 4): an error that tells of less may be levelled. */
function mtusTo4(told: number, { mtu4, mtu6 }: Sizes): readonly number[] {
  return [told, Math.max(told, MTU_IPV6_MIN)].flatMap((mtu) => {
    const shorter = Math.max(mtu - MTU_DIFFERENCE, 0);
    return [
      Math.min(shorter, mtu4, mtu6 - MTU_DIFFERENCE),
      Math.min(shorter, MTU_IPV4_MAX),
      Math.min(mtu, MTU_IPV4_MAX) - MTU_DIFFERENCE,
    ];
  });
}

/** The largest MTU in use below the length of a packet that was too long for the next hop. */
function plateau(length: number): number {
  return PLATEAUS.find((mtu) => mtu < length) ?? 68;
}

function withCode(type: number, code: number | undefined): readonly IcmpHead[] {
  return code === undefined ? [] : [{ type, code, rest: word(0) }];
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0, 0);
  return bytes;
}
