/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Making IP headers, and room for them: for packets that change their family, and for answers. */
#ifndef WEIR_IP_HEADER_H
#define WEIR_IP_HEADER_H

#include "parse.h"
#include "session_rules.h"

/* Up to that an IPv4 packet that was IPv6 may be fragmented, and needs an identification (RFC 7915
 * section 5.1). */
#define WEIR_DF_ABOVE 1260

#define WEIR_SUM_STEP      64  /* bytes */
#define WEIR_SUM_STEPS_MAX 144 /* 9 KiB */

static __always_inline __u64 weir_sum16(const void *data, __u32 bytes)
{
	const __u16 *word = data;
	__u64 sum = 0;

#pragma unroll
	for (__u32 i = 0; i < bytes / 2; i++)
		sum += word[i];
	return sum;
}

/* The folded sum of `bytes` bytes, `offset` into the frame; -EINVAL: the frame ends before, or they
 * are more than that. */
__noinline int weir_sum_bytes(struct xdp_md *ctx, __u32 offset, __u32 bytes)
{
	__u32 steps = bytes / WEIR_SUM_STEP, rest = bytes % WEIR_SUM_STEP;
	/* The verifier of Linux 6.1 learns no bound from `rest != 0`. */
	__u64 last = weir_opaque((__u64)rest - 1);
	__u16 words[WEIR_SUM_STEP / 2] = {};
	__u64 sum = 0;

	if (steps > WEIR_SUM_STEPS_MAX)
		return -EINVAL;
	if (last < WEIR_SUM_STEP - 1) {
		if (bpf_xdp_load_bytes(ctx, offset + bytes - rest, words, last + 1))
			return -EINVAL;
		sum = weir_sum16(words, sizeof(words));
	}
	for (__u32 i = 0; i < WEIR_SUM_STEPS_MAX && i < steps; i++) {
		if (bpf_xdp_load_bytes(ctx, offset + i * WEIR_SUM_STEP, words, sizeof(words)))
			return -EINVAL;
		sum += weir_sum16(words, sizeof(words));
	}
	return weir_fold(sum);
}

/* What an IPv6 header adds to the checksum of `bytes` bytes behind it (RFC 8200 section 8.1); the
 * same for TCP and UDP over IPv4. */
static __always_inline __u64 weir_sum_pseudo(weir_ip saddr, weir_ip daddr, __u8 proto, __u16 bytes)
{
	return weir_sum_ip(saddr) + weir_sum_ip(daddr) + bpf_htons(proto) + bpf_htons(bytes);
}

/* Cuts the frame behind `length` bytes of its layer-3 packet. */
static __always_inline int weir_cut(struct xdp_md *ctx, const struct weir_packet *packet,
				    __u32 length)
{
	int surplus = bpf_xdp_get_buff_len(ctx) - sizeof(struct ethhdr) - packet->tags - length;

	return surplus > 0 ? bpf_xdp_adjust_tail(ctx, -surplus) : 0;
}

/* Moves the beginning of the frame, and what is in front of the IP header with it: by so many bytes
 * further back, or if they are negative, to the front. 0; -ENOSPC: no room; -EINVAL: never. */
static __always_inline int weir_move_link(struct xdp_md *ctx, int bytes)
{
	__u8 link[WEIR_IP_OFFSET_MAX]; /* MAC addresses, tags, type: at most that */

	if (bpf_xdp_load_bytes(ctx, 0, link, sizeof(link)))
		return -EINVAL;
	if (bpf_xdp_adjust_head(ctx, bytes))
		return -ENOSPC;
	return bpf_xdp_store_bytes(ctx, 0, link, sizeof(link));
}

/* Traffic class, or type of service, of the header of `version` at `offset`. */
static __always_inline int weir_read_class(struct xdp_md *ctx, __u8 version, __u32 offset)
{
	__u8 head[2];

	if (bpf_xdp_load_bytes(ctx, offset, head, sizeof(head)))
		return -EINVAL;
	return version == 4 ? head[1] : (__u8)(head[0] << 4 | head[1] >> 4);
}

/* The bytes of the header that weir_make_ip4() or weir_make_ip6() makes. */
static __always_inline __u32 weir_made_bytes(const struct weir_packet *packet, __u8 version)
{
	if (version == 4)
		return sizeof(struct iphdr);
	return sizeof(struct ipv6hdr) +
	       (packet->fragment ? sizeof(struct weir_fragment_header) : 0);
}

/* A header in the place of the packet's, whose version may be another: all but the addresses and
 * the class, which is the traffic class or type of service, comes from there. */
static __always_inline void weir_make_ip4(struct iphdr *ip, const struct weir_packet *packet,
					  __be32 saddr, __be32 daddr, __u8 class)
{
	__u16 length = packet->length - packet->ip_bytes + sizeof(*ip);

	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 4;
	ip->ihl = sizeof(*ip) / 4;
	ip->tos = class;
	ip->tot_len = bpf_htons(length);
	if (packet->fragment) {
		ip->frag_off = bpf_htons(packet->fragment);
		ip->id = bpf_htons(packet->id);
	} else if (length > WEIR_DF_ABOVE) {
		ip->frag_off = bpf_htons(WEIR_IP_DF);
	} else {
		ip->id = bpf_get_prandom_u32();
	}
	ip->ttl = packet->ttl;
	ip->protocol = packet->key.proto;
	ip->saddr = saddr;
	ip->daddr = daddr;
	ip->check = ~weir_fold(weir_sum16(ip, sizeof(*ip)));
}

#if WEIR_WIDE
/* With room for a fragment's header. */
struct weir_made_ip6 {
	struct ipv6hdr ip;
	struct weir_fragment_header fragment;
};
_Static_assert(sizeof(struct weir_made_ip6) == 48, "");

static __always_inline void weir_make_ip6(struct weir_made_ip6 *made,
					  const struct weir_packet *packet,
					  const struct weir_address *saddr,
					  const struct weir_address *daddr, __u8 class)
{
	struct ipv6hdr *ip = &made->ip;
	__u32 bytes = weir_made_bytes(packet, 6) - sizeof(*ip);

	__builtin_memset(made, 0, sizeof(*made));
	ip->version = 6;
	ip->priority = class >> 4;
	ip->flow_lbl[0] = class << 4;
	ip->payload_len = bpf_htons(packet->length - packet->ip_bytes + bytes);
	ip->nexthdr = packet->key.proto;
	ip->hop_limit = packet->ttl;
	__builtin_memcpy(&ip->saddr, saddr, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, daddr, sizeof(ip->daddr));
	if (!packet->fragment)
		return;
	ip->nexthdr = IPPROTO_FRAGMENT;
	made->fragment.next = packet->key.proto;
	made->fragment.place = bpf_htons((packet->fragment & WEIR_IP_OFFSET) << 3);
	if (packet->fragment & WEIR_IP_MORE)
		made->fragment.place |= bpf_htons(WEIR_PLACE_MORE);
	made->fragment.id = bpf_htonl(packet->id);
}
#endif

#endif
