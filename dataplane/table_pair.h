/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The two mapped tables of the family that is compiled. Included by table_user.c's parts alone. */
#ifndef WEIR_TABLE_PAIR_H
#define WEIR_TABLE_PAIR_H

#include "family.h"
#include "session_rules.h"
#include "table_writer.h"

static struct weir_table weir_inbound, weir_outbound;

/* Both tables have the same. */
#define WEIR_HASH_SECRET weir_inbound.secret

#define WEIR_TABLE               inbound
#define WEIR_SLOT                struct weir_entry
#define WEIR_BUCKET              struct weir_inbound_bucket
#define WEIR_TABLE_BUCKETS       weir_inbound.buckets
#define WEIR_TABLE_BUCKET(index) ((struct weir_inbound_bucket *)weir_inbound.memory + (index))
#include "table.h"

#define WEIR_TABLE               outbound
#define WEIR_SLOT                struct weir_truth
#define WEIR_BUCKET              struct weir_outbound_bucket
#define WEIR_TABLE_BUCKETS       weir_outbound.buckets
#define WEIR_TABLE_BUCKET(index) ((struct weir_outbound_bucket *)weir_outbound.memory + (index))
#include "table.h"

static bool weir_same_key(const struct weir_key *one, const struct weir_key *other)
{
	return weir_words_equal(one, other, WEIR_KEY_WORDS);
}

/* Asks for the lines that a look-up of the key reads: the heads of both buckets, and the first
 * `bytes` of the slots where it is likely to be. `writes`: 1 = to change them, 0. */
static __always_inline void weir_prefetch(const struct weir_table *table,
					  const struct weir_key *key, __u32 bytes, const int writes)
{
	__u64 hash = weir_hash_key(key);
	__u32 preferred = weir_preferred(weir_fingerprint(hash));
	const __u32 buckets[] = {weir_first_bucket(hash, table->buckets),
				 weir_second_bucket(hash, table->buckets)};

	for (int i = 0; i < 2; i++) {
		const char *slot = weir_bucket(table, buckets[i]) + preferred * table->slot_size;

		__builtin_prefetch(weir_heads(table, buckets[i]), writes);
		for (__u32 line = 0; line < bytes; line += WEIR_LINE)
			__builtin_prefetch(slot + line, writes);
	}
}

/*
 * A pass over a table asks for memory before it gets there: at `bucket`, for what it needs of
 * buckets further on. Their heads first, then their live slots, then the entries of the same
 * sessions in the other table, one random read for each.
 */
#define WEIR_HEADS_AHEAD   12 /* buckets */
#define WEIR_SLOTS_AHEAD   6
#define WEIR_ENTRIES_AHEAD 4

/* By a load that nothing waits for: measured, passes take a third less than with a prefetch. */
static void weir_heads_ahead(const struct weir_table *table, __u32 bucket)
{
	bucket += WEIR_HEADS_AHEAD;
	if (bucket < table->buckets)
		weir_load(weir_heads(table, bucket));
}

static void weir_slots_ahead(const struct weir_table *table, __u32 bucket)
{
	bucket += WEIR_SLOTS_AHEAD;
	for (__u32 i = 0; i < WEIR_SLOTS && bucket < table->buckets; i++) {
		struct weir_place place = weir_place(table, bucket, i);

		if (!weir_head_live(place.seen))
			continue;
		for (__u32 line = 0; line < table->slot_size; line += WEIR_LINE)
			__builtin_prefetch((const char *)place.slot + line);
	}
}

static void weir_entries_ahead(const struct weir_table *table, __u32 bucket,
			       const struct weir_table *other)
{
	bucket += WEIR_ENTRIES_AHEAD;
	for (__u32 i = 0; i < WEIR_SLOTS && bucket < table->buckets; i++) {
		struct weir_place place = weir_place(table, bucket, i);
		struct weir_key key;

		if (!weir_head_live(place.seen))
			continue;
		key = weir_other_key((const struct weir_entry *)place.slot);
		weir_prefetch(other, &key, sizeof(struct weir_entry), 0);
	}
}

#endif
