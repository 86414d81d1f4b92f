/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A mapped table of either family, and how the one writer thread makes room in it: by moving an
 * entry from its first bucket to its second (table.h, rule 7).
 *
 * Moves, quarantine and recovery do not care what a slot holds. They see a table through its
 * measures, so that one function serves all key widths.
 */
#ifndef WEIR_TABLE_WRITER_H
#define WEIR_TABLE_WRITER_H

#include <stddef.h>
#include "table_user.h"
#include "table_words.h"

#define WEIR_TICKS_MAX 4

struct weir_table {
	char *memory; /* bucket 0; NULL = not mapped */
	size_t length;
	__u64 secret[WEIR_SECRET_MAX];
	__u32 buckets;
	__u32 bucket_size;
	__u32 slot_size;
	__u32 key_words;
	__u32 facts;                 /* which words of a slot are facts */
	__u32 ticks[WEIR_TICKS_MAX]; /* where ticks are stored into a live slot: offsets; 0 = no
					more */
};

/* Maps the memory of a table whose measures are set; see weir_family.map. */
int weir_table_map(struct weir_table *table, int fd);
void weir_table_unmap(struct weir_table *table);

/*
 * Moves one entry of `bucket` to its second bucket, if that one has `spare` empty slots or, with
 * depth left, can be made to have one. `at_once`: see weir_move(). False: no entry of this bucket
 * can move.
 */
bool weir_make_room(const struct weir_table *table, __u32 bucket, int spare, int depth,
		    bool at_once);

/* Full buckets of a key with this hash: first one move, then a chain of two. 0, -ENOSPC. */
int weir_make_room_for(const struct weir_table *table, __u64 hash);

/* What a writer that was killed in the midst of a move leaves behind (table.h, rule 9), put right.
 * False: some buckets were busy, try again. */
bool weir_remove_duplicates(const struct weir_table *table, struct weir_sweep_result *result);

#define WEIR_SLICE 1024 /* buckets that a long pass looks at between two pauses */
extern void (*weir_pause_hook)(void);

/* To be called with the number of each bucket of a long pass. Nothing that was read before may be
 * trusted afterwards. */
static inline void weir_pause(__u32 bucket)
{
	if (bucket % WEIR_SLICE == 0 && weir_pause_hook)
		weir_pause_hook();
}

/* The highest generation made or seen here: a word that XDP shares. */
void weir_raise_generation(__u64 generation);

static inline char *weir_bucket(const struct weir_table *table, __u32 bucket)
{
	return table->memory + (size_t)bucket * table->bucket_size;
}

static inline __u64 *weir_heads(const struct weir_table *table, __u32 bucket)
{
	return (__u64 *)(weir_bucket(table, bucket) + WEIR_SLOTS * table->slot_size);
}

/* A slot of either table. */
struct weir_place {
	__u64 *head;
	weir_word *slot;
	__u64 seen; /* the head when it was last looked at */
};

static inline struct weir_place weir_place(const struct weir_table *table, __u32 bucket, __u32 i)
{
	__u64 *head = weir_heads(table, bucket) + i;

	return (struct weir_place){
		.head = head,
		.slot = (weir_word *)(weir_bucket(table, bucket) + i * table->slot_size),
		.seen = weir_load(head),
	};
}

static inline int weir_count_flags(__u64 head)
{
	return __builtin_popcount(WEIR_HEAD_FLAGS(head));
}

/* Live -> DEAD, whatever flags come in meanwhile. False: the occupant has gone already. On success
 * place->seen is its last head. */
static inline bool weir_bury(struct weir_place *place)
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
static inline bool weir_empty(__u64 *head, __u64 dead)
{
	return weir_cas(head, dead, WEIR_HEAD(0, WEIR_HEAD_VERSION(dead), 0, WEIR_EMPTY)) == dead;
}

#endif
