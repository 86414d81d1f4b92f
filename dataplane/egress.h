/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The way out. While the agent renews its lease, the next hops are those of the session's egress
 * group; otherwise, and for WEIR_EGRESS_KERNEL, the kernel's FIB is asked for each packet (+90 ns),
 * so that the kernel's routes and neighbours rule while the agent is away.
 */
#ifndef WEIR_EGRESS_H
#define WEIR_EGRESS_H

#include "translate.h"

#define WEIR_AF_INET  2
#define WEIR_AF_INET6 10

/* What the way out is like. The kernel takes what weir cannot send itself. */
enum weir_way {
	WEIR_WAY_HOP,
	WEIR_WAY_NO_NEIGHBOUR,
	WEIR_WAY_NO_DEVICE,
	WEIR_WAY_FRAGMENTED,
	WEIR_WAY_TOO_BIG, /* hop->mtu says what would fit */
	WEIR_WAY_NONE,
};

static __always_inline bool weir_lease_valid(__u64 now)
{
	__u32 zero = 0;
	volatile __u64 *lease = bpf_map_lookup_elem(&weir_lease, &zero);

	return lease && *lease > now;
}

/* Spreads flows over a group's hops; a flow keeps its hop as long as their number stays. */
static __always_inline __u32 weir_hop_number(const struct weir_entry *entry, __u32 hops)
{
	__u64 mix = weir_sum_ip(entry->new_saddr) << 32 ^ (__u64)entry->new_sport << 16 ^
		    weir_sum_ip(entry->new_daddr) ^ entry->new_dport;

	/* By the upper bits, which depend on all of mix. */
	return (mix * 0x9e3779b97f4a7c15ULL >> 32) * hops >> 32;
}

static __always_inline int weir_group_hop(const struct weir_packet *packet,
					  const struct weir_entry *entry, struct weir_hop *hop)
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
	number = hops == 1 ? 0 : weir_opaque(weir_hop_number(entry, hops));
	if (number >= WEIR_HOPS_MAX)
		return -ENOENT;
	*hop = group->hop[number];
	return 0;
}

/* Asks the kernel for the way to entry->new_daddr, for a packet of `length` bytes. Returns
 * BPF_FIB_LKUP_RET_*. */
static __always_inline int weir_fib_hop(struct xdp_md *ctx, const struct weir_entry *entry,
					__u16 length, struct weir_hop *hop)
{
	struct bpf_fib_lookup fib = {
		.family = WEIR_AF_INET,
		.l4_protocol = entry->key.proto,
		.sport = entry->new_sport,
		.dport = entry->new_dport,
		.tot_len = length,
		.ifindex = ctx->ingress_ifindex,
	};
	struct weir_address source = weir_full(entry->new_saddr);
	struct weir_address target = weir_full(entry->new_daddr);
	int found;

	if (weir_new_version(entry) == 4) {
		fib.ipv4_src = source.word[3];
		fib.ipv4_dst = target.word[3];
	} else {
		fib.family = WEIR_AF_INET6;
		__builtin_memcpy(fib.ipv6_src, &source, sizeof(source));
		__builtin_memcpy(fib.ipv6_dst, &target, sizeof(target));
	}
	found = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	__builtin_memcpy(hop->dmac, fib.dmac, ETH_ALEN);
	__builtin_memcpy(hop->smac, fib.smac, ETH_ALEN);
	hop->ifindex = fib.ifindex;
	hop->vlan = 0;
	hop->mtu = found == BPF_FIB_LKUP_RET_FRAG_NEEDED ? fib.mtu_result : 0;
	return found;
}

/* A call of its own: its stack is not that of the fast path. Returns enum weir_way. */
__noinline int weir_kernel_way(struct xdp_md *ctx, const struct weir_entry *entry, __u16 length,
			       struct weir_hop *hop)
{
	__u32 ifindex; /* on the stack: Linux 6.1 takes no other memory of a call for a key */

	if (!entry || !hop)
		return WEIR_WAY_NONE;
	switch (weir_fib_hop(ctx, entry, length, hop)) {
	case BPF_FIB_LKUP_RET_SUCCESS:
		ifindex = hop->ifindex;
		return bpf_map_lookup_elem(&weir_devices, &ifindex) ? WEIR_WAY_HOP
								    : WEIR_WAY_NO_DEVICE;
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		return WEIR_WAY_NO_NEIGHBOUR;
	case BPF_FIB_LKUP_RET_FRAG_NEEDED:
		return WEIR_WAY_TOO_BIG;
	default:
		return WEIR_WAY_NONE;
	}
}

/* May the packet be fragmented when it leaves? By the kernel, then. */
static __always_inline bool weir_may_be_split(const struct weir_packet *packet,
					      const struct weir_entry *entry, __u16 length)
{
	if (weir_new_version(entry) == 6)
		return false;
	return packet->version == 4 ? !packet->whole : packet->fragment || length <= WEIR_DF_ABOVE;
}

/* Finds the way for a packet that has not been translated yet, and will be `length` bytes long. */
static __always_inline enum weir_way weir_find_way(struct xdp_md *ctx,
						   const struct weir_packet *packet,
						   const struct weir_entry *entry, __u16 length,
						   struct weir_hop *hop)
{
	enum weir_way way = WEIR_WAY_HOP;

	if (weir_group_hop(packet, entry, hop))
		way = weir_kernel_way(ctx, entry, length, hop);
	else if (hop->mtu && length > hop->mtu)
		way = WEIR_WAY_TOO_BIG;
	if (way == WEIR_WAY_TOO_BIG && weir_may_be_split(packet, entry, length))
		way = WEIR_WAY_FRAGMENTED;
	return way;
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
	__be16 type = bpf_htons(packet->version == 4 ? ETH_P_IP : ETH_P_IPV6);
	void *data, *data_end;
	struct ethhdr *eth;

	if (tags != wanted && bpf_xdp_adjust_head(ctx, tags - wanted))
		return weir_drop(&counters->drop_headroom);
	data = (void *)(long)ctx->data;
	data_end = (void *)(long)ctx->data_end;
	eth = data;
	if (data + sizeof(*eth) + WEIR_VLAN_TAG > data_end) /* a datagram is longer than that */
		return weir_drop(&counters->drop_malformed);
	weir_copy_words(eth->h_dest, hop->dmac, 1);
	*(__u32 *)(data + sizeof(__u64)) = *(const __u32 *)((const void *)hop + sizeof(__u64));
	if (hop->vlan) {
		__be16 *tag = data + sizeof(*eth);

		*weir_ethertype(eth) = bpf_htons(ETH_P_8021Q);
		tag[0] = bpf_htons(hop->vlan & 0x0fff);
		tag[1] = type;
	} else {
		*weir_ethertype(eth) = type;
	}
	if (bpf_redirect_map(&weir_devices, hop->ifindex, 0) != XDP_REDIRECT)
		return weir_drop(&counters->drop_no_device);
	counters->forwarded++;
	return XDP_REDIRECT;
}

#endif
