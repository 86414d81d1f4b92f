/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What is known of the packet at hand, and how a step of the director ends: it either decides, by
 * returning an XDP verdict, or passes on, by returning WEIR_NEXT.
 */
#ifndef WEIR_PACKET_H
#define WEIR_PACKET_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include "maps.h"
#include "table_words.h"

#define WEIR_NEXT -1 /* no verdict yet */

#define WEIR_VLAN_TAG      4 /* bytes */
#define WEIR_VLAN_TAGS_MAX 2 /* 802.1Q, or 802.1ad around 802.1Q */

#define WEIR_IP_OFFSET_MAX (ETH_HLEN + WEIR_VLAN_TAGS_MAX * WEIR_VLAN_TAG)

/* From an IP header to the transport header: IPv4 options fit, and so many extension headers. */
#define WEIR_IP_BYTES_MAX   296
#define WEIR_EXTENSIONS_MAX 4
#define WEIR_TRANSPORT_MAX  (WEIR_IP_OFFSET_MAX + WEIR_IP_BYTES_MAX) /* into the frame */

/* Byte 13 of the TCP header (RFC 9293 section 3.1). */
#define WEIR_TCP_FIN 0x01
#define WEIR_TCP_SYN 0x02
#define WEIR_TCP_RST 0x04
#define WEIR_TCP_ACK 0x10
#define WEIR_TCP_URG 0x20
/* A SYN/ACK may carry other bits, but no RST. */
#define WEIR_TCP_SYNACK      (WEIR_TCP_SYN | WEIR_TCP_ACK)
#define WEIR_TCP_SYNACK_MASK (WEIR_TCP_SYNACK | WEIR_TCP_RST)

#define WEIR_IP_DF       0x4000
#define WEIR_IP_MORE     0x2000
#define WEIR_IP_OFFSET   0x1fff /* in units of 8 bytes */
#define WEIR_IP_FRAGMENT (WEIR_IP_MORE | WEIR_IP_OFFSET)

/* RFC 8200 section 4.5. */
struct weir_fragment_header {
	__u8 next;
	__u8 reserved;
	__be16 place; /* offset, two reserved bits, more-fragments bit */
	__be32 id;
};
#define WEIR_PLACE_MORE 0x0001

/* Takes from the verifier what it knows of `value`, by way of a word that it does not know: it
 * would follow the rest of the program once for each value. The value stays as it is. */
#define weir_forget(value, unknown)                                                                \
	asm volatile("%0 ^= %1; %0 ^= %1" : "+r"(value) : "r"((__u64)(unknown)))

/*
 * Copies so many words, whatever their alignment: clang would go by bytes where a type promises
 * none. What is written by words and then read by smaller parts, or the same words, comes straight
 * from the CPU's store buffer; a word that was written in parts has to wait for the cache (some
 * 4 ns each time).
 */
static __always_inline void weir_copy_words(void *to, const void *from, int words)
{
#pragma unroll
	for (int i = 0; i < words; i++)
		((weir_word *)to)[i] = ((const weir_word *)from)[i];
}

/* What is known of the frame at hand. Without pointers, so that functions which the verifier checks
 * on their own can take it. */
struct weir_packet {
	struct weir_key key; /* as received */
	__u64 now;           /* tick; the table holds its lower 32 bits */
	__u32 sequence;      /* of the TCP header; 0 for UDP */
	__u32 acknowledgement;
	__u32 id;       /* of the datagram that it is a fragment of */
	__u16 fragment; /* WEIR_IP_MORE and its offset, if it is a fragment; 0: it is none */
	__u16 length;   /* of the layer-3 packet, bytes */
	__u16 ip_bytes; /* of the IP header with its options or extension headers */
	__u8 tags;      /* bytes of VLAN tags between the Ethernet and the IP header */
	__u8 tcp_flags; /* 0 for UDP */
	__u8 ttl;
	__u8 version; /* of the IP header: 4 or 6 */
	__u8 whole;   /* it must not be fragmented: IPv6, or IPv4 with DF */
	__u8 bound;   /* WEIR_BOUND_*: why it cannot become one of the other family; 0: it can */
};

#define WEIR_BOUND_ROUTE 1 /* its source route leads on (RFC 7915 sections 4.1, 5.1) */
#define WEIR_BOUND_CHECKSUM                                                                        \
	2 /* it is UDP over IPv4 without one, which IPv6 must have: there is                       \
	     nothing to compute it from (section 4.5 leaves the choice) */

/* Both ports, at the beginning of a transport header or in a tuple. */
typedef __u32 __attribute__((may_alias)) weir_ports;

static __always_inline void weir_set_ports(struct weir_key *key, weir_ports ports)
{
	const __u64 proto = key->proto;

	*(weir_word *)&key->sport =
		WEIR_LITTLE_ENDIAN ? ports | proto << 32 : (__u64)ports << 32 | proto << 24;
}

static __always_inline struct weir_counters *weir_cpu_counters(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&weir_counters, &zero);
}

static __always_inline const struct weir_node *weir_this_node(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&weir_nodes, &zero);
}

static __always_inline int weir_drop(__u64 *reason)
{
	(*reason)++;
	return XDP_DROP;
}

static __always_inline int weir_pass(struct weir_counters *counters)
{
	counters->passed_foreign++;
	return XDP_PASS;
}

/* Has another program decide. It returns only if there is none. */
static __always_inline int weir_hand_to(struct xdp_md *ctx, struct weir_counters *counters,
					const __u32 stage)
{
	bpf_tail_call(ctx, &weir_stages, stage);
	return weir_drop(&counters->drop_inconsistent);
}

/* One of WEIR_OWN_*, or 0 for an address that is not weir's. A call of its own: many ask, and none
 * on the fast path. */
__noinline int weir_owner(const weir_ip *address)
{
	struct weir_prefix prefix = {.length = 128};
	__u32 *own;

	if (!address)
		return 0;
	prefix.address = weir_full(*address);
	own = bpf_map_lookup_elem(&weir_prefixes, &prefix);
	return own ? *own : 0;
}

/* A packet that weir cannot translate: dropped for `reason` if it is for one of weir's addresses,
 * so that the kernel neither answers nor returns it to the router; the kernel's otherwise. */
static __always_inline int weir_refuse(const struct weir_packet *packet,
				       struct weir_counters *counters, __u64 *reason)
{
	return weir_owner(&packet->key.daddr) ? weir_drop(reason) : weir_pass(counters);
}

/* As weir_hand_to(), for packets to one of weir's addresses. Others are the kernel's. */
static __always_inline int weir_hand_own_to(struct xdp_md *ctx, struct weir_counters *counters,
					    const struct weir_packet *packet, const __u32 stage)
{
	return weir_owner(&packet->key.daddr) ? weir_hand_to(ctx, counters, stage)
					      : weir_pass(counters);
}

/* A fragment but the first one has no transport header. */
static __always_inline bool weir_is_later_fragment(const struct weir_packet *packet)
{
	return packet->fragment & WEIR_IP_OFFSET;
}

/* Of the transport header, or of what else is behind the IP header, into the frame. */
static __always_inline __u32 weir_transport_offset(const struct weir_packet *packet)
{
	return sizeof(struct ethhdr) + packet->tags + packet->ip_bytes;
}

#endif
