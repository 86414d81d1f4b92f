// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Where datagrams end: counts those that look as they should, and those that do not. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "sink.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sink_rule);
} rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sink_counts);
} counts SEC(".maps");

struct datagram {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
} __attribute__((packed));

static __always_inline int is_expected(const struct sink_rule *rule,
				       const struct datagram *datagram)
{
	return (datagram->ip.saddr & rule->source_mask) == rule->source &&
	       datagram->ip.daddr == rule->target &&
	       (!rule->sport || datagram->udp.source == rule->sport) &&
	       (!rule->dport || datagram->udp.dest == rule->dport);
}

/* Back to its sender. The checksums hold: they are sums. */
static __always_inline int answer(struct xdp_md *ctx, struct datagram *datagram)
{
	__be32 address = datagram->ip.saddr;
	__be16 port = datagram->udp.source;
	__u8 mac[ETH_ALEN];

	__builtin_memcpy(mac, datagram->eth.h_source, ETH_ALEN);
	__builtin_memcpy(datagram->eth.h_source, datagram->eth.h_dest, ETH_ALEN);
	__builtin_memcpy(datagram->eth.h_dest, mac, ETH_ALEN);
	datagram->ip.saddr = datagram->ip.daddr;
	datagram->ip.daddr = address;
	datagram->udp.source = datagram->udp.dest;
	datagram->udp.dest = port;
	/* XDP_TX would stay in the ring of a veth peer that has no program. */
	return bpf_redirect(ctx->ingress_ifindex, 0);
}

SEC("xdp")
int sink(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct datagram *datagram = data;
	struct sink_counts *count;
	struct sink_rule *rule;
	__u32 zero = 0;

	rule = bpf_map_lookup_elem(&rules, &zero);
	count = bpf_map_lookup_elem(&counts, &zero);
	if (!rule || !count)
		return XDP_ABORTED;
	if (data + sizeof(*datagram) > end || datagram->eth.h_proto != bpf_htons(ETH_P_IP) ||
	    datagram->ip.ihl != 5 || datagram->ip.protocol != IPPROTO_UDP)
		return XDP_PASS;
	if (!is_expected(rule, datagram)) {
		count->others++;
		return XDP_DROP;
	}
	count->expected++;
	return rule->answers ? answer(ctx, datagram) : XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
