/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Answering a packet that was dropped, and that nothing has changed: with a RST, or with an ICMP
 * error that quotes it. The answer goes back where the packet came from.
 */
#ifndef WEIR_REPLY_H
#define WEIR_REPLY_H

#include "icmp_types.h"
#include "pipeline.h"

#define WEIR_REPLY_HOPS  64 /* TTL of what weir itself sends */
#define WEIR_REPLIES_MAX 64 /* of one CPU in each time slice; see weir_may() */

/* So long may an ICMP error be with what it quotes (RFC 1812 section 4.3.2.3; RFC 4443 section
 * 2.4). */
#define WEIR_ERROR_BYTES (WEIR_WIDE ? 1280 : 576)

/* The wide program answers IPv6 packets, the narrow one IPv4 packets, whatever their session. */
#define WEIR_REPLY_VERSION  (WEIR_WIDE ? 6 : 4)
#define WEIR_REPLY_IP_BYTES (WEIR_WIDE ? sizeof(struct ipv6hdr) : sizeof(struct iphdr))

/* Swaps the MAC addresses and sends the frame out where it came in. */
static __always_inline int weir_send_back(struct xdp_md *ctx)
{
	void *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	__u8 mac[ETH_ALEN];

	if ((void *)(eth + 1) > data_end)
		return XDP_DROP;
	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, mac, ETH_ALEN);
	return bpf_redirect_map(&weir_devices, ctx->ingress_ifindex, 0);
}

/* Is its source one host, and not weir itself? And was it sent to one host? (RFC 1122
 * section 3.2.2, RFC 4443 section 2.4.) */
static __always_inline bool weir_may_answer(struct xdp_md *ctx, const struct weir_packet *packet)
{
	const __u8 *source = (const __u8 *)&packet->key.saddr;
	struct ethhdr *eth = (void *)(long)ctx->data;
	bool one_host;

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end || eth->h_dest[0] & 1)
		return false;
#if WEIR_WIDE
	/* Neither a group, nor unspecified, nor loopback. */
	one_host = source[0] != 0xff &&
		   (packet->key.saddr.word[0] | packet->key.saddr.word[1] |
		    packet->key.saddr.word[2] | (packet->key.saddr.word[3] & ~bpf_htonl(1)));
#else
	/* Neither unspecified, nor loopback, nor a group, nor reserved or broadcast. */
	one_host = source[0] && source[0] != 127 && source[0] < 224;
#endif
	return one_host && !weir_owner(&packet->key.saddr);
}

/* The IP header of an answer with `bytes` bytes behind it, where the packet has its own. */
static __always_inline int weir_put_reply_ip(struct xdp_md *ctx, const struct weir_packet *packet,
					     __u8 class, __u8 proto, __u16 bytes)
{
	struct weir_packet answer = {
		.key.proto = proto,
		.ttl = WEIR_REPLY_HOPS,
		.length = bytes,
	};
	__u32 offset = sizeof(struct ethhdr) + packet->tags;

#if WEIR_WIDE
	struct weir_made_ip6 made;

	weir_make_ip6(&made, &answer, &packet->key.daddr, &packet->key.saddr, class);
	return bpf_xdp_store_bytes(ctx, offset, &made.ip, sizeof(made.ip));
#else
	struct iphdr ip;

	weir_make_ip4(&ip, &answer, packet->key.daddr, packet->key.saddr, class);
	return bpf_xdp_store_bytes(ctx, offset, &ip, sizeof(ip));
#endif
}

/* What a segment takes of the sequence space (RFC 9293 section 3.4). */
static __always_inline __u32 weir_segment_length(const struct weir_packet *packet, __u8 doff)
{
	return packet->length - packet->ip_bytes - doff * 4 + !!(packet->tcp_flags & WEIR_TCP_SYN) +
	       !!(packet->tcp_flags & WEIR_TCP_FIN);
}

/* The RST to a segment (RFC 9293 section 3.10.7.1) in its place. */
static __always_inline int weir_make_reset(struct xdp_md *ctx, const struct weir_packet *packet)
{
	struct tcphdr tcp;
	__u8 doff;

	if (bpf_xdp_load_bytes(ctx, weir_transport_offset(packet), &tcp, sizeof(tcp)))
		return -EINVAL;
	doff = tcp.doff;
	__builtin_memset(&tcp, 0, sizeof(tcp));
	tcp.source = packet->key.dport;
	tcp.dest = packet->key.sport;
	tcp.doff = sizeof(tcp) / 4;
	tcp.rst = 1;
	if (packet->tcp_flags & WEIR_TCP_ACK) {
		tcp.seq = bpf_htonl(packet->acknowledgement);
	} else {
		tcp.ack = 1;
		tcp.ack_seq = bpf_htonl(packet->sequence + weir_segment_length(packet, doff));
	}
	if (weir_cut(ctx, packet, WEIR_REPLY_IP_BYTES + sizeof(tcp)) ||
	    weir_put_reply_ip(ctx, packet, 0, IPPROTO_TCP, sizeof(tcp)))
		return -EINVAL;
	tcp.check = ~weir_fold(
		weir_sum_pseudo(packet->key.daddr, packet->key.saddr, IPPROTO_TCP, sizeof(tcp)) +
		weir_sum16(&tcp, sizeof(tcp)));
	return bpf_xdp_store_bytes(ctx, sizeof(struct ethhdr) + packet->tags + WEIR_REPLY_IP_BYTES,
				   &tcp, sizeof(tcp));
}

/* Puts the headers of an ICMP error in front of the packet, of which as much stays as one may
 * quote. */
static __always_inline int weir_make_error(struct xdp_md *ctx, const struct weir_packet *packet,
					   const struct weir_order *order)
{
	const __u32 head = WEIR_REPLY_IP_BYTES + sizeof(struct weir_icmp);
	__u32 offset = sizeof(struct ethhdr) + packet->tags + head;
	__u32 quoted =
		packet->length < WEIR_ERROR_BYTES - head ? packet->length : WEIR_ERROR_BYTES - head;
	struct weir_icmp icmp = weir_icmp_reply(WEIR_REPLY_VERSION, order->reply);
	__u64 sum;
	int quote;

	if (order->reply == WEIR_REPLY_TOO_BIG)
		icmp.word = bpf_htonl(WEIR_WIDE && order->mtu < IPV6_MIN_MTU ? IPV6_MIN_MTU
									     : order->mtu);
	if (weir_cut(ctx, packet, quoted) || weir_move_link(ctx, -(int)head) ||
	    weir_put_reply_ip(ctx, packet, 0, WEIR_WIDE ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
			      sizeof(icmp) + quoted))
		return -EINVAL;
	quote = weir_sum_bytes(ctx, offset, quoted);
	if (quote < 0)
		return quote;
	sum = quote + weir_sum16(&icmp, sizeof(icmp));
	if (WEIR_WIDE)
		sum += weir_sum_pseudo(packet->key.daddr, packet->key.saddr, IPPROTO_ICMPV6,
				       sizeof(icmp) + quoted);
	icmp.check = ~weir_fold(sum);
	return bpf_xdp_store_bytes(ctx, offset - sizeof(icmp), &icmp, sizeof(icmp));
}

static __always_inline int weir_answer(struct xdp_md *ctx, struct weir_counters *counters)
{
	__u32 zero = 0;
	const struct weir_order *order = bpf_map_lookup_elem(&weir_orders, &zero);
	struct weir_packet packet = {.now = weir_now()};
	bool reset;

	if (!order || weir_parse_ip(ctx, counters, &packet) != WEIR_NEXT ||
	    weir_is_later_fragment(&packet) ||
	    weir_parse_transport(ctx, counters, &packet, &counters->drop_malformed) != WEIR_NEXT ||
	    packet.tcp_flags & WEIR_TCP_RST || !weir_may_answer(ctx, &packet))
		return XDP_DROP;
	if (!weir_may(WEIR_BUDGET_REPLIES, WEIR_REPLIES_MAX, packet.now)) {
		counters->reply_limited++;
		return XDP_DROP;
	}
	reset = order->reply == WEIR_REPLY_REFUSED && packet.key.proto == IPPROTO_TCP;
	if (reset ? weir_make_reset(ctx, &packet) : weir_make_error(ctx, &packet, order))
		return XDP_DROP;
	if (weir_send_back(ctx) != XDP_REDIRECT)
		return XDP_DROP;
	if (reset)
		counters->rst_sent++;
	else
		counters->icmp_sent++;
	return XDP_REDIRECT;
}

#endif
