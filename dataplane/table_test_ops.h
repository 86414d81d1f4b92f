/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The operations that both sides of the table's test do: XDP on one CPU, user space on the other.
 * Each looks a key up, checks what it has found against what it knows, and then perhaps changes it.
 * The includer provides the functions of both tables (table.h).
 */
#ifndef WEIR_TABLE_TEST_OPS_H
#define WEIR_TABLE_TEST_OPS_H

#include "table_test.h"

/* Who does an operation: its books, its parity, and what both sides share. */
struct test_actor {
	struct test_side *side;
	struct test_shared *shared;
	int parity;
};

/* What a random number of 6 bits makes of an entry that was found; else it is only read. */
#define TEST_ADVANCE_TO 20
#define TEST_LEARN_TO   32
#define TEST_TOUCH_TO   42
#define TEST_REMOVE_TO  44
#define TEST_REPLACE_TO 46
#define TEST_RESET_TO   48

/* Odd = this client may be without a session. */
static __always_inline __u64 test_epoch(const struct test_actor *actor, __u32 client)
{
	return client < TEST_STEADY ? weir_load(&actor->shared->epoch[client]) : 1;
}

static __always_inline void test_count_absence(const struct test_actor *actor, int err,
					       __u32 client, __u64 epoch)
{
	if (err != -ENOENT) {
		actor->side->busy++;
		return;
	}
	actor->side->missing++;
	weir_order_loads();
	if (!(epoch & 1) && test_epoch(actor, client) == epoch)
		actor->side->missed++;
}

/* Is all there that this side has won on this occupant? */
static __always_inline void test_recall(struct test_side *side, const struct test_memory *memory,
					__u64 generation, __u64 head, __u8 facts)
{
	if (memory->generation != generation)
		return;
	if (memory->flags & ~WEIR_HEAD_FLAGS(head) || memory->state > WEIR_HEAD_STATE(head))
		side->lost_flags++;
	if (memory->facts & ~facts)
		side->lost_facts++;
}

static __always_inline void test_remember(struct test_memory *memory, __u64 generation, __u16 flags,
					  __u8 state, __u8 facts)
{
	if (memory->generation != generation)
		*memory = (struct test_memory){.generation = generation};
	memory->flags |= flags;
	memory->facts |= facts;
	if (state > memory->state)
		memory->state = state;
}

/* The books of one advance that this side has won. */
static __always_inline void test_win(struct test_side *side, struct test_memory *memory,
				     __u64 generation, __u64 was, __u64 seen)
{
	__u16 won = WEIR_HEAD_FLAGS(seen) & ~WEIR_HEAD_FLAGS(was);

	side->advanced++;
	side->flags_in += test_count(won);
	test_remember(memory, generation, won, WEIR_HEAD_STATE(seen), 0);
}

/* The books of an occupant that this side has removed or replaced. */
static __always_inline void test_gone(struct test_side *side, struct test_memory *memory,
				      __u64 generation, __u64 was)
{
	side->flags_out += test_count(WEIR_HEAD_FLAGS(was));
	test_recall(side, memory, generation, was, 0xff);
	memory->generation = 0;
}

/* One of this side's flags; bits 0 and 1 are the FINs. */
static __always_inline __u16 test_pick_flag(const struct test_actor *actor, __u64 random)
{
	return 1 << ((random & 0xff) % TEST_FLAG_PAIRS * 2 + actor->parity);
}

static __always_inline __u8 test_pick_state(__u64 random)
{
	return WEIR_SYN + (random & 0xff) % (WEIR_FIN_BOTH - WEIR_SYN);
}

static __always_inline void test_note_serial(struct test_side *side, __u64 generation)
{
	if (generation >> 32 > side->serial)
		side->serial = generation >> 32;
}

static __always_inline void test_count_error(struct test_side *side, int err)
{
	if (err < 0)
		side->stale++;
}

/* So that a reader who does not look again is caught in 2 million operations, also on a busy
 * machine. */
static __always_inline void test_dawdle(const struct test_actor *actor)
{
	for (int i = 0; i < 64; i++)
		*(const volatile __u32 *)&actor->shared->now;
}

/* Reads an index; with the negative control on, without looking at its head again. */
static __always_inline int test_read_index(const struct test_actor *actor,
					   const struct weir_key *key, struct inbound_ref *ref,
					   struct weir_entry *copy)
{
	int err;

	if (!actor->shared->no_recheck || actor->parity == TEST_USER) {
		/* As the fast path does. */
		if (!inbound_glance(key, ref)) {
			*copy = *ref->slot;
			if (inbound_holds(ref))
				return 0;
		}
		return inbound_read(key, ref, copy);
	}
	err = inbound_find(key, ref);
	test_dawdle(actor);
	if (!err)
		*copy = *ref->slot;
	return err;
}

/* The same of a truth, both lines of it. */
static __always_inline int test_read_truth(const struct test_actor *actor,
					   const struct weir_key *key, struct outbound_ref *ref,
					   struct weir_truth *copy)
{
	for (int tries = 0; tries < 2; tries++) {
		bool broken = actor->shared->no_recheck && actor->parity == TEST_XDP;
		int err = outbound_find(key, ref);

		if (err)
			return err;
		if (broken)
			test_dawdle(actor);
		*copy = *ref->slot;
		if (broken || outbound_holds(ref))
			return 0;
	}
	return -EBUSY;
}

/* One operation on the inbound entry of a client. */
static __always_inline void test_use_index(const struct test_actor *actor, __u32 client,
					   __u64 random)
{
	struct test_side *side = actor->side;
	struct test_memory *memory = &side->inbound[client];
	struct weir_key key = test_inbound_key(client);
	__u64 epoch = test_epoch(actor, client);
	__u32 choice = random & 63, number = (random >> 6 & 0xff) % TEST_INDEX_FACTS;
	struct weir_entry copy = {};
	struct inbound_ref ref = {};
	__u8 facts = 0;
	int err;

	side->operations++;
	err = test_read_index(actor, &key, &ref, &copy);
	if (err) {
		test_count_absence(actor, err, client, epoch);
		return;
	}
	side->found++;
	if (!test_index_is_own(&copy, ref.seen, client, &facts)) {
		side->foreign++;
		return;
	}
	test_note_serial(side, copy.generation);
	test_recall(side, memory, copy.generation, ref.seen, facts);

	if (choice < TEST_ADVANCE_TO) {
		err = inbound_advance(&ref, test_pick_flag(actor, random >> 8),
				      test_pick_state(random >> 16));
		if (err == 1)
			test_win(side, memory, copy.generation, ref.was, ref.seen);
		test_count_error(side, err);
	} else if (choice < TEST_LEARN_TO) {
		__u64 *fact = number ? &ref.slot->timestamp_fact : &ref.slot->sequence_fact;

		err = inbound_learn(&ref, fact, test_fact_value(copy.generation, number));
		if (!err) {
			side->learned++;
			test_remember(memory, copy.generation, 0, 0, 1 << number);
		}
		test_count_error(side, err == -EEXIST ? 0 : err);
	} else if (choice < TEST_TOUCH_TO) {
		*(volatile __u32 *)&ref.slot->seen = actor->shared->now;
	} else if (choice < TEST_REMOVE_TO && client >= TEST_STEADY) {
		err = inbound_remove(&ref);
		if (!err) {
			side->removed++;
			test_gone(side, memory, copy.generation, ref.was);
		}
		test_count_error(side, err);
	}
}

/* A new session in the place of the one in `ref`, on the same port. */
static __always_inline void test_replace_truth(const struct test_actor *actor,
					       struct outbound_ref *ref, struct weir_truth *truth,
					       struct test_memory *memory, __u32 port, __u64 random)
{
	__u32 client = test_pick_mortal(random & 0xffff, TEST_CLIENTS);
	__u64 old = truth->entry.generation;
	__u64 new = test_generation(actor->side, actor->parity, client, port);
	int err;

	test_fill_truth(truth, new, actor->shared->now);
	err = outbound_replace(ref, truth, test_mode_of(new), WEIR_SYN);
	if (!err) {
		actor->side->replaced++;
		actor->side->flags_in += test_count(test_mode_of(new));
		test_gone(actor->side, memory, old, ref->was);
	}
	test_count_error(actor->side, err);
}

/* One operation on the outbound entry of a port. */
static __always_inline void test_use_truth(const struct test_actor *actor, __u32 port, __u64 random)
{
	struct test_side *side = actor->side;
	struct test_memory *memory = &side->outbound[port];
	struct weir_key key = test_outbound_key(port);
	__u64 epoch = test_epoch(actor, port);
	__u32 choice = random & 63, number = (random >> 6 & 0xff) % TEST_TRUTH_FACTS;
	/* Or clang splits it into variables, and spills them beside it: too much for the stack. */
	struct weir_truth held = {}, *copy = weir_opaque(&held);
	struct outbound_ref ref = {};
	__u8 facts = 0;
	int err;

	side->operations++;
	err = test_read_truth(actor, &key, &ref, copy);
	if (err) {
		test_count_absence(actor, err, port, epoch);
		return;
	}
	side->found++;
	if (!test_truth_is_own(copy, ref.seen, port, &facts)) {
		side->foreign++;
		return;
	}
	test_note_serial(side, copy->entry.generation);
	test_recall(side, memory, copy->entry.generation, ref.seen, facts);

	if (choice < TEST_ADVANCE_TO) {
		err = outbound_advance(&ref, test_pick_flag(actor, random >> 8),
				       test_pick_state(random >> 16));
		if (err == 1)
			test_win(side, memory, copy->entry.generation, ref.was, ref.seen);
		test_count_error(side, err);
	} else if (choice < TEST_LEARN_TO) {
		err = outbound_learn(&ref, test_fact(ref.slot, number),
				     test_fact_value(copy->entry.generation, number));
		if (!err) {
			side->learned++;
			test_remember(memory, copy->entry.generation, 0, 0, 1 << number);
		}
		test_count_error(side, err == -EEXIST ? 0 : err);
	} else if (choice < TEST_TOUCH_TO) {
		*(volatile __u32 *)&ref.slot->entry.seen = actor->shared->now;
	} else if (port < TEST_STEADY) {
		return;
	} else if (choice < TEST_REMOVE_TO) {
		err = outbound_remove(&ref);
		if (!err) {
			side->removed++;
			test_gone(side, memory, copy->entry.generation, ref.was);
		}
		test_count_error(side, err);
	} else if (choice < TEST_REPLACE_TO) {
		test_replace_truth(actor, &ref, copy, memory, port, random >> 8);
	} else if (choice < TEST_RESET_TO) {
		*(volatile __u32 *)&ref.slot->reset = actor->shared->now;
	}
}

/* The inbound entry of a new session, whose client `memory` is of: takes the client's key over from
 * an older one if there is one. */
static __always_inline int test_claim_client(const struct test_actor *actor, __u64 generation,
					     struct test_memory *memory)
{
	__u16 mode = test_mode_of(generation);
	struct weir_entry index, held = {};
	struct inbound_ref ref = {};
	int err;

	test_fill_index(&index, generation, actor->shared->now);
	err = inbound_read(&index.key, &ref, &held);
	if (err == -ENOENT) {
		err = inbound_insert(&index, mode, WEIR_LIVE);
	} else if (!err) {
		err = inbound_replace(&ref, &index, mode, WEIR_LIVE);
		if (!err) {
			actor->side->replaced++;
			test_gone(actor->side, memory, held.generation, ref.was);
		}
	}
	if (!err)
		actor->side->flags_in += test_count(mode);
	return err;
}

/* The outbound entry of a new session, on a port that nobody has. */
static __always_inline int test_claim_port(const struct test_actor *actor, __u64 generation)
{
	__u16 mode = test_mode_of(generation);
	struct weir_truth truth;
	int err;

	test_fill_truth(&truth, generation, actor->shared->now);
	err = outbound_insert(&truth, mode, WEIR_SYN);
	if (!err)
		actor->side->flags_in += test_count(mode);
	return err;
}

/* Takes the outbound entry back, if it is still there. `memory` is of its port. */
static __always_inline void test_yield_port(const struct test_actor *actor, __u64 generation,
					    struct test_memory *memory)
{
	struct weir_key key = test_outbound_key(test_port_of(generation));
	struct weir_entry held = {};
	struct outbound_ref ref = {};

	if (outbound_read(&key, &ref, &held) || held.generation != generation ||
	    outbound_remove(&ref))
		return;
	actor->side->removed++;
	test_gone(actor->side, memory, generation, ref.was);
}

#endif
