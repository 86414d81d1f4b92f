/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The mapped tables, and how the one writer thread makes room in them: by moving an entry from its
 * first bucket to its second (table.h, rule 7). Included by table_user.c alone.
 *
 * Moves, quarantine and recovery do not care what a slot holds. They see a table through its
 * measures, so that one function serves all key widths.
 */
#ifndef WEIR_TABLE_WRITER_H
#define WEIR_TABLE_WRITER_H

#include <stddef.h>
#include "table_user.h"

#define WEIR_SLOT_WORDS_MAX 16
#define WEIR_TICKS_MAX      4
#define WEIR_MOVE_DEPTH     2 /* a chain of two moves finds room up to 93 % load */

struct weir_table {
	char *memory; /* bucket 0; NULL = not mapped */
	size_t length;
	__u32 buckets;
	__u32 bucket_size;
	__u32 slot_size;
	__u32 key_words;
	__u32 facts;                 /* which words of a slot are facts */
	__u32 ticks[WEIR_TICKS_MAX]; /* where ticks are stored into a live slot: offsets; 0 = no
					more */
};

#define WEIR_SLICE 1024 /* buckets that a long pass looks at between two pauses */
static void (*weir_pause_hook)(void);

/* To be called with the number of each bucket of a long pass. Nothing that was read before may be
 * trusted afterwards. */
static void weir_pause(__u32 bucket)
{
	if (bucket % WEIR_SLICE == 0 && weir_pause_hook)
		weir_pause_hook();
}

static __u64 weir_hash_key[2];
static struct weir_table weir_inbound, weir_outbound;
struct weir_writer_counters weir_writer_counters;

#define WEIR_HASH_KEY0 weir_hash_key[0]
#define WEIR_HASH_KEY1 weir_hash_key[1]

#define WEIR_TABLE               inbound4
#define WEIR_SLOT                struct weir_entry4
#define WEIR_KEY                 struct weir_key4
#define WEIR_BUCKET              struct weir_inbound4_bucket
#define WEIR_TABLE_BUCKETS       weir_inbound.buckets
#define WEIR_TABLE_BUCKET(index) ((struct weir_inbound4_bucket *)weir_inbound.memory + (index))
#include "table.h"

#define WEIR_TABLE               outbound4
#define WEIR_SLOT                struct weir_truth4
#define WEIR_KEY                 struct weir_key4
#define WEIR_BUCKET              struct weir_outbound4_bucket
#define WEIR_TABLE_BUCKETS       weir_outbound.buckets
#define WEIR_TABLE_BUCKET(index) ((struct weir_outbound4_bucket *)weir_outbound.memory + (index))
#include "table.h"

/* A slot of either table. */
struct weir_place {
	__u64 *head;
	weir_word *slot;
	__u64 seen; /* the head when it was last looked at */
};

static struct weir_place weir_place(const struct weir_table *table, __u32 bucket, __u32 i)
{
	char *memory = table->memory + (size_t)bucket * table->bucket_size;
	__u64 *heads = (__u64 *)(memory + WEIR_SLOTS * table->slot_size);

	return (struct weir_place){
		.head = &heads[i],
		.slot = (weir_word *)(memory + i * table->slot_size),
		.seen = weir_load(&heads[i]),
	};
}

static int weir_empty_in(const struct weir_table *table, __u32 bucket)
{
	return weir_count_empty(weir_place(table, bucket, 0).head);
}

/* The buckets of the key in a slot that is live. If its occupant changes meanwhile the answer is
 * wrong but harmless: what follows begins with a CAS of the head, or ends with a look at it. */
static void weir_buckets_of(const struct weir_table *table, const struct weir_place *place,
			    __u32 *first, __u32 *second)
{
	weir_word key[WEIR_SLOT_WORDS_MAX];
	__u64 hash;

	weir_order_loads();
	for (__u32 i = 0; i < table->key_words; i++)
		key[i] = ((const volatile weir_word *)place->slot)[i];
	hash = weir_hash(key, table->key_words, WEIR_HASH_KEY0, WEIR_HASH_KEY1);
	*first = weir_first_bucket(hash, table->buckets);
	*second = weir_second_bucket(hash, table->buckets);
}

static int weir_count_flags(__u64 head)
{
	return __builtin_popcount(WEIR_HEAD_FLAGS(head));
}

/* Live -> DEAD, whatever flags come in meanwhile. False: the occupant has gone already. On success
 * place->seen is its last head. */
static bool weir_bury(struct weir_place *place)
{
	for (;;) {
		__u64 dead = WEIR_HEAD(0, WEIR_HEAD_VERSION(place->seen) + 1, 0, WEIR_DEAD);
		__u64 now = weir_cas(place->head, place->seen, dead);

		if (now == place->seen)
			return true;
		if (!weir_head_same(now, place->seen))
			return false;
		place->seen = now;
	}
}

/* DEAD -> EMPTY. */
static bool weir_empty(__u64 *head, __u64 dead)
{
	return weir_cas(head, dead, WEIR_HEAD(0, WEIR_HEAD_VERSION(dead), 0, WEIR_EMPTY)) == dead;
}

/* Makes an empty slot of the bucket BUSY with this fingerprint, the preferred one if it is free. */
static bool weir_claim(const struct weir_table *table, __u32 bucket, __u16 fingerprint,
		       struct weir_place *claim)
{
	for (int probe = 0; probe < WEIR_PROBES; probe++) {
		__u32 i = weir_probe(fingerprint, probe);
		__u64 busy;

		if (i >= WEIR_SLOTS)
			continue;
		*claim = weir_place(table, bucket, i);
		if (WEIR_HEAD_STATE(claim->seen) != WEIR_EMPTY)
			continue;
		busy = WEIR_HEAD(fingerprint, WEIR_HEAD_VERSION(claim->seen) + 1, 0, WEIR_BUSY);
		if (weir_cas(claim->head, claim->seen, busy) != claim->seen)
			continue;
		claim->seen = busy;
		return true;
	}
	return false;
}

/* Closes the unset facts of the original, and carries over those that were learned since it was
 * copied: after this, whoever wants to learn a fact must do so in the copy. */
static void weir_close_facts(const struct weir_table *table, const struct weir_place *original,
			     const struct weir_place *copy)
{
	__u32 version = WEIR_HEAD_VERSION(original->seen);

	for (__u32 i = 0; i < table->slot_size / sizeof(__u64); i++) {
		__u64 fact;

		if (!(table->facts >> i & 1))
			continue;
		fact = weir_cas((__u64 *)&original->slot[i], weir_fact_unset(version),
				weir_fact_moving(version));
		if (fact >> 40 == version && weir_fact_valid(fact))
			weir_fact_set((__u64 *)&copy->slot[i], copy->seen, fact);
	}
}

/* The contrary, for an original that stays because its mover was killed. */
static void weir_open_facts(const struct weir_table *table, const struct weir_place *original)
{
	__u32 version = WEIR_HEAD_VERSION(original->seen);

	for (__u32 i = 0; i < table->slot_size / sizeof(__u64); i++) {
		if (table->facts >> i & 1)
			weir_cas((__u64 *)&original->slot[i], weir_fact_moving(version),
				 weir_fact_unset(version));
	}
}

/* Ticks that XDP has stored into the original since it was copied. A newer one in the copy
 * stays. */
static void weir_carry_ticks(const struct weir_table *table, const struct weir_place *original,
			     const weir_word *body, const struct weir_place *copy)
{
	for (__u32 i = 0; i < WEIR_TICKS_MAX && table->ticks[i]; i++) {
		__u32 before = *(const __u32 *)((const char *)body + table->ticks[i]);
		__u32 *from = (__u32 *)((char *)original->slot + table->ticks[i]);
		__u32 *to = (__u32 *)((char *)copy->slot + table->ticks[i]);

		__sync_bool_compare_and_swap(to, before, *(volatile __u32 *)from);
	}
}

/* XDP has removed or replaced the original. Its copy was to be found for a moment: XDP may have
 * given it flags of its own, and may even have removed or replaced it too. */
static void weir_withdraw(struct weir_place *copy)
{
	weir_writer_counters.moves_undone++;
	weir_writer_counters.flags_added += weir_count_flags(copy->seen);
	if (weir_bury(copy))
		weir_writer_counters.flags_gone += weir_count_flags(copy->seen);
}

/*
 * Moves the occupant `original` into bucket `to`. Readers look into the original's bucket first:
 * they see it there, then DEAD there and the copy here, never neither. `at_once`: the slot is
 * needed now and skips the quarantine, so a program that stalls for the time of this call may store
 * a tick into a new occupant, which then looks fresher than it is. False: nothing has moved.
 */
static bool weir_move(const struct weir_table *table, struct weir_place original, __u32 to,
		      bool at_once)
{
	weir_word body[WEIR_SLOT_WORDS_MAX];
	struct weir_place copy;
	__u32 words = table->slot_size / sizeof(__u64);
	__u64 busy, dead, joined, now;

	if (!weir_claim(table, to, WEIR_HEAD_FINGERPRINT(original.seen), &copy))
		return false;
	busy = copy.seen;
	for (__u32 i = 0; i < words; i++) {
		body[i] = ((const volatile weir_word *)original.slot)[i];
		((volatile weir_word *)copy.slot)[i] =
			table->facts >> i & 1 ? weir_fact_stamp(body[i], WEIR_HEAD_VERSION(busy))
					      : body[i];
	}
	weir_order_loads();
	now = weir_load(original.head);
	if (!weir_head_same(now, original.seen)) {
		weir_empty(copy.head, busy);
		return false;
	}
	original.seen = now;
	copy.seen = weir_head_join(WEIR_HEAD_IDENTITY(busy) << 24, WEIR_HEAD_FLAGS(now),
				   WEIR_HEAD_STATE(now));
	weir_cas(copy.head, busy, copy.seen); /* only this thread recovers BUSY slots */
	weir_close_facts(table, &original, &copy);

	for (;;) {
		dead = WEIR_HEAD(0, WEIR_HEAD_VERSION(original.seen) + 1, 0, WEIR_DEAD);
		now = weir_cas(original.head, original.seen, dead);
		if (now == original.seen)
			break;
		if (!weir_head_same(now, original.seen)) {
			weir_withdraw(&copy);
			return false;
		}
		/* Flags came in. Nobody finds the copy before the original is gone, so this CAS
		 * fails only if that is so. */
		joined = weir_head_join(copy.seen, WEIR_HEAD_FLAGS(now), WEIR_HEAD_STATE(now));
		if (weir_cas(copy.head, copy.seen, joined) == copy.seen)
			copy.seen = joined;
		original.seen = now;
	}
	weir_carry_ticks(table, &original, body, &copy);
	if (at_once)
		weir_empty(original.head, dead);
	weir_writer_counters.moves++;
	return true;
}

/*
 * Moves one entry of `bucket` to its second bucket, if that one has `spare` empty slots or, with
 * depth left, can be made to have one. False: no entry of this bucket can move.
 */
static bool weir_make_room(const struct weir_table *table, __u32 bucket, int spare, int depth,
			   bool at_once)
{
	for (__u32 i = 0; i < WEIR_SLOTS; i++) {
		struct weir_place original = weir_place(table, bucket, i);
		__u32 first, second;

		if (!weir_head_live(original.seen))
			continue;
		weir_buckets_of(table, &original, &first, &second);
		if (first != bucket || second == bucket)
			continue;
		if (weir_empty_in(table, second) < spare &&
		    (depth < 2 || !weir_make_room(table, second, spare, depth - 1, at_once)))
			continue;
		if (weir_move(table, original, second, at_once))
			return true;
	}
	return false;
}

#endif
