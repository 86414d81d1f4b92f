/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The sweep: one pass over both tables that expires, empties, recovers and makes room. Included by
 * table_user.c alone.
 */
#ifndef WEIR_TABLE_SWEEP_H
#define WEIR_TABLE_SWEEP_H

#include <string.h>
#include "session_rules.h"
#include "table_index.h"
#include "table_pair.h"
#include "table_tend.h"

/* All inbound entries are checked within a quarter of the shortest timeout, or within these. */
#define WEIR_INBOUND_MIN (5 * WEIR_TICKS_PER_SECOND)
#define WEIR_INBOUND_MAX (20 * WEIR_TICKS_PER_SECOND)
/* The index of all sessions is checked within these. Outbound buckets that a pass checks: at least,
 * so that a small table's is exact after each; at most, so that a large one's is not most of a pass
 * (random reads: 8 M sessions take a minute). */
#define WEIR_INDEX_TICKS (5 * WEIR_TICKS_PER_SECOND)
#define WEIR_INDEX_MIN   16384
#define WEIR_INDEX_MAX   32768
/* Above this load, in percent, weak expiry is off: room for new sessions comes first. */
#define WEIR_PRESSURE 65

/* While a peer is unheard, sessions live one timeout longer. */
static bool weir_is_patient(const struct weir_sweep *sweep)
{
	return sweep->order->weak && !weir_sweep_memory.pressed;
}

/*
 * Removes the session and the inbound entry that leads to it, unless that leads to another one. The
 * node that gave out LIP:port keeps it for a quarter of the timeout more: until then a peer may
 * still hold the session.
 */
static void weir_expire(struct weir_sweep *sweep, struct outbound_ref *truth, __u32 timeout)
{
	struct weir_entry entry = truth->slot->entry;
	bool own = truth->slot->origin == sweep->order->origin;

	if (!outbound_holds(truth))
		return;
	if (own) {
		*(volatile __u32 *)&truth->slot->changed = sweep->now + timeout / 4;
		if (outbound_advance(truth, 0, WEIR_HELD) != 1)
			return;
		sweep->result->held++;
		sweep->result->outbound_entries++;
	} else {
		if (outbound_remove(truth))
			return;
		weir_writer_counters.flags_gone += weir_count_flags(truth->was);
	}
	sweep->result->expired++;
	weir_drop_index(&entry);
}

/* Lets a LIP:port go that has been held for long enough. */
static void weir_judge_held(struct weir_sweep *sweep, struct outbound_ref *truth)
{
	__u32 until = truth->slot->changed;

	if (!sweep->order->hold && (__s32)(sweep->now - until) > 0 && outbound_holds(truth) &&
	    !outbound_remove(truth)) {
		weir_writer_counters.flags_gone += weir_count_flags(truth->was);
		return;
	}
	sweep->result->held++;
	sweep->result->outbound_entries++;
}

/* What the sweep judges a session by. */
struct weir_marks {
	__u64 head;
	__u32 seen, reset, changed, synced;
	__u16 real;
};

/* Of one occupant. False: it was replaced or removed just now. */
static bool weir_read_marks(struct outbound_ref *truth, struct weir_marks *marks)
{
	const volatile struct weir_truth *slot = truth->slot;

	weir_order_loads();
	marks->seen = slot->entry.seen;
	marks->real = slot->entry.real;
	marks->reset = slot->reset;
	marks->changed = slot->changed;
	marks->synced = slot->synced;
	weir_order_loads();
	marks->head = weir_load(truth->head);
	return weir_head_same(marks->head, truth->seen) &&
	       WEIR_HEAD_STATE(marks->head) != WEIR_HELD;
}

/* Have the other nodes to be told? */
static bool weir_is_due(const struct weir_sweep *sweep, const struct weir_marks *marks,
			const struct weir_timeouts *timeouts, __u32 timeout)
{
	__u8 state = WEIR_HEAD_STATE(marks->head);

	if (!weir_is_shared(marks->head))
		return timeouts->share && state >= WEIR_ESTABLISHED && state < WEIR_FIN_BOTH &&
		       !marks->reset && weir_age(sweep->now, marks->changed) >= timeouts->share;
	return (__s32)(marks->changed - marks->synced) > 0 ||
	       (__s32)(marks->seen - marks->synced) > (__s32)(timeout / 4);
}

static void weir_tell(struct weir_sweep *sweep, struct outbound_ref *truth)
{
	struct weir_truth copy;

	if (sweep->result->records == sweep->room) {
		sweep->result->records_waiting++;
		return;
	}
	if (outbound_advance(truth, WEIR_FLAG_SHARED, WEIR_SYN) == 1)
		weir_writer_counters.flags_added++;
	/* Before the copy is taken: a change that comes meanwhile is told of once more. */
	*(volatile __u32 *)&truth->slot->synced = weir_later(
		sweep->now, truth->slot->changed); /* XDP's clock is finer: ahead by up to 10 ms */
	weir_order_loads();
	copy = *truth->slot;
	if (!outbound_holds(truth))
		return;
	weir_sync_encode(weir_load(truth->head), &copy, sweep->now,
			 &sweep->records[sweep->result->records++]);
}

/* XDP leaves a packet's time in the entry that it was found by: the client's packets in the inbound
 * one. The later of the session's two times. */
static __u32 weir_last_seen(const struct outbound_ref *ref)
{
	struct weir_entry truth = ref->slot->entry, entry;
	struct weir_key client = weir_other_key(&truth), reply;
	struct inbound_ref index;

	if (!outbound_holds(ref) || inbound_read(&client, &index, &entry))
		return truth.seen;
	reply = weir_other_key(&entry);
	return entry.generation == truth.generation && weir_same_key(&reply, &truth.key)
		       ? weir_later(truth.seen, entry.seen)
		       : truth.seen;
}

/* A RST that does not count any more: ticks wrap after weeks. The other nodes are told, as if the
 * ring had been full. */
static void weir_forget_reset(struct weir_truth *truth, __u32 reset)
{
	if (__sync_bool_compare_and_swap(&truth->reset, reset, 0))
		*(volatile __u32 *)&truth->synced = truth->changed - 1;
}

static void weir_judge_session(struct weir_sweep *sweep, __u32 bucket, __u32 i, bool index)
{
	struct weir_place place = weir_place(&weir_outbound, bucket, i);
	struct outbound_ref truth = {
		.head = place.head,
		.slot = (struct weir_truth *)place.slot,
		.seen = place.seen,
	};
	const struct weir_timeouts *timeouts;
	struct weir_marks marks;
	struct weir_record record;
	__u32 timeout, limit;
	bool is_reset;
	__u8 state;

	if (WEIR_HEAD_STATE(truth.seen) == WEIR_HELD) {
		weir_judge_held(sweep, &truth);
		return;
	}
	if (!weir_read_marks(&truth, &marks))
		return; /* the next pass will see */
	truth.seen = marks.head;
	state = WEIR_HEAD_STATE(marks.head);
	is_reset = weir_reset_counts(marks.reset, marks.seen);
	timeouts = weir_timeouts_of(marks.real);
	timeout = weir_timeout(timeouts, state, is_reset);
	sweep->result->without_timeouts += marks.real >= weir_timeouts_known.count;
	limit = weir_idle_limit(timeout) + (weir_is_patient(sweep) ? timeout : 0);
	if (weir_idle_ticks(sweep->now, marks.seen, marks.reset) > limit) {
		__u32 seen = weir_last_seen(&truth);

		if (weir_idle_ticks(sweep->now, seen, marks.reset) > limit) {
			weir_expire(sweep, &truth, timeout);
			return;
		}
		weir_raise_tick(&truth.slot->entry.seen, seen);
	}
	if (marks.reset && !is_reset)
		weir_forget_reset(truth.slot, marks.reset);
	sweep->result->outbound_entries++;
	sweep->result->sessions++;
	if (state < WEIR_ESTABLISHED && !is_reset)
		sweep->result->half_open++;
	else if (state == WEIR_ESTABLISHED && !is_reset)
		sweep->result->established++;
	else
		sweep->result->closing++;
	if (marks.real < weir_timeouts_known.count)
		sweep->sessions_per_real[marks.real]++;
	if (weir_is_due(sweep, &marks, timeouts, timeout))
		weir_tell(sweep, &truth);
	if (index && weir_read_session(bucket, i, &record))
		weir_note_contest(&record);
}

/*
 * An inbound entry is made after its session's outbound one and goes with it. If its session is not
 * there, then because XDP has made a new one of the same LIP:port and real server. If it is, it
 * learns when the client was last heard: the other nodes are told so by the session's record.
 */
static void weir_judge_index(struct weir_sweep *sweep, __u32 bucket, __u32 i)
{
	struct weir_place place = weir_place(&weir_inbound, bucket, i);
	struct inbound_ref index = {
		.head = place.head,
		.slot = (struct weir_entry *)place.slot,
		.seen = place.seen,
	};
	struct weir_entry entry, session;
	struct outbound_ref truth;
	struct weir_key key;
	int err;

	weir_order_loads();
	entry = *index.slot;
	if (!inbound_holds(&index))
		return;
	key = weir_other_key(&entry);
	err = outbound_read(&key, &truth, &session);
	if (err && err != -ENOENT)
		return;
	if (!err && session.generation == entry.generation) {
		if (WEIR_HEAD_STATE(truth.seen) != WEIR_HELD)
			weir_raise_tick(&truth.slot->entry.seen, entry.seen);
		return;
	}
	if (inbound_remove(&index))
		return;
	sweep->result->orphans++;
	weir_writer_counters.flags_gone += weir_count_flags(index.was);
}

/* How many buckets this pass checks, so that all are checked within `period`. */
static __u32 weir_share_of(const struct weir_sweep *sweep, const struct weir_table *table,
			   __u32 period)
{
	__u64 elapsed = sweep->now - weir_sweep_memory.last_tick;
	__u64 share = table->buckets * elapsed / period + 1;

	return share < table->buckets ? share : table->buckets;
}

static __u32 weir_index_share(const struct weir_sweep *sweep)
{
	__u32 share = weir_share_of(sweep, &weir_outbound, WEIR_INDEX_TICKS);

	if (share > WEIR_INDEX_MAX)
		share = WEIR_INDEX_MAX;
	if (share < WEIR_INDEX_MIN)
		share = WEIR_INDEX_MIN;
	return share < weir_outbound.buckets ? share : weir_outbound.buckets;
}

static void weir_sweep_outbound(struct weir_sweep *sweep)
{
	__u32 from = weir_sweep_memory.index, buckets = weir_outbound.buckets;
	__u32 share = weir_index_share(sweep);

	for (__u32 bucket = 0; bucket < buckets; bucket++) {
		bool index = (bucket + buckets - from) % buckets < share;
		__u32 live;

		weir_pause(bucket);
		weir_heads_ahead(&weir_outbound, bucket);
		weir_slots_ahead(&weir_outbound, bucket);
		if (index)
			weir_entries_ahead(&weir_outbound, bucket, &weir_inbound);
		live = weir_tend(sweep, &weir_outbound, bucket);
		for (__u32 rest = live; rest; rest &= rest - 1)
			weir_judge_session(sweep, bucket, __builtin_ctz(rest), index);
		weir_relieve(sweep, &weir_outbound, bucket, live);
	}
	weir_sweep_memory.index = ((__u64)from + share) % buckets;
	sweep->result->reindexed = weir_decide_contests();
	weir_sweep_memory.pressed = sweep->result->outbound_entries * 100 >
				    sweep->result->outbound_slots * WEIR_PRESSURE;
}

static __u32 weir_inbound_period(void)
{
	__u32 period = weir_timeouts_known.shortest / 4;

	return period < WEIR_INBOUND_MIN   ? WEIR_INBOUND_MIN
	       : period > WEIR_INBOUND_MAX ? WEIR_INBOUND_MAX
					   : period;
}

static void weir_sweep_inbound(struct weir_sweep *sweep)
{
	__u32 from = weir_sweep_memory.orphans;
	__u32 share = weir_share_of(sweep, &weir_inbound, weir_inbound_period());

	for (__u32 bucket = 0; bucket < weir_inbound.buckets; bucket++) {
		__u32 distance = (bucket + weir_inbound.buckets - from) % weir_inbound.buckets;
		__u32 live;

		weir_pause(bucket);
		weir_heads_ahead(&weir_inbound, bucket);
		if (distance < share)
			weir_entries_ahead(&weir_inbound, bucket, &weir_outbound);
		live = weir_tend(sweep, &weir_inbound, bucket);
		sweep->result->inbound_entries += __builtin_popcount(live);
		for (__u32 rest = distance < share ? live : 0; rest; rest &= rest - 1)
			weir_judge_index(sweep, bucket, __builtin_ctz(rest));
		weir_relieve(sweep, &weir_inbound, bucket, live);
	}
	weir_sweep_memory.orphans = ((__u64)from + share) % weir_inbound.buckets;
}

static int weir_sweep(const struct weir_sweep_order *order, __u32 *sessions_per_real, void *records,
		      size_t room, struct weir_sweep_result *result)
{
	struct weir_sweep sweep = {
		.now = order->now,
		.order = order,
		.sessions_per_real = sessions_per_real,
		.records = records,
		.room = room,
		.result = result,
	};

	if (!weir_inbound.memory || !weir_outbound.memory)
		return -ENODEV;
	memset(result, 0, sizeof(*result));
	result->inbound_slots = (__u64)weir_inbound.buckets * WEIR_SLOTS;
	result->outbound_slots = (__u64)weir_outbound.buckets * WEIR_SLOTS;
	/* Before anything is removed: else the copy would come to light. */
	if (!weir_sweep_memory.repaired) {
		bool inbound = weir_remove_duplicates(&weir_inbound, result);
		bool outbound = weir_remove_duplicates(&weir_outbound, result);

		weir_sweep_memory.repaired = inbound && outbound;
	}
	weir_sweep_outbound(&sweep);
	weir_sweep_inbound(&sweep);
	weir_sweep_memory.suspects = sweep.suspects;
	weir_sweep_memory.last_tick = order->now;
	return 0;
}

#endif
