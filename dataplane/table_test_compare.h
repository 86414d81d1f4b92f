/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What merges have made of the table in the session table's test, against the model of them. With
 * XDP at rest. Included by table_test.c alone.
 */
#ifndef WEIR_TABLE_TEST_COMPARE_H
#define WEIR_TABLE_TEST_COMPARE_H

#include "table_test_model.h"

/* XDP is at rest: is this port's session the model's? */
static bool test_is_modelled(__u32 port)
{
	const struct test_model_session *model = &test_model->session[port];
	struct weir_key key = test_merged_outbound_key(port);
	struct outbound_ref ref;
	const struct weir_truth *truth;
	__u32 reset;
	__u8 facts = 0;

	if (outbound_find(&key, &ref))
		return !model->generation;
	truth = ref.slot;
	if (!test_merged_is_own(truth, ref.seen, port, &facts))
		return false;
	/* A RST that no longer counts is none. */
	reset = weir_reset_counts(truth->reset, truth->entry.seen) ? truth->reset : 0;
	return truth->entry.generation == model->generation &&
	       WEIR_HEAD_STATE(ref.seen) == model->state &&
	       WEIR_HEAD_FLAGS(ref.seen) == model->flags && facts == model->facts &&
	       truth->entry.seen == model->seen && truth->changed == model->changed &&
	       reset == model->reset;
}

/* A claim on a client key. */
struct test_claim {
	__u64 generation;
	int rank;
};

static bool test_claim_wins(const struct test_claim *one, const struct test_claim *other)
{
	if (one->rank != other->rank)
		return one->rank > other->rank;
	return (one->rank == 1 || one->rank == 2) == (one->generation < other->generation);
}

/* What the sessions in the table say about a client: which one is to be named. */
static __u64 test_named(__u32 client)
{
	struct weir_truth truth[TEST_MERGED];
	struct test_claim best = {}, claim;
	__u8 state[TEST_MERGED];
	__u32 count = 0;
	__u64 cut = 0;

	for (__u32 port = 0; port < TEST_MERGED; port++) {
		struct weir_key key = test_merged_outbound_key(port);
		struct outbound_ref ref;

		if (outbound_find(&key, &ref) ||
		    test_merged_client_of(ref.slot->entry.generation) != client)
			continue;
		state[count] = WEIR_HEAD_STATE(ref.seen);
		truth[count++] = *ref.slot;
		if (ref.slot->supersedes > cut)
			cut = ref.slot->supersedes;
	}
	for (__u32 i = 0; i < count; i++) {
		__u32 reset = truth[i].reset;
		bool closed = state[i] == WEIR_FIN_BOTH ||
			      (reset &&
			       (__s32)(truth[i].entry.seen - reset) <= 2 * WEIR_TICKS_PER_SECOND);

		claim.generation = truth[i].entry.generation;
		claim.rank = closed                    ? 0
			     : state[i] == WEIR_SYN    ? 1
			     : state[i] == WEIR_SYNACK ? 2
						       : 3;
		if (claim.generation > cut && (!best.generation || test_claim_wins(&claim, &best)))
			best = claim;
	}
	return best.generation;
}

/* An index entry without a session may wait for its turn to be removed. */
static bool test_is_indexed(__u32 client)
{
	struct weir_key key = test_merged_inbound_key(client);
	__u64 named = test_named(client);
	struct inbound_ref ref;

	if (!named)
		return true;
	return !inbound_find(&key, &ref) && ref.slot->generation == named &&
	       test_merged_index_is_own(ref.slot, ref.seen, client);
}

/* With XDP at rest, and after a sweep. */
static void test_compare_model(void)
{
	for (__u32 port = 0; port < TEST_MERGED; port++) {
		__u64 newest = test_shared->xdp.newest[port];

		if (test_user->side.newest[port] > newest)
			newest = test_user->side.newest[port];
		test_model->different += test_generation_at(port) != newest;
		if (port < TEST_MERGE_ONLY)
			test_model->different += !test_is_modelled(port);
	}
	for (__u32 client = 0; client < TEST_MERGED_CLIENTS; client++)
		test_model->different += !test_is_indexed(client);
}

#endif
