/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A SYN, or a first datagram, becomes a session: what has been planned for it becomes both table
 * entries. The outbound insert, which refuses a key that exists, is the only authority over who
 * owns a LIP:port toward a real server; so ports are reused over real servers and nothing can leak.
 */
#ifndef WEIR_CREATE_H
#define WEIR_CREATE_H

#include "egress.h"
#include "plan.h"

/* LIP:port candidates that may meet full buckets before the SYN is dropped. */
#define WEIR_FULL_TRIES 2
/* Compare-and-swaps on the clock before the plain increment. */
#define WEIR_GENERATION_TRIES 4

__noinline int weir_outbound_insert(const struct weir_truth *truth, __u16 flags)
{
	return truth ? outbound_insert(truth, flags, WEIR_SYN) : -EINVAL;
}

/* Names the client's key with a new session: -EEXIST if another CPU has done so meanwhile. */
__noinline int weir_inbound_claim(const struct weir_entry *entry, __u64 supersedes)
{
	__u16 flags = WEIR_MODE_FULLNAT << WEIR_MODE_SHIFT;
	struct inbound_ref ref = {};

	if (!entry)
		return -EINVAL;
	if (supersedes && !inbound_find(&entry->key, &ref)) {
		if (ref.slot->generation != supersedes)
			return -EEXIST;
		return inbound_replace(&ref, entry, flags, WEIR_LIVE) ? -EEXIST : 0;
	}
	return inbound_insert(entry, flags, WEIR_LIVE);
}

/* Takes back an outbound entry whose client key went to another CPU. */
__noinline int weir_outbound_withdraw(const struct weir_truth *truth)
{
	struct outbound_ref ref = {};

	if (!truth || outbound_find(&truth->entry.key, &ref) ||
	    ref.slot->entry.generation != truth->entry.generation)
		return -ENOENT;
	return outbound_remove(&ref);
}

/* Hybrid logical clock: this node's time in ns, but above every generation that it has made or
 * seen. */
static __always_inline __u64 weir_next_generation(const struct weir_node *node)
{
	__u32 zero = 0;
	__u64 *last = bpf_map_lookup_elem(&weir_generation, &zero);
	__u64 wall = bpf_ktime_get_ns() + node->realtime_offset;

	if (!last)
		return 0;
#pragma unroll
	for (int i = 0; i < WEIR_GENERATION_TRIES; i++) {
		__u64 old = *(volatile __u64 *)last;
		__u64 next = wall > old ? wall : old + 1;

		if (__sync_val_compare_and_swap(last, old, next) == old)
			return next;
	}
	return __sync_fetch_and_add(last, 1) + 1;
}

/* Which group leads to the client: that of its family, if one of the group's hops is the kernel's
 * choice for this address. */
__noinline int weir_client_egress(struct xdp_md *ctx, const struct weir_truth *truth)
{
	struct weir_egress_group *group;
	struct weir_hop hop = {};
	__u32 index;

	if (!truth)
		return WEIR_EGRESS_KERNEL;
	index = weir_new_version(&truth->entry) == 4 ? WEIR_EGRESS_CLIENTS4 : WEIR_EGRESS_CLIENTS6;
	group = bpf_map_lookup_elem(&weir_egress_groups, &index);
	if (!group || weir_fib_hop(ctx, &truth->entry, 0, &hop) != BPF_FIB_LKUP_RET_SUCCESS)
		return WEIR_EGRESS_KERNEL;
	for (__u32 i = 0; i < WEIR_HOPS_MAX; i++) {
		const struct weir_hop *known = &group->hop[i];

		/* A VLAN device is not the group's ifindex, but the neighbour's address behind it
		 * is the same. */
		if (i < group->hops && !__builtin_memcmp(known->dmac, hop.dmac, ETH_ALEN) &&
		    (known->vlan || known->ifindex == hop.ifindex))
			return index;
	}
	return WEIR_EGRESS_KERNEL;
}

/* Fills the truth of a planned session, but for what depends on LIP:port. */
static __always_inline void weir_describe(struct xdp_md *ctx, const struct weir_node *node,
					  struct weir_draft *draft)
{
	struct weir_truth *truth = &draft->event.truth;
	const struct weir_key *key = &draft->index.key;

	truth->entry.new_saddr = key->daddr;
	truth->entry.new_daddr = key->saddr;
	truth->entry.new_sport = key->dport;
	truth->entry.new_dport = key->sport;
	truth->entry.generation = weir_next_generation(node);
	truth->entry.seen = draft->now;
	truth->entry.egress = weir_client_egress(ctx, truth);
	truth->supersedes = draft->supersedes;
	truth->origin = node->origin;
	if (key->proto == IPPROTO_TCP)
		truth->client_isn_fact = WEIR_FACT(0, draft->sequence);
	truth->changed = draft->now;
	truth->synced = draft->now;
}

/* Claims a LIP:port by inserting the truth: the planned one or, if it is taken, another. 0, -ENOSPC
 * for full buckets, -EADDRINUSE if all candidates are taken. */
static __always_inline int weir_allocate(const struct weir_node *node,
					 struct weir_counters *counters, struct weir_draft *draft)
{
	struct weir_truth *truth = &draft->event.truth;
	__u32 zero = 0;
	__u64 *taken = bpf_map_lookup_elem(&weir_lports, &zero);
	struct weir_pool pool;
	int full = 0;

	if (!taken)
		return -EINVAL;
	weir_pool_for(node, truth->entry.key.saddr, &pool);
	if (!pool.size)
		return -EADDRINUSE;
	for (int i = 0; i < WEIR_PORT_PROBES; i++) {
		int error;

		weir_set_deltas(&truth->entry);
		error = weir_outbound_insert(truth, draft->flags);
		if (!error)
			return 0;
		if (error == -ENOSPC && ++full == WEIR_FULL_TRIES)
			return -ENOSPC;
		counters->lport_probe++;
		/* One that is taken is likely to be in a run of such: leap. */
		*taken += bpf_get_prandom_u32();
		weir_next_lport(&pool, taken, &truth->entry.key);
	}
	return -EADDRINUSE;
}

/* The next sweep sends what the ring could not take. */
__noinline int weir_mark_unsent(const struct weir_truth *truth)
{
	struct outbound_ref ref = {};

	if (!truth || outbound_find(&truth->entry.key, &ref) ||
	    ref.slot->entry.generation != truth->entry.generation)
		return -ENOENT;
	*(volatile __u32 *)&ref.slot->synced = truth->changed - 1;
	return 0;
}

static __always_inline void weir_tell_created(struct weir_counters *counters,
					      struct weir_draft *draft)
{
	struct weir_session_event *event = &draft->event;

	if (!(draft->flags & WEIR_FLAG_SHARED))
		return;
	event->kind = WEIR_EVENT_SESSION;
	event->tick = draft->now;
	event->head = WEIR_HEAD(0, 0, draft->flags, WEIR_SYN);
	if (!bpf_ringbuf_output(&weir_events, event, sizeof(*event), 0)) {
		counters->event_sent++;
		return;
	}
	counters->event_lost++;
	weir_mark_unsent(&event->truth);
}

/*
 * Creates the session of this CPU's draft, which weir_plan() has made and `supersedes` has been
 * added to; completes it. 0; what weir_choose() says; -EEXIST or -EBUSY if another CPU made one
 * meanwhile (look it up again); -ENOSPC table full.
 */
__noinline int weir_create(struct xdp_md *ctx)
{
	struct weir_counters *counters = weir_cpu_counters();
	const struct weir_node *node = weir_this_node();
	struct weir_draft *draft = weir_this_draft();
	int error;

	if (!counters || !draft || !node)
		return -EINVAL;
	if (draft->error)
		return draft->error;
	weir_describe(ctx, node, draft);
	error = weir_allocate(node, counters, draft);
	if (error)
		return error;
	weir_index_of(&draft->event.truth.entry, &draft->index);
	error = weir_inbound_claim(&draft->index, draft->supersedes);
	if (error)
		weir_outbound_withdraw(&draft->event.truth);
	else
		weir_tell_created(counters, draft);
	return error;
}

#endif
