/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * User space's side of the session table's test: the writer thread's operations. Included by
 * table_test.c alone.
 *
 * It has a mapping of its own, beside table_user.c's: to read and change entries as XDP does, and
 * to look at what is really there.
 */
#ifndef WEIR_TABLE_TEST_USER_H
#define WEIR_TABLE_TEST_USER_H

#include <stdlib.h>
#include <string.h>
#include "table_test.h"
#include "table_test_access.h"

/* User space's books, and what it does alone. In shared memory: a writer that is killed leaves
 * them. */
struct test_user {
	struct test_side side;
	__u64 random;
	__u64 put;
	__u64 put_refused;
	__u64 renewed;  /* steady sessions replaced in place */
	__u64 rehoused; /* steady sessions removed and put again */
	__u64 made_room;
	__u64 sweeps;
	__u64 expired;
	__u64 orphans;
	__u64 swept_moves;
	__u64 emptied;
	__u64 recovered;
	__u64 duplicates_removed;
	__u64 snapshots;
	__u64 records;
	__u64 xdp_runs; /* at the last tick of the clock */
};

enum test_break {
	TEST_SOUND,
	TEST_PLAIN_STORE,
	TEST_NO_RECHECK,
	TEST_PLAIN_MERGE,
	TEST_LOST_RECORD
};

static struct test_constants test_constants;
static struct test_shared *test_shared;
static struct test_user *test_user;
static enum test_break test_broken;
static struct weir_inbound_bucket *test_inbound;
static struct weir_outbound_bucket *test_outbound;

#define WEIR_HASH_SECRET test_constants.secret

#define WEIR_TABLE               inbound
#define WEIR_SLOT                struct weir_entry
#define WEIR_BUCKET              struct weir_inbound_bucket
#define WEIR_TABLE_BUCKETS       TEST_INBOUND_BUCKETS
#define WEIR_TABLE_BUCKET(index) (test_inbound + (index))
#include "table.h"

#define WEIR_TABLE               outbound
#define WEIR_SLOT                struct weir_truth
#define WEIR_BUCKET              struct weir_outbound_bucket
#define WEIR_TABLE_BUCKETS       TEST_OUTBOUND_BUCKETS
#define WEIR_TABLE_BUCKET(index) (test_outbound + (index))
#include "table.h"

#include "table_test_merge.h"

#define TEST_SECONDS(seconds)  ((seconds) * WEIR_TICKS_PER_SECOND)
#define TEST_SWEEP_INTERVAL    128   /* user operations from one sweep to the next */
#define TEST_SNAPSHOT_INTERVAL 16384 /* from one snapshot to the next */
#define TEST_SNAPSHOT_ROOM     64

static struct test_actor test_user_actor(void)
{
	return (struct test_actor){&test_user->side, test_shared, TEST_USER};
}

/*
 * The test's clock. In the protocol, a second means: longer than any program that was running has
 * run on. Here a second passes whenever XDP has begun a second run since the last one: then every
 * run of that time has ended. So thousands of the protocol's seconds fit into one, honestly. If XDP
 * is at rest, time may pass at will.
 */
static void test_let_time_pass(bool xdp_at_rest)
{
	__u64 runs = weir_load(&test_shared->xdp.operations);

	if (!xdp_at_rest && runs < test_user->xdp_runs + 2)
		return;
	test_user->xdp_runs = runs;
	test_shared->now += TEST_SECONDS(1) + 1;
}

static void test_sweep(void)
{
	/* By index: steady sessions never expire; two kinds of mortal ones; the fourth kind has no
	 * timeouts. */
	static const struct weir_timeouts timeouts[TEST_REALS - 1] = {
		{1 << 30, 1 << 30, 1 << 30, 1 << 30, 0},
		{TEST_SECONDS(2), TEST_SECONDS(10), TEST_SECONDS(3), TEST_SECONDS(1), 0},
		{TEST_SECONDS(20), TEST_SECONDS(40), TEST_SECONDS(20), TEST_SECONDS(5), 0},
	};
	__u32 sessions[TEST_REALS] = {};
	struct weir_sweep_result result;

	if (weir_timeouts_use(timeouts, TEST_REALS - 1) ||
	    test_family.sweep(&(struct weir_sweep_order){.now = test_shared->now}, sessions, NULL,
			      0, &result))
		abort();
	test_user->sweeps++;
	test_user->expired += result.expired;
	test_user->orphans += result.orphans;
	test_user->swept_moves += result.moved;
	test_user->emptied += result.emptied;
	test_user->recovered += result.recovered;
	test_user->duplicates_removed += result.duplicates;
}

/* A session of this generation comes from elsewhere. */
static int test_put(__u64 generation, __u8 state)
{
	struct weir_record record = {.head = WEIR_HEAD(0, 0, test_mode_of(generation), state)};
	struct weir_entry index;
	int err;

	test_fill_truth(&record.truth, generation, test_shared->now);
	test_fill_index(&index, generation, test_shared->now);
	err = weir_session_put(&record, &index);
	if (err)
		test_user->put_refused++;
	else
		test_user->put++;
	return err;
}

static void test_put_some(__u64 random)
{
	__u32 client = test_pick_mortal(random & 0xffff, TEST_CLIENTS);
	__u32 port = test_pick_mortal(random >> 16 & 0xffff, TEST_PORTS);

	test_user->side.operations++;
	test_put(test_generation(&test_user->side, TEST_USER, client, port),
		 test_pick_state(random >> 32));
}

static void test_create(__u64 random)
{
	struct test_actor actor = test_user_actor();
	__u32 client = test_pick_mortal(random & 0xffff, TEST_CLIENTS);
	__u32 port = test_pick_mortal(random >> 16 & 0xffff, TEST_PORTS);
	__u64 generation = test_generation(actor.side, TEST_USER, client, port);

	actor.side->operations++;
	if (test_claim_port(&actor, generation)) {
		actor.side->refused++;
	} else if (test_claim_client(&actor, generation, &actor.side->inbound[client])) {
		actor.side->refused++;
		test_yield_port(&actor, generation, &actor.side->outbound[port]);
	} else {
		actor.side->created++;
	}
}

/* A steady client's session gives way to a new one, in place. Nobody else replaces it: this cannot
 * fail, and at no moment may it be missed. */
static void test_renew(__u32 client)
{
	struct test_actor actor = test_user_actor();
	struct weir_key key = test_outbound_key(client);
	struct test_memory *memory = &actor.side->outbound[client];
	struct weir_truth truth;
	struct outbound_ref ref;
	__u64 old, new;

	actor.side->operations++;
	if (test_epoch(&actor, client) & 1)
		return;
	if (test_read_truth(&actor, &key, &ref, &truth)) {
		actor.side->missed++;
		return;
	}
	old = truth.entry.generation;
	new = test_generation(actor.side, TEST_USER, client, client);
	test_fill_truth(&truth, new, test_shared->now);
	if (outbound_replace(&ref, &truth, test_mode_of(new), WEIR_SYN)) {
		actor.side->stale++;
		return;
	}
	actor.side->flags_in += test_count(test_mode_of(new));
	test_gone(actor.side, memory, old, ref.was);
	if (test_claim_client(&actor, new, &actor.side->inbound[client]))
		actor.side->missed++;
	test_user->renewed++;
}

/* Gives a steady client whose epoch is odd a session, if there is room. */
static void test_house(__u32 client)
{
	struct test_actor actor = test_user_actor();
	__u64 generation = test_generation(actor.side, TEST_USER, client, client);
	struct weir_key inbound_key = test_inbound_key(client);
	struct weir_key outbound_key = test_outbound_key(client);
	struct inbound_ref index;
	struct outbound_ref truth;
	struct weir_entry held;

	/* Its old entries first: a new place is found, more often than not in the first bucket. */
	if (!outbound_read(&outbound_key, &truth, &held) && !outbound_remove(&truth))
		test_gone(actor.side, &actor.side->outbound[client], held.generation, truth.was);
	if (!inbound_read(&inbound_key, &index, &held) && !inbound_remove(&index))
		test_gone(actor.side, &actor.side->inbound[client], held.generation, index.was);
	if (test_put(generation, WEIR_SYN))
		return;
	test_user->rehoused++;
	__atomic_add_fetch(&test_shared->epoch[client], 1, __ATOMIC_SEQ_CST);
}

static void test_rehouse(__u32 client)
{
	struct test_actor actor = test_user_actor();

	actor.side->operations++;
	if (!(test_epoch(&actor, client) & 1))
		__atomic_add_fetch(&test_shared->epoch[client], 1, __ATOMIC_SEQ_CST);
	test_house(client);
}

static void test_house_all(void)
{
	for (__u32 client = 0; client < TEST_STEADY; client++) {
		if (weir_load(&test_shared->epoch[client]) & 1)
			test_house(client);
	}
}

static void test_move(__u64 random)
{
	struct weir_key inbound = test_inbound_key(test_pick(random & 0xffff, TEST_CLIENTS));
	struct weir_key outbound = test_outbound_key(test_pick(random & 0xffff, TEST_PORTS));
	int err;

	test_user->side.operations++;
	if (random >> 32 & 1)
		err = weir_make_room_in(
			true, weir_first_bucket(weir_hash_key(&inbound), TEST_INBOUND_BUCKETS));
	else
		err = weir_make_room_in(
			false, weir_first_bucket(weir_hash_key(&outbound), TEST_OUTBOUND_BUCKETS));
	test_user->made_room += !err;
}

/* All of the table in small pieces. This thread moves nothing meanwhile, so no steady session may
 * be missing. */
static void test_snapshot(void)
{
	struct weir_record records[TEST_SNAPSHOT_ROOM];
	bool present[TEST_STEADY] = {};
	__u64 cursor = 0;

	test_user->snapshots++;
	while (cursor < test_family.positions()) {
		size_t count = test_family.snapshot(&cursor, ~0ULL, records, TEST_SNAPSHOT_ROOM);

		for (size_t i = 0; i < count; i++) {
			const struct weir_truth *truth = &records[i].truth;
			__u32 port = test_port_of(truth->entry.generation);
			__u32 merged = test_merged_port_of(truth->entry.generation);
			__u8 facts = 0;

			if (test_is_merged(truth->entry.generation)) {
				if (!test_merged_is_own(truth, records[i].head, merged, &facts))
					test_user->side.foreign++;
				continue;
			}
			if (!test_truth_is_own(truth, records[i].head, port, &facts))
				test_user->side.foreign++;
			else if (port < TEST_STEADY)
				present[port] = true;
		}
		test_user->records += count;
	}
	for (__u32 client = 0; client < TEST_STEADY; client++) {
		if (!present[client] && !(test_shared->epoch[client] & 1))
			test_user->side.missed++;
	}
}

/* Negative control: a writer that stores heads, as if nobody else did. */
static void test_store_plainly(__u64 random)
{
	struct test_actor actor = test_user_actor();
	struct weir_key key = test_inbound_key(test_pick(random & 0xffff, TEST_CLIENTS));
	struct inbound_ref ref;
	struct weir_entry held;

	actor.side->operations++;
	if (inbound_read(&key, &ref, &held))
		return;
	*(volatile __u64 *)ref.head =
		weir_head_join(ref.seen, test_pick_flag(&actor, random >> 16), WEIR_SYN);
}

/* One operation of the writer. `steady`: also those that must not be cut short, or a steady session
 * would be lost. */
static void test_user_operation(bool steady)
{
	struct test_actor actor = test_user_actor();
	__u64 random = test_random(&test_user->random);
	__u32 client = test_pick(random >> 32 & 0xffff, TEST_CLIENTS);
	__u32 port = test_pick(random >> 32 & 0xffff, TEST_PORTS);
	__u32 choice = random >> 59;

	if (test_broken == TEST_PLAIN_STORE && choice < 4)
		test_store_plainly(random);
	else if (choice < 7)
		test_use_index(&actor, client, random);
	else if (choice < 14)
		test_use_truth(&actor, port, random);
	else if (choice < 15)
		test_create(random);
	else if (choice < 18)
		test_put_some(random);
	else if (choice < 19 && steady)
		test_renew((random & 0xffff) % TEST_STEADY);
	else if (choice < 22)
		test_rehouse((random & 0xffff) % TEST_STEADY);
	else
		test_move(random);

	if (test_user->side.operations % TEST_SWEEP_INTERVAL == 0) {
		test_let_time_pass(false);
		test_sweep();
		test_house_all();
	}
	if (test_user->side.operations % TEST_SNAPSHOT_INTERVAL == 0)
		test_snapshot();
}

#endif
