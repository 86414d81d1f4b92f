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

struct weir_sync_record4;

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
	__u64 held; /* sessions that have expired, but keep their LIP:port for a while */
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
	__u64 reindexed;        /* client keys that lead to another session now */
	__u64 records;          /* of sessions, for the other nodes: written behind the result */
	__u64 records_waiting;  /* that found no room; a later pass brings them */
};

/* What a pass is told. */
struct weir_sweep_order {
	__u32 now;    /* tick */
	__u32 origin; /* this node's number */
	__u32 weak;   /* not 0: a peer is unheard; nothing expires for one further timeout */
	__u32 hold;   /* not 0: a peer lacks records; no LIP:port is given out again */
};

/*
 * Maps both tables, with guard pages around each, and not into child processes: a fork would copy
 * the page tables of gigabytes. The hash key comes from `layout`. An fd of -1 is memory of the
 * process's own, for tests.
 * 0; -EINVAL if the maps are not as `layout` says; -errno of mmap.
 */
int weir_tables_map(int inbound_fd, int outbound_fd, const struct weir_layout *layout);
void weir_tables_unmap(void);

/*
 * One pass over both tables: expires sessions, empties and recovers slots, makes room in full
 * buckets, removes orphans and sets the index right, in slices: each entry is checked within 20 s
 * (orphans) and 5 s (index) if passes follow each other at least that often. The first pass after
 * weir_tables_map() repairs what a killed writer has left behind. `sessions_per_real` has as many
 * counters as there are timeouts, set by this call. `records` takes up to `room` records of what
 * the other nodes have to be told: a refresh, once in a quarter of the timeout; a change that found
 * the ring full; a session old enough for WEIR_SYNC_AFTER. 0, or -ENODEV if nothing is mapped.
 */
int weir_sweep(const struct weir_sweep_order *order, const struct weir_timeouts *timeouts,
	       __u32 timeouts_len, __u32 *sessions_per_real, struct weir_sync_record4 *records,
	       size_t room, struct weir_sweep_result *result);

/*
 * Copies up to `room` sessions, from the position *cursor on (0 at first), and sets *cursor to
 * where the next call goes on: 2^64 - 1 when all are done. Each record is of one moment; the
 * records are not of the same moment. A session that is moved meanwhile may appear twice or not at
 * all. May run beside the writer thread. Returns the number of records.
 */
size_t weir_snapshot(__u64 *cursor, struct weir_record4 *records, size_t room);

/* Where this node finds the real server of a session: the numbers that a record does not have. */
struct weir_backend4 {
	__be32 vaddr;
	__be32 raddr;
	__be16 vport;
	__be16 rport;
	__u16 real;
	__u16 egress; /* group towards it */
	__u8 proto;
	__u8 pad[3];
};
#define WEIR_REAL_UNKNOWN 0xffff

/* Replaces the whole set. 0, -ENOMEM. */
int weir_backends_set(const struct weir_backend4 *backends, size_t count);

/* The word of weir_generation that XDP shares, or NULL for a private one. */
void weir_generation_use(__u64 *word);

/* What became of the records of a merge. Their sum is the number of records. */
struct weir_merge_result {
	__u64 inserted;
	__u64 replaced;  /* an older generation, or one that had expired */
	__u64 advanced;  /* of a session that was known: brought something new */
	__u64 unchanged; /* brought nothing new */
	__u64 stale;     /* a newer generation is here */
	__u64 refused;   /* no honest node sends such a record */
	__u64 full;      /* no room could be made; never below 65 % load */
	__u64 busy;      /* XDP was at the same entry each time; the next record heals it */
	__u64 conflicts; /* not in the sum: two values where there can be but one; never expected */
};

/*
 * Joins records, read `delay` ticks before `now`, into the tables. Several for one session, in any
 * order, are as good as one. 0, or -ENODEV if nothing is mapped.
 */
int weir_merge(const struct weir_sync_record4 *records, size_t count, __u32 now, __u32 delay,
	       struct weir_merge_result *result);

/* Positions of sessions in the table, for weir_collect(). */
__u64 weir_positions(void);

/*
 * Records of the sessions in [*from, to) that have changed within so many ticks (2^32 - 1: all), at
 * most `room`. Sets *from to where to go on. Returns their number. As weir_snapshot(), of different
 * moments.
 */
size_t weir_collect(__u64 *from, __u64 to, __u32 now, __u32 changed_within,
		    struct weir_sync_record4 *records, size_t room);

/* A key on the wire: byte 13 says whose it is, see sync_record.h. */
struct weir_sync_key4 {
	struct weir_key4 key;
};

/* The records of those sessions that are here: at most `count`. Returns their number. */
size_t weir_find(const struct weir_sync_key4 *keys, size_t count, __u32 now,
		 struct weir_sync_record4 *records);

#define WEIR_DIGEST_BUCKETS 1024

/* Sums of hashes over the settled sessions: equal on two nodes that agree. */
struct weir_digest {
	__u64 sessions;
	__u64 sum[WEIR_DIGEST_BUCKETS];
};
void weir_digest(__u32 now, struct weir_digest *digest);

/* Hashes of the settled sessions in a set of buckets (a bit for each), and the records of those
 * whose hash is not among `known`, which is sorted by this call. Return their numbers. */
size_t weir_settled_hashes(const __u8 *buckets, __u32 now, __u64 *hashes, size_t room);
size_t weir_settled_missing(const __u8 *buckets, __u64 *known, size_t known_len, __u32 now,
			    struct weir_sync_record4 *records, size_t room);

/* Of all shared sessions from a generation on, whatever their state: equal on two nodes that hold
 * the same. */
struct weir_table_sums {
	__u64 sessions;
	__u64 truth; /* sum over the outbound entries: all but ticks and what is a node's own */
	__u64 entries;
	__u64 index; /* sum over the inbound entries: client key and generation */
};
void weir_sum_tables(__u64 since, struct weir_table_sums *sums);

#ifdef WEIR_TABLE_TEST
/*
 * Stores a session of any content: `record` in the outbound table and `index` in the inbound one.
 * An older generation of either key is replaced in place. Makes room in full buckets.
 * 0 = both are in; otherwise neither: -EEXIST = one of the keys has this generation or a newer one,
 * -EBUSY = another writer is at it, -ENOSPC = no room can be made, -ENODEV = nothing is mapped.
 */
int weir_session_put(const struct weir_record4 *record, const struct weir_entry4 *index);
#endif

/* Moves one entry of this bucket to its second one, so that a slot is free at once.
 * 0, -ENOSPC = nothing can be moved, -EINVAL = no such bucket. */
int weir_inbound4_make_room(__u32 bucket);
int weir_outbound4_make_room(__u32 bucket);

/*
 * Long passes (the sweep, digests and their like) call this between slices of a fraction of a
 * millisecond, on the thread that runs them, so that it can do what is urgent: weir_merge(),
 * weir_find(), weir_collect() and weir_backends_set() are allowed there. NULL: nothing.
 */
void weir_pause_use(void (*pause)(void));

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
