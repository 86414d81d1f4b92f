/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * From a frame to a flow key. A step of the director either decides, by returning an XDP verdict,
 * or passes on, by returning WEIR_NEXT.
 */
#ifndef WEIR_PARSE_H
#define WEIR_PARSE_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include "maps.h"
#include "table_words.h"

#define WEIR_NEXT -1 /* no verdict yet */

#define WEIR_VLAN_TAG      4 /* bytes */
#define WEIR_VLAN_TAGS_MAX 2 /* 802.1Q, or 802.1ad around 802.1Q */

#define WEIR_IP_OFFSET_MAX (ETH_HLEN + WEIR_VLAN_TAGS_MAX * WEIR_VLAN_TAG)

/* Byte 13 of the TCP header (RFC 9293 section 3.1). */
#define WEIR_TCP_FIN 0x01
#define WEIR_TCP_SYN 0x02
#define WEIR_TCP_RST 0x04
#define WEIR_TCP_ACK 0x10
/* A SYN/ACK may carry other bits, but no RST. */
#define WEIR_TCP_SYNACK      (WEIR_TCP_SYN | WEIR_TCP_ACK)
#define WEIR_TCP_SYNACK_MASK (WEIR_TCP_SYNACK | WEIR_TCP_RST)

#define WEIR_IP_FRAGMENT 0x3fff /* more-fragments bit and fragment offset */
#define WEIR_IP_TCP_MIN  40     /* IPv4 and TCP headers without options, bytes */

/* Takes from the verifier what it knows of `value`, by way of a word that it does not know: it
 * would follow the rest of the program once for each value. The value stays as it is. */
#define weir_forget(value, unknown)                                                                \
	asm volatile("%0 ^= %1; %0 ^= %1" : "+r"(value) : "r"((__u64)(unknown)))

/* What is known of the frame at hand. Without pointers, so that functions which the verifier checks
 * on their own can take it. */
struct weir_packet {
	struct weir_key4 key; /* as received */
	__u64 now;            /* tick; the table holds its lower 32 bits */
	__u32 sequence;
	__u32 acknowledgement;
	__u16 length; /* of the layer-3 packet, bytes */
	__u8 tags;    /* bytes of VLAN tags between the Ethernet and the IP header */
	__u8 tcp_flags;
	__u8 ttl;
};

static __always_inline struct weir_counters *weir_cpu_counters(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&weir_counters, &zero);
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

static __always_inline struct weir_address weir_address_of4(__be32 address)
{
	return (struct weir_address){{0, 0, bpf_htonl(0xffff), address}};
}

/* One of WEIR_OWN_*, or 0 for an address that is not weir's. */
static __always_inline __u32 weir_owner(__be32 address)
{
	struct weir_prefix prefix = {.length = 128, .address = weir_address_of4(address)};
	__u32 *own = bpf_map_lookup_elem(&weir_prefixes, &prefix);

	return own ? *own : 0;
}

/* A packet that weir cannot translate: dropped for `reason` if it is for one of weir's addresses,
 * so that the kernel neither answers nor returns it to the router; the kernel's otherwise. */
static __always_inline int weir_refuse(const struct weir_packet *packet,
				       struct weir_counters *counters, __u64 *reason)
{
	return weir_owner(packet->key.daddr) ? weir_drop(reason) : weir_pass(counters);
}

/* Offset of the IPv4 header behind up to two VLAN tags, or 0 if there is none. */
static __always_inline __u32 weir_parse_ethernet(void *data, void *data_end)
{
	struct ethhdr *eth = data;
	__u32 offset = sizeof(*eth);
	__be16 ethertype;

	if (data + offset > data_end)
		return 0;
	ethertype = eth->h_proto;
#pragma unroll
	for (int i = 0; i < WEIR_VLAN_TAGS_MAX; i++) {
		if (ethertype != bpf_htons(ETH_P_8021Q) && ethertype != bpf_htons(ETH_P_8021AD))
			break;
		if (data + offset + WEIR_VLAN_TAG > data_end)
			return 0;
		ethertype = *(__be16 *)(data + offset +
					2); /* behind the two bytes of tag control information */
		offset += WEIR_VLAN_TAG;
	}
	return ethertype == bpf_htons(ETH_P_IP) ? offset : 0;
}

/* Fills `packet` from an IPv4 TCP segment. Everything else gets its verdict here. */
static __always_inline int weir_parse(struct xdp_md *ctx, struct weir_counters *counters,
				      struct weir_packet *packet)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	__u64 offset = weir_parse_ethernet(data, data_end);
	struct iphdr *ip;
	struct tcphdr *tcp;

	weir_forget(offset, packet->now);
	if (!offset || offset > WEIR_IP_OFFSET_MAX)
		return weir_pass(counters);
	ip = data + offset;
	tcp = (void *)(ip + 1);
	if ((void *)(ip + 1) > data_end)
		return weir_pass(counters);
	packet->tags = offset - sizeof(struct ethhdr);
	packet->length = bpf_ntohs(ip->tot_len);
	packet->key.saddr = ip->saddr;
	packet->key.daddr = ip->daddr;
	packet->key.proto = ip->protocol;
	packet->ttl = ip->ttl;

	if (ip->version != 4 || ip->ihl < 5)
		return weir_refuse(packet, counters, &counters->drop_malformed);
	if (ip->protocol != IPPROTO_TCP)
		return weir_refuse(packet, counters, &counters->drop_protocol);
	if (ip->frag_off & bpf_htons(WEIR_IP_FRAGMENT))
		return weir_refuse(packet, counters, &counters->drop_fragment);
	if (ip->ihl != 5)
		return weir_refuse(packet, counters, &counters->drop_ip_options);
	if ((void *)(tcp + 1) > data_end || packet->length < WEIR_IP_TCP_MIN ||
	    packet->length > bpf_xdp_get_buff_len(ctx) - offset || tcp->doff < 5)
		return weir_refuse(packet, counters, &counters->drop_malformed);

	packet->key.sport = tcp->source;
	packet->key.dport = tcp->dest;
	packet->sequence = bpf_ntohl(tcp->seq);
	packet->acknowledgement = bpf_ntohl(tcp->ack_seq);
	packet->tcp_flags = ((__u8 *)tcp)[13];
	return WEIR_NEXT;
}

#endif
