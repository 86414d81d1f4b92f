/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* From a frame to a flow key. */
#ifndef WEIR_PARSE_H
#define WEIR_PARSE_H

#include "packet.h"

/* As one load or store: struct ethhdr is packed. */
static __always_inline __be16 *weir_ethertype(struct ethhdr *eth)
{
	return (void *)eth + offsetof(struct ethhdr, h_proto);
}

/* Offset of the layer-3 header behind up to two VLAN tags; 0: the frame ends before. */
static __always_inline __u32 weir_parse_ethernet(void *data, void *data_end, __be16 *ethertype)
{
	struct ethhdr *eth = data;
	__u32 offset = sizeof(*eth);

	if (data + offset > data_end)
		return 0;
	*ethertype = *weir_ethertype(eth);
#pragma unroll
	for (int i = 0; i < WEIR_VLAN_TAGS_MAX; i++) {
		if (*ethertype != bpf_htons(ETH_P_8021Q) && *ethertype != bpf_htons(ETH_P_8021AD))
			break;
		if (data + offset + WEIR_VLAN_TAG > data_end)
			return 0;
		*ethertype = *(__be16 *)(data + offset +
					 2); /* behind the two bytes of tag control information */
		offset += WEIR_VLAN_TAG;
	}
	return offset;
}

/* The combinations of flags that a TCP sends, PSH and above left aside: a bit for each (as in
 * Linux, tcp_valid_flags of nf_conntrack_proto_tcp.c). */
#define WEIR_TCP_BIT(flags) (1ULL << (flags))
#define WEIR_TCP_VALID                                                                             \
	(WEIR_TCP_BIT(WEIR_TCP_SYN) | WEIR_TCP_BIT(WEIR_TCP_SYN | WEIR_TCP_URG) |                  \
	 WEIR_TCP_BIT(WEIR_TCP_SYNACK) | WEIR_TCP_BIT(WEIR_TCP_RST) |                              \
	 WEIR_TCP_BIT(WEIR_TCP_RST | WEIR_TCP_ACK) | WEIR_TCP_BIT(WEIR_TCP_FIN | WEIR_TCP_ACK) |   \
	 WEIR_TCP_BIT(WEIR_TCP_FIN | WEIR_TCP_ACK | WEIR_TCP_URG) | WEIR_TCP_BIT(WEIR_TCP_ACK) |   \
	 WEIR_TCP_BIT(WEIR_TCP_ACK | WEIR_TCP_URG))
#define WEIR_TCP_JUDGED 0x37

static __always_inline bool weir_tcp_flags_valid(__u8 flags)
{
	return WEIR_TCP_VALID >> (flags & WEIR_TCP_JUDGED) & 1;
}

/* Fills `packet` from its TCP or UDP header; `short_of_it` counts those that do not hold all of it.
 * All else of the packet is known. */
static __always_inline int weir_parse_transport(struct xdp_md *ctx, struct weir_counters *counters,
						struct weir_packet *packet, __u64 *short_of_it)
{
	void *data_end = (void *)(long)ctx->data_end, *header;
	__u32 bytes = packet->length - packet->ip_bytes;
	__u64 offset = weir_transport_offset(packet);

	weir_forget(offset, packet->now);
	if (offset > WEIR_TRANSPORT_MAX)
		return weir_refuse(packet, counters, &counters->drop_malformed);
	header = (void *)(long)ctx->data + offset;
	if (packet->key.proto == IPPROTO_TCP) {
		struct tcphdr *tcp = header;

		if ((void *)(tcp + 1) > data_end || tcp->doff * 4u > bytes)
			return weir_refuse(packet, counters, short_of_it);
		if (tcp->doff < 5)
			return weir_refuse(packet, counters, &counters->drop_malformed);
		weir_set_ports(&packet->key, *(weir_ports *)tcp);
		packet->sequence = bpf_ntohl(tcp->seq);
		packet->acknowledgement = bpf_ntohl(tcp->ack_seq);
		packet->tcp_flags = ((__u8 *)tcp)[13];
		return weir_tcp_flags_valid(packet->tcp_flags)
			       ? WEIR_NEXT
			       : weir_refuse(packet, counters, &counters->drop_tcp_flags);
	} else {
		struct udphdr *udp = header;

		if ((void *)(udp + 1) > data_end || bytes < sizeof(*udp))
			return weir_refuse(packet, counters, short_of_it);
		if (bpf_ntohs(udp->len) < sizeof(*udp) ||
		    (bpf_ntohs(udp->len) > bytes && !packet->fragment))
			return weir_refuse(packet, counters, &counters->drop_malformed);
		weir_set_ports(&packet->key, *(weir_ports *)udp);
		if (!udp->check && packet->version == 6)
			return weir_refuse(packet, counters, &counters->drop_udp_checksum);
		if (!udp->check)
			packet->bound = WEIR_BOUND_CHECKSUM;
		return WEIR_NEXT;
	}
}

#if WEIR_WIDE
#define WEIR_OPTION_END          0
#define WEIR_OPTION_NOTHING      1
#define WEIR_OPTION_LOOSE_ROUTE  131
#define WEIR_OPTION_STRICT_ROUTE 137
#define WEIR_OPTIONS_MAX         40 /* bytes */

/* 1 if the IPv4 options in the frame from `at` up to `end` have a source route that still leads on
 * (RFC 791 section 3.1). */
__noinline int weir_is_source_routed(struct xdp_md *ctx, __u32 at, __u32 end)
{
	for (int i = 0; i < WEIR_OPTIONS_MAX && at < end; i++) {
		__u8 option[3]; /* type, length, pointer */

		if (bpf_xdp_load_bytes(ctx, at, option, sizeof(option)) ||
		    option[0] == WEIR_OPTION_END)
			return 0;
		if (option[0] == WEIR_OPTION_LOOSE_ROUTE || option[0] == WEIR_OPTION_STRICT_ROUTE)
			return option[2] <= option[1] && at + option[1] <= end;
		at += option[0] == WEIR_OPTION_NOTHING ? 1 : option[1];
	}
	return 0;
}
#endif

/* Has the frame so many bytes? Most frames have all of them in one piece. */
static __always_inline bool weir_frame_holds(struct xdp_md *ctx, __u64 bytes)
{
	return bytes <= (__u64)(ctx->data_end - ctx->data) || bytes <= bpf_xdp_get_buff_len(ctx);
}

static __always_inline int weir_parse_ip4(struct xdp_md *ctx, struct weir_counters *counters,
					  struct weir_packet *packet, __u64 offset)
{
	void *data_end = (void *)(long)ctx->data_end;
	struct iphdr *ip = (void *)(long)ctx->data + offset;
	const struct weir_node *node;

	if ((void *)(ip + 1) > data_end)
		return weir_pass(counters);
	packet->version = 4;
	packet->length = bpf_ntohs(ip->tot_len);
#if WEIR_WIDE
	packet->key.saddr = weir_ip_of4(ip->saddr);
	packet->key.daddr = weir_ip_of4(ip->daddr);
#else
	weir_copy_words(&packet->key.saddr, &ip->saddr, 1);
#endif
	packet->key.proto = ip->protocol;
	packet->ttl = ip->ttl;
	packet->whole = !!(ip->frag_off & bpf_htons(WEIR_IP_DF));
	packet->ip_bytes = ip->ihl * 4;

	if (ip->version != 4 || ip->ihl < 5 || packet->length < packet->ip_bytes ||
	    !weir_frame_holds(ctx, offset + packet->length))
		return weir_refuse(packet, counters, &counters->drop_malformed);
	if (ip->frag_off & bpf_htons(WEIR_IP_FRAGMENT)) {
		packet->fragment = bpf_ntohs(ip->frag_off) & WEIR_IP_FRAGMENT;
		packet->id = bpf_ntohs(ip->id);
	}
	if (ip->ihl > 5) {
		node = weir_this_node();
		if (node && node->options == WEIR_OPTIONS_DROP)
			return weir_refuse(packet, counters, &counters->drop_options);
#if WEIR_WIDE
		if (weir_is_source_routed(ctx, offset + sizeof(*ip), offset + packet->ip_bytes))
			packet->bound = WEIR_BOUND_ROUTE;
#endif
	}
	return WEIR_NEXT;
}

#if WEIR_WIDE
/* Beside the result of weir_skip_extensions(). */
#define WEIR_EXTENSION_FRAGMENT (1 << 24) /* what follows is the fragment header of a fragment */
#define WEIR_EXTENSION_OPTIONS  (1 << 25) /* there are others than fragment headers */
#define WEIR_EXTENSION_ROUTED   (1 << 26) /* a routing header has segments left */

static __always_inline bool weir_is_extension(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS ||
	       next == IPPROTO_FRAGMENT;
}

/*
 * Walks the extension headers (RFC 8200 section 4) behind the IPv6 header at `offset`, beginning
 * with one of type `next`, and up to a fragment's. Returns the type of what follows them, its
 * distance from the IPv6 header << 8 (at most WEIR_IP_BYTES_MAX), and WEIR_EXTENSION_*. -EINVAL:
 * the packet ends before; -E2BIG: they are too long.
 */
__noinline int weir_skip_extensions(struct xdp_md *ctx, __u32 offset, __u32 next)
{
	__u32 at = sizeof(struct ipv6hdr), beside = 0;

	for (int i = 0; i < WEIR_EXTENSIONS_MAX; i++) {
		__u8 head[4];

		if (!weir_is_extension(next))
			break;
		if (bpf_xdp_load_bytes(ctx, offset + at, head, sizeof(head)))
			return -EINVAL;
		if (next == IPPROTO_FRAGMENT) {
			/* One that is all of its packet is none (RFC 6946). */
			if (head[2] || head[3] & 0xf9)
				return WEIR_EXTENSION_FRAGMENT | beside | at << 8 | next;
			head[1] = 0;
		} else {
			beside |= WEIR_EXTENSION_OPTIONS;
			if (next == IPPROTO_ROUTING && head[3])
				beside |= WEIR_EXTENSION_ROUTED;
		}
		next = head[0];
		at += (head[1] + 1) * 8;
		if (at > WEIR_IP_BYTES_MAX)
			return -E2BIG;
	}
	return beside | at << 8 | next;
}

/* Reads the extension headers of the IPv6 packet at `offset`, which begin with one of type
 * key.proto; sets key.proto, ip_bytes, bound, fragment and id. WEIR_EXTENSION_OPTIONS if there are
 * options, otherwise 0; -EINVAL as weir_skip_extensions(); -E2BIG: too many or too long. */
static __always_inline int weir_read_extensions(struct xdp_md *ctx, struct weir_packet *packet,
						__u32 offset)
{
	int behind = weir_skip_extensions(ctx, offset, packet->key.proto);

	if (behind < 0)
		return behind;
	packet->key.proto = behind;
	packet->ip_bytes = behind >> 8;
	if (behind & WEIR_EXTENSION_ROUTED)
		packet->bound = WEIR_BOUND_ROUTE;
	if (behind & WEIR_EXTENSION_FRAGMENT) {
		struct weir_fragment_header header;

		if (bpf_xdp_load_bytes(ctx, offset + packet->ip_bytes, &header, sizeof(header)))
			return -EINVAL;
		packet->key.proto = header.next;
		packet->ip_bytes += sizeof(header);
		packet->fragment = bpf_ntohs(header.place) >> 3;
		if (header.place & bpf_htons(WEIR_PLACE_MORE))
			packet->fragment |= WEIR_IP_MORE;
		packet->id = bpf_ntohl(header.id);
	}
	if (weir_is_extension(packet->key.proto) || packet->ip_bytes > WEIR_IP_BYTES_MAX)
		return -E2BIG;
	return behind & WEIR_EXTENSION_OPTIONS;
}

static __always_inline int weir_parse_ip6(struct xdp_md *ctx, struct weir_counters *counters,
					  struct weir_packet *packet, __u64 offset)
{
	void *data_end = (void *)(long)ctx->data_end;
	struct ipv6hdr *ip = (void *)(long)ctx->data + offset;
	const struct weir_node *node;
	__u32 length;
	int options;

	if ((void *)(ip + 1) > data_end)
		return weir_pass(counters);
	packet->version = 6;
	length = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	packet->length = length;
	weir_copy_words(&packet->key.saddr, &ip->saddr, 4); /* both addresses */
	packet->key.proto = ip->nexthdr;
	packet->ttl = ip->hop_limit;
	packet->whole = 1;
	packet->ip_bytes = sizeof(*ip);

	/* An IPv4-mapped address is none of the wire's (RFC 4291 section 2.5.5.2): it would be
	 * taken for the IPv4 one in the tables. */
	if (ip->version != 6 || !weir_frame_holds(ctx, offset + length) ||
	    weir_is_mapped(&packet->key.saddr) || weir_is_mapped(&packet->key.daddr))
		return weir_refuse(packet, counters, &counters->drop_malformed);
	if (!weir_is_extension(ip->nexthdr))
		return WEIR_NEXT;
	options = weir_read_extensions(ctx, packet, offset);
	if (options == -E2BIG)
		return weir_refuse(packet, counters, &counters->drop_extension);
	if (options < 0 || packet->length < packet->ip_bytes)
		return weir_refuse(packet, counters, &counters->drop_malformed);
	node = weir_this_node();
	if (options && node && node->options == WEIR_OPTIONS_DROP)
		return weir_refuse(packet, counters, &counters->drop_options);
	return WEIR_NEXT;
}
#endif

/* Fills `packet` from the Ethernet and the IP header. What is no IP packet gets its verdict here.
 */
static __always_inline int weir_parse_ip(struct xdp_md *ctx, struct weir_counters *counters,
					 struct weir_packet *packet)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	__be16 ethertype = 0;
	__u64 offset = weir_parse_ethernet(data, data_end, &ethertype);

	weir_forget(offset, packet->now);
	if (!offset || offset > WEIR_IP_OFFSET_MAX)
		return weir_pass(counters);
	packet->tags = offset - sizeof(struct ethhdr);
	if (ethertype == bpf_htons(ETH_P_IP))
		return weir_parse_ip4(ctx, counters, packet, offset);
	if (ethertype != bpf_htons(ETH_P_IPV6))
		return weir_pass(counters);
#if WEIR_WIDE
	return weir_parse_ip6(ctx, counters, packet, offset);
#else
	return weir_hand_to(ctx, counters, WEIR_STAGE_DIRECTOR6);
#endif
}

/* Fills `packet` from a TCP segment or a UDP datagram. Everything else gets its verdict here, or
 * from another program. */
static __always_inline int weir_parse(struct xdp_md *ctx, struct weir_counters *counters,
				      struct weir_packet *packet)
{
	int verdict = weir_parse_ip(ctx, counters, packet);

	if (verdict != WEIR_NEXT)
		return verdict;
	if (packet->fragment)
		return weir_hand_own_to(ctx, counters, packet,
					packet->version == 4 ? WEIR_STAGE_FRAGMENT4
							     : WEIR_STAGE_FRAGMENT6);
	if (packet->key.proto == (packet->version == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return weir_hand_own_to(ctx, counters, packet,
					packet->version == 4 ? WEIR_STAGE_ICMP4 : WEIR_STAGE_ICMP6);
	if (packet->key.proto != IPPROTO_TCP && packet->key.proto != IPPROTO_UDP)
		return weir_refuse(packet, counters, &counters->drop_protocol);
	return weir_parse_transport(ctx, counters, packet, &counters->drop_malformed);
}

#endif
