// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * One packet for each run: the frame restored, a flow picked, and then the program under test, by a
 * tail call. BPF_PROG_TEST_RUN alone would give a program its own output. What is compared with:
 * the wrapper with nothing behind it, with the MAC addresses swapped, and with one look-up in the
 * kernel's hash.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "flows.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} tested SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct run);
} runs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct key4);
	__type(value, struct value4);
} hash4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct key6);
	__type(value, struct value6);
} hash6 SEC(".maps");

/* For creation: the other direction's entries, and the records. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct key4);
	__type(value, struct value4);
} replies4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct key6);
	__type(value, struct value6);
} replies6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} records SEC(".maps");

/* Session records as long as weir's. */
struct record4 {
	__u64 word[18];
};
struct record6 {
	__u64 word[26];
};

static __always_inline __u32 pick(struct run *run)
{
	if (!run->flows)
		return run->first++;
	/* Knuth's linear congruential generator; the upper half is random enough. */
	run->random = run->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (run->random >> 32) * run->flows >> 32;
}

/* Returns false for a frame that is too short. */
static __always_inline int restore(struct xdp_md *ctx, struct run *run)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 address_at = run->address_at, port_at = run->port_at;

	if (data + FRAME_BYTES > end || address_at > FRAME_BYTES - 4 || port_at > FRAME_BYTES - 2)
		return 0;
	if (address_at) {
		__u32 flow = pick(run);

		*(__be32 *)(run->frame + address_at) =
			bpf_htonl(run->address + flow % FLOW_ADDRESSES);
		*(__be16 *)(run->frame + port_at) = bpf_htons(FLOW_PORT + flow / FLOW_ADDRESSES);
	}
#pragma unroll
	for (int i = 0; i < FRAME_BYTES / 8; i++)
		((__u64 *)data)[i] = ((volatile __u64 *)run->frame)[i];
	return 1;
}

SEC("xdp.frags")
int wrapper(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct run *run = bpf_map_lookup_elem(&runs, &zero);

	if (!run || !restore(ctx, run))
		return XDP_ABORTED;
	bpf_tail_call(ctx, &tested, 0);
	return XDP_ABORTED;
}

SEC("xdp.frags")
int nothing(struct xdp_md *ctx)
{
	return ctx ? XDP_TX : XDP_ABORTED;
}

static __always_inline int swap(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	__u8 mac[ETH_ALEN];

	if (data + FRAME_BYTES > end)
		return XDP_ABORTED;
	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, mac, ETH_ALEN);
	return XDP_TX;
}

SEC("xdp.frags")
int floor_tx(struct xdp_md *ctx)
{
	return swap(ctx);
}

/* Of an IPv4 frame without options: addresses, ports, protocol. */
static __always_inline int key4_of(struct xdp_md *ctx, struct key4 *key)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (data + FRAME_BYTES > end)
		return 0;
	key->word[0] = (__u64) * (__u32 *)(data + 26) | (__u64) * (__u32 *)(data + 30) << 32;
	key->word[1] = (__u64) * (__u32 *)(data + 34) | (__u64) * (__u8 *)(data + 23) << 32;
	return 1;
}

static __always_inline int key6_of(struct xdp_md *ctx, struct key6 *key)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (data + FRAME_BYTES > end)
		return 0;
#pragma unroll
	for (int i = 0; i < 4; i++)
		key->word[i] = (__u64) * (__u32 *)(data + 22 + 8 * i) |
			       (__u64) * (__u32 *)(data + 26 + 8 * i) << 32;
	key->word[4] = (__u64) * (__u32 *)(data + 54) | (__u64) * (__u8 *)(data + 20) << 32;
	return 1;
}

/* What is found is used: its first word goes into the frame. */
static __always_inline int use(struct xdp_md *ctx, const __u64 *word)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (!word || data + FRAME_BYTES > end)
		return XDP_DROP;
	*(__u64 *)(data + FRAME_BYTES - 8) = *word;
	return swap(ctx);
}

SEC("xdp.frags")
int floor_hash4(struct xdp_md *ctx)
{
	struct key4 key;

	return key4_of(ctx, &key) ? use(ctx, bpf_map_lookup_elem(&hash4, &key)) : XDP_ABORTED;
}

SEC("xdp.frags")
int floor_hash6(struct xdp_md *ctx)
{
	struct key6 key;

	return key6_of(ctx, &key) ? use(ctx, bpf_map_lookup_elem(&hash6, &key)) : XDP_ABORTED;
}

/* What any session costs that lives in the kernel's hash: a look-up that misses, two inserts, a
 * record. */
SEC("xdp.frags")
int create_hash4(struct xdp_md *ctx)
{
	struct value4 value = {};
	struct record4 record = {};
	struct key4 key;

	if (!key4_of(ctx, &key) || bpf_map_lookup_elem(&hash4, &key) ||
	    bpf_map_update_elem(&hash4, &key, &value, BPF_NOEXIST) ||
	    bpf_map_update_elem(&replies4, &key, &value, BPF_NOEXIST) ||
	    bpf_ringbuf_output(&records, &record, sizeof(record), 0))
		return XDP_DROP;
	return swap(ctx);
}

SEC("xdp.frags")
int create_hash6(struct xdp_md *ctx)
{
	struct value6 value = {};
	struct record6 record = {};
	struct key6 key;

	if (!key6_of(ctx, &key) || bpf_map_lookup_elem(&hash6, &key) ||
	    bpf_map_update_elem(&hash6, &key, &value, BPF_NOEXIST) ||
	    bpf_map_update_elem(&replies6, &key, &value, BPF_NOEXIST) ||
	    bpf_ringbuf_output(&records, &record, sizeof(record), 0))
		return XDP_DROP;
	return swap(ctx);
}

char _license[] SEC("license") = "Dual BSD/GPL";
