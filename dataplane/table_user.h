/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The agent's side of the session table. All functions but weir_snapshot() belong to the one writer
 * thread of the one agent (table.h, rule 7); who takes care of that is the caller.
 *
 * Time is a parameter: ticks as in weir.h. So a test can let hours pass, provided that it respects
 * what a second stands for in the protocol: longer than any XDP program runs.
 */
#ifndef WEIR_TABLE_USER_H
#define WEIR_TABLE_USER_H

#include <stddef.h>
#include "weir.h"

/* Used for sessions whose real server has no timeouts of its own any more (weir_sweep_result counts
 * them). */
#define WEIR_DEFAULT_HANDSHAKE_TICKS   (60 * WEIR_TICKS_PER_SECOND)
#define WEIR_DEFAULT_ESTABLISHED_TICKS (900 * WEIR_TICKS_PER_SECOND)
#define WEIR_DEFAULT_CLOSED_TICKS      (60 * WEIR_TICKS_PER_SECOND)
#define WEIR_DEFAULT_RESET_TICKS       (10 * WEIR_TICKS_PER_SECOND)

/* What one pass found and did. The first group is the state after the pass. */
struct weir_sweep_result {
	__u64 sessions; /* half_open + established + closing */
	__u64 half_open;
	__u64 established;
	__u64 closing;         /* at least one FIN, or reset */
	__u64 inbound_entries; /* live */
	__u64 inbound_slots;   /* in all; the table is planned for 60 % */
	__u64 outbound_entries;
	__u64 outbound_slots;
	__u64 dead; /* slots in quarantine */
	__u64 busy; /* slots found BUSY; expected rarely */
	/* Done by this pass. */
	__u64 expired;          /* sessions idle for too long */
	__u64 orphans;          /* inbound entries whose session had gone */
	__u64 emptied;          /* slots let out of quarantine */
	__u64 moved;            /* entries moved out of full buckets */
	__u64 recovered;        /* BUSY slots of a writer that was killed */
	__u64 duplicates;       /* second copies left by a writer that was killed */
	__u64 without_timeouts; /* sessions that the defaults above apply to */
};

/*
 * Maps both tables, with guard pages around each, and not into child processes: a fork would copy
 * the page tables of gigabytes. The hash key comes from `layout`.
 * 0; -EINVAL if the maps are not as `layout` says; -errno of mmap.
 */
int weir_tables_map(int inbound_fd, int outbound_fd, const struct weir_layout *layout);
void weir_tables_unmap(void);

/*
 * One pass over both tables: expires sessions, empties and recovers slots, makes room in full
 * buckets, and removes orphans, in slices: each inbound entry is checked within 20 s if passes
 * follow each other at least that often. The first pass after weir_tables_map() repairs what a
 * killed writer has left behind. `sessions_per_real` has `reals_len` counters, set by this call.
 * 0, or -ENODEV if nothing is mapped.
 */
int weir_sweep(__u32 now_tick, const struct weir_timeouts *timeouts, __u32 timeouts_len,
	       __u32 *sessions_per_real, __u32 reals_len, struct weir_sweep_result *result);

/*
 * Copies up to `room` sessions, from the position *cursor on (0 at first), and sets *cursor to
 * where the next call goes on: 2^64 - 1 when all are done. Each record is of one moment; the
 * records are not of the same moment. A session that is moved meanwhile may appear twice or not at
 * all. May run beside the writer thread. Returns the number of records.
 */
size_t weir_snapshot(__u64 *cursor, struct weir_record4 *records, size_t room);

/*
 * Stores a session made elsewhere: `record` in the outbound table and `index` in the inbound one.
 * An older generation of either key is replaced in place. Makes room in full buckets.
 * 0 = both are in; otherwise neither: -EEXIST = one of the keys has this generation or a newer one,
 * -EBUSY = another writer is at it, -ENOSPC = no room can be made, -ENODEV = nothing is mapped.
 */
int weir_session_put(const struct weir_record4 *record, const struct weir_entry4 *index);

/* Moves one entry of this bucket to its second one, so that a slot is free at once.
 * 0, -ENOSPC = nothing can be moved, -EINVAL = no such bucket. */
int weir_inbound4_make_room(__u32 bucket);
int weir_outbound4_make_room(__u32 bucket);

/* What the writer has done since weir_tables_map(). The flags balance the books of the test: each
 * flag that was set is still there or went with its entry. */
struct weir_writer_counters {
	__u64 moves;
	__u64 moves_undone; /* the original was removed or replaced while it was copied */
	__u64 flags_added;  /* with entries put, and with copies whose originals XDP removed */
	__u64 flags_gone;   /* with entries removed or replaced */
};
extern struct weir_writer_counters weir_writer_counters;

#endif
