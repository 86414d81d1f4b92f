/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The work of the one writer thread in the tables of both families, as bytes in and bytes out.
 * Inputs begin with the struct of their job; what follows it, and what comes out, is said at each.
 * Records, and keys, are narrow ones and then wide ones.
 */
#ifndef WEIR_TABLE_JOBS_H
#define WEIR_TABLE_JOBS_H

#include "table_user.h"

/* Job                                   in -> out */
#define WEIR_JOB_SWEEP    1  /* weir_sweep_order, weir_timeouts[] -> result, u32[], records */
#define WEIR_JOB_MERGE    2  /* weir_merge_job, records -> weir_merge_result */
#define WEIR_JOB_COLLECT  3  /* weir_collect_job -> weir_collect_result, records */
#define WEIR_JOB_DIGEST   4  /* -> weir_digest */
#define WEIR_JOB_HASHES   5  /* weir_bucket_set -> u64[] */
#define WEIR_JOB_MISSING  6  /* weir_bucket_set, u64[] (known) -> weir_narrow_count, records */
#define WEIR_JOB_FIND     7  /* weir_narrow_count, keys -> weir_narrow_count, records */
#define WEIR_JOB_SNAPSHOT 8  /* weir_collect_job -> weir_collect_result, weir_record4[], 6[] */
#define WEIR_JOB_SUMS     9  /* weir_sums_job -> weir_table_sums */
#define WEIR_JOB_BACKENDS 10 /* weir_backend[] -> */

/* Behind it: so many narrow items, and then wide ones. */
struct weir_narrow_count {
	__u64 narrow;
};

struct weir_merge_job {
	__u32 delay; /* ticks since the records were read */
	__u32 pad;
	__u64 narrow;
};

/* The positions of the narrow family come first, then those of the wide one. */
struct weir_collect_job {
	__u64 from; /* positions */
	__u64 to;
	__u32 changed_within; /* ticks; 2^32 - 1: all */
	__u32 pad;
};

/* One call does not go beyond the end of a family. */
struct weir_collect_result {
	__u64 next; /* position to go on from; of a snapshot that is complete: 2^64 - 1 */
	__u64 narrow;
};

struct weir_sums_job {
	__u64 since; /* lowest generation that counts */
};

struct weir_bucket_set {
	__u8 bits[WEIR_DIGEST_BUCKETS / 8];
};

/*
 * Does a job at tick `now`. Sets *written to the bytes of `output` that are its result. 0; -EINVAL
 * = the input has the wrong length, or there is no such job; -ENOBUFS = `room` is too small for the
 * fixed part of the result (lists are cut where they fit); else as the function that does it.
 */
int weir_job(__u32 job, __u32 now, const void *input, size_t length, void *output, size_t room,
	     size_t *written);

#endif
