/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A SYN, or a first datagram, becomes a session: the service, a real server by its scheduler, a
 * LIP:port of this node's own pool, and both table entries. The outbound insert, which refuses a
 * key that exists, is the only authority over who owns a LIP:port toward a real server; so ports
 * are reused over real servers and nothing can leak.
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
	struct weir_session_event event; /* the truth, as the other nodes are told of it */
	struct weir_entry index;         /* its inbound entry; the key is the packet's */
	__u64 supersedes; /* generation of the closed session that holds the key now; 0 = none */
	__u32 service;    /* index */
	__u32 now;
	__u32 sequence; /* the client's initial sequence number; 0 for UDP */
	__u16 flags;    /* of the truth's head */
	__u8 bound_to;  /* the IP version that the packet must keep; 0 = either */
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_draft);
} weir_drafts SEC(".maps");

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

/* Rounds of the finaliser of MurmurHash3. Without a key, so that every node of a rack makes the
 * same choice. */
static __always_inline __u32 weir_client_hash(const struct weir_key *key)
{
	const weir_word *word = (const void *)key;
	__u64 hash = 0;

#pragma unroll
	for (int i = 0; i < (int)(sizeof(*key) / sizeof(*word)); i++) {
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

/* Is it still the service that this key asks for? */
static __always_inline bool weir_serves(const struct weir_service *service,
					const struct weir_key *key)
{
	weir_ip vaddr = weir_ip_of(&service->key.vaddr);
	__u16 port = bpf_ntohs(key->dport);

	return weir_same_ip(&vaddr, &key->daddr) && service->key.proto == key->proto &&
	       port >= bpf_ntohs(service->key.vport) && port <= service->vport_max;
}

/* 0 and the real server's index, or -ENOENT if none takes new sessions, or -EINVAL for an index
 * that points nowhere. */
static __always_inline int weir_schedule_real(struct weir_draft *draft, __u32 *real)
{
	__u32 index = draft->service, row, size;
	struct weir_service *service = bpf_map_lookup_elem(&weir_services, &index);
	struct weir_schedule *schedule;
	__u64 current, turn;

	if (!service || !weir_serves(service, &draft->index.key))
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

/* What a node may give out in the family of a real server: LIPs, and ports of each. */
struct weir_pool {
	weir_ip first;
	__u32 size;       /* LIPs; 0 = nothing */
	__u32 first_port; /* host order */
	__u32 ports;      /* so many, `step` apart */
	__u32 step;
};

/*
 * IPv4 real servers may have sessions in both tables, and neither insert sees the other table's
 * LIP:ports. So where there are such, each table gives out every other port.
 */
static __always_inline void weir_pool_for(const struct weir_node *node, weir_ip raddr,
					  struct weir_pool *pool)
{
	struct weir_address real = weir_full(raddr);
	__u32 ports = node->port_max - node->port_min + 1, skip = 0;

	pool->step = 1;
	if (weir_is_mapped(&real)) {
		pool->first = weir_ip_of4(bpf_htonl(node->pool4));
		pool->size = node->pool4_size;
		if (node->mixed) {
			pool->step = 2;
			skip = WEIR_WIDE;
		}
	} else {
		pool->first = weir_ip_of(&node->pool6);
		pool->size = node->pool6_size;
	}
	pool->first_port = node->port_min + skip;
	pool->ports = pool->step == 1 ? ports : (ports + 1 - skip) / 2;
	if (!pool->ports)
		pool->size = 0;
}

static __always_inline weir_ip weir_lip(const struct weir_pool *pool, __u32 number)
{
	weir_ip lip = pool->first;
#if WEIR_WIDE
	lip.word[3] = bpf_htonl(bpf_ntohl(lip.word[3]) + number);
#else
	lip = bpf_htonl(bpf_ntohl(lip) + number);
#endif
	return lip;
}

/* The next LIP:port of the pool. Sequential while they are free, so that the time until a port's
 * reuse is long; each CPU starts at a place of its own, so that two rarely try the same one. */
static __always_inline void weir_next_lport(const struct weir_pool *pool, __u64 *taken,
					    struct weir_key *key)
{
	__u64 share = (__u64)pool->size * pool->ports / weir_cpus;
	__u64 candidate = (*taken)++ + share * bpf_get_smp_processor_id();

	key->daddr = weir_lip(pool, candidate % pool->size);
	key->dport =
		bpf_htons(pool->first_port + candidate / pool->size % pool->ports * pool->step);
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

/* Fills the truth of a new session, but for LIP:port. */
static __always_inline int weir_describe(struct xdp_md *ctx, const struct weir_node *node,
					 struct weir_draft *draft)
{
	struct weir_truth *truth = &draft->event.truth;
	const struct weir_key *key = &draft->index.key;
	struct weir_real_server *server;
	__u32 real = 0;
	int error = weir_schedule_real(draft, &real);

	if (error)
		return error;
	server = bpf_map_lookup_elem(&weir_real_servers, &real);
	if (!server || !server->used || server->service != draft->service)
		return -EINVAL;
	if (WEIR_WIDE && draft->bound_to &&
	    draft->bound_to != (weir_is_mapped(&server->raddr) ? 4 : 6))
		return -EPROTONOSUPPORT;
	truth->entry.key.saddr = weir_ip_of(&server->raddr);
	truth->entry.key.sport = server->rport ?: key->dport;
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
	if (key->proto == IPPROTO_TCP)
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
	struct weir_truth *truth = &draft->event.truth;
	__u32 zero = 0;
	__u64 *taken = bpf_map_lookup_elem(&weir_lports, &zero);
	struct weir_pool pool;
	int full = 0;

	if (!taken)
		return -EINVAL;
	weir_pool_for(node, truth->entry.key.saddr, &pool);
	if (!pool.size)
		return -EADDRINUSE; /* another node claims this pool too */
	/* Begin anywhere, so that a new incarnation does not meet the ports of the last one. */
	if (!*taken)
		*taken = bpf_get_prandom_u32();
	for (int i = 0; i < WEIR_PORT_PROBES; i++) {
		int error;

		weir_next_lport(&pool, taken, &truth->entry.key);
		weir_set_deltas(&truth->entry);
		error = weir_outbound_insert(truth, draft->flags);
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

static __always_inline struct weir_draft *weir_new_draft(void)
{
	__u32 zero = 0;
	struct weir_draft *draft = bpf_map_lookup_elem(&weir_drafts, &zero);

	if (draft)
		__builtin_memset(draft, 0, sizeof(*draft));
	return draft;
}

/*
 * Creates a session from this CPU's draft, in which index.key, supersedes, service, now,
 * sequence and bound_to are set; completes the draft. Returns 0; -EEXIST or -EBUSY if another CPU
 * made one meanwhile (look it up again); -ENOENT no real server; -EPROTONOSUPPORT one of the other
 * family, for a packet that must keep its own; -EADDRINUSE no LIP:port; -ENOSPC table full; -EINVAL
 * an index points nowhere.
 */
__noinline int weir_create(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct weir_counters *counters = weir_cpu_counters();
	const struct weir_node *node = weir_this_node();
	struct weir_draft *draft = bpf_map_lookup_elem(&weir_drafts, &zero);
	int error;

	if (!counters || !draft || !node || node->port_max < node->port_min)
		return -EINVAL;
	error = weir_describe(ctx, node, draft);
	if (error)
		return error;
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
