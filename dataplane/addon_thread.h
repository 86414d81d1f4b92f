/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The addon's own threads, and the way from one of them back to the event loop. */
#ifndef WEIR_ADDON_THREAD_H
#define WEIR_ADDON_THREAD_H

#include <pthread.h>
#include <signal.h>
#include "addon_call.h"

/* Starts a thread that leaves all signals to Node.js. 0 or -errno. `name` has at most 15 letters.
 */
static int start_thread(pthread_t *thread, const char *name, void *(*run)(void *))
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(thread, NULL, run, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!err)
		pthread_setname_np(*thread, name);
	return -err;
}

#define TURN_PARCELS_MAX 16 /* that arrive in one turn of the event loop */

/* The first member of what is queued. */
struct parcel {
	struct parcel *next;
};

struct parcels {
	struct parcel *first, *last;
	size_t count;
};

static void put_parcel(struct parcels *parcels, struct parcel *parcel)
{
	parcel->next = NULL;
	if (parcels->count++)
		parcels->last->next = parcel;
	else
		parcels->first = parcel;
	parcels->last = parcel;
}

/* NULL = there is none. */
static struct parcel *take_parcel(struct parcels *parcels)
{
	struct parcel *parcel = parcels->count ? parcels->first : NULL;

	if (parcel) {
		parcels->first = parcel->next;
		parcels->count--;
	}
	return parcel;
}

/*
 * What a thread sends arrives on the event loop in order. What does not fit into a turn of the
 * loop, or comes meanwhile, waits for the next one, by setImmediate(). Were the loop told of each
 * parcel, Node.js would not end the turn before a thousand of them: with 1,024 jobs whose promises
 * lead to further jobs it lasted 260 ms.
 */
struct way_back {
	void (*arrive)(napi_env env, struct parcel *parcel);
	napi_threadsafe_function tell; /* NULL = it is closed; else keeps the process alive */
	pthread_mutex_t lock;          /* of the following */
	struct parcels parcels;
	bool turning; /* the loop will look without being told */
};

/* The thread's side. */
static void send_back(struct way_back *way, struct parcel *parcel)
{
	bool turning;

	pthread_mutex_lock(&way->lock);
	put_parcel(&way->parcels, parcel);
	turning = way->turning;
	way->turning = true;
	pthread_mutex_unlock(&way->lock);
	if (!turning)
		napi_call_threadsafe_function(way->tell, NULL, napi_tsfn_nonblocking);
}

static struct parcel *take_back(struct way_back *way)
{
	struct parcel *parcel;

	pthread_mutex_lock(&way->lock);
	parcel = take_parcel(&way->parcels);
	pthread_mutex_unlock(&way->lock);
	return parcel;
}

/* Lets what is there arrive. False = nothing was there: the loop wants to be told again. */
static bool let_arrive(napi_env env, struct way_back *way)
{
	struct parcel *parcel;
	size_t count, left;

	pthread_mutex_lock(&way->lock);
	count = way->parcels.count;
	way->turning = count;
	pthread_mutex_unlock(&way->lock);
	/* What arrives may close the way: then no more is there. */
	left = count < TURN_PARCELS_MAX ? count : TURN_PARCELS_MAX;
	for (; left && (parcel = take_back(way)); left--) {
		napi_handle_scope scope;

		napi_open_handle_scope(env, &scope);
		way->arrive(env, parcel);
		napi_close_handle_scope(env, scope);
	}
	return count;
}

/* turn(itself) */
static napi_value turn(napi_env env, napi_callback_info info)
{
	napi_value itself = NULL, global, set_immediate = NULL, arguments[2];
	struct way_back *way;
	size_t count = 1;

	napi_get_cb_info(env, info, &count, &itself, NULL, (void **)&way);
	if (!let_arrive(env, way) || !way->tell)
		return NULL;
	arguments[0] = arguments[1] = itself;
	napi_get_global(env, &global);
	napi_get_named_property(env, global, "setImmediate", &set_immediate);
	napi_call_function(env, global, set_immediate, 2, arguments, NULL);
	return NULL;
}

static void on_told(napi_env env, napi_value turn, void *context, void *data)
{
	napi_value self;

	(void)context;
	(void)data;
	if (!env)
		return; /* it ends */
	napi_get_undefined(env, &self);
	napi_call_function(env, self, turn, 1, &turn, NULL);
}

/* 0 or -errno. `way` lives as long as the process. */
static int open_way_back(napi_env env, struct way_back *way, const char *name)
{
	struct call call = {.env = env, .name = name};
	napi_value function = NULL;

	way->turning = false;
	if (napi_create_function(env, name, NAPI_AUTO_LENGTH, turn, way, &function) != napi_ok ||
	    napi_create_threadsafe_function(env, function, NULL, string_value(&call, name), 0, 1,
					    NULL, NULL, NULL, on_told, &way->tell) != napi_ok)
		return -ENOMEM;
	return 0;
}

/* After the thread has ended. The caller takes back what is left. */
static void close_way_back(struct way_back *way)
{
	if (way->tell)
		napi_release_threadsafe_function(way->tell, napi_tsfn_abort);
	way->tell = NULL;
}

#endif
