// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "sync_record.h"
#include "table_jobs.h"

#define WEIR_RECORD sizeof(struct weir_sync_record4)

/* A job at work. */
struct weir_work {
	__u32 now;
	const char *input;
	size_t length;
	char *output;
	size_t room;
	size_t *written;
};

/* How many items of `size` follow the job's struct; -EINVAL if that is no whole number. */
static ssize_t weir_items(const struct weir_work *work, size_t head, size_t size)
{
	if (work->length < head || (work->length - head) % size)
		return -EINVAL;
	return (work->length - head) / size;
}

/* The job wants exactly its struct, and so much room. */
static int weir_expect(const struct weir_work *work, size_t input, size_t output)
{
	return work->length != input ? -EINVAL : work->room < output ? -ENOBUFS : 0;
}

static int weir_do_sweep(const struct weir_work *work)
{
	const struct weir_sweep_order *order = (const void *)work->input;
	ssize_t reals = weir_items(work, sizeof(*order), sizeof(struct weir_timeouts));
	struct weir_sweep_result *result = (void *)work->output;
	struct weir_sweep_order timed;
	size_t fixed;
	int err;

	if (reals < 0)
		return reals;
	fixed = sizeof(*result) + reals * sizeof(__u32);
	if (work->room < fixed)
		return -ENOBUFS;
	timed = *order;
	timed.now = work->now;
	err = weir_sweep(&timed, (const void *)(order + 1), reals, (__u32 *)(result + 1),
			 (void *)(work->output + fixed), (work->room - fixed) / WEIR_RECORD,
			 result);
	*work->written = fixed + (err ? 0 : result->records * WEIR_RECORD);
	return err;
}

static int weir_do_merge(const struct weir_work *work)
{
	const struct weir_merge_job *job = (const void *)work->input;
	ssize_t count = weir_items(work, sizeof(*job), WEIR_RECORD);

	if (count < 0)
		return count;
	if (work->room < sizeof(struct weir_merge_result))
		return -ENOBUFS;
	*work->written = sizeof(struct weir_merge_result);
	return weir_merge((const void *)(job + 1), count, work->now, job->delay,
			  (void *)work->output);
}

static int weir_do_collect(const struct weir_work *work)
{
	const struct weir_collect_job *job = (const void *)work->input;
	__u64 *next = (void *)work->output;
	size_t count;
	int err = weir_expect(work, sizeof(*job), sizeof(*next));

	if (err)
		return err;
	*next = job->from;
	count = weir_collect(next, job->to, work->now, job->changed_within, (void *)(next + 1),
			     (work->room - sizeof(*next)) / WEIR_RECORD);
	*work->written = sizeof(*next) + count * WEIR_RECORD;
	return 0;
}

static int weir_do_snapshot(const struct weir_work *work)
{
	const struct weir_collect_job *job = (const void *)work->input;
	__u64 *next = (void *)work->output;
	size_t count;
	int err = weir_expect(work, sizeof(*job), sizeof(*next));

	if (err)
		return err;
	*next = job->from;
	count = weir_snapshot(next, (void *)(next + 1),
			      (work->room - sizeof(*next)) / sizeof(struct weir_record4));
	*work->written = sizeof(*next) + count * sizeof(struct weir_record4);
	return 0;
}

static int weir_do_digest(const struct weir_work *work)
{
	int err = weir_expect(work, 0, sizeof(struct weir_digest));

	if (err)
		return err;
	weir_digest(work->now, (void *)work->output);
	*work->written = sizeof(struct weir_digest);
	return 0;
}

static int weir_do_hashes(const struct weir_work *work)
{
	const struct weir_bucket_set *set = (const void *)work->input;
	int err = weir_expect(work, sizeof(*set), 0);

	if (err)
		return err;
	*work->written = weir_settled_hashes(set->bits, work->now, (void *)work->output,
					     work->room / sizeof(__u64)) *
			 sizeof(__u64);
	return 0;
}

static int weir_do_missing(const struct weir_work *work)
{
	const struct weir_bucket_set *set = (const void *)work->input;
	ssize_t count = weir_items(work, sizeof(*set), sizeof(__u64));
	__u64 *known;

	if (count < 0)
		return count;
	known = malloc(count * sizeof(*known));
	if (count && !known)
		return -ENOMEM;
	memcpy(known, set + 1, count * sizeof(*known));
	*work->written = weir_settled_missing(set->bits, known, count, work->now,
					      (void *)work->output, work->room / WEIR_RECORD) *
			 WEIR_RECORD;
	free(known);
	return 0;
}

static int weir_do_find(const struct weir_work *work)
{
	ssize_t count = weir_items(work, 0, sizeof(struct weir_sync_key4));

	if (count < 0)
		return count;
	if (work->room < count * WEIR_RECORD)
		return -ENOBUFS;
	*work->written =
		weir_find((const void *)work->input, count, work->now, (void *)work->output) *
		WEIR_RECORD;
	return 0;
}

static int weir_do_sums(const struct weir_work *work)
{
	const struct weir_sums_job *job = (const void *)work->input;
	int err = weir_expect(work, sizeof(*job), sizeof(struct weir_table_sums));

	if (err)
		return err;
	weir_sum_tables(job->since, (void *)work->output);
	*work->written = sizeof(struct weir_table_sums);
	return 0;
}

static int weir_do_backends(const struct weir_work *work)
{
	ssize_t count = weir_items(work, 0, sizeof(struct weir_backend4));

	return count < 0 ? count : weir_backends_set((const void *)work->input, count);
}

int weir_job(__u32 job, __u32 now, const void *input, size_t length, void *output, size_t room,
	     size_t *written)
{
	static int (*const jobs[])(const struct weir_work *) = {
		[WEIR_JOB_SWEEP] = weir_do_sweep,     [WEIR_JOB_MERGE] = weir_do_merge,
		[WEIR_JOB_COLLECT] = weir_do_collect, [WEIR_JOB_DIGEST] = weir_do_digest,
		[WEIR_JOB_HASHES] = weir_do_hashes,   [WEIR_JOB_MISSING] = weir_do_missing,
		[WEIR_JOB_FIND] = weir_do_find,       [WEIR_JOB_SNAPSHOT] = weir_do_snapshot,
		[WEIR_JOB_SUMS] = weir_do_sums,       [WEIR_JOB_BACKENDS] = weir_do_backends,
	};
	struct weir_work work = {
		.now = now,
		.input = input,
		.length = length,
		.output = output,
		.room = room,
		.written = written,
	};

	*written = 0;
	if (!job || job >= sizeof(jobs) / sizeof(jobs[0]))
		return -EINVAL;
	return jobs[job](&work);
}
