// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Sends one frame for each run, out of an interface. Run with BPF_F_TEST_XDP_LIVE_FRAMES: the
 * kernel uses a page again with whatever its receiver has written there, so that all of the frame
 * is written each time.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "generator.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct generator_plan);
} plans SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct generator_state);
} states SEC(".maps");

/* RFC 1624: the source port is one of the summands. */
static __always_inline void set_flow(struct udphdr *udp, __u32 flow)
{
	__u32 sum = (bpf_ntohs(udp->check) ^ 0xffff) + flow;

	sum = (sum & 0xffff) + (sum >> 16);
	udp->source = bpf_htons(bpf_ntohs(udp->source) + flow);
	udp->check = sum == 0xffff ? 0xffff : bpf_htons(sum ^ 0xffff);
}

static __always_inline void count(struct generator_state *state)
{
	if (state->sent % CLOCK_EVERY == 0) {
		state->last_ns = bpf_ktime_get_ns();
		if (!state->sent)
			state->first_ns = state->last_ns;
	}
	state->sent++;
}

SEC("xdp")
int generate(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct generator_state *state;
	struct generator_plan *plan;
	__u32 zero = 0;

	plan = bpf_map_lookup_elem(&plans, &zero);
	state = bpf_map_lookup_elem(&states, &zero);
	if (!plan || !state || !plan->flows || data + FRAME_BYTES > end)
		return XDP_ABORTED;
#pragma unroll
	for (int i = 0; i < FRAME_BYTES / 8; i++)
		((__u64 *)data)[i] = ((volatile __u64 *)plan->frame)[i];
	*(__u32 *)(data + FRAME_BYTES / 8 * 8) = *(volatile __u32 *)&plan->frame[FRAME_BYTES / 8];
	set_flow(data + sizeof(struct ethhdr) + sizeof(struct iphdr), state->sent % plan->flows);
	count(state);
	return bpf_redirect(plan->ifindex, 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
