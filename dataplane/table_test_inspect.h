/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The inspection of the session table's test: every slot of a table at rest. Included by
 * table_test.c alone.
 */
#ifndef WEIR_TABLE_TEST_INSPECT_H
#define WEIR_TABLE_TEST_INSPECT_H

#include "table_test_compare.h"

#define TEST_SETTLE_SECONDS 4 /* in which every BUSY or DEAD slot must have been emptied */

/* What an inspection finds. */
struct test_finding {
	__u64 live;
	__u64 flags; /* of live entries */
	__u64 stuck; /* BUSY or DEAD, and so already seconds ago */
	__u64 duplicates;
	__u64 foreign; /* bytes of somebody else, or an entry in a bucket that is not its own */
	__u64 missed;  /* steady sessions without an entry */
};

static void test_inspect_head(struct test_finding *finding, __u64 head, __u64 before)
{
	if (weir_head_live(head)) {
		finding->live++;
		finding->flags += test_count(WEIR_HEAD_FLAGS(head));
	} else if (WEIR_HEAD_STATE(head) != WEIR_EMPTY &&
		   WEIR_HEAD_IDENTITY(head) == WEIR_HEAD_IDENTITY(before)) {
		finding->stuck++;
	}
}

static bool test_is_at_home(const struct weir_key *key, __u64 head, __u32 bucket, __u32 buckets)
{
	__u64 hash = weir_hash_key(key);

	return weir_fingerprint(hash) == WEIR_HEAD_FINGERPRINT(head) &&
	       (weir_first_bucket(hash, buckets) == bucket ||
		weir_second_bucket(hash, buckets) == bucket);
}

/* Both sides' memories against an entry that is there. */
static void test_recall_both(__u64 generation, __u64 head, __u8 facts, __u32 client, __u32 port,
			     bool inbound)
{
	struct test_side *xdp = &test_shared->xdp, *user = &test_user->side;

	test_recall(xdp, inbound ? &xdp->inbound[client] : &xdp->outbound[port], generation, head,
		    facts);
	test_recall(user, inbound ? &user->inbound[client] : &user->outbound[port], generation,
		    head, facts);
}

static void test_inspect_merged_index(struct test_finding *finding, const struct weir_entry *index,
				      __u64 head, __u32 bucket, __u32 *entries)
{
	__u32 client = test_merged_client_of(index->generation);

	if (client >= TEST_MERGED_CLIENTS || !test_merged_index_is_own(index, head, client) ||
	    !test_is_at_home(&index->key, head, bucket, TEST_INBOUND_BUCKETS)) {
		finding->foreign++;
		return;
	}
	finding->duplicates += entries[client]++ > 0;
}

static void test_inspect_merged(struct test_finding *finding, const struct weir_truth *truth,
				__u64 head, __u32 bucket, __u32 *entries)
{
	__u64 generation = truth->entry.generation;
	__u32 port = test_merged_port_of(generation);
	__u8 facts = 0;

	if (port >= TEST_MERGED || !test_merged_is_own(truth, head, port, &facts) ||
	    !test_is_at_home(&truth->entry.key, head, bucket, TEST_OUTBOUND_BUCKETS)) {
		finding->foreign++;
		return;
	}
	test_recall(&test_shared->xdp, &test_shared->xdp.merged[port], generation, head, facts);
	test_recall(&test_user->side, &test_user->side.merged[port], generation, head, facts);
	finding->duplicates += entries[port]++ > 0;
}

static void test_inspect_inbound(struct test_finding *finding,
				 const struct weir_inbound_bucket *before)
{
	__u32 entries[TEST_CLIENTS] = {}, merged[TEST_MERGED_CLIENTS] = {};

	for (__u32 place = 0; place < TEST_INBOUND_BUCKETS * WEIR_SLOTS; place++) {
		__u32 bucket = place / WEIR_SLOTS;
		__u64 head = test_inbound[bucket].head[place % WEIR_SLOTS];
		const struct weir_entry *index = &test_inbound[bucket].slot[place % WEIR_SLOTS];
		__u32 client = test_client_of(index->generation);
		__u8 facts = 0;

		test_inspect_head(finding, head, before[bucket].head[place % WEIR_SLOTS]);
		if (!weir_head_live(head))
			continue;
		if (test_is_merged(index->generation)) {
			test_inspect_merged_index(finding, index, head, bucket, merged);
			continue;
		}
		if (client >= TEST_CLIENTS || !test_index_is_own(index, head, client, &facts) ||
		    !test_is_at_home(&index->key, head, bucket, TEST_INBOUND_BUCKETS)) {
			finding->foreign++;
			continue;
		}
		test_recall_both(index->generation, head, facts, client, 0, true);
		finding->duplicates += entries[client]++ > 0;
	}
	for (__u32 client = 0; client < TEST_STEADY; client++)
		finding->missed += !entries[client] && !(test_shared->epoch[client] & 1);
}

static void test_inspect_outbound(struct test_finding *finding,
				  const struct weir_outbound_bucket *before)
{
	__u32 entries[TEST_PORTS] = {}, merged[TEST_MERGED] = {};

	for (__u32 place = 0; place < TEST_OUTBOUND_BUCKETS * WEIR_SLOTS; place++) {
		__u32 bucket = place / WEIR_SLOTS;
		__u64 head = test_outbound[bucket].head[place % WEIR_SLOTS];
		const struct weir_truth *truth = &test_outbound[bucket].slot[place % WEIR_SLOTS];
		__u32 port = test_port_of(truth->entry.generation);
		__u8 facts = 0;

		test_inspect_head(finding, head, before[bucket].head[place % WEIR_SLOTS]);
		if (!weir_head_live(head))
			continue;
		if (test_is_merged(truth->entry.generation)) {
			test_inspect_merged(finding, truth, head, bucket, merged);
			continue;
		}
		if (port >= TEST_PORTS || !test_truth_is_own(truth, head, port, &facts) ||
		    !test_is_at_home(&truth->entry.key, head, bucket, TEST_OUTBOUND_BUCKETS)) {
			finding->foreign++;
			continue;
		}
		test_recall_both(truth->entry.generation, head, facts, 0, port, false);
		finding->duplicates += entries[port]++ > 0;
	}
	for (__u32 client = 0; client < TEST_STEADY; client++)
		finding->missed += !entries[client] && !(test_shared->epoch[client] & 1);
}

/* XDP is at rest: lets the sweep finish what is to be finished, then looks at every slot. */
static struct test_finding test_inspect(void)
{
	static struct weir_inbound_bucket inbound[TEST_INBOUND_BUCKETS];
	static struct weir_outbound_bucket outbound[TEST_OUTBOUND_BUCKETS];
	struct test_finding finding = {};

	memcpy(inbound, test_inbound, sizeof(inbound));
	memcpy(outbound, test_outbound, sizeof(outbound));
	for (int i = 0; i < TEST_SETTLE_SECONDS; i++) {
		test_let_time_pass(true);
		test_sweep();
	}
	test_inspect_inbound(&finding, inbound);
	test_inspect_outbound(&finding, outbound);
	test_compare_model();
	return finding;
}

#endif
