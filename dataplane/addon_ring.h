/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What XDP has written into the ring buffer weir_events, as records for the other nodes. */
#ifndef WEIR_ADDON_RING_H
#define WEIR_ADDON_RING_H

#include <errno.h>
#include <stdbool.h>
#include <bpf/libbpf.h>
#include "sync_record.h"
#include "weir.h"

#define BATCH_EVENTS 2048 /* that one delivery has at most */

struct batch {
	__u32 now; /* tick that ages count from */
	size_t records, misses;
	struct weir_sync_record4 record[BATCH_EVENTS];
	struct weir_key4 miss[BATCH_EVENTS]; /* wire keys */
};
_Static_assert(sizeof(struct weir_key4) == WEIR_SYNC_KEY_BYTES, "a wire key is a key");

static void take_session(struct batch *batch, const struct weir_session_event4 *event)
{
	weir_sync_encode(event->head, &event->truth, batch->now, &batch->record[batch->records++]);
}

static void take_miss(struct batch *batch, const struct weir_miss_event4 *event)
{
	struct weir_key4 *key = &batch->miss[batch->misses++];

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
	if (kind == WEIR_EVENT_SESSION && length >= sizeof(struct weir_session_event4))
		take_session(batch, data);
	else if (kind == WEIR_EVENT_MISS && length >= sizeof(struct weir_miss_event4))
		take_miss(batch, data);
	return batch->records + batch->misses < BATCH_EVENTS ? 0 : -ENOBUFS;
}

/* Moves what is in the ring into `batch`, up to its end. False = the ring is empty. */
static bool drain(struct ring_buffer *ring, __u32 now, struct batch *batch)
{
	batch->now = now;
	batch->records = batch->misses = 0;
	return ring_buffer__consume(ring) == -ENOBUFS;
}

#endif
