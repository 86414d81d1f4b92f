/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What a writer that was killed in the midst of a move leaves behind (table.h, rule 9), put right.
 * Included by table_user.c alone. */
#ifndef WEIR_TABLE_REPAIR_H
#define WEIR_TABLE_REPAIR_H

#include "table_writer.h"

/*
 * A writer that was killed in the midst of a move has left the entry in both its buckets: the copy,
 * in the second one, goes. False: the first bucket was busy with the key, try again.
 */
static bool weir_remove_duplicate(const struct weir_table *table, __u32 bucket, __u32 i,
				  struct weir_sweep_result *result)
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
			result->duplicates++;
			weir_writer_counters.flags_gone += weir_count_flags(copy.seen);
		}
	}
	return true;
}

static bool weir_remove_duplicates(const struct weir_table *table, struct weir_sweep_result *result)
{
	bool all = true;

	for (__u32 bucket = 0; bucket < table->buckets; bucket++) {
		for (__u32 i = 0; i < WEIR_SLOTS; i++)
			all &= weir_remove_duplicate(table, bucket, i, result);
	}
	return all;
}

#endif
