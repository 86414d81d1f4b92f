/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ICMP and ICMPv6 messages: which ones weir reads and sends, and what an error of one family is in
 * the other (RFC 7915 sections 4.2 and 5.2).
 */
#ifndef WEIR_ICMP_TYPES_H
#define WEIR_ICMP_TYPES_H

#include <stdbool.h>
#include <linux/errno.h>
#include <linux/icmpv6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include "family.h"
#include "reply_order.h"

/* RFC 792, RFC 1122, RFC 1812. (<linux/icmp.h> includes what clang has not got for BPF.) */
#define WEIR_ICMP_ECHO_REPLY        0
#define WEIR_ICMP_UNREACHABLE       3
#define WEIR_ICMP_ECHO              8
#define WEIR_ICMP_TIME_EXCEEDED     11
#define WEIR_ICMP_PARAMETER_PROBLEM 12

/* Codes of WEIR_ICMP_UNREACHABLE. */
#define WEIR_UNREACHABLE_HOST            1
#define WEIR_UNREACHABLE_PROTOCOL        2
#define WEIR_UNREACHABLE_PORT            3
#define WEIR_UNREACHABLE_TOO_BIG         4
#define WEIR_UNREACHABLE_NET_PROHIBITED  9
#define WEIR_UNREACHABLE_HOST_PROHIBITED 10
#define WEIR_UNREACHABLE_PROHIBITED      13
#define WEIR_UNREACHABLE_PRECEDENCE      14
#define WEIR_UNREACHABLE_CUTOFF          15

/* How much longer an IPv6 header is than an IPv4 one, without and with a fragment's header. */
#define WEIR_IP6_MORE          20
#define WEIR_IP6_FRAGMENT_MORE 28

#define WEIR_QUOTED_MIN 128 /* bytes, where extensions follow */

struct weir_icmp {
	__u8 type;
	__u8 code;
	__sum16 check;
	__be32 word; /* MTU, pointer, or unused */
};

static __always_inline bool weir_is_echo_request(__u8 version, __u8 type)
{
	return type == (version == 4 ? WEIR_ICMP_ECHO : ICMPV6_ECHO_REQUEST);
}

/* Not ICMP's redirect, which is for a host's neighbour, and not its source quench, which nobody is
 * to heed (RFC 6633). */
static __always_inline bool weir_is_error(__u8 version, __u8 type)
{
	if (version == 6)
		return type >= ICMPV6_DEST_UNREACH && type <= ICMPV6_PARAMPROB;
	return type == WEIR_ICMP_UNREACHABLE || type == WEIR_ICMP_TIME_EXCEEDED ||
	       type == WEIR_ICMP_PARAMETER_PROBLEM;
}

/* How many of the `bytes` bytes behind an error's header are the quoted packet's: all, if it does
 * not say that extensions follow (RFC 4884, by which it then quotes at least 128). */
static __always_inline __u32 weir_quoted_bytes(__u8 version, const struct weir_icmp *icmp,
					       __u32 bytes)
{
	__u32 word = bpf_ntohl(icmp->word), told = 0;

	if (version == 4)
		told = (word >> 16 & 0xff) * 4;
	else if (icmp->type == ICMPV6_DEST_UNREACH || icmp->type == ICMPV6_TIME_EXCEED)
		told = (word >> 24) * 8;
	return told >= WEIR_QUOTED_MIN && told <= bytes ? told : bytes;
}

/* The message that answers a packet, by WEIR_REPLY_*. */
static __always_inline struct weir_icmp weir_icmp_reply(__u8 version, __u32 reply)
{
	switch (reply) {
	case WEIR_REPLY_TTL:
		return (struct weir_icmp){.type = version == 4 ? WEIR_ICMP_TIME_EXCEEDED
							       : ICMPV6_TIME_EXCEED};
	case WEIR_REPLY_TOO_BIG:
		if (version == 6)
			return (struct weir_icmp){.type = ICMPV6_PKT_TOOBIG};
		return (struct weir_icmp){.type = WEIR_ICMP_UNREACHABLE,
					  .code = WEIR_UNREACHABLE_TOO_BIG};
	default:
		if (version == 6)
			return (struct weir_icmp){.type = ICMPV6_DEST_UNREACH,
						  .code = ICMPV6_PORT_UNREACH};
		return (struct weir_icmp){.type = WEIR_ICMP_UNREACHABLE,
					  .code = WEIR_UNREACHABLE_PORT};
	}
}

static __always_inline int weir_set_icmp(struct weir_icmp *icmp, __u8 type, __u8 code, __u32 word)
{
	icmp->type = type;
	icmp->code = code;
	icmp->word = bpf_htonl(word);
	return 0;
}

/* The MTU of a router that does not name one (RFC 1191 section 7): the next plateau below the
 * length of the packet that was too big, if IPv6 may use it. */
static __always_inline __u32 weir_plateau(__u16 length)
{
	if (length > 32000)
		return 32000;
	if (length > 17914)
		return 17914;
	if (length > 8166)
		return 8166;
	if (length > 4352)
		return 4352;
	if (length > 2002)
		return 2002;
	return length > 1492 ? 1492 : 0;
}

static __always_inline int weir_unreachable_to6(struct weir_icmp *icmp, __u16 quoted_length,
						__u32 mtu_max)
{
	__u32 mtu;

	switch (icmp->code) {
	case WEIR_UNREACHABLE_PROTOCOL:
		return weir_set_icmp(icmp, ICMPV6_PARAMPROB, ICMPV6_UNK_NEXTHDR,
				     __builtin_offsetof(struct ipv6hdr, nexthdr));
	case WEIR_UNREACHABLE_PORT:
		return weir_set_icmp(icmp, ICMPV6_DEST_UNREACH, ICMPV6_PORT_UNREACH, 0);
	case WEIR_UNREACHABLE_TOO_BIG:
		mtu = bpf_ntohl(icmp->word) & 0xffff;
		mtu = (mtu ?: weir_plateau(quoted_length)) + WEIR_IP6_MORE;
		mtu = mtu > mtu_max ? mtu_max : mtu;
		return weir_set_icmp(icmp, ICMPV6_PKT_TOOBIG, 0,
				     mtu < IPV6_MIN_MTU ? IPV6_MIN_MTU : mtu);
	case WEIR_UNREACHABLE_NET_PROHIBITED:
	case WEIR_UNREACHABLE_HOST_PROHIBITED:
	case WEIR_UNREACHABLE_PROHIBITED:
	case WEIR_UNREACHABLE_CUTOFF:
		return weir_set_icmp(icmp, ICMPV6_DEST_UNREACH, ICMPV6_ADM_PROHIBITED, 0);
	case WEIR_UNREACHABLE_PRECEDENCE:
		return -EOPNOTSUPP;
	default:
		if (icmp->code > WEIR_UNREACHABLE_CUTOFF)
			return -EOPNOTSUPP;
		return weir_set_icmp(icmp, ICMPV6_DEST_UNREACH, ICMPV6_NOROUTE, 0);
	}
}

/* Which field of an IPv6 header is the one that byte `pointer` of an IPv4 header belongs to (RFC
 * 7915, figure 3). */
static __always_inline int weir_pointer_to6(__u8 pointer)
{
	switch (pointer) {
	case 0: /* version */
	case 1: /* type of service */
		return pointer;
	case 2: /* total length */
	case 3:
		return __builtin_offsetof(struct ipv6hdr, payload_len);
	case 8:
		return __builtin_offsetof(struct ipv6hdr, hop_limit);
	case 9:
		return __builtin_offsetof(struct ipv6hdr, nexthdr);
	default:
		if (pointer < 12 || pointer >= sizeof(struct iphdr))
			return -EOPNOTSUPP;
		return pointer < 16 ? __builtin_offsetof(struct ipv6hdr, saddr)
				    : __builtin_offsetof(struct ipv6hdr, daddr);
	}
}

/* Figure 6. */
static __always_inline int weir_pointer_to4(__u32 pointer)
{
	switch (pointer) {
	case 0: /* version */
	case 1: /* traffic class */
		return pointer;
	case 4: /* payload length */
	case 5:
		return __builtin_offsetof(struct iphdr, tot_len);
	case 6:
		return __builtin_offsetof(struct iphdr, protocol);
	case 7:
		return __builtin_offsetof(struct iphdr, ttl);
	default:
		if (pointer < 8 || pointer >= sizeof(struct ipv6hdr))
			return -EOPNOTSUPP;
		return pointer < 24 ? __builtin_offsetof(struct iphdr, saddr)
				    : __builtin_offsetof(struct iphdr, daddr);
	}
}

/* Makes an ICMP error the ICMPv6 one. `quoted_length` is that of the packet in error, as it says
 * itself; `mtu_max` is the most that the ways in and out allow. -EOPNOTSUPP: there is none. */
static __always_inline int weir_icmp_to6(struct weir_icmp *icmp, __u16 quoted_length, __u32 mtu_max)
{
	int pointer;

	switch (icmp->type) {
	case WEIR_ICMP_UNREACHABLE:
		return weir_unreachable_to6(icmp, quoted_length, mtu_max);
	case WEIR_ICMP_TIME_EXCEEDED:
		return weir_set_icmp(icmp, ICMPV6_TIME_EXCEED, icmp->code, 0);
	case WEIR_ICMP_PARAMETER_PROBLEM:
		pointer = weir_pointer_to6(bpf_ntohl(icmp->word) >> 24);
		/* 0: there is an error at the pointer; 2: there is a bad length. */
		if ((icmp->code != 0 && icmp->code != 2) || pointer < 0)
			return -EOPNOTSUPP;
		return weir_set_icmp(icmp, ICMPV6_PARAMPROB, ICMPV6_HDR_FIELD, pointer);
	default:
		return -EOPNOTSUPP;
	}
}

/* The way back. `fragmented`: the packet in error is a fragment. An MTU that IPv6 may not have is
 * taken for the least that it may (RFC 8201 section 4). */
static __always_inline int weir_icmp_to4(struct weir_icmp *icmp, bool fragmented, __u32 mtu_max)
{
	__u32 mtu = bpf_ntohl(icmp->word);
	int pointer;

	switch (icmp->type) {
	case ICMPV6_DEST_UNREACH:
		if (icmp->code == ICMPV6_ADM_PROHIBITED)
			return weir_set_icmp(icmp, WEIR_ICMP_UNREACHABLE,
					     WEIR_UNREACHABLE_HOST_PROHIBITED, 0);
		if (icmp->code == ICMPV6_PORT_UNREACH)
			return weir_set_icmp(icmp, WEIR_ICMP_UNREACHABLE, WEIR_UNREACHABLE_PORT, 0);
		if (icmp->code > ICMPV6_PORT_UNREACH)
			return -EOPNOTSUPP;
		return weir_set_icmp(icmp, WEIR_ICMP_UNREACHABLE, WEIR_UNREACHABLE_HOST, 0);
	case ICMPV6_PKT_TOOBIG:
		mtu = mtu < IPV6_MIN_MTU ? IPV6_MIN_MTU : mtu;
		mtu -= fragmented ? WEIR_IP6_FRAGMENT_MORE : WEIR_IP6_MORE;
		mtu = mtu > mtu_max ? mtu_max : mtu;
		return weir_set_icmp(icmp, WEIR_ICMP_UNREACHABLE, WEIR_UNREACHABLE_TOO_BIG, mtu);
	case ICMPV6_TIME_EXCEED:
		return weir_set_icmp(icmp, WEIR_ICMP_TIME_EXCEEDED, icmp->code, 0);
	case ICMPV6_PARAMPROB:
		if (icmp->code == ICMPV6_UNK_NEXTHDR)
			return weir_set_icmp(icmp, WEIR_ICMP_UNREACHABLE, WEIR_UNREACHABLE_PROTOCOL,
					     0);
		pointer = weir_pointer_to4(bpf_ntohl(icmp->word));
		if (icmp->code != ICMPV6_HDR_FIELD || pointer < 0)
			return -EOPNOTSUPP;
		return weir_set_icmp(icmp, WEIR_ICMP_PARAMETER_PROBLEM, 0, (__u32)pointer << 24);
	default:
		return -EOPNOTSUPP;
	}
}

#endif
