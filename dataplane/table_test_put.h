/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Entries with any content, for the table's test. Included by table_user.c, and only for that test.
 */
#ifndef WEIR_TABLE_TEST_PUT_H
#define WEIR_TABLE_TEST_PUT_H

#include <errno.h>
#include "table_merge.h"
#include "table_user.h"

#define WEIR_PUT_TRIES 8 /* an insert that meets XDP at work on the same key tries again */

/* 0 = this generation may be stored under the key, -EEXIST, -EBUSY. */
static int weir_check_index(const struct weir_key4 *key, __u64 generation)
{
	struct inbound4_ref ref;
	struct weir_entry4 held;
	int err = inbound4_read(key, &ref, &held);

	if (err)
		return err == -ENOENT ? 0 : err;
	return held.generation < generation ? 0 : -EEXIST;
}

static int weir_check_truth(const struct weir_key4 *key, __u64 generation)
{
	struct outbound4_ref ref;
	struct weir_entry4 held;
	int err = outbound4_read(key, &ref, &held);

	if (err)
		return err == -ENOENT ? 0 : err;
	return held.generation < generation ? 0 : -EEXIST;
}

/* Insert, or replace of an older generation, of one entry. */
static int weir_put_truth(const struct weir_record4 *record)
{
	const struct weir_key4 *key = &record->truth.entry.key;
	__u16 flags = WEIR_HEAD_FLAGS(record->head);
	__u8 state = WEIR_HEAD_STATE(record->head);
	struct outbound4_ref ref;
	int err;

	for (int tries = 0; tries < WEIR_PUT_TRIES; tries++) {
		err = outbound4_find(key, &ref);
		if (!err) {
			if (ref.slot->entry.generation >= record->truth.entry.generation)
				return -EEXIST;
			err = outbound4_replace(&ref, &record->truth, flags, state);
			if (!err)
				weir_writer_counters.flags_gone += weir_count_flags(ref.was);
		} else if (err == -ENOENT) {
			err = outbound4_insert(&record->truth, flags, state);
			if (err == -ENOSPC && weir_make_room_for(&weir_outbound, key))
				return -ENOSPC;
		}
		if (!err) {
			weir_writer_counters.flags_added += weir_count_flags(record->head);
			return 0;
		}
	}
	return err == -ENOSPC ? -ENOSPC : -EBUSY;
}

static int weir_put_index(const struct weir_record4 *record, const struct weir_entry4 *index)
{
	__u16 mode = WEIR_HEAD_FLAGS(record->head) >> WEIR_MODE_SHIFT << WEIR_MODE_SHIFT;
	struct inbound4_ref ref;
	int err;

	for (int tries = 0; tries < WEIR_PUT_TRIES; tries++) {
		err = inbound4_find(&index->key, &ref);
		if (!err) {
			if (ref.slot->generation >= index->generation)
				return -EEXIST;
			err = inbound4_replace(&ref, index, mode, WEIR_LIVE);
			if (!err)
				weir_writer_counters.flags_gone += weir_count_flags(ref.was);
		} else if (err == -ENOENT) {
			err = inbound4_insert(index, mode, WEIR_LIVE);
			if (err == -ENOSPC && weir_make_room_for(&weir_inbound, &index->key))
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
static void weir_take_back(const struct weir_record4 *record)
{
	struct outbound4_ref ref;

	if (outbound4_find(&record->truth.entry.key, &ref) ||
	    ref.slot->entry.generation != record->truth.entry.generation || outbound4_remove(&ref))
		return;
	weir_writer_counters.flags_gone += weir_count_flags(ref.was);
}

int weir_session_put(const struct weir_record4 *record, const struct weir_entry4 *index)
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

#endif
