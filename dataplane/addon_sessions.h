/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The addon's access to the session table: copies of it, and the sweep off the event loop. */
#ifndef WEIR_ADDON_SESSIONS_H
#define WEIR_ADDON_SESSIONS_H

#include <stdlib.h>
#include "addon_state.h"
#include "addon_call.h"
#include "addon_clock.h"
#include "table_user.h"
#include "weir.h"

#define RECORDS_MAX 65536 /* that one call of snapshot returns */

/* snapshot(cursor, room): {records, cursor}. The first cursor is 0n, the last 2^64 - 1. */
static napi_value snapshot(napi_env env, napi_callback_info info)
{
	struct call call = call_begin(env, info, "snapshot");
	napi_value result, next;
	struct weir_record4 *records;
	bool lossless = false;
	uint64_t cursor;
	__u64 position;
	__u32 room;
	size_t count;

	if (!loaded(&call) || !get_u32(&call, call.argument[1], "room", &room))
		return NULL;
	if (napi_get_value_bigint_uint64(env, call.argument[0], &cursor, &lossless) != napi_ok ||
	    !lossless)
		return fail_with(&call, EINVAL, "cursor is not a BigInt of 64 bits");
	if (room > RECORDS_MAX)
		room = RECORDS_MAX;
	records = malloc(room * sizeof(*records));
	if (!records)
		return fail_with(&call, ENOMEM, "%u records", room);
	position = cursor;
	count = weir_snapshot(&position, records, room);
	napi_create_object(env, &result);
	napi_create_bigint_uint64(env, position, &next);
	set(&call, result, "records", bytes_value(&call, records, count * sizeof(*records)));
	set(&call, result, "cursor", next);
	free(records);
	return result;
}

struct sweep {
	napi_async_work work;
	napi_deferred deferred;
	__u32 now;
	__u32 reals;
	struct weir_timeouts *timeouts; /* copies: JavaScript may change its own meanwhile */
	__u32 *sessions_per_real;
	struct weir_sweep_result result;
	int err;
};

static void sweep_free(struct sweep *sweep)
{
	free(sweep->timeouts);
	free(sweep->sessions_per_real);
	free(sweep);
}

/* On a thread of libuv's pool: the one writer thread, because only one sweep runs at a time. */
static void sweep_execute(napi_env env, void *data)
{
	struct sweep *sweep = data;

	(void)env;
	sweep->err = weir_sweep(sweep->now, sweep->timeouts, sweep->reals, sweep->sessions_per_real,
				sweep->reals, &sweep->result);
}

static void sweep_complete(napi_env env, napi_status status, void *data)
{
	struct sweep *sweep = data;
	struct call call = {.env = env, .name = "sweep"};
	napi_value value;

	dataplane.sweeping = false;
	if (status != napi_ok || sweep->err) {
		value = make_error(&call, status != napi_ok ? ECANCELED : -sweep->err, "");
		napi_reject_deferred(env, sweep->deferred, value);
	} else {
		napi_create_object(env, &value);
		set(&call, value, "result",
		    bytes_value(&call, &sweep->result, sizeof(sweep->result)));
		set(&call, value, "sessionsPerReal",
		    bytes_value(&call, sweep->sessions_per_real, sweep->reals * sizeof(__u32)));
		napi_resolve_deferred(env, sweep->deferred, value);
	}
	napi_delete_async_work(env, sweep->work);
	sweep_free(sweep);
}

/* sweep(timeouts): Promise of {result, sessionsPerReal}. `timeouts` has one struct weir_timeouts
 * for each real server. */
static napi_value sweep(napi_env env, napi_callback_info info)
{
	struct call call = call_begin(env, info, "sweep");
	struct bytes timeouts;
	struct sweep *sweep;
	napi_value promise;

	if (!loaded(&call) || !get_bytes(&call, call.argument[0], "timeouts", &timeouts))
		return NULL;
	if (timeouts.length % sizeof(struct weir_timeouts))
		return fail_with(&call, EINVAL,
				 "timeouts has %zu bytes, it must have a multiple of %zu",
				 timeouts.length, sizeof(struct weir_timeouts));
	if (dataplane.sweeping)
		return fail_with(&call, EBUSY, "a sweep is running");
	sweep = calloc(1, sizeof(*sweep));
	if (!sweep)
		return fail(&call, ENOMEM);
	sweep->reals = timeouts.length / sizeof(struct weir_timeouts);
	sweep->timeouts = malloc(timeouts.length);
	sweep->sessions_per_real = calloc(sweep->reals, sizeof(__u32));
	if (sweep->reals && (!sweep->timeouts || !sweep->sessions_per_real)) {
		sweep_free(sweep);
		return fail(&call, ENOMEM);
	}
	memcpy(sweep->timeouts, timeouts.data, timeouts.length);
	sweep->now = current_tick();

	napi_create_promise(env, &sweep->deferred, &promise);
	napi_create_async_work(env, NULL, string_value(&call, "weir sweep"), sweep_execute,
			       sweep_complete, sweep, &sweep->work);
	napi_queue_async_work(env, sweep->work);
	dataplane.sweeping = true;
	return promise;
}

#endif
