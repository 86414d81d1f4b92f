// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * XDP's side of the session table's test: each run does one operation. It is run by
 * BPF_PROG_TEST_RUN on one CPU, while user space works on the same tables on another
 * (table_test.c).
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "table_test.h"

const volatile struct test_constants test_constants = {};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TEST_INBOUND_BUCKETS);
	__type(key, __u32);
	__type(value, struct weir_inbound_bucket);
} test_inbound SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TEST_OUTBOUND_BUCKETS);
	__type(key, __u32);
	__type(value, struct weir_outbound_bucket);
} test_outbound SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct test_shared);
} test_shared SEC(".maps");

#define WEIR_HASH_SECRET test_constants.secret

static __always_inline struct weir_inbound_bucket *test_inbound4_bucket(__u32 index)
{
	return bpf_map_lookup_elem(&test_inbound, &index);
}

static __always_inline struct weir_outbound_bucket *test_outbound4_bucket(__u32 index)
{
	return bpf_map_lookup_elem(&test_outbound, &index);
}

#define WEIR_TABLE               inbound
#define WEIR_SLOT                struct weir_entry
#define WEIR_BUCKET              struct weir_inbound_bucket
#define WEIR_TABLE_BUCKETS       TEST_INBOUND_BUCKETS
#define WEIR_TABLE_BUCKET(index) test_inbound4_bucket(index)
#include "table.h"

#define WEIR_TABLE               outbound
#define WEIR_SLOT                struct weir_truth
#define WEIR_BUCKET              struct weir_outbound_bucket
#define WEIR_TABLE_BUCKETS       TEST_OUTBOUND_BUCKETS
#define WEIR_TABLE_BUCKET(index) test_outbound4_bucket(index)
#include "table.h"

#include "table_test_merge.h"

/* False: the map is not there, which cannot be. */
static __always_inline bool test_actor_init(struct test_actor *actor)
{
	__u32 zero = 0;

	actor->shared = bpf_map_lookup_elem(&test_shared, &zero);
	if (!actor->shared)
		return false;
	actor->side = &actor->shared->xdp;
	actor->parity = TEST_XDP;
	return true;
}

/* Functions of their own: the verifier checks each once. The number first: Linux 6.1's forgets the
 * bound of a number that has been on the stack since before the check. */
__noinline int test_xdp_use_index(__u32 client, __u64 random)
{
	struct test_actor actor;

	if (client >= TEST_CLIENTS || !test_actor_init(&actor))
		return 0;
	test_use_index(&actor, client, random);
	return 0;
}

__noinline int test_xdp_use_truth(__u32 port, __u64 random)
{
	struct test_actor actor;

	if (port >= TEST_PORTS || !test_actor_init(&actor))
		return 0;
	test_use_truth(&actor, port, random);
	return 0;
}

__noinline int test_xdp_use_merged(__u32 port, __u64 random)
{
	struct test_actor actor;

	if (port >= TEST_MERGED || !test_actor_init(&actor))
		return 0;
	test_use_merged(&actor, port, random);
	return 0;
}

__noinline int test_xdp_follow_merged(__u32 client)
{
	struct test_actor actor;

	if (test_actor_init(&actor))
		test_follow_merged(&actor, client);
	return 0;
}

__noinline int test_xdp_claim_port(__u64 generation)
{
	struct test_actor actor;

	return test_actor_init(&actor) ? test_claim_port(&actor, generation) : -EINVAL;
}

__noinline int test_xdp_claim_client(__u64 generation)
{
	__u32 client = weir_opaque(test_client_of(generation));
	struct test_actor actor;

	if (!test_actor_init(&actor) || client >= TEST_CLIENTS)
		return -EINVAL;
	return test_claim_client(&actor, generation, &actor.side->inbound[client]);
}

__noinline int test_xdp_yield_port(__u64 generation)
{
	__u32 port = weir_opaque(test_port_of(generation));
	struct test_actor actor;

	if (!test_actor_init(&actor) || port >= TEST_PORTS)
		return -EINVAL;
	test_yield_port(&actor, generation, &actor.side->outbound[port]);
	return 0;
}

/* A new session of some mortal client, in the order of the director: truth first. */
static __always_inline void test_xdp_create(struct test_actor *actor, __u64 random)
{
	__u32 client = test_pick_mortal(random & 0xffff, TEST_CLIENTS);
	__u32 port = test_pick_mortal(random >> 16 & 0xffff, TEST_PORTS);
	__u64 generation = test_generation(actor->side, TEST_XDP, client, port);

	actor->side->operations++;
	if (test_xdp_claim_port(generation)) {
		actor->side->refused++;
	} else if (test_xdp_claim_client(generation)) {
		actor->side->refused++;
		test_xdp_yield_port(generation);
	} else {
		actor->side->created++;
	}
}

SEC("xdp")
int table_test(struct xdp_md *ctx)
{
	struct test_actor actor;
	__u64 random;

	(void)ctx;
	if (!test_actor_init(&actor))
		return XDP_ABORTED;
	actor.shared->resting = *(volatile __u32 *)&actor.shared->rest;
	if (actor.shared->resting & 1)
		return XDP_PASS;
	random = test_random(&actor.shared->random);
	switch (random >> 60) {
	case 0:
		test_xdp_create(&actor, random);
		break;
	case 1:
		test_xdp_follow_merged((random >> 32 & 0xffff) % TEST_MERGED_CLIENTS);
		break;
	case 2 ... 4:
		test_xdp_use_merged((random >> 32 & 0xffff) % TEST_MERGED, random);
		break;
	case 5 ... 9:
		test_xdp_use_index(test_pick(random >> 32 & 0xffff, TEST_CLIENTS), random);
		break;
	default:
		test_xdp_use_truth(test_pick(random >> 32 & 0xffff, TEST_PORTS), random);
	}
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
