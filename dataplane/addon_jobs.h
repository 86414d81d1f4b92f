/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The one thread that writes the session table (table.h, rule 7), and the queue before it.
 *
 * The thread lives as long as the tables are mapped. It does one job after another; the event loop
 * settles their promises in the same order. What is pending keeps the process alive.
 */
#ifndef WEIR_ADDON_JOBS_H
#define WEIR_ADDON_JOBS_H

#include <stdlib.h>
#include "addon_state.h"
#include "addon_call.h"
#include "addon_clock.h"
#include "addon_thread.h"
#include "table_jobs.h"

/* Of jobs whose promises are not settled yet. Beyond it submit() rejects with EAGAIN. */
#define JOBS_MAX       1024
#define JOBS_INPUT_MAX (256ul << 20) /* bytes */

struct job {
	struct parcel parcel;
	napi_deferred deferred;
	__u32 operation;
	size_t room; /* bytes that the output may have */
	size_t length;
	int err; /* -errno */
	size_t written;
	void *output;
	_Alignas(16) __u8 input[]; /* a copy: JavaScript may change or detach its own meanwhile */
};

static void settle(napi_env env, struct parcel *parcel);

static struct {
	pthread_t thread;
	pthread_mutex_t lock; /* of `queued` and `ending` */
	pthread_cond_t changed;
	struct parcels queued;
	bool ending;
	struct way_back done;
	/* Not settled yet; of the event loop alone. */
	size_t pending;
	size_t pending_input; /* bytes */
} writer = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER,
	.done = {.arrive = settle, .lock = PTHREAD_MUTEX_INITIALIZER},
};

/* Waits for it. NULL = none is left, and the thread is to end. */
static struct job *next_job(void)
{
	struct job *job;

	pthread_mutex_lock(&writer.lock);
	while (!writer.queued.count && !writer.ending)
		pthread_cond_wait(&writer.changed, &writer.lock);
	job = (struct job *)take_parcel(&writer.queued);
	pthread_mutex_unlock(&writer.lock);
	return job;
}

static void job_run(struct job *job)
{
	job->output = job->room ? malloc(job->room) : NULL;
	if (job->room && !job->output) {
		job->err = -ENOMEM;
		return;
	}
	job->err = weir_job(job->operation, current_tick(), job->input, job->length, job->output,
			    job->room, &job->written);
}

/* Short ones, which need not wait for the end of a long one. */
static bool is_short(const struct job *job)
{
	return job->operation == WEIR_JOB_MERGE || job->operation == WEIR_JOB_FIND ||
	       job->operation == WEIR_JOB_COLLECT || job->operation == WEIR_JOB_BACKENDS;
}

/* The next in the queue, if that is a short one. */
static struct job *next_short_job(void)
{
	struct job *job = NULL;

	pthread_mutex_lock(&writer.lock);
	if (writer.queued.count && is_short((struct job *)writer.queued.first))
		job = (struct job *)take_parcel(&writer.queued);
	pthread_mutex_unlock(&writer.lock);
	return job;
}

/* In the midst of a long job: what came in after it must not wait for a tenth of a second. */
static void writer_pause(void)
{
	struct job *job;

	while ((job = next_short_job())) {
		job_run(job);
		send_back(&writer.done, &job->parcel);
	}
}

static void *writer_run(void *unused)
{
	struct job *job;

	while ((job = next_job())) {
		job_run(job);
		send_back(&writer.done, &job->parcel);
	}
	return unused;
}

/* The job is not pending any more, and gone. */
static void job_end(struct job *job)
{
	writer.pending--;
	writer.pending_input -= job->length;
	free(job->output);
	free(job);
}

/* On the event loop. */
static void settle(napi_env env, struct parcel *parcel)
{
	struct job *job = (struct job *)parcel;
	struct call call = {.env = env, .name = "submit"};

	snprintf(call.object, sizeof(call.object), "operation %u", job->operation);
	if (job->err) {
		napi_reject_deferred(env, job->deferred, make_error(&call, -job->err, ""));
	} else {
		napi_resolve_deferred(env, job->deferred,
				      given_bytes(&call, job->output, job->written));
		job->output = NULL;
	}
	job_end(job);
	if (!writer.pending)
		napi_unref_threadsafe_function(env, writer.done.tell);
}

/* 0 or -errno. */
static int writer_start(napi_env env)
{
	int err = open_way_back(env, &writer.done, "weir jobs");

	if (err)
		return err;
	napi_unref_threadsafe_function(env, writer.done.tell); /* nothing is pending */
	writer.ending = false;
	weir_pause_use(writer_pause);
	err = start_thread(&writer.thread, "weir-writer", writer_run);
	if (err)
		close_way_back(&writer.done);
	return err;
}

/* Ends the thread when all jobs are done. */
static void writer_join(void)
{
	pthread_mutex_lock(&writer.lock);
	writer.ending = true;
	pthread_cond_signal(&writer.changed);
	pthread_mutex_unlock(&writer.lock);
	pthread_join(writer.thread, NULL);
}

/* Waits until all jobs are done, and settles their promises. */
static void writer_finish(napi_env env)
{
	if (!writer.done.tell)
		return;
	writer_join();
	while (let_arrive(env, &writer.done))
		;
	close_way_back(&writer.done);
}

/* The environment ends: nobody waits for the promises any more. */
static void writer_abandon(void)
{
	struct parcel *parcel;

	if (!writer.done.tell)
		return;
	pthread_mutex_lock(&writer.lock);
	while ((parcel = take_parcel(&writer.queued)))
		job_end((struct job *)parcel);
	pthread_mutex_unlock(&writer.lock);
	writer_join();
	while ((parcel = take_back(&writer.done)))
		job_end((struct job *)parcel);
	close_way_back(&writer.done);
}

/* Returns the end of what it has copied. */
static __u8 *append(__u8 *to, const struct bytes *bytes)
{
	if (bytes->length)
		memcpy(to, bytes->data, bytes->length);
	return to + bytes->length;
}

/* submit(operation, input, room, more, rest): Promise<Buffer>. `more` and `rest` follow in the
 * input. EAGAIN if the queue is full; the job's errno. */
static napi_value submit(napi_env env, napi_callback_info info)
{
	struct call call = call_begin(env, info, "submit");
	__u32 operation, room;
	struct bytes input, more, rest;
	napi_deferred deferred;
	napi_value promise;
	struct job *job = NULL;
	size_t length;

	if (!loaded(&call) || !get_u32(&call, call.argument[0], "operation", &operation) ||
	    !get_bytes(&call, call.argument[1], "input", &input) ||
	    !get_u32(&call, call.argument[2], "room", &room) ||
	    !get_optional_bytes(&call, call.argument[3], "more", &more) ||
	    !get_optional_bytes(&call, call.argument[4], "rest", &rest))
		return NULL;
	length = input.length + more.length + rest.length;
	if (napi_create_promise(env, &deferred, &promise) != napi_ok)
		return NULL; /* the environment is being ended */
	if (writer.pending < JOBS_MAX && length <= JOBS_INPUT_MAX - writer.pending_input)
		job = malloc(sizeof(*job) + length);
	if (!job) {
		napi_reject_deferred(env, deferred, make_error(&call, EAGAIN, "too many wait"));
		return promise;
	}
	*job = (struct job){
		.deferred = deferred, .operation = operation, .room = room, .length = length};
	append(append(append(job->input, &input), &more), &rest);
	if (!writer.pending++)
		napi_ref_threadsafe_function(env, writer.done.tell);
	writer.pending_input += length;
	pthread_mutex_lock(&writer.lock);
	put_parcel(&writer.queued, &job->parcel);
	pthread_cond_signal(&writer.changed);
	pthread_mutex_unlock(&writer.lock);
	return promise;
}

#endif
