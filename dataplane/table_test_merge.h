/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Merges in the session table's test: the keys that records of other nodes are merged into, and
 * what both sides do there.
 *
 * The first TEST_MERGE_ONLY keys are changed by merges alone; XDP reads them, and what must be
 * there is known exactly (table_test_model.h). The others XDP changes too. From its first record on
 * a key has a session, whose generation never goes back; so nothing that was won on a generation
 * may ever be missing on it.
 */
#ifndef WEIR_TABLE_TEST_MERGE_H
#define WEIR_TABLE_TEST_MERGE_H

#include "session_rules.h"
#include "table_test_ops.h"

#define TEST_MERGE_ONLY     24
#define TEST_MERGED_CLIENTS 12
#define TEST_MERGED_EGRESS  7
/* In the number of a port and of a client, in a generation: they are merged ones. */
#define TEST_IS_MERGED 0x8000

static __always_inline bool test_is_merged(__u64 generation)
{
	return generation >> 16 & TEST_IS_MERGED;
}

static __always_inline __u32 test_merged_port_of(__u64 generation)
{
	return test_port_of(generation) & ~TEST_IS_MERGED;
}

static __always_inline __u32 test_merged_client_of(__u64 generation)
{
	return test_client_of(generation) & ~TEST_IS_MERGED;
}

static __always_inline __u64 test_merged_generation(struct test_side *side, int parity,
						    __u32 client, __u32 port)
{
	return test_generation(side, parity, TEST_IS_MERGED | client, TEST_IS_MERGED | port);
}

static __always_inline struct weir_key test_merged_inbound_key(__u32 client)
{
	return (struct weir_key){
		.saddr = test_ip(0x0b000000 + client),
		.daddr = test_ip(0xc000020b),
		.sport = 2048 + client,
		.dport = 80,
		.proto = 6,
	};
}

static __always_inline struct weir_key test_merged_outbound_key(__u32 port)
{
	return (struct weir_key){
		.saddr = test_ip(0x0a030103),
		.daddr = test_ip(0x0ac90000 + port / 16),
		.sport = 80,
		.dport = 1024 + port % 16,
		.proto = 6,
	};
}

/* What this session's origin knew of when it made it; below its own generation. */
static __always_inline __u64 test_merged_supersedes(__u64 generation)
{
	__u64 back = (test_mix(generation) & 7) + 1;

	return generation >> 32 > back ? generation - (back << 32) : 0;
}

/* The entry as the merge makes it: everything follows from the generation. */
static __always_inline void test_fill_merged(struct weir_truth *truth, __u64 generation, __u32 now)
{
	struct weir_key client = test_merged_inbound_key(test_merged_client_of(generation));

	*truth = (struct weir_truth){
		.entry = {.key = test_merged_outbound_key(test_merged_port_of(generation)),
			  .generation = generation,
			  .new_saddr = client.daddr,
			  .new_daddr = client.saddr,
			  .new_sport = client.dport,
			  .new_dport = client.sport,
			  .seen = now,
			  .egress = WEIR_EGRESS_KERNEL},
		.supersedes = test_merged_supersedes(generation),
		.origin = 1 + (test_mix(generation) >> 40),
		.changed = now,
		.synced = now,
	};
	weir_set_deltas(&truth->entry);
}

/* The entry's own bytes, as far as they follow from its generation. */
static __always_inline bool test_merged_bytes(const struct weir_entry *entry,
					      const struct weir_entry *expected)
{
	const weir_word *word = (const weir_word *)entry;
	const weir_word *right = (const weir_word *)expected;
	__u64 difference = 0;

	WEIR_UNROLL
	for (int i = 0; i < TEST_OWN_WORDS; i++)
		difference |= word[i] ^ right[i];
	difference |= entry->egress ^ expected->egress;
	return !(difference | entry->real);
}

static __always_inline bool test_merged_is_own(const struct weir_truth *truth, __u64 head,
					       __u32 port, __u8 *facts)
{
	__u64 generation = truth->entry.generation;
	struct weir_truth expected;

	test_fill_merged(&expected, generation, 0);
	if (!test_is_merged(generation) || test_merged_port_of(generation) != port ||
	    !test_merged_bytes(&truth->entry, &expected.entry) ||
	    truth->supersedes != expected.supersedes || truth->origin != expected.origin ||
	    WEIR_HEAD_FLAGS(head) >> WEIR_MODE_SHIFT || !(WEIR_HEAD_FLAGS(head) & WEIR_FLAG_SHARED))
		return false;
	return test_fact_is_own(truth->entry.sequence_fact, head, generation, 0, facts) &&
	       test_fact_is_own(truth->entry.timestamp_fact, head, generation, 1, facts) &&
	       test_fact_is_own(truth->client_isn_fact, head, generation, 2, facts) &&
	       test_fact_is_own(truth->real_isn_fact, head, generation, 3, facts) &&
	       test_fact_is_own(truth->client_fin_fact, head, generation, 4, facts) &&
	       test_fact_is_own(truth->real_fin_fact, head, generation, 5, facts) &&
	       test_fact_is_own(truth->options_fact, head, generation, 6, facts);
}

static __always_inline bool test_merged_index_is_own(const struct weir_entry *index, __u64 head,
						     __u32 client)
{
	struct weir_truth truth;
	struct weir_entry expected = {.key = test_merged_inbound_key(client)};

	test_fill_merged(&truth, index->generation, 0);
	weir_index_of(&truth.entry, &expected);
	expected.egress = TEST_MERGED_EGRESS;
	return test_is_merged(index->generation) &&
	       test_merged_client_of(index->generation) == client &&
	       test_merged_bytes(index, &expected) && !WEIR_HEAD_FLAGS(head);
}

/* A new session of the same LIP:port, as its origin makes it; the sweep gives it its client key. */
static __always_inline void test_replace_merged(const struct test_actor *actor,
						struct outbound_ref *ref, struct weir_truth *truth,
						__u32 port, __u64 random)
{
	__u32 client = (random & 0xffff) % TEST_MERGED_CLIENTS;
	__u64 old = truth->entry.generation;
	__u64 new = test_merged_generation(actor->side, actor->parity, client, port);
	int err;

	test_fill_merged(truth, new, actor->shared->now);
	err = outbound_replace(ref, truth, WEIR_FLAG_SHARED, WEIR_SYN);
	if (!err) {
		actor->side->replaced++;
		actor->side->flags_in++;
		actor->side->newest[port] = new;
		test_gone(actor->side, &actor->side->merged[port], old, ref->was);
	}
	test_count_error(actor->side, err);
}

/* One operation on a merged port. XDP changes what is not the merges' alone; user space reads. */
static __always_inline void test_use_merged(const struct test_actor *actor, __u32 port,
					    __u64 random)
{
	struct test_side *side = actor->side;
	struct test_memory *memory = &side->merged[port];
	struct weir_key key = test_merged_outbound_key(port);
	__u64 epoch = weir_load(&actor->shared->merged_epoch[port]);
	__u32 choice = random & 63, number = (random >> 6 & 0xff) % TEST_TRUTH_FACTS;
	struct weir_truth copy = {};
	struct outbound_ref ref = {};
	__u8 facts = 0;
	int err;

	side->operations++;
	err = test_read_truth(actor, &key, &ref, &copy);
	if (err) {
		side->busy += err != -ENOENT;
		side->missing += err == -ENOENT;
		weir_order_loads();
		if (err == -ENOENT && !(epoch & 1) &&
		    weir_load(&actor->shared->merged_epoch[port]) == epoch)
			side->missed++;
		return;
	}
	side->found++;
	if (!test_merged_is_own(&copy, ref.seen, port, &facts)) {
		side->foreign++;
		return;
	}
	test_note_serial(side, copy.entry.generation);
	test_recall(side, memory, copy.entry.generation, ref.seen, facts);
	if (copy.entry.generation < side->newest[port])
		side->went_back++;
	if (actor->parity == TEST_USER || port < TEST_MERGE_ONLY)
		return;

	if (choice < TEST_ADVANCE_TO) {
		err = outbound_advance(&ref, test_pick_flag(actor, random >> 8),
				       test_pick_state(random >> 16));
		if (err == 1)
			test_win(side, memory, copy.entry.generation, ref.was, ref.seen);
		test_count_error(side, err);
	} else if (choice < TEST_LEARN_TO) {
		err = outbound_learn(&ref, test_fact(ref.slot, number),
				     test_fact_value(copy.entry.generation, number));
		if (!err) {
			side->learned++;
			test_remember(memory, copy.entry.generation, 0, 0, 1 << number);
		}
		test_count_error(side, err == -EEXIST ? 0 : err);
	} else if (choice < TEST_TOUCH_TO) {
		*(volatile __u32 *)&ref.slot->entry.seen = actor->shared->now;
	} else if (choice < TEST_REPLACE_TO) {
		test_replace_merged(actor, &ref, &copy, port, random >> 8);
	} else if (choice < TEST_RESET_TO) {
		*(volatile __u32 *)&ref.slot->reset = actor->shared->now;
	}
}

/* Looks where a merged client's packets would go. */
static __always_inline void test_follow_merged(const struct test_actor *actor, __u32 client)
{
	struct weir_key key = test_merged_inbound_key(client);
	struct test_side *side = actor->side;
	struct weir_entry copy = {};
	struct inbound_ref ref = {};
	int err;

	side->operations++;
	err = test_read_index(actor, &key, &ref, &copy);
	side->missing += err == -ENOENT;
	side->busy += err && err != -ENOENT;
	side->found += !err;
	if (!err && !test_merged_index_is_own(&copy, ref.seen, client))
		side->foreign++;
}

#endif
