/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The sweep: one pass over both tables that expires, empties, recovers and makes room. Included by
 * table_user.c alone.
 */
#ifndef WEIR_TABLE_SWEEP_H
#define WEIR_TABLE_SWEEP_H

#include <string.h>
#include "session_rules.h"
#include "table_writer.h"

#define WEIR_BUSY_MAX     64 /* BUSY slots watched at a time; others wait for a later pass */
#define WEIR_BUSY_TICKS   WEIR_TICKS_PER_SECOND
#define WEIR_ORPHAN_TICKS (20 * WEIR_TICKS_PER_SECOND)
#define WEIR_FUTURE_TICKS (60 * WEIR_TICKS_PER_SECOND) /* so little ahead of now is now */

/* Time in quarantine is kept in a DEAD head's flags: units of 2^8 ticks (268 ms), 15 bits, and a
 * bit that says so. Five units apart are four whole ones at least, 1.07 s. */
#define WEIR_STAMP_SHIFT 8
#define WEIR_STAMP_SET   0x8000
#define WEIR_STAMP_MASK  0x7fff
#define WEIR_QUARANTINE  5

/* A slot seen BUSY, and since when with this very head. */
struct weir_suspect {
	__u64 *head;
	__u64 seen;
	__u32 since;
};

struct weir_suspects {
	__u32 count;
	struct weir_suspect suspect[WEIR_BUSY_MAX];
};

/* What a pass remembers for the next one. */
static struct weir_sweep_memory {
	bool repaired;   /* what a killed writer had left behind is gone */
	__u32 last_tick; /* of the last pass */
	__u32 orphans;   /* next inbound bucket to check for orphans */
	struct weir_suspects suspects;
} weir_sweep_memory;

/* One pass. */
struct weir_sweep {
	__u32 now;
	const struct weir_timeouts *timeouts;
	__u32 timeouts_len;
	__u32 *sessions_per_real;
	__u32 reals_len;
	struct weir_suspects suspects;
	struct weir_sweep_result *result;
};

/* Nothing is written into a BUSY head: it is its owner's until a whole second has passed. */
static void weir_watch_busy(struct weir_sweep *sweep, __u64 *head, __u64 seen)
{
	const struct weir_suspects *before = &weir_sweep_memory.suspects;
	__u32 since = sweep->now;

	for (__u32 i = 0; i < before->count; i++) {
		if (before->suspect[i].head == head && before->suspect[i].seen == seen)
			since = before->suspect[i].since;
	}
	if (sweep->now - since >= WEIR_BUSY_TICKS) {
		__u64 empty = WEIR_HEAD(0, WEIR_HEAD_VERSION(seen) + 1, 0, WEIR_EMPTY);

		sweep->result->recovered += weir_cas(head, seen, empty) == seen;
		return;
	}
	sweep->result->busy++;
	if (sweep->suspects.count < WEIR_BUSY_MAX)
		sweep->suspects.suspect[sweep->suspects.count++] =
			(struct weir_suspect){.head = head, .seen = seen, .since = since};
}

/* The first pass that meets a DEAD slot stamps it, a later one empties it. */
static void weir_quarantine(struct weir_sweep *sweep, __u64 *head, __u64 seen)
{
	__u16 now = WEIR_STAMP_SET | (sweep->now >> WEIR_STAMP_SHIFT & WEIR_STAMP_MASK);
	__u16 stamp = WEIR_HEAD_FLAGS(seen);

	if (!stamp)
		weir_cas(head, seen, seen | (__u64)now << 8);
	else if (((now - stamp) & WEIR_STAMP_MASK) >= WEIR_QUARANTINE && weir_empty(head, seen)) {
		sweep->result->emptied++;
		return;
	}
	sweep->result->dead++;
}

/* Deals with the slots of a bucket that are not live. Returns the set of those that are. */
static __u32 weir_tend(struct weir_sweep *sweep, const struct weir_table *table, __u32 bucket)
{
	__u32 live = 0;

	for (__u32 i = 0; i < WEIR_SLOTS; i++) {
		struct weir_place place = weir_place(table, bucket, i);

		switch (WEIR_HEAD_STATE(place.seen)) {
		case WEIR_EMPTY:
			break;
		case WEIR_BUSY:
			weir_watch_busy(sweep, place.head, place.seen);
			break;
		case WEIR_DEAD:
			weir_quarantine(sweep, place.head, place.seen);
			break;
		default:
			live |= 1u << i;
		}
	}
	return live;
}

/* XDP cannot move: if every slot of a bucket is live, one of them goes to its other bucket, unless
 * that would be full in its turn. */
static void weir_relieve(struct weir_sweep *sweep, const struct weir_table *table, __u32 bucket,
			 __u32 live)
{
	if (live == (1u << WEIR_SLOTS) - 1 && weir_make_room(table, bucket, 2, 1, false))
		sweep->result->moved++;
}

/*
 * Idle ticks after which a session in this state goes: its timeout, a quarter of that (whoever sees
 * its packets refreshes it no more often), and a margin. A RST makes the timeout shorter.
 */
static __u64 weir_idle_limit(const struct weir_timeouts *timeouts, __u8 state, bool reset)
{
	__u64 timeout = state < WEIR_ESTABLISHED ? timeouts->handshake
			: state < WEIR_FIN_BOTH  ? timeouts->established
						 : timeouts->closed;

	if (reset && timeouts->reset < timeout)
		timeout = timeouts->reset;
	return timeout + timeout / 4 + WEIR_MARGIN_TICKS;
}

static __u32 weir_idle_ticks(__u32 now, __u32 seen, __u32 reset)
{
	__u32 last = reset && (__s32)(reset - seen) > 0 ? reset : seen;
	__u32 idle = now - last;

	return idle > -(__u32)WEIR_FUTURE_TICKS ? 0 : idle;
}

/* Removes the session and the inbound entry that leads to it, unless that leads to another one. */
static void weir_expire(struct weir_sweep *sweep, struct outbound4_ref *truth)
{
	struct weir_entry4 entry = truth->slot->entry;
	struct inbound4_ref index;
	struct weir_key4 key;

	if (!outbound4_holds(truth) || outbound4_remove(truth))
		return;
	sweep->result->expired++;
	weir_writer_counters.flags_gone += weir_count_flags(truth->was);
	key = weir_other_key(&entry);
	if (inbound4_find(&key, &index) || index.slot->generation != entry.generation)
		return;
	if (!inbound4_remove(&index))
		weir_writer_counters.flags_gone += weir_count_flags(index.was);
}

static void weir_judge_session(struct weir_sweep *sweep, __u32 bucket, __u32 i)
{
	static const struct weir_timeouts fallback = {
		.handshake = WEIR_DEFAULT_HANDSHAKE_TICKS,
		.established = WEIR_DEFAULT_ESTABLISHED_TICKS,
		.closed = WEIR_DEFAULT_CLOSED_TICKS,
		.reset = WEIR_DEFAULT_RESET_TICKS,
	};
	struct weir_place place = weir_place(&weir_outbound, bucket, i);
	struct outbound4_ref truth = {
		.head = place.head,
		.slot = (struct weir_truth4 *)place.slot,
		.seen = place.seen,
	};
	const volatile struct weir_truth4 *slot = truth.slot;
	const struct weir_timeouts *timeouts = &fallback;
	__u8 state = WEIR_HEAD_STATE(truth.seen);
	__u32 seen, reset;
	__u16 real;
	bool is_reset;

	weir_order_loads();
	seen = slot->entry.seen;
	real = slot->entry.real;
	reset = slot->reset;
	if (!outbound4_holds(&truth))
		return; /* replaced or removed just now: the next pass will see */
	is_reset = weir_reset_counts(reset, seen);
	if (real < sweep->timeouts_len)
		timeouts = &sweep->timeouts[real];
	else
		sweep->result->without_timeouts++;
	if (weir_idle_ticks(sweep->now, seen, reset) > weir_idle_limit(timeouts, state, is_reset)) {
		weir_expire(sweep, &truth);
		return;
	}
	sweep->result->outbound_entries++;
	sweep->result->sessions++;
	if (state < WEIR_ESTABLISHED && !is_reset)
		sweep->result->half_open++;
	else if (state == WEIR_ESTABLISHED && !is_reset)
		sweep->result->established++;
	else
		sweep->result->closing++;
	if (real < sweep->reals_len)
		sweep->sessions_per_real[real]++;
}

/* An inbound entry is made after its session's outbound one and goes with it. If its session is not
 * there, then because XDP has made a new one of the same LIP:port and real server. */
static void weir_judge_index(struct weir_sweep *sweep, __u32 bucket, __u32 i)
{
	struct weir_place place = weir_place(&weir_inbound, bucket, i);
	struct inbound4_ref index = {
		.head = place.head,
		.slot = (struct weir_entry4 *)place.slot,
		.seen = place.seen,
	};
	struct weir_entry4 entry, session;
	struct outbound4_ref truth;
	struct weir_key4 key;
	int err;

	weir_order_loads();
	entry = *index.slot;
	if (!inbound4_holds(&index))
		return;
	key = weir_other_key(&entry);
	err = outbound4_read(&key, &truth, &session);
	if (err && err != -ENOENT)
		return;
	if (!err && session.generation == entry.generation)
		return;
	if (inbound4_remove(&index))
		return;
	sweep->result->orphans++;
	weir_writer_counters.flags_gone += weir_count_flags(index.was);
}

/*
 * A writer that was killed in the midst of a move has left the entry in both its buckets: the copy,
 * in the second one, goes. False: the first bucket was busy with the key, try again.
 */
static bool weir_remove_duplicate(struct weir_sweep *sweep, const struct weir_table *table,
				  __u32 bucket, __u32 i)
{
	struct weir_place copy = weir_place(table, bucket, i);
	__u32 first, second;

	if (!weir_head_live(copy.seen))
		return true;
	weir_buckets_of(table, &copy, &first, &second);
	if (second != bucket || first == bucket)
		return true;
	for (__u32 j = 0; j < WEIR_SLOTS; j++) {
		struct weir_place original = weir_place(table, first, j);

		if (WEIR_HEAD_FINGERPRINT(original.seen) != WEIR_HEAD_FINGERPRINT(copy.seen))
			continue;
		if (WEIR_HEAD_STATE(original.seen) == WEIR_BUSY)
			return false;
		weir_order_loads();
		if (!weir_head_live(original.seen) ||
		    !weir_words_equal(original.slot, copy.slot, table->key_words) ||
		    !weir_head_same(weir_load(original.head), original.seen))
			continue;
		weir_open_facts(table, &original);
		if (weir_bury(&copy)) {
			sweep->result->duplicates++;
			weir_writer_counters.flags_gone += weir_count_flags(copy.seen);
		}
	}
	return true;
}

static bool weir_remove_duplicates(struct weir_sweep *sweep, const struct weir_table *table)
{
	bool all = true;

	for (__u32 bucket = 0; bucket < table->buckets; bucket++) {
		for (__u32 i = 0; i < WEIR_SLOTS; i++)
			all &= weir_remove_duplicate(sweep, table, bucket, i);
	}
	return all;
}

/* How many inbound buckets this pass checks for orphans: all within WEIR_ORPHAN_TICKS. */
static __u32 weir_orphan_buckets(const struct weir_sweep *sweep)
{
	__u64 elapsed = sweep->now - weir_sweep_memory.last_tick;
	__u64 share = weir_inbound.buckets * elapsed / WEIR_ORPHAN_TICKS + 1;

	return share < weir_inbound.buckets ? share : weir_inbound.buckets;
}

static void weir_sweep_outbound(struct weir_sweep *sweep)
{
	for (__u32 bucket = 0; bucket < weir_outbound.buckets; bucket++) {
		__u32 live = weir_tend(sweep, &weir_outbound, bucket);

		for (__u32 i = 0; i < WEIR_SLOTS; i++) {
			if (live >> i & 1)
				weir_judge_session(sweep, bucket, i);
		}
		weir_relieve(sweep, &weir_outbound, bucket, live);
	}
}

static void weir_sweep_inbound(struct weir_sweep *sweep)
{
	__u32 from = weir_sweep_memory.orphans, share = weir_orphan_buckets(sweep);

	for (__u32 bucket = 0; bucket < weir_inbound.buckets; bucket++) {
		__u32 live = weir_tend(sweep, &weir_inbound, bucket);
		__u32 distance = (bucket + weir_inbound.buckets - from) % weir_inbound.buckets;

		sweep->result->inbound_entries += __builtin_popcount(live);
		for (__u32 i = 0; i < WEIR_SLOTS && distance < share; i++) {
			if (live >> i & 1)
				weir_judge_index(sweep, bucket, i);
		}
		weir_relieve(sweep, &weir_inbound, bucket, live);
	}
	weir_sweep_memory.orphans = ((__u64)from + share) % weir_inbound.buckets;
}

int weir_sweep(__u32 now_tick, const struct weir_timeouts *timeouts, __u32 timeouts_len,
	       __u32 *sessions_per_real, __u32 reals_len, struct weir_sweep_result *result)
{
	struct weir_sweep sweep = {
		.now = now_tick,
		.timeouts = timeouts,
		.timeouts_len = timeouts_len,
		.sessions_per_real = sessions_per_real,
		.reals_len = reals_len,
		.result = result,
	};

	if (!weir_inbound.memory || !weir_outbound.memory)
		return -ENODEV;
	memset(result, 0, sizeof(*result));
	memset(sessions_per_real, 0, reals_len * sizeof(*sessions_per_real));
	result->inbound_slots = (__u64)weir_inbound.buckets * WEIR_SLOTS;
	result->outbound_slots = (__u64)weir_outbound.buckets * WEIR_SLOTS;
	/* Before anything is removed: else the copy would come to light. */
	if (!weir_sweep_memory.repaired) {
		bool inbound = weir_remove_duplicates(&sweep, &weir_inbound);
		bool outbound = weir_remove_duplicates(&sweep, &weir_outbound);

		weir_sweep_memory.repaired = inbound && outbound;
	}
	weir_sweep_outbound(&sweep);
	weir_sweep_inbound(&sweep);
	weir_sweep_memory.suspects = sweep.suspects;
	weir_sweep_memory.last_tick = now_tick;
	return 0;
}

#endif
