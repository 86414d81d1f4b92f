/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The agent's side of the session table: what both families have in common. What each does for
 * itself is in table_family.h. All of it belongs to the one writer thread of the one agent
 * (table.h, rule 7); who takes care of that is the caller.
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

/* What one pass found and did, in the tables of both families together where nothing else is said.
 * The first group is the state after the pass. */
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
	__u64 records;          /* narrow ones, for the other nodes: written behind the result */
	__u64 wide_records;     /* written behind those */
	__u64 records_waiting;  /* of either kind, that found no room; a later pass brings them */
	/* Of one family, after the pass. */
	__u64 narrow_sessions;
	__u64 wide_sessions;
	__u64 narrow_load; /* of the fuller one of its two tables, parts per thousand */
	__u64 wide_load;
};

/* What a pass is told. */
struct weir_sweep_order {
	__u32 now;    /* tick */
	__u32 origin; /* this node's number */
	__u32 weak;   /* not 0: a peer is unheard; nothing expires for one further timeout */
	__u32 hold;   /* not 0: a peer lacks records; no LIP:port is given out again */
};

/* The idle timeouts of sessions, by the number of their real server, that sweeps and digests go by
 * from now on. 0, -ENOMEM. */
int weir_timeouts_use(const struct weir_timeouts *timeouts, __u32 count);

/* Where this node finds the real server of a session: the numbers that a record does not have. */
struct weir_backend {
	struct weir_address vaddr;
	struct weir_address raddr;
	__u16 vport_min; /* host order, both inclusive */
	__u16 vport_max;
	__be16 rport; /* 0 = the port that the client asks for */
	__u16 real;
	__u16 egress; /* group towards it */
	__u8 proto;
	__u8 pad;
};
#define WEIR_REAL_UNKNOWN 0xffff

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

#define WEIR_DIGEST_BUCKETS 1024

/* Sums of hashes over the settled sessions: equal on two nodes that agree. */
struct weir_digest {
	__u64 sessions;
	__u64 sum[WEIR_DIGEST_BUCKETS];
};

/* Of all shared sessions from a generation on, whatever their state: equal on two nodes that hold
 * the same. */
struct weir_table_sums {
	__u64 sessions;
	__u64 truth; /* sum over the outbound entries: all but ticks and what is a node's own */
	__u64 entries;
	__u64 index; /* sum over the inbound entries: client key and generation */
};

/*
 * Long passes (the sweep, digests and their like) call this between slices of a fraction of a
 * millisecond, on the thread that runs them, so that it can do what is urgent: merge(), find(),
 * collect() and use_backends() of either family are allowed there. NULL: nothing.
 */
void weir_pause_use(void (*pause)(void));

/* What the writer has done since the process began. The flags balance the books of the test: each
 * flag that was set is still there or went with its entry. */
struct weir_writer_counters {
	__u64 moves;
	__u64 moves_undone; /* the original was removed or replaced while it was copied */
	__u64 flags_added;  /* with entries put, and with copies whose originals XDP removed */
	__u64 flags_gone;   /* with entries removed or replaced */
};
extern struct weir_writer_counters weir_writer_counters;

#endif
