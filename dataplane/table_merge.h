/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Records of other nodes, merged into the tables by the rule of merge.h. Included by table_user.c
 * alone.
 */
#ifndef WEIR_TABLE_MERGE_H
#define WEIR_TABLE_MERGE_H

#include <errno.h>
#include "merge.h"
#include "sync_codec.h"
#include "table_claims.h"
#include "table_timeouts.h"
#include "table_pair.h"

#define WEIR_MERGE_GROUP 16 /* records whose lines are fetched together */

/* Joins one fact of a record into the table's word. 1 = it was unset, 2 = two valid values, the
 * smaller stays, 0 = nothing new. -ESTALE as weir_fact_set(). */
static int weir_join_fact(__u64 *fact, __u64 seen_head, __u32 value)
{
	__u32 version = WEIR_HEAD_VERSION(seen_head);

	for (;;) {
		__u64 old = weir_load(fact);
		int err;

		if (!weir_fact_valid(old)) {
			err = weir_fact_set(fact, seen_head, value);
			if (err != -EEXIST)
				return err ? err : 1;
			continue;
		}
		if (old >> 40 != version)
			return -ESTALE;
		if ((__u32)old == value)
			return 0;
		if (value > (__u32)old || weir_cas(fact, old, WEIR_FACT(version, value)) == old)
			return 2;
	}
}

/* Moves a tick on, unless XDP has stored a later one meanwhile. */
static void weir_raise_tick(__u32 *tick, __u32 to)
{
	__u32 now = *(volatile __u32 *)tick;

	if ((__s32)(to - now) > 0)
		__sync_bool_compare_and_swap(tick, now, to);
}

static void weir_join_ticks(struct weir_truth *slot, const struct weir_truth *truth)
{
	bool unsent = (__s32)(slot->changed - slot->synced) > 0;
	__u32 reset;

	weir_raise_tick(&slot->entry.seen, truth->entry.seen);
	if (weir_reset_counts(truth->reset, slot->entry.seen)) {
		if (slot->reset)
			weir_raise_tick(&slot->reset, truth->reset);
		else
			__sync_bool_compare_and_swap(&slot->reset, 0, truth->reset);
	}
	/* Data after its grace time: forgotten, as XDP does. */
	reset = *(volatile __u32 *)&slot->reset;
	if (reset && !weir_reset_counts(reset, slot->entry.seen))
		__sync_bool_compare_and_swap(&slot->reset, reset, 0);
	weir_raise_tick(&slot->changed, truth->changed);
	if (!unsent)
		weir_raise_tick(&slot->synced, truth->synced);
}

/* As words in memory. */
static int weir_compare_ip(const weir_ip *one, const weir_ip *other)
{
	const __u32 *a = (const __u32 *)one, *b = (const __u32 *)other;

	for (size_t i = 0; i < sizeof(*one) / sizeof(*a); i++) {
		if (a[i] != b[i])
			return a[i] < b[i] ? -1 : 1;
	}
	return 0;
}

/* What a generation never changes. */
static int weir_compare_constants(const struct weir_truth *one, const struct weir_truth *other)
{
#define WEIR_COMPARE(field)                                                                        \
	if (one->field != other->field)                                                            \
		return one->field < other->field ? -1 : 1;
#define WEIR_COMPARE_IP(field)                                                                     \
	if (weir_compare_ip(&one->field, &other->field))                                           \
		return weir_compare_ip(&one->field, &other->field);
	WEIR_COMPARE(origin)
	WEIR_COMPARE(supersedes)
	WEIR_COMPARE_IP(entry.new_saddr)
	WEIR_COMPARE_IP(entry.new_daddr)
	WEIR_COMPARE(entry.new_sport)
	WEIR_COMPARE(entry.new_dport)
#undef WEIR_COMPARE_IP
#undef WEIR_COMPARE
	return 0;
}

/* Adds to `truth`, not in the table yet, what `known`, of the same key and generation, says. */
static void weir_absorb(struct weir_truth *truth, const struct weir_truth *known)
{
	if (weir_compare_constants(known, truth) < 0) {
		truth->origin = known->origin;
		truth->supersedes = known->supersedes;
		truth->entry.new_saddr = known->entry.new_saddr;
		truth->entry.new_daddr = known->entry.new_daddr;
		truth->entry.new_sport = known->entry.new_sport;
		truth->entry.new_dport = known->entry.new_dport;
	}
	for (int i = 0; i < WEIR_SYNC_FACTS; i++) {
		weir_word *fact = (weir_word *)truth + weir_sync_facts[i];
		__u64 other = ((const weir_word *)known)[weir_sync_facts[i]];

		if (weir_fact_valid(other) &&
		    (!weir_fact_valid(*fact) || (__u32)other < (__u32)*fact))
			*fact = other;
	}
	weir_join_ticks(truth, known);
}

/* Of two sessions with one key and generation, which no honest node makes, the smaller one stays.
 * `truth` takes over what the loser knew. */
static int weir_settle_conflict(struct outbound_ref *ref, struct weir_truth *truth, __u16 flags,
				__u8 state)
{
	struct weir_truth gone = *ref->slot;
	__u64 head = weir_head_join(ref->seen, flags, state);
	int err;

	weir_absorb(truth, &gone);
	truth->entry.real = weir_backend_of(&truth->entry)->real;
	weir_set_deltas(&truth->entry);
	err = outbound_replace(ref, truth, WEIR_HEAD_FLAGS(head), WEIR_HEAD_STATE(head));
	if (err)
		return err;
	weir_writer_counters.flags_gone += weir_count_flags(ref->was);
	weir_writer_counters.flags_added += weir_count_flags(ref->seen);
	weir_drop_index(&gone.entry);
	return 1;
}

/* Has a record of a session that has expired here news of a longer life? Joins into `truth` and
 * `head` what was known: all but the state, and when it last changed. */
static bool weir_revives(const struct outbound_ref *held, struct weir_truth *truth, __u64 *head,
			 __u32 now)
{
	struct weir_truth known = *held->slot;
	__u32 timeout, told = truth->entry.seen;

	known.changed = truth->changed;
	known.synced = truth->synced;
	weir_absorb(truth, &known);
	*head = weir_head_join(*head, WEIR_HEAD_FLAGS(held->seen), WEIR_SYN);
	timeout = weir_timeout(weir_timeouts_of(weir_backend_of(&truth->entry)->real),
			       WEIR_HEAD_STATE(*head),
			       weir_reset_counts(truth->reset, truth->entry.seen));
	/* The peers know it as of the record: what is remembered beyond that is due. */
	if ((__s32)(truth->entry.seen - told) >= (__s32)(timeout / 4))
		truth->synced = truth->changed - 1;
	return weir_idle_ticks(now, truth->entry.seen, truth->reset) <= weir_idle_limit(timeout);
}

/* Joins a record into the session that it is about. 1 = it brought something new, 0 = nothing,
 * -ESTALE = the session has gone meanwhile. */
static int weir_join(struct outbound_ref *ref, struct weir_truth *truth, __u16 flags, __u8 state,
		     struct weir_merge_result *result)
{
	int order = weir_compare_constants(truth, ref->slot), news, conflicts = order != 0;

	if (order && !outbound_holds(ref))
		return -ESTALE; /* XDP was writing another session there */
	if (order < 0) {
		result->conflicts++;
		return weir_settle_conflict(ref, truth, flags, state);
	}
	news = outbound_advance(ref, flags, state);
	if (news < 0)
		return news;
	if (news)
		weir_writer_counters.flags_added +=
			weir_count_flags(ref->seen) - weir_count_flags(ref->was);
	for (int i = 0; i < WEIR_SYNC_FACTS; i++) {
		__u64 fact = ((const weir_word *)truth)[weir_sync_facts[i]];
		int joined;

		if (!weir_fact_valid(fact))
			continue;
		joined = weir_join_fact((__u64 *)ref->slot + weir_sync_facts[i], ref->seen, fact);
		if (joined < 0)
			return joined;
		news |= joined;
		conflicts |= joined == 2;
	}
	weir_join_ticks(ref->slot, truth);
	result->conflicts += conflicts;
	return news != 0;
}

static int weir_insert_truth(struct weir_truth *truth, __u16 flags, __u8 state,
			     struct outbound_ref *held)
{
	int err;

	truth->entry.real = weir_backend_of(&truth->entry)->real;
	truth->entry.egress = WEIR_EGRESS_KERNEL; /* XDP asks the kernel for the way to a client */
	weir_set_deltas(&truth->entry);
	if (held) {
		err = outbound_replace(held, truth, flags, state);
		if (!err)
			weir_writer_counters.flags_gone += weir_count_flags(held->was);
	} else {
		err = outbound_insert(truth, flags, state);
		if (err == -ENOSPC &&
		    weir_make_room_for(&weir_outbound, weir_hash_key(&truth->entry.key)))
			return -ENOSPC;
	}
	if (!err)
		weir_writer_counters.flags_added += __builtin_popcount(flags);
	return err ? -EAGAIN : 0;
}

/* One attempt. 1 = the truth has changed, 0 = it has not, -EAGAIN = XDP was at it, -ENOSPC. */
static int weir_try_merge(struct weir_truth *truth, __u64 head, __u32 now,
			  struct weir_merge_result *result)
{
	struct outbound_ref ref;
	struct weir_entry held;
	bool is_held;
	int err = outbound_read(&truth->entry.key, &ref, &held);

	if (err == -ENOENT) {
		err = weir_insert_truth(truth, WEIR_HEAD_FLAGS(head), WEIR_HEAD_STATE(head), NULL);
		result->inserted += !err;
		return err ? err : 1;
	}
	if (err)
		return -EAGAIN;
	is_held = WEIR_HEAD_STATE(ref.seen) == WEIR_HELD;
	if (held.generation > truth->entry.generation) {
		result->stale++;
		return 0;
	}
	if (held.generation < truth->entry.generation ||
	    (is_held && weir_revives(&ref, truth, &head, now))) {
		err = weir_insert_truth(truth, WEIR_HEAD_FLAGS(head), WEIR_HEAD_STATE(head), &ref);
		if (err)
			return err;
		result->replaced++;
		if (!is_held)
			weir_drop_index(&held);
		return 1;
	}
	err = is_held ? 0
		      : weir_join(&ref, truth, WEIR_HEAD_FLAGS(head), WEIR_HEAD_STATE(head),
				  result);
	if (err < 0)
		return -EAGAIN;
	result->advanced += err;
	result->unchanged += !err;
	return err;
}

static void weir_merge_record(const struct weir_sync_record *record, __u32 now, __u32 delay,
			      struct weir_merge_result *result)
{
	struct weir_truth truth;
	__u64 head = weir_head_join(WEIR_HEAD(0, 0, record->flags, record->state), 0, WEIR_SYN);
	int err = -EAGAIN;

	if (!weir_sync_valid(record)) {
		result->refused++;
		return;
	}
	weir_sync_decode(record, now, delay, &truth);
	for (int tries = 0; err == -EAGAIN && tries < WEIR_MERGE_TRIES; tries++)
		err = weir_try_merge(&truth, head, now, result);
	weir_raise_generation(record->generation);
	if (err > 0)
		err = weir_merge_index(&truth.entry.key, record->generation);
	result->full += err == -ENOSPC;
	result->busy += err == -EAGAIN || err == -EBUSY;
}

static void weir_prefetch_record(const struct weir_sync_record *record)
{
	struct weir_key key = weir_sync_key(record);
	struct weir_key client = {
		.saddr = record->caddr,
		.daddr = record->vaddr,
		.sport = record->cport,
		.dport = record->vport,
		.proto = record->proto,
	};

	weir_prefetch(&weir_outbound, &key, sizeof(struct weir_truth), 1);
	weir_prefetch(&weir_inbound, &client, sizeof(struct weir_entry), 1);
}

static int weir_merge(const void *list, size_t count, __u32 now, __u32 delay,
		      struct weir_merge_result *result)
{
	const struct weir_sync_record *records = list;

	if (!weir_inbound.memory || !weir_outbound.memory)
		return -ENODEV;
	for (size_t from = 0; from < count; from += WEIR_MERGE_GROUP) {
		size_t to = count - from < WEIR_MERGE_GROUP ? count : from + WEIR_MERGE_GROUP;

		for (size_t i = from; i < to; i++)
			weir_prefetch_record(&records[i]);
		for (size_t i = from; i < to; i++)
			weir_merge_record(&records[i], now, delay, result);
	}
	return 0;
}

#endif
