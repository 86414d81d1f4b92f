// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The agent's side of the session table: the mapping, sessions made elsewhere, and the snapshot.
 * The protocol is table.h's; moves are in table_writer.h and the sweep in table_sweep.h.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "table_sweep.h"
#include "table_user.h"
#include "table_writer.h"

#define WEIR_PUT_TRIES 8 /* an insert that meets XDP at work on the same key tries again */

/* Does the map have this many buckets of this size? */
static int weir_check_map(int fd, __u32 buckets, __u32 bucket_size)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);
	int err = bpf_obj_get_info_by_fd(fd, &info, &length);

	if (err)
		return err;
	return info.value_size == bucket_size && info.max_entries == buckets && buckets ? 0
											: -EINVAL;
}

/* Maps the table between two pages that fault: a stray pointer of the agent's ends there. */
static int weir_map_table(struct weir_table *table, int fd)
{
	size_t page = sysconf(_SC_PAGESIZE);
	size_t length = ((size_t)table->buckets * table->bucket_size + page - 1) / page * page;
	char *guarded =
		mmap(NULL, length + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int err = 0;

	if (guarded == MAP_FAILED)
		return -errno;
	if (mmap(guarded + page, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
		    MAP_FAILED ||
	    madvise(guarded, length + 2 * page, MADV_DONTFORK)) {
		err = -errno;
		munmap(guarded, length + 2 * page);
		return err;
	}
	table->memory = guarded + page;
	table->length = length;
	return 0;
}

static void weir_unmap_table(struct weir_table *table)
{
	size_t page = sysconf(_SC_PAGESIZE);

	if (table->memory)
		munmap(table->memory - page, table->length + 2 * page);
	table->memory = NULL;
}

int weir_tables_map(int inbound_fd, int outbound_fd, const struct weir_layout *layout)
{
	int err;

	weir_tables_unmap();
	weir_inbound = (struct weir_table){
		.buckets = layout->inbound4_buckets,
		.bucket_size = sizeof(struct weir_inbound4_bucket),
		.slot_size = sizeof(struct weir_entry4),
		.key_words = sizeof(struct weir_key4) / sizeof(__u64),
		.facts = WEIR_ENTRY4_FACTS,
		.ticks = {offsetof(struct weir_entry4, seen)},
	};
	weir_outbound = (struct weir_table){
		.buckets = layout->outbound4_buckets,
		.bucket_size = sizeof(struct weir_outbound4_bucket),
		.slot_size = sizeof(struct weir_truth4),
		.key_words = sizeof(struct weir_key4) / sizeof(__u64),
		.facts = WEIR_TRUTH4_FACTS,
		.ticks = {offsetof(struct weir_truth4, entry.seen),
			  offsetof(struct weir_truth4, reset)},
	};
	memcpy(weir_hash_key, layout->hash_key, sizeof(weir_hash_key));
	memset(&weir_sweep_memory, 0, sizeof(weir_sweep_memory));
	memset(&weir_writer_counters, 0, sizeof(weir_writer_counters));

	err = weir_check_map(inbound_fd, weir_inbound.buckets, weir_inbound.bucket_size);
	if (!err)
		err = weir_check_map(outbound_fd, weir_outbound.buckets, weir_outbound.bucket_size);
	if (!err)
		err = weir_map_table(&weir_inbound, inbound_fd);
	if (!err)
		err = weir_map_table(&weir_outbound, outbound_fd);
	if (err)
		weir_tables_unmap();
	return err;
}

void weir_tables_unmap(void)
{
	weir_unmap_table(&weir_inbound);
	weir_unmap_table(&weir_outbound);
}

size_t weir_snapshot(__u64 *cursor, struct weir_record4 *records, size_t room)
{
	__u64 end = weir_outbound.memory ? (__u64)weir_outbound.buckets * WEIR_SLOTS : 0;
	__u64 position = *cursor;
	size_t count = 0;

	for (; position < end && count < room; position++) {
		struct weir_place place =
			weir_place(&weir_outbound, position / WEIR_SLOTS, position % WEIR_SLOTS);

		if (!weir_head_live(place.seen))
			continue;
		weir_order_loads();
		records[count].head = place.seen;
		records[count].truth = *(const struct weir_truth4 *)place.slot;
		weir_order_loads();
		if (weir_head_same(weir_load(place.head), place.seen))
			count++;
	}
	*cursor = position < end ? position : ~0ULL;
	return count;
}

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

/* Full buckets: first one move, then a chain of two. */
static int weir_make_room_for(const struct weir_table *table, const struct weir_key4 *key)
{
	__u64 hash = weir_hash4(key);
	__u32 first = weir_first_bucket(hash, table->buckets);
	__u32 second = weir_second_bucket(hash, table->buckets);

	for (int depth = 1; depth <= WEIR_MOVE_DEPTH; depth++) {
		if (weir_make_room(table, first, 1, depth, true) ||
		    weir_make_room(table, second, 1, depth, true))
			return 0;
	}
	return -ENOSPC;
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

int weir_inbound4_make_room(__u32 bucket)
{
	if (bucket >= weir_inbound.buckets)
		return -EINVAL;
	return weir_make_room(&weir_inbound, bucket, 1, 1, true) ? 0 : -ENOSPC;
}

int weir_outbound4_make_room(__u32 bucket)
{
	if (bucket >= weir_outbound.buckets)
		return -EINVAL;
	return weir_make_room(&weir_outbound, bucket, 1, 1, true) ? 0 : -ENOSPC;
}
