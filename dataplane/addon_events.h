/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Brings what XDP writes into its ring buffer to JavaScript, in batches, from a thread of its own
 * that lives while somebody listens.
 *
 * While nobody listens, or JavaScript is too far behind, the ring fills, and XDP counts what does
 * not fit (event_lost).
 */
#ifndef WEIR_ADDON_EVENTS_H
#define WEIR_ADDON_EVENTS_H

#include <poll.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <bpf/libbpf.h>
#include "addon_state.h"
#include "addon_call.h"
#include "addon_clock.h"
#include "addon_ring.h"
#include "addon_thread.h"

/* A batch that is not full waits so long after the last one. */
#define DELIVERY_PERIOD_NS 1000000
#define DELIVERIES_MAX     64 /* that JavaScript may be behind */

/* One call of the listener. */
struct delivery {
	struct parcel parcel;
	size_t bytes[BATCH_LISTS];
	__u8 list[]; /* one after another */
};

static void call_listener(napi_env env, struct parcel *parcel);

static struct {
	napi_ref listener;
	pthread_t thread;
	struct way_back back; /* closed = nobody listens */
	sem_t room;           /* for deliveries */
	int ring_fd;
	int ending; /* an eventfd: readable when the thread is to end */
	struct ring_buffer *ring;
	struct batch batch; /* the thread's */
} events = {.back = {.arrive = call_listener, .lock = PTHREAD_MUTEX_INITIALIZER}};

/* On the event loop. */
static void call_listener(napi_env env, struct parcel *parcel)
{
	struct delivery *delivery = (struct delivery *)parcel;
	struct call call = {.env = env, .name = "events"};
	napi_value listener = NULL, self, error, arguments[BATCH_LISTS];
	const __u8 *list = delivery->list;

	sem_post(&events.room);
	napi_get_reference_value(env, events.listener, &listener);
	napi_get_undefined(env, &self);
	for (int i = 0; i < BATCH_LISTS; i++) {
		arguments[i] = bytes_value(&call, list, delivery->bytes[i]);
		list += delivery->bytes[i];
	}
	free(delivery);
	/* Else it would end the turn, and with a warning only. */
	if (napi_call_function(env, self, listener, BATCH_LISTS, arguments, NULL) ==
		    napi_pending_exception &&
	    napi_get_and_clear_last_exception(env, &error) == napi_ok)
		napi_fatal_exception(env, error);
}

/* Waits while JavaScript is too far behind. */
static void deliver(const struct batch *batch)
{
	struct delivery *delivery;
	size_t bytes = 0;
	__u8 *list;

	for (int i = 0; i < BATCH_LISTS; i++)
		bytes += batch->bytes[i];
	delivery = malloc(sizeof(*delivery) + bytes);
	if (!delivery)
		abort();
	memcpy(delivery->bytes, batch->bytes, sizeof(batch->bytes));
	list = delivery->list;
	for (int i = 0; i < BATCH_LISTS; i++)
		list = mempcpy(list, batch->list[i], batch->bytes[i]);
	sem_wait(&events.room);
	send_back(&events.back, &delivery->parcel);
}

/* Until the ring has something. False = the thread is to end. */
static bool wait_for_events(void)
{
	struct pollfd fds[] = {{.fd = events.ending, .events = POLLIN},
			       {.fd = events.ring_fd, .events = POLLIN}};

	poll(fds, 2, -1);
	return !fds[0].revents;
}

static bool ends_within(long ns)
{
	const struct timespec limit = {.tv_nsec = ns};
	struct pollfd ending = {.fd = events.ending, .events = POLLIN};

	return ppoll(&ending, 1, &limit, NULL) != 0;
}

static void *events_run(void *unused)
{
	bool more;

	while (wait_for_events()) {
		do {
			more = drain(events.ring, current_tick(), &events.batch);
			if (events.batch.events)
				deliver(&events.batch);
		} while (more && !ends_within(0));
		if (ends_within(DELIVERY_PERIOD_NS))
			break;
	}
	return unused;
}

/* Deliveries under way are dropped: for their records see addon.ts. */
static void events_stop(napi_env env)
{
	struct parcel *parcel;

	if (!events.back.tell)
		return;
	eventfd_write(events.ending, 1);
	sem_post(&events.room);
	pthread_join(events.thread, NULL);
	close_way_back(&events.back);
	while ((parcel = take_back(&events.back)))
		free(parcel);
	napi_delete_reference(env, events.listener);
	ring_buffer__free(events.ring);
	close(events.ending);
}

/* 0 or -errno. */
static int events_start(napi_env env, napi_value listener)
{
	int err;

	events.ring_fd = map_fd("weir_events");
	if (events.ring_fd < 0)
		return events.ring_fd;
	events.ring = ring_buffer__new(events.ring_fd, take_event, &events.batch, NULL);
	if (!events.ring)
		return -errno;
	sem_init(&events.room, 0, DELIVERIES_MAX);
	napi_create_reference(env, listener, 1, &events.listener);
	events.ending = eventfd(0, EFD_CLOEXEC);
	err = events.ending < 0 ? -errno : open_way_back(env, &events.back, "weir events");
	if (!err)
		err = start_thread(&events.thread, "weir-events", events_run);
	if (!err)
		return 0;
	close_way_back(&events.back);
	napi_delete_reference(env, events.listener);
	if (events.ending >= 0)
		close(events.ending);
	ring_buffer__free(events.ring);
	return err;
}

/* events(onEvents): undefined. onEvents(records4, misses4, records6, misses6), four Buffers;
 * undefined: nobody listens any more. */
static napi_value listen_to_events(napi_env env, napi_callback_info info)
{
	struct call call = call_begin(env, info, "events");
	napi_valuetype type;
	int err;

	if (!loaded(&call))
		return NULL;
	napi_typeof(env, call.argument[0], &type);
	if (type != napi_function && type != napi_undefined)
		return fail_with(&call, EINVAL, "onEvents is not a function");
	events_stop(env);
	err = type == napi_function ? events_start(env, call.argument[0]) : 0;
	return err ? fail_with(&call, -err, "weir_events") : NULL;
}

#endif
