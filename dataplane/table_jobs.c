// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "table_family.h"
#include "table_jobs.h"

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

/* The two lists of an input. */
struct weir_lists {
	const char *narrow, *wide;
	size_t narrow_count, wide_count;
};

/* What follows the job's struct: `narrow` items of one size, then those of the other. */
static int weir_split(const struct weir_work *work, size_t head, __u64 narrow, size_t narrow_bytes,
		      size_t wide_bytes, struct weir_lists *lists)
{
	size_t rest = work->length - head;

	if (narrow > rest / narrow_bytes || (rest - narrow * narrow_bytes) % wide_bytes)
		return -EINVAL;
	lists->narrow = work->input + head;
	lists->narrow_count = narrow;
	lists->wide = lists->narrow + narrow * narrow_bytes;
	lists->wide_count = (rest - narrow * narrow_bytes) / wide_bytes;
	return 0;
}

/* How many records of each family certainly fit behind the fixed part of an output. */
static size_t weir_room_for_each(const struct weir_work *work, size_t fixed)
{
	return (work->room - fixed) / (weir_narrow.record_bytes + weir_wide.record_bytes);
}

/* One family's figures added to the other's: all are sums but the last ones. */
static void weir_add_sweep(struct weir_sweep_result *to, const struct weir_sweep_result *from)
{
	__u64 *sum = (__u64 *)to;
	const __u64 *add = (const __u64 *)from;

	for (size_t i = 0; i < offsetof(struct weir_sweep_result, narrow_sessions) / sizeof(*sum);
	     i++)
		sum[i] += add[i];
}

static __u64 weir_load_of(const struct weir_sweep_result *one)
{
	__u64 inbound = one->inbound_entries * 1000 / one->inbound_slots;
	__u64 outbound = one->outbound_entries * 1000 / one->outbound_slots;

	return inbound > outbound ? inbound : outbound;
}

static int weir_do_sweep(const struct weir_work *work)
{
	struct weir_sweep_order order;
	const struct weir_timeouts *timeouts =
		(const void *)(work->input + sizeof(struct weir_sweep_order));
	ssize_t reals = weir_items(work, sizeof(order), sizeof(*timeouts));
	struct weir_sweep_result *result = (void *)work->output, wide;
	size_t room, fixed;
	char *records;
	__u32 *per_real;
	int err;

	if (reals < 0)
		return reals;
	fixed = sizeof(*result) + reals * sizeof(*per_real);
	if (work->room < fixed)
		return -ENOBUFS;
	room = weir_room_for_each(work, fixed);
	per_real = (__u32 *)(result + 1);
	memset(per_real, 0, reals * sizeof(*per_real));
	memcpy(&order, work->input, sizeof(order));
	order.now = work->now;

	err = weir_timeouts_use(timeouts, reals);
	records = work->output + fixed;
	if (!err)
		err = weir_narrow.sweep(&order, per_real, records, room, result);
	if (err)
		return err;
	records += result->records * weir_narrow.record_bytes;
	err = weir_wide.sweep(&order, per_real, records, room, &wide);
	if (err)
		return err;
	result->narrow_sessions = result->sessions;
	result->narrow_load = weir_load_of(result);
	result->wide_sessions = wide.sessions;
	result->wide_load = weir_load_of(&wide);
	wide.wide_records = wide.records;
	wide.records = 0;
	weir_add_sweep(result, &wide);
	*work->written = records + result->wide_records * weir_wide.record_bytes - work->output;
	return 0;
}

static int weir_do_merge(const struct weir_work *work)
{
	const struct weir_merge_job *job = (const void *)work->input;
	struct weir_merge_result *result = (void *)work->output;
	struct weir_lists records;
	int err;

	if (work->length < sizeof(*job) ||
	    weir_split(work, sizeof(*job), job->narrow, weir_narrow.record_bytes,
		       weir_wide.record_bytes, &records))
		return -EINVAL;
	if (work->room < sizeof(*result))
		return -ENOBUFS;
	memset(result, 0, sizeof(*result));
	*work->written = sizeof(*result);
	err = weir_narrow.merge(records.narrow, records.narrow_count, work->now, job->delay,
				result);
	return err ? err
		   : weir_wide.merge(records.wide, records.wide_count, work->now, job->delay,
				     result);
}

/* The part of a walk that is in one family, in positions of its own. */
struct weir_walk {
	const struct weir_family *family;
	__u64 first; /* position of the family's first one */
	__u64 from;
	__u64 to;
};

static struct weir_walk weir_walk(const struct weir_collect_job *job)
{
	__u64 narrow = weir_narrow.positions();
	bool wide = job->from >= narrow;
	__u64 first = wide ? narrow : 0;

	return (struct weir_walk){
		.family = wide ? &weir_wide : &weir_narrow,
		.first = first,
		.from = job->from - first,
		.to = job->to > first ? job->to - first : 0,
	};
}

/* Writes down where it has come to, with `count` items of so many bytes. */
static void weir_end_walk(const struct weir_work *work, const struct weir_walk *walk, size_t count,
			  size_t bytes)
{
	struct weir_collect_result *result = (void *)work->output;

	result->next = walk->first + walk->from;
	result->narrow = walk->family == &weir_narrow ? count : 0;
	*work->written = sizeof(*result) + count * bytes;
}

static int weir_do_collect(const struct weir_work *work)
{
	const struct weir_collect_job *job = (const void *)work->input;
	struct weir_collect_result *result = (void *)work->output;
	int err = weir_expect(work, sizeof(*job), sizeof(*result));
	struct weir_walk walk;
	size_t room, count;

	if (err)
		return err;
	walk = weir_walk(job);
	room = (work->room - sizeof(*result)) / walk.family->record_bytes;
	count = walk.family->collect(&walk.from, walk.to, work->now, job->changed_within,
				     result + 1, room);
	weir_end_walk(work, &walk, count, walk.family->record_bytes);
	return 0;
}

static int weir_do_snapshot(const struct weir_work *work)
{
	const struct weir_collect_job *job = (const void *)work->input;
	struct weir_collect_result *result = (void *)work->output;
	int err = weir_expect(work, sizeof(*job), sizeof(*result));
	struct weir_walk walk;
	size_t room, count;

	if (err)
		return err;
	walk = weir_walk(job);
	room = (work->room - sizeof(*result)) / walk.family->snapshot_bytes;
	count = walk.family->snapshot(&walk.from, walk.to, result + 1, room);
	weir_end_walk(work, &walk, count, walk.family->snapshot_bytes);
	if (result->next >= weir_narrow.positions() + weir_wide.positions())
		result->next = ~0ULL;
	return 0;
}

static int weir_do_digest(const struct weir_work *work)
{
	struct weir_digest *digest = (void *)work->output;
	int err = weir_expect(work, 0, sizeof(*digest));

	if (err)
		return err;
	memset(digest, 0, sizeof(*digest));
	weir_narrow.add_digest(work->now, digest);
	weir_wide.add_digest(work->now, digest);
	*work->written = sizeof(*digest);
	return 0;
}

static int weir_do_hashes(const struct weir_work *work)
{
	const struct weir_bucket_set *set = (const void *)work->input;
	__u64 *hashes = (void *)work->output;
	size_t room = work->room / sizeof(*hashes), count;
	int err = weir_expect(work, sizeof(*set), 0);

	if (err)
		return err;
	count = weir_narrow.hashes(set->bits, work->now, hashes, room);
	count += weir_wide.hashes(set->bits, work->now, hashes + count, room - count);
	*work->written = count * sizeof(*hashes);
	return 0;
}

static int weir_do_missing(const struct weir_work *work)
{
	const struct weir_bucket_set *set = (const void *)work->input;
	ssize_t len = weir_items(work, sizeof(*set), sizeof(__u64));
	struct weir_narrow_count *narrow = (void *)work->output;
	char *records = (char *)(narrow + 1);
	__u64 *known;
	size_t room, wide;

	if (len < 0)
		return len;
	if (work->room < sizeof(*narrow))
		return -ENOBUFS;
	known = malloc(len * sizeof(*known));
	if (len && !known)
		return -ENOMEM;
	memcpy(known, set + 1, len * sizeof(*known));
	qsort(known, len, sizeof(*known), weir_compare_words);
	room = weir_room_for_each(work, sizeof(*narrow));
	narrow->narrow = weir_narrow.missing(set->bits, known, len, work->now, records, room);
	records += narrow->narrow * weir_narrow.record_bytes;
	wide = weir_wide.missing(set->bits, known, len, work->now, records, room);
	free(known);
	*work->written = records + wide * weir_wide.record_bytes - work->output;
	return 0;
}

static int weir_do_find(const struct weir_work *work)
{
	const struct weir_narrow_count *job = (const void *)work->input;
	struct weir_narrow_count *narrow = (void *)work->output;
	char *records = (char *)(narrow + 1);
	struct weir_lists keys;
	size_t wide;

	if (work->length < sizeof(*job) ||
	    weir_split(work, sizeof(*job), job->narrow, weir_narrow.key_bytes, weir_wide.key_bytes,
		       &keys))
		return -EINVAL;
	if (work->room < sizeof(*narrow) + keys.narrow_count * weir_narrow.record_bytes +
				 keys.wide_count * weir_wide.record_bytes)
		return -ENOBUFS;
	narrow->narrow = weir_narrow.find(keys.narrow, keys.narrow_count, work->now, records);
	records += narrow->narrow * weir_narrow.record_bytes;
	wide = weir_wide.find(keys.wide, keys.wide_count, work->now, records);
	*work->written = records + wide * weir_wide.record_bytes - work->output;
	return 0;
}

static int weir_do_sums(const struct weir_work *work)
{
	const struct weir_sums_job *job = (const void *)work->input;
	struct weir_table_sums *sums = (void *)work->output;
	int err = weir_expect(work, sizeof(*job), sizeof(*sums));

	if (err)
		return err;
	memset(sums, 0, sizeof(*sums));
	weir_narrow.add_sums(job->since, sums);
	weir_wide.add_sums(job->since, sums);
	*work->written = sizeof(*sums);
	return 0;
}

static int weir_do_backends(const struct weir_work *work)
{
	const struct weir_backend *backends = (const void *)work->input;
	ssize_t count = weir_items(work, 0, sizeof(*backends));
	int err;

	if (count < 0)
		return count;
	err = weir_narrow.use_backends(backends, count);
	return err ? err : weir_wide.use_backends(backends, count);
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
