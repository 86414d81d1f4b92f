/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What only the table's test does to a table. Included by table_user.c, and only for that test. */
#ifndef WEIR_TABLE_TEST_PUT_H
#define WEIR_TABLE_TEST_PUT_H

#include <errno.h>
#include "table_merge.h"
#include "table_test_access.h"

#define WEIR_PUT_TRIES 8 /* an insert that meets XDP at work on the same key tries again */

/* 0 = this generation may be stored under the key, -EEXIST, -EBUSY. */
static int weir_check_index(const struct weir_key *key, __u64 generation)
{
	struct inbound_ref ref;
	struct weir_entry held;
	int err = inbound_read(key, &ref, &held);

	if (err)
		return err == -ENOENT ? 0 : err;
	return held.generation < generation ? 0 : -EEXIST;
}

static int weir_check_truth(const struct weir_key *key, __u64 generation)
{
	struct outbound_ref ref;
	struct weir_entry held;
	int err = outbound_read(key, &ref, &held);

	if (err)
		return err == -ENOENT ? 0 : err;
	return held.generation < generation ? 0 : -EEXIST;
}

/* Insert, or replace of an older generation, of one entry. */
static int weir_put_truth(const struct weir_record *record)
{
	const struct weir_key *key = &record->truth.entry.key;
	__u16 flags = WEIR_HEAD_FLAGS(record->head);
	__u8 state = WEIR_HEAD_STATE(record->head);
	struct outbound_ref ref;
	int err;

	for (int tries = 0; tries < WEIR_PUT_TRIES; tries++) {
		err = outbound_find(key, &ref);
		if (!err) {
			if (ref.slot->entry.generation >= record->truth.entry.generation)
				return -EEXIST;
			err = outbound_replace(&ref, &record->truth, flags, state);
			if (!err)
				weir_writer_counters.flags_gone += weir_count_flags(ref.was);
		} else if (err == -ENOENT) {
			err = outbound_insert(&record->truth, flags, state);
			if (err == -ENOSPC &&
			    weir_make_room_for(&weir_outbound, weir_hash_key(key)))
				return -ENOSPC;
		}
		if (!err) {
			weir_writer_counters.flags_added += weir_count_flags(record->head);
			return 0;
		}
	}
	return err == -ENOSPC ? -ENOSPC : -EBUSY;
}

static int weir_put_index(const struct weir_record *record, const struct weir_entry *index)
{
	__u16 mode = WEIR_HEAD_FLAGS(record->head) >> WEIR_MODE_SHIFT << WEIR_MODE_SHIFT;
	struct inbound_ref ref;
	int err;

	for (int tries = 0; tries < WEIR_PUT_TRIES; tries++) {
		err = inbound_find(&index->key, &ref);
		if (!err) {
			if (ref.slot->generation >= index->generation)
				return -EEXIST;
			err = inbound_replace(&ref, index, mode, WEIR_LIVE);
			if (!err)
				weir_writer_counters.flags_gone += weir_count_flags(ref.was);
		} else if (err == -ENOENT) {
			err = inbound_insert(index, mode, WEIR_LIVE);
			if (err == -ENOSPC &&
			    weir_make_room_for(&weir_inbound, weir_hash_key(&index->key)))
				return -ENOSPC;
		}
		if (!err) {
			weir_writer_counters.flags_added += __builtin_popcount(mode);
			return 0;
		}
	}
	return err == -ENOSPC ? -ENOSPC : -EBUSY;
}

/* Takes back what weir_put_truth() has stored, if XDP has not done so. */
static void weir_take_back(const struct weir_record *record)
{
	struct outbound_ref ref;

	if (outbound_find(&record->truth.entry.key, &ref) ||
	    ref.slot->entry.generation != record->truth.entry.generation || outbound_remove(&ref))
		return;
	weir_writer_counters.flags_gone += weir_count_flags(ref.was);
}

int weir_session_put(const struct weir_record *record, const struct weir_entry *index)
{
	int err;

	if (!weir_inbound.memory || !weir_outbound.memory)
		return -ENODEV;
	err = weir_check_index(&index->key, index->generation);
	if (!err)
		err = weir_check_truth(&record->truth.entry.key, record->truth.entry.generation);
	if (!err)
		err = weir_put_truth(record);
	if (err)
		return err;
	err = weir_put_index(record, index);
	if (err)
		weir_take_back(record);
	return err;
}

int weir_make_room_in(bool inbound, __u32 bucket)
{
	const struct weir_table *table = inbound ? &weir_inbound : &weir_outbound;

	if (bucket >= table->buckets)
		return -EINVAL;
	return weir_make_room(table, bucket, 1, 1, true) ? 0 : -ENOSPC;
}

#endif
