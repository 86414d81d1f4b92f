// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The least that a director with two arms can do: other MAC addresses, and out of the other arm. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>
#include "redirect.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct redirect_macs);
} macs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} arm SEC(".maps");

SEC("xdp.frags")
int redirect(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct redirect_macs *written;
	struct ethhdr *eth = data;
	__u32 zero = 0;

	written = bpf_map_lookup_elem(&macs, &zero);
	if (!written || data + sizeof(*eth) > end)
		return XDP_ABORTED;
	__builtin_memcpy(eth->h_dest, written->target, ETH_ALEN);
	__builtin_memcpy(eth->h_source, written->source, ETH_ALEN);
	return bpf_redirect_map(&arm, 0, XDP_ABORTED);
}

char _license[] SEC("license") = "Dual BSD/GPL";
