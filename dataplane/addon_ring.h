/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What XDP has written into the ring buffer weir_events, as records for the other nodes. */
#ifndef WEIR_ADDON_RING_H
#define WEIR_ADDON_RING_H

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <bpf/libbpf.h>
#include "sync_record.h"
#include "table_family.h"
#include "weir.h"

#define BATCH_EVENTS 2048 /* that one delivery has at most */

/* What a batch consists of, as bytes of the wire. */
enum batch_list {
	RECORDS4,
	MISSES4, /* keys */
	RECORDS6,
	MISSES6,
	BATCH_LISTS
};

struct batch {
	__u32 now; /* tick that ages count from */
	size_t events;
	size_t bytes[BATCH_LISTS];
	_Alignas(8) __u8 list[BATCH_LISTS][BATCH_EVENTS * sizeof(struct weir_sync_record6)];
};

/* Room for one event more. */
static void *grow(struct batch *batch, enum batch_list list, size_t bytes)
{
	void *item = batch->list[list] + batch->bytes[list];

	batch->bytes[list] += bytes;
	batch->events++;
	return item;
}

static void take_miss4(struct batch *batch, const struct weir_miss_event4 *event)
{
	struct weir_key4 *key = grow(batch, MISSES4, sizeof(*key));

	*key = event->key;
	key->pad[0] = event->inbound ? WEIR_SYNC_KEY_CLIENT : 0;
	key->pad[1] = key->pad[2] = 0;
}

static void take_miss6(struct batch *batch, const struct weir_miss_event6 *event)
{
	struct weir_key6 *key = grow(batch, MISSES6, sizeof(*key));

	*key = event->key;
	key->pad[0] = event->inbound ? WEIR_SYNC_KEY_CLIENT : 0;
	key->pad[1] = key->pad[2] = 0;
}

/* libbpf's callback. A negative result ends the walk after this event. */
static int take_event(void *context, void *data, size_t length)
{
	struct batch *batch = context;
	__u32 kind = *(const __u32 *)data;

	/* The pinned ring has this version's events: others would be a fault of the program. */
	if (kind == WEIR_EVENT_SESSION4 && length >= sizeof(struct weir_session_event4))
		weir_record_event4(data, batch->now,
				   grow(batch, RECORDS4, sizeof(struct weir_sync_record4)));
	else if (kind == WEIR_EVENT_SESSION6 && length >= sizeof(struct weir_session_event6))
		weir_record_event6(data, batch->now,
				   grow(batch, RECORDS6, sizeof(struct weir_sync_record6)));
	else if (kind == WEIR_EVENT_MISS4 && length >= sizeof(struct weir_miss_event4))
		take_miss4(batch, data);
	else if (kind == WEIR_EVENT_MISS6 && length >= sizeof(struct weir_miss_event6))
		take_miss6(batch, data);
	return batch->events < BATCH_EVENTS ? 0 : -ENOBUFS;
}

/* Moves what is in the ring into `batch`, up to its end. False = the ring is empty. */
static bool drain(struct ring_buffer *ring, __u32 now, struct batch *batch)
{
	batch->now = now;
	batch->events = 0;
	memset(batch->bytes, 0, sizeof(batch->bytes));
	return ring_buffer__consume(ring) == -ENOBUFS;
}

#endif
