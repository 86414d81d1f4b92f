/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Turning a segment into the RST that answers it (RFC 9293 section 3.5.2: its acknowledgement is
 * the RST's sequence). */
#ifndef WEIR_RESET_H
#define WEIR_RESET_H

#include "egress.h"

#define WEIR_RST_TTL 64

static __always_inline __u64 weir_sum16(const void *data, __u32 bytes)
{
	const __u16 *word = data;
	__u64 sum = 0;

#pragma unroll
	for (__u32 i = 0; i < bytes / 2; i++)
		sum += word[i];
	return sum;
}

/* Sends the RST back where the segment came from. For segments with the ACK bit only. */
static __always_inline int weir_send_reset(struct xdp_md *ctx, struct weir_counters *counters,
					   const struct weir_packet *packet, __u64 *reason)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth) + packet->tags;
	struct tcphdr *tcp = (void *)(ip + 1);
	int surplus = bpf_xdp_get_buff_len(ctx) - sizeof(*eth) - packet->tags - WEIR_IP_TCP_MIN;
	__u8 mac[ETH_ALEN];

	if ((void *)(eth + 1) > data_end || (void *)(tcp + 1) > data_end)
		return weir_drop(&counters->drop_malformed);
	(*reason)++;
	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, mac, ETH_ALEN);

	ip->tot_len = bpf_htons(WEIR_IP_TCP_MIN);
	ip->ttl = WEIR_RST_TTL;
	ip->saddr = packet->key.daddr;
	ip->daddr = packet->key.saddr;
	ip->check = 0;
	ip->check = ~weir_fold(weir_sum16(ip, sizeof(*ip)));

	tcp->source = packet->key.dport;
	tcp->dest = packet->key.sport;
	tcp->seq = bpf_htonl(packet->acknowledgement);
	tcp->ack_seq = 0;
	((__u8 *)tcp)[12] = (sizeof(*tcp) / 4) << 4;
	((__u8 *)tcp)[13] = WEIR_TCP_RST;
	tcp->window = 0;
	tcp->urg_ptr = 0;
	tcp->check = 0;
	tcp->check = ~weir_fold(weir_sum16(tcp, sizeof(*tcp)) + weir_sum16(&ip->saddr, 8) +
				bpf_htons(IPPROTO_TCP) + bpf_htons(sizeof(*tcp)));
	if (surplus > 0 && bpf_xdp_adjust_tail(ctx, -surplus))
		return XDP_DROP;
	if (bpf_redirect_map(&weir_devices, ctx->ingress_ifindex, 0) != XDP_REDIRECT)
		return XDP_DROP;
	counters->rst_sent++;
	return XDP_REDIRECT;
}

#endif
