/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The sweep's part that knows nothing of sessions: slots that are BUSY for too long, the quarantine
 * of DEAD ones, full buckets. Included by table_sweep.h alone.
 */
#ifndef WEIR_TABLE_TEND_H
#define WEIR_TABLE_TEND_H

#include "table_pair.h"

#define WEIR_BUSY_MAX   64 /* BUSY slots watched at a time; others wait for a later pass */
#define WEIR_BUSY_TICKS WEIR_TICKS_PER_SECOND

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
	__u32 index;     /* next outbound bucket whose index is checked */
	bool pressed;    /* the table was too full */
	struct weir_suspects suspects;
} weir_sweep_memory;

/* One pass. */
struct weir_sweep {
	__u32 now;
	const struct weir_sweep_order *order;
	__u32 *sessions_per_real;
	struct weir_sync_record *records;
	size_t room;
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

/* Deals with the slots of a bucket that are not live. Returns the set of those that are. One loop
 * that does not branch, for nearly all are empty or live, in an order that no CPU can guess. */
static __u32 weir_tend(struct weir_sweep *sweep, const struct weir_table *table, __u32 bucket)
{
	const __u64 *heads = weir_heads(table, bucket);
	__u32 live = 0, rest = 0;

	for (__u32 i = 0; i < WEIR_SLOTS; i++) {
		__u8 state = WEIR_HEAD_STATE(weir_load(&heads[i]));

		live |= (__u32)(state >= WEIR_LIVE) << i;
		rest |= (__u32)(state == WEIR_BUSY || state == WEIR_DEAD) << i;
	}
	for (; rest; rest &= rest - 1) {
		struct weir_place place = weir_place(table, bucket, __builtin_ctz(rest));

		if (WEIR_HEAD_STATE(place.seen) == WEIR_BUSY)
			weir_watch_busy(sweep, place.head, place.seen);
		else if (WEIR_HEAD_STATE(place.seen) == WEIR_DEAD)
			weir_quarantine(sweep, place.head, place.seen);
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

#endif
