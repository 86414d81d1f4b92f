/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the writer does in the tables of one family. table_user.c is compiled once for each of the
 * two (family.h); in between there is no call through a pointer for a single record.
 */
#ifndef WEIR_TABLE_FAMILY_H
#define WEIR_TABLE_FAMILY_H

#include "table_user.h"

struct weir_sync_record4;
struct weir_sync_record6;

/* Records are struct weir_sync_record4 in the narrow family, weir_sync_record6 in the wide one. */
struct weir_family {
	/* Bytes of a record and of a key on the wire, and of a record of a snapshot. */
	size_t record_bytes;
	size_t key_bytes;
	size_t snapshot_bytes;

	/*
	 * Maps both tables, with guard pages around each, and not into child processes: a fork
	 * would copy the page tables of gigabytes. The hash key comes from `layout`. An fd of -1 is
	 * memory of the process's own, for tests.
	 * 0; -EINVAL if the maps are not as `layout` says; -errno of mmap.
	 */
	int (*map)(int inbound_fd, int outbound_fd, const struct weir_layout *layout);
	void (*unmap)(void);

	/* Replaces the whole set; takes those of this family out of all. 0, -ENOMEM. */
	int (*use_backends)(const struct weir_backend *backends, size_t count);

	/*
	 * One pass over both tables: expires sessions, empties and recovers slots, makes room in
	 * full buckets, removes orphans, notes when clients were heard and sets the index right, in
	 * slices: each entry is checked within 20 s (inbound) and 5 s (index) if passes follow each
	 * other at least that often.
	 * The first pass after map() repairs what a killed writer has left behind. Adds to
	 * `sessions_per_real`, which has as many counters as there are timeouts. `records` takes up
	 * to `room` records of what the other nodes have to be told: a refresh, once in a quarter
	 * of the timeout; a change that found the ring full; a session old enough for
	 * WEIR_SYNC_AFTER. `result` is of this family alone. 0, or -ENODEV if nothing is mapped.
	 */
	int (*sweep)(const struct weir_sweep_order *order, __u32 *sessions_per_real, void *records,
		     size_t room, struct weir_sweep_result *result);

	/* Joins records, read `delay` ticks before `now`, into the tables. Several for one session,
	 * in any order, are as good as one. Adds to `result`. 0, or -ENODEV if nothing is mapped.
	 */
	int (*merge)(const void *records, size_t count, __u32 now, __u32 delay,
		     struct weir_merge_result *result);

	/* Positions of sessions in the table, for collect() and snapshot(). */
	__u64 (*positions)(void);

	/*
	 * Records of the sessions in [*from, to) that have changed within so many ticks (2^32 - 1:
	 * all), at most `room`. Sets *from to where to go on. Returns their number. Each is of one
	 * moment; they are not of the same moment.
	 */
	size_t (*collect)(__u64 *from, __u64 to, __u32 now, __u32 changed_within, void *records,
			  size_t room);

	/* As collect(): the sessions as they are in the table, shared or not; struct weir_record4
	 * or weir_record6. A session that is moved meanwhile may appear twice or not at all. May
	 * run beside the writer thread. */
	size_t (*snapshot)(__u64 *from, __u64 to, void *records, size_t room);

	/* The records of those sessions that are here: at most `count`. Keys are the first bytes of
	 * a record. Returns their number. */
	size_t (*find)(const void *keys, size_t count, __u32 now, void *records);

	void (*add_digest)(__u32 now, struct weir_digest *digest);

	/* Hashes of the settled sessions in a set of buckets (a bit for each), and the records of
	 * those whose hash is not among `known`, in the order of weir_compare_words(). Return their
	 * numbers. */
	size_t (*hashes)(const __u8 *buckets, __u32 now, __u64 *hashes, size_t room);
	size_t (*missing)(const __u8 *buckets, const __u64 *known, size_t known_len, __u32 now,
			  void *records, size_t room);

	void (*add_sums)(__u64 since, struct weir_table_sums *sums);
};
extern const struct weir_family weir_narrow, weir_wide;

/* The order of `known`, for qsort() and bsearch(). */
static inline int weir_compare_words(const void *one, const void *other)
{
	__u64 a = *(const __u64 *)one, b = *(const __u64 *)other;

	return (a > b) - (a < b);
}

/* The records of what XDP has written into its ring, at tick `now`. From any thread. */
void weir_record_event4(const struct weir_session_event4 *event, __u32 now,
			struct weir_sync_record4 *record);
void weir_record_event6(const struct weir_session_event6 *event, __u32 now,
			struct weir_sync_record6 *record);

#endif
