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
#define WEIR_WINDOW_SHIFT 6
#define WEIR_MISSES_MAX   64

/* May this CPU do it once more in this time slice? */
static __always_inline bool weir_may(enum weir_budget_kind kind, __u32 most, __u32 now)
{
	__u32 index = kind, window = now >> WEIR_WINDOW_SHIFT;
	struct weir_budget *budget = bpf_map_lookup_elem(&weir_budgets, &index);

	if (!budget)
		return false;
	if (budget->window != window)
		*budget = (struct weir_budget){.window = window};
	return budget->spent++ < most;
}

/* A packet that no session claims: perhaps another node knows its session. A call of its own: its
 * stack is not that of the fast path. */
__noinline int weir_tell_miss(struct weir_counters *counters, const struct weir_packet *packet,
			      bool inbound)
{
	const struct weir_node *node = weir_this_node();
	struct weir_miss_event event = {.kind = WEIR_EVENT_MISS, .inbound = inbound};

	if (!counters || !packet || !node || !*(volatile __u32 *)&node->lookups ||
	    !weir_may(WEIR_BUDGET_MISSES, WEIR_MISSES_MAX, packet->now))
		return 0;
	event.key = packet->key;
	if (!bpf_ringbuf_output(&weir_events, &event, sizeof(event), 0))
		counters->miss_told++;
	return 0;
}

#endif
