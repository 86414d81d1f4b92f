/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the agent hears from XDP: each change of a session that the other nodes are told of, as a
 * whole record, and packets that no session claims.
 *
 * A full ring loses nothing for good: the session's `synced` stays before its `changed`, and the
 * next sweep sends what the ring could not take.
 */
#ifndef WEIR_EVENTS_H
#define WEIR_EVENTS_H

#include "parse.h"

/* Misses that one CPU tells of in each time slice of 2^6 ticks (67 ms). The rest of a flood has to
 * come again: TCP repeats. */
#define WEIR_MISS_SHIFT 6
#define WEIR_MISSES_MAX 64

static __always_inline bool weir_may_tell_miss(__u32 now)
{
	__u32 zero = 0, window = now >> WEIR_MISS_SHIFT;
	struct weir_miss_budget *budget = bpf_map_lookup_elem(&weir_miss_budgets, &zero);

	if (!budget)
		return false;
	if (budget->window != window)
		*budget = (struct weir_miss_budget){.window = window};
	return budget->told++ < WEIR_MISSES_MAX;
}

/* A packet that no session claims: perhaps another node knows its session. */
static __always_inline void weir_tell_miss(struct weir_counters *counters,
					   const struct weir_packet *packet, bool inbound)
{
	__u32 zero = 0;
	const struct weir_node *node = bpf_map_lookup_elem(&weir_nodes, &zero);
	struct weir_miss_event4 event = {.kind = WEIR_EVENT_MISS, .inbound = inbound};

	if (!node || !*(volatile __u32 *)&node->lookups || !weir_may_tell_miss(packet->now))
		return;
	event.key = packet->key;
	if (!bpf_ringbuf_output(&weir_events, &event, sizeof(event), 0))
		counters->miss_told++;
}

#endif
