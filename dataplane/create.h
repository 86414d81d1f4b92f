/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A SYN becomes a session: the service, a real server by its scheduler, a LIP:port of this node's
 * own pool, and both table entries. The outbound insert, which refuses a key that exists, is the
 * only authority over who owns a LIP:port toward a real server; so ports are reused over real
 * servers and nothing can leak.
 */
#ifndef WEIR_CREATE_H
#define WEIR_CREATE_H

#include "egress.h"
#include "session.h"

/* LIP:port candidates that may meet full buckets before the SYN is dropped. */
#define WEIR_FULL_TRIES 2
/* Compare-and-swaps on the clock before the plain increment. */
#define WEIR_GENERATION_TRIES 4

/* The session in the making. Per CPU in a map: both entries would not fit the stack. */
struct weir_draft {
	struct weir_session_event4 event; /* the truth, as the other nodes are told of it */
	struct weir_entry4 index;         /* its inbound entry; the key is the packet's */
	__u64 supersedes; /* generation of the closed session that holds the key now; 0 = none */
	__u32 service;    /* index */
	__u32 now;
	__u32 sequence; /* the client's initial sequence number */
	__u16 flags;    /* of the truth's head */
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_draft);
} weir_drafts SEC(".maps");

__noinline int weir_outbound4_insert(const struct weir_truth4 *truth, __u16 flags)
{
	return truth ? outbound4_insert(truth, flags, WEIR_SYN) : -EINVAL;
}

/* Names the client's key with a new session: -EEXIST if another CPU has done so meanwhile. */
__noinline int weir_inbound4_claim(const struct weir_entry4 *entry, __u64 supersedes)
{
	__u16 flags = WEIR_MODE_FULLNAT << WEIR_MODE_SHIFT;
	struct inbound4_ref ref = {};

	if (!entry)
		return -EINVAL;
	if (supersedes && !inbound4_find(&entry->key, &ref)) {
		if (ref.slot->generation != supersedes)
			return -EEXIST;
		return inbound4_replace(&ref, entry, flags, WEIR_LIVE) ? -EEXIST : 0;
	}
	return inbound4_insert(entry, flags, WEIR_LIVE);
}

/* Takes back an outbound entry whose client key went to another CPU. */
__noinline int weir_outbound4_withdraw(const struct weir_truth4 *truth)
{
	struct outbound4_ref ref = {};

	if (!truth || outbound4_find(&truth->entry.key, &ref) ||
	    ref.slot->entry.generation != truth->entry.generation)
		return -ENOENT;
	return outbound4_remove(&ref);
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

/* Two rounds of the finaliser of MurmurHash3. Without a key, so that every node of a rack makes the
 * same choice. */
static __always_inline __u32 weir_client_hash(const struct weir_key4 *key)
{
	const weir_word *word = (const void *)key;
	__u64 hash = 0;

#pragma unroll
	for (int i = 0; i < 2; i++) {
		hash ^= word[i];
		hash ^= hash >> 33;
		hash *= 0xff51afd7ed558ccdULL;
		hash ^= hash >> 33;
		hash *= 0xc4ceb9fe1a85ec53ULL;
		hash ^= hash >> 33;
	}
	return hash;
}

/* Which entry of the schedule is this session's. */
static __always_inline __u32 weir_turn(const struct weir_draft *draft,
				       const struct weir_service *service)
{
	__u32 index = draft->service;
	__u64 *turn;

	if (service->scheduler == WEIR_SCHEDULER_MAGLEV)
		return weir_client_hash(&draft->index.key);
	turn = bpf_map_lookup_elem(&weir_turns, &index);
	return turn ? __sync_fetch_and_add(turn, 1) : 0;
}

/* 0 and the real server's index, or -ENOENT if none takes new sessions, or -EINVAL for an index
 * that points nowhere. */
static __always_inline int weir_schedule_real(struct weir_draft *draft, __u32 *real)
{
	__u32 index = draft->service, row, size;
	struct weir_service *service = bpf_map_lookup_elem(&weir_services, &index);
	struct weir_schedule *schedule;
	__u64 current, turn;

	if (!service || service->key.vaddr.word[3] != draft->index.key.daddr ||
	    service->key.vport != draft->index.key.dport ||
	    service->key.proto != draft->index.key.proto)
		return -EINVAL;
	current = *(volatile __u64 *)&service->schedule;
	row = current >> 32;
	size = (__u32)current;
	if (!size)
		return -ENOENT;
	schedule = bpf_map_lookup_elem(&weir_schedules, &row);
	turn = weir_opaque((__u64)(weir_turn(draft, service) % size));
	if (!schedule || turn >= WEIR_SCHEDULE_SIZE)
		return -EINVAL;
	*real = schedule->real[turn];
	draft->flags = WEIR_MODE_FULLNAT << WEIR_MODE_SHIFT;
	if (service->sync == WEIR_SYNC_IMMEDIATE)
		draft->flags |= WEIR_FLAG_SHARED;
	return 0;
}

/* The next LIP:port of the pool. Sequential while they are free, so that the time until a port's
 * reuse is long; each CPU starts at a place of its own, so that two rarely try the same one. */
static __always_inline void weir_next_lport(const struct weir_node *node, __u64 *taken,
					    struct weir_key4 *key)
{
	__u32 ports = node->port_max - node->port_min + 1;
	__u64 share = (__u64)node->pool4_size * ports / weir_cpus;
	__u64 candidate = (*taken)++ + share * bpf_get_smp_processor_id();

	key->daddr = bpf_htonl(node->pool4 + candidate % node->pool4_size);
	key->dport = bpf_htons(node->port_min + candidate / node->pool4_size % ports);
}

/* Which group leads to the client: WEIR_EGRESS_CLIENTS if one of its hops is the kernel's choice
 * for this address. */
__noinline int weir_client_egress(struct xdp_md *ctx, const struct weir_truth4 *truth)
{
	__u32 index = WEIR_EGRESS_CLIENTS;
	struct weir_egress_group *group = bpf_map_lookup_elem(&weir_egress_groups, &index);
	struct weir_hop hop = {};

	if (!truth || !group ||
	    weir_fib_hop(ctx, &truth->entry, 0, &hop) != BPF_FIB_LKUP_RET_SUCCESS)
		return WEIR_EGRESS_KERNEL;
	for (__u32 i = 0; i < WEIR_HOPS_MAX; i++) {
		const struct weir_hop *known = &group->hop[i];

		/* A VLAN device is not the group's ifindex, but the neighbour's address behind it
		 * is the same. */
		if (i < group->hops && !__builtin_memcmp(known->dmac, hop.dmac, ETH_ALEN) &&
		    (known->vlan || known->ifindex == hop.ifindex))
			return WEIR_EGRESS_CLIENTS;
	}
	return WEIR_EGRESS_KERNEL;
}

/* Fills the truth of a new session, but for LIP:port. */
static __always_inline int weir_describe(struct xdp_md *ctx, const struct weir_node *node,
					 struct weir_draft *draft)
{
	struct weir_truth4 *truth = &draft->event.truth;
	const struct weir_key4 *key = &draft->index.key;
	struct weir_real_server *server;
	__u32 real = 0;
	int error = weir_schedule_real(draft, &real);

	if (error)
		return error;
	server = bpf_map_lookup_elem(&weir_real_servers, &real);
	if (!server || !server->used || server->service != draft->service)
		return -EINVAL;
	truth->entry.key.saddr = server->raddr.word[3];
	truth->entry.key.sport = server->rport;
	truth->entry.key.proto = key->proto;
	truth->entry.new_saddr = key->daddr;
	truth->entry.new_daddr = key->saddr;
	truth->entry.new_sport = key->dport;
	truth->entry.new_dport = key->sport;
	truth->entry.generation = weir_next_generation(node);
	truth->entry.seen = draft->now;
	truth->entry.real = real;
	truth->entry.egress = weir_client_egress(ctx, truth);
	truth->supersedes = draft->supersedes;
	truth->origin = node->origin;
	truth->client_isn_fact = WEIR_FACT(0, draft->sequence);
	truth->changed = draft->now;
	truth->synced = draft->now;
	draft->index.egress = server->egress;
	return 0;
}

/* Claims a LIP:port for `truth` by inserting it. 0, -ENOSPC for full buckets, -EADDRINUSE if all
 * candidates are taken. */
static __always_inline int weir_allocate(const struct weir_node *node,
					 struct weir_counters *counters, struct weir_draft *draft)
{
	struct weir_truth4 *truth = &draft->event.truth;
	__u32 zero = 0;
	__u64 *taken = bpf_map_lookup_elem(&weir_lports, &zero);
	int full = 0;

	if (!taken)
		return -EINVAL;
	/* Begin anywhere, so that a new incarnation does not meet the ports of the last one. */
	if (!*taken)
		*taken = bpf_get_prandom_u32();
	for (int i = 0; i < WEIR_PORT_PROBES; i++) {
		int error;

		weir_next_lport(node, taken, &truth->entry.key);
		weir_set_deltas(&truth->entry);
		error = weir_outbound4_insert(truth, draft->flags);
		if (!error)
			return 0;
		if (error == -ENOSPC && ++full == WEIR_FULL_TRIES)
			return -ENOSPC;
		counters->lport_probe++;
		/* One that is taken is likely to be in a run of such: leap. */
		*taken += bpf_get_prandom_u32();
	}
	return -EADDRINUSE;
}

/* The next sweep sends what the ring could not take. */
__noinline int weir_mark_unsent(const struct weir_truth4 *truth)
{
	struct outbound4_ref ref = {};

	if (!truth || outbound4_find(&truth->entry.key, &ref) ||
	    ref.slot->entry.generation != truth->entry.generation)
		return -ENOENT;
	*(volatile __u32 *)&ref.slot->synced = truth->changed - 1;
	return 0;
}

static __always_inline void weir_tell_created(struct weir_counters *counters,
					      struct weir_draft *draft)
{
	struct weir_session_event4 *event = &draft->event;

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

static __always_inline struct weir_draft *weir_new_draft(void)
{
	__u32 zero = 0;
	struct weir_draft *draft = bpf_map_lookup_elem(&weir_drafts, &zero);

	if (draft)
		__builtin_memset(draft, 0, sizeof(*draft));
	return draft;
}

/*
 * Creates the session of a SYN from this CPU's draft, in which index.key, supersedes, service, now
 * and sequence are set; completes the draft. Returns 0; -EEXIST or -EBUSY if another CPU made one
 * meanwhile (look it up again); -ENOENT no real server; -EADDRINUSE no LIP:port; -ENOSPC table
 * full; -EINVAL an index points nowhere.
 */
__noinline int weir_create(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct weir_counters *counters = weir_cpu_counters();
	struct weir_node *node = bpf_map_lookup_elem(&weir_nodes, &zero);
	struct weir_draft *draft = bpf_map_lookup_elem(&weir_drafts, &zero);
	int error;

	if (!counters || !draft || !node || node->port_max < node->port_min)
		return -EINVAL;
	if (!node->pool4_size)
		return -EADDRINUSE; /* another node claims this pool too */
	error = weir_describe(ctx, node, draft);
	if (error)
		return error;
	error = weir_allocate(node, counters, draft);
	if (error)
		return error;
	weir_index_of(&draft->event.truth.entry, &draft->index);
	error = weir_inbound4_claim(&draft->index, draft->supersedes);
	if (error)
		weir_outbound4_withdraw(&draft->event.truth);
	else
		weir_tell_created(counters, draft);
	return error;
}

#endif
