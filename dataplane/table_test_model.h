/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Merges in the session table's test, the writer's part: random records of random histories go
 * through merge() into keys that XDP is at work on, and beside it into a model: the merge rule
 * once more, on plain structs, by nobody else's code. table_test_compare.h compares the two.
 * Included by table_test.c alone.
 */
#ifndef WEIR_TABLE_TEST_MODEL_H
#define WEIR_TABLE_TEST_MODEL_H

#include <arpa/inet.h>
#include <time.h>
#include "sync_codec.h"
#include "table_test_user.h"

#define TEST_MERGE_RECORDS 3  /* of one session, in one call */
#define TEST_MERGE_SECONDS 10 /* in which XDP must have let a record in */

/* What is known of a session, ticks apart from what follows from its generation. */
struct test_model_session {
	__u64 generation; /* 0 = none */
	__u32 seen;
	__u32 reset; /* 0 = none */
	__u32 changed;
	__u16 flags;
	__u8 state;
	__u8 facts; /* a bit for each, numbered as by test_fact() */
};

/* A call of merge(). Kept until the model has it too: the writer may be killed in between, and
 * then the next one does it again. */
struct test_merge {
	__u32 count; /* 0 = none */
	__u32 port;
	__u32 now;
	__u32 delay;
	struct weir_sync_record record[TEST_MERGE_RECORDS];
	struct test_model_session session[TEST_MERGE_RECORDS];
};

/* In shared memory, like test_user. */
struct test_model {
	struct test_merge merge;
	struct test_model_session session[TEST_MERGE_ONLY];
	__u64 records;
	__u64 inserted;
	__u64 replaced;
	__u64 advanced;
	__u64 unchanged;
	__u64 stale;
	__u64 retried;
	/* Errors. */
	__u64 refused;
	__u64 stuck;
	__u64 different;
};

static struct test_model *test_model;

/* The real server of all merged sessions, whose number in the test is 0: they never expire. */
static struct weir_backend test_merged_backend(void)
{
	struct weir_key client = test_merged_inbound_key(0), reply = test_merged_outbound_key(0);

	return (struct weir_backend){
		.vaddr = weir_full(client.daddr),
		.vport_min = ntohs(client.dport),
		.vport_max = ntohs(client.dport),
		.raddr = weir_full(reply.saddr),
		.rport = reply.sport,
		.egress = TEST_MERGED_EGRESS,
		.proto = reply.proto,
	};
}

static __u32 test_later(__u32 one, __u32 other)
{
	return (__s32)(one - other) > 0 ? one : other;
}

static void test_model_join(struct test_model_session *held, const struct test_model_session *other)
{
	if (other->generation > held->generation)
		*held = *other;
	else if (other->generation == held->generation) {
		held->seen = test_later(held->seen, other->seen);
		held->changed = test_later(held->changed, other->changed);
		if (!held->reset || (other->reset && (__s32)(other->reset - held->reset) > 0))
			held->reset = other->reset;
		held->flags |= other->flags;
		held->facts |= other->facts;
		if (other->state > held->state)
			held->state = other->state;
	}
	if ((held->flags & 3) == 3)
		held->state = WEIR_FIN_BOTH;
	if (held->reset && (__s32)(held->seen - held->reset) > 2 * WEIR_TICKS_PER_SECOND)
		held->reset = 0;
}

/* A record, read at tick `read`, and the same for the model. */
static void test_draw_record(struct weir_sync_record *record, struct test_model_session *session,
			     __u64 generation, __u32 read)
{
	__u64 random = test_random(&test_user->random), ages = test_random(&test_user->random);
	bool exclusive = test_merged_port_of(generation) < TEST_MERGE_ONLY;
	__u16 flags = (random & 0xffff) & (exclusive ? 0x0fff : 0x0aaa);
	struct weir_truth truth;

	/* Most records bring little. */
	if (random >> 16 & 3)
		flags &= 1u << (random >> 18 & 15);
	*session = (struct test_model_session){
		.generation = generation,
		.flags = flags | WEIR_FLAG_SHARED,
		.state = (flags & 3) == 3 ? WEIR_FIN_BOTH : test_pick_state(random >> 24),
		.facts = (random >> 32) & (random >> 39) & 0x7f,
		.seen = read - (ages & 0xfff),
		.changed = read - (ages >> 12 & 0xfff),
		.reset = ages >> 24 & 3 ? 0 : read - (ages >> 26 & 0xfff),
	};
	test_fill_merged(&truth, generation, 0);
	*record = (struct weir_sync_record){
		.saddr = truth.entry.key.saddr,
		.daddr = truth.entry.key.daddr,
		.sport = truth.entry.key.sport,
		.dport = truth.entry.key.dport,
		.proto = truth.entry.key.proto,
		.state = session->state,
		.flags = session->flags,
		.generation = generation,
		.supersedes = truth.supersedes,
		.vaddr = truth.entry.new_saddr,
		.caddr = truth.entry.new_daddr,
		.vport = truth.entry.new_sport,
		.cport = truth.entry.new_dport,
		.origin = truth.origin,
		.idle = read - session->seen,
		.reset = session->reset ? read - session->reset : WEIR_SYNC_NO_RESET,
		.unchanged = read - session->changed,
	};
	/* On the wire the two facts of an entry come last. */
	for (int i = 0; i < WEIR_SYNC_FACTS; i++) {
		int number = (i + 2) % TEST_TRUTH_FACTS;

		if (!(session->facts >> number & 1))
			continue;
		record->valid |= 1u << i;
		record->fact[i] = test_fact_value(generation, number);
	}
}

/* The generation that a port has now, or 0. */
static __u64 test_generation_at(__u32 port)
{
	struct weir_key key = test_merged_outbound_key(port);
	struct weir_entry held;
	struct outbound_ref ref;

	return outbound_read(&key, &ref, &held) ? 0 : held.generation;
}

/* Of a record for this port: the one that is there, a newer or an older one. */
static __u64 test_draw_generation(__u32 port)
{
	__u64 random = test_random(&test_user->random), held = test_generation_at(port);
	__u32 client = (random >> 8 & 0xffff) % TEST_MERGED_CLIENTS;
	__u64 older = (__u64)(TEST_IS_MERGED | port) << 16 | TEST_IS_MERGED | client;

	test_note_serial(&test_user->side, held);
	if (!held || (random & 0xff) < 40)
		return test_merged_generation(&test_user->side, TEST_USER, client, port);
	if ((random & 0xff) < 60 && held >> 32 > 16)
		return ((held >> 32) - 1 - (random >> 60)) << 32 | older;
	return held;
}

static void test_draw_merge(struct test_merge *merge)
{
	__u64 random = test_random(&test_user->random);
	__u32 count = random & 0x30 ? 1 : 1 + random % TEST_MERGE_RECORDS;

	merge->port = (random >> 8 & 0xffff) % TEST_MERGED;
	merge->now = test_shared->now;
	merge->delay = random >> 24 & 0x7ff;
	for (__u32 i = 0; i < count; i++)
		test_draw_record(&merge->record[i], &merge->session[i],
				 test_draw_generation(merge->port), merge->now - merge->delay);
	__atomic_store_n(&merge->count, count, __ATOMIC_SEQ_CST);
}

/* The books of records that are in the table. */
static void test_note_merge(const struct test_merge *merge)
{
	struct test_side *side = &test_user->side;
	__u64 newest = side->newest[merge->port];

	for (__u32 i = 0; i < merge->count; i++) {
		const struct test_model_session *session = &merge->session[i];

		if (session->generation > newest)
			newest = session->generation;
		if (merge->port < TEST_MERGE_ONLY)
			test_model_join(&test_model->session[merge->port], session);
	}
	side->newest[merge->port] = newest;
	for (__u32 i = 0; i < merge->count; i++) {
		const struct test_model_session *session = &merge->session[i];

		/* XDP may have gone on to a newer one; but never back. */
		if (session->generation == newest)
			test_remember(&side->merged[merge->port], newest, session->flags,
				      session->state, session->facts);
	}
}

/* True: all records are in the table, or a newer session is. The index may have found no room: then
 * the next sweep sets it right. */
static bool test_try_merge(const struct test_merge *merge)
{
	struct weir_merge_result result = {};
	__u64 sum;

	if (test_family.merge(merge->record, merge->count, merge->now, merge->delay, &result))
		abort();
	sum = result.inserted + result.replaced + result.advanced + result.unchanged + result.stale;
	test_model->inserted += result.inserted;
	test_model->replaced += result.replaced;
	test_model->advanced += result.advanced;
	test_model->unchanged += result.unchanged;
	test_model->stale += result.stale;
	test_model->refused += result.refused + result.conflicts;
	return sum == merge->count;
}

/* Merges what is pending. Full buckets and BUSY slots pass, and a repetition changes nothing. */
static void test_do_merge(bool lost)
{
	struct test_merge *merge = &test_model->merge;
	time_t limit = time(NULL) + (test_broken ? 1 : TEST_MERGE_SECONDS);

	while (!lost && !test_try_merge(merge)) {
		if (time(NULL) > limit) {
			test_model->stuck++;
			break;
		}
		test_model->retried++;
		test_let_time_pass(false);
		test_sweep();
	}
	test_model->records += merge->count;
	test_note_merge(merge);
	__atomic_store_n(&merge->count, 0, __ATOMIC_SEQ_CST);
}

/* `steady`: this writer will not be killed, so that the key's session is there at each moment. */
static void test_merge_some(bool steady)
{
	struct test_merge *merge = &test_model->merge;
	__u64 *epoch;

	test_user->side.operations++;
	test_draw_merge(merge);
	epoch = &test_shared->merged_epoch[merge->port];
	if (!steady && !(*epoch & 1))
		__atomic_add_fetch(epoch, 1, __ATOMIC_SEQ_CST);
	test_do_merge(test_broken == TEST_LOST_RECORD && !(test_random(&test_user->random) & 63));
	if (*epoch & 1)
		__atomic_add_fetch(epoch, 1, __ATOMIC_SEQ_CST);
}

/* What a writer that was killed had begun. */
static void test_finish_merge(void)
{
	__u64 *epoch = &test_shared->merged_epoch[test_model->merge.port];

	if (!test_model->merge.count)
		return;
	test_do_merge(false);
	if (*epoch & 1)
		__atomic_add_fetch(epoch, 1, __ATOMIC_SEQ_CST);
}

/* Negative control: a merge that stores the head, as if nobody else did. */
static void test_merge_plainly(__u64 random)
{
	__u32 port = TEST_MERGE_ONLY + (random & 0xffff) % (TEST_MERGED - TEST_MERGE_ONLY);
	struct weir_key key = test_merged_outbound_key(port);
	struct outbound_ref ref;
	struct weir_entry held;

	test_user->side.operations++;
	if (outbound_read(&key, &ref, &held))
		return;
	*(volatile __u64 *)ref.head = weir_head_join(ref.seen, 0x0aaa & (random >> 16), WEIR_SYN);
}

/* One operation of the writer, of any kind. */
static void test_writer_operation(bool steady)
{
	__u64 random = test_random(&test_user->random);

	if (random >> 61)
		test_user_operation(steady);
	else if (test_broken == TEST_PLAIN_MERGE && random >> 60)
		test_merge_plainly(random);
	else
		test_merge_some(steady);
}

#endif
