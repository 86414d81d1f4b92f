/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The way out. While the agent renews its lease, the next hops are those of the session's egress
 * group; otherwise, and for WEIR_EGRESS_KERNEL, the kernel's FIB is asked for each packet (+90 ns),
 * so that the kernel's routes and neighbours rule while the agent is away.
 */
#ifndef WEIR_EGRESS_H
#define WEIR_EGRESS_H

#include "translate.h"

#define WEIR_AF_INET 2

static __always_inline bool weir_lease_valid(__u64 now)
{
	__u32 zero = 0;
	volatile __u64 *lease = bpf_map_lookup_elem(&weir_lease, &zero);

	return lease && *lease > now;
}

/* Spreads flows over a group's hops; a flow keeps its hop as long as their number stays. */
static __always_inline __u32 weir_hop_number(const struct weir_entry4 *entry, __u32 hops)
{
	__u64 mix = (__u64)entry->new_saddr << 32 ^ (__u64)entry->new_sport << 16 ^
		    entry->new_daddr ^ entry->new_dport;

	/* By the upper bits, which depend on all of mix. */
	return (mix * 0x9e3779b97f4a7c15ULL >> 32) * hops >> 32;
}

static __always_inline int weir_group_hop(const struct weir_packet *packet,
					  const struct weir_entry4 *entry, struct weir_hop *hop)
{
	__u32 index = entry->egress;
	struct weir_egress_group *group;
	__u32 hops, number;

	if (index == WEIR_EGRESS_KERNEL || !weir_lease_valid(packet->now))
		return -ENOENT;
	group = bpf_map_lookup_elem(&weir_egress_groups, &index);
	if (!group)
		return -ENOENT;
	hops = *(volatile __u32 *)&group->hops;
	if (!hops || hops > WEIR_HOPS_MAX)
		return -ENOENT;
	number = weir_opaque(weir_hop_number(entry, hops));
	if (number >= WEIR_HOPS_MAX)
		return -ENOENT;
	*hop = group->hop[number];
	return 0;
}

/* Asks the kernel for the way to entry->new_daddr, for a packet of `length` bytes. Returns
 * BPF_FIB_LKUP_RET_*. */
static __always_inline int weir_fib_hop(struct xdp_md *ctx, const struct weir_entry4 *entry,
					__u16 length, struct weir_hop *hop)
{
	struct bpf_fib_lookup fib = {
		.family = WEIR_AF_INET,
		.l4_protocol = IPPROTO_TCP,
		.sport = entry->new_sport,
		.dport = entry->new_dport,
		.tot_len = length,
		.ifindex = ctx->ingress_ifindex,
		.ipv4_src = entry->new_saddr,
		.ipv4_dst = entry->new_daddr,
	};
	int found = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);

	__builtin_memcpy(hop->dmac, fib.dmac, ETH_ALEN);
	__builtin_memcpy(hop->smac, fib.smac, ETH_ALEN);
	hop->ifindex = fib.ifindex;
	hop->vlan = 0;
	hop->mtu = 0; /* the kernel has compared it with `length` */
	return found;
}

/* Finds the hop for a translated packet. Passes on, or decides for packets that have none. */
static __always_inline int weir_find_hop(struct xdp_md *ctx, struct weir_counters *counters,
					 const struct weir_packet *packet,
					 const struct weir_entry4 *entry, struct weir_hop *hop)
{
	if (!weir_group_hop(packet, entry, hop)) {
		if (hop->mtu && packet->length > hop->mtu)
			return weir_drop(&counters->drop_too_big);
		return WEIR_NEXT;
	}
	switch (weir_fib_hop(ctx, entry, packet->length, hop)) {
	case BPF_FIB_LKUP_RET_SUCCESS:
		if (bpf_map_lookup_elem(&weir_devices, &hop->ifindex))
			return WEIR_NEXT;
		counters->passed_no_device++;
		return XDP_PASS;
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		/* Already translated and still addressed to us: the kernel forwards it and resolves
		 * the neighbour. */
		counters->passed_no_neighbour++;
		return XDP_PASS;
	case BPF_FIB_LKUP_RET_FRAG_NEEDED:
		return weir_drop(&counters->drop_too_big);
	default:
		return weir_drop(&counters->drop_no_route);
	}
}

/* Writes the Ethernet header, with the hop's VLAN tag or without one, and hands the frame to the
 * hop's interface. Always by redirect, also towards the ingress: a veth peer without an XDP program
 * of its own would keep XDP_TX frames in its ring. */
static __always_inline int weir_transmit(struct xdp_md *ctx, struct weir_counters *counters,
					 const struct weir_packet *packet,
					 const struct weir_hop *hop)
{
	int tags = packet->tags;
	int wanted = hop->vlan ? WEIR_VLAN_TAG : 0;
	void *data, *data_end;
	struct ethhdr *eth;

	if (tags != wanted && bpf_xdp_adjust_head(ctx, tags - wanted))
		return weir_drop(&counters->drop_headroom);
	data = (void *)(long)ctx->data;
	data_end = (void *)(long)ctx->data_end;
	eth = data;
	if (data + sizeof(*eth) + WEIR_VLAN_TAG > data_end) /* a TCP segment is longer than that */
		return weir_drop(&counters->drop_malformed);
	__builtin_memcpy(eth->h_dest, hop->dmac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, hop->smac, ETH_ALEN);
	if (hop->vlan) {
		__be16 *tag = data + sizeof(*eth);

		eth->h_proto = bpf_htons(ETH_P_8021Q);
		tag[0] = bpf_htons(hop->vlan & 0x0fff);
		tag[1] = bpf_htons(ETH_P_IP);
	} else {
		eth->h_proto = bpf_htons(ETH_P_IP);
	}
	if (bpf_redirect_map(&weir_devices, hop->ifindex, 0) != XDP_REDIRECT)
		return weir_drop(&counters->drop_no_device);
	counters->forwarded++;
	return XDP_REDIRECT;
}

#endif
