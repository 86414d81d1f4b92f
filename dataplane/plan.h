/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Where a new session would go: its service, a real server by its scheduler, and a LIP:port of this
 * node's own pool. A plan that is not carried out costs the scheduler a turn and the pool a number,
 * no more.
 */
#ifndef WEIR_PLAN_H
#define WEIR_PLAN_H

#include "session.h"

/* The session in the making. Per CPU in a map: both entries would not fit the stack. */
struct weir_draft {
	struct weir_session_event event; /* the truth, as the other nodes are told of it */
	struct weir_entry index;         /* its inbound entry; the key is the packet's */
	__u64 supersedes; /* generation of the closed session that holds the key now; 0 = none */
	__u32 service;    /* index */
	__u32 now;
	__u32 sequence; /* the client's initial sequence number; 0 for UDP */
	int error;      /* what weir_choose() said */
	__u16 flags;    /* of the truth's head */
	__u8 bound_to;  /* the IP version that the packet must keep; 0 = either */
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_draft);
} weir_drafts SEC(".maps");

static __always_inline struct weir_draft *weir_this_draft(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&weir_drafts, &zero);
}

static __always_inline bool weir_is_syn(const struct weir_packet *packet)
{
	return (packet->tcp_flags & (WEIR_TCP_SYN | WEIR_TCP_ACK | WEIR_TCP_RST | WEIR_TCP_FIN)) ==
	       WEIR_TCP_SYN;
}

/* The index of the service that a packet with this key asks for, or -ENOENT. A call of its own: its
 * stack is not that of the fast path. */
__noinline int weir_find_service(const struct weir_key *asked, __u32 *index)
{
	struct weir_service_key key = {};
	__u32 *found;

	if (!asked || !index)
		return -ENOENT;
	key.vaddr = weir_full(asked->daddr);
	key.vport = asked->dport;
	key.proto = asked->proto;
	found = bpf_map_lookup_elem(&weir_service_index, &key);
	if (!found) {
		struct weir_service_range range = {
			.length = 160,
			.vaddr = key.vaddr,
			.proto = key.proto,
			.vport = key.vport,
		};

		found = bpf_map_lookup_elem(&weir_service_ranges, &range);
	}
	if (!found)
		return -ENOENT;
	*index = *found;
	return 0;
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
static __always_inline int weir_schedule_real(const struct weir_service *service,
					      struct weir_draft *draft, __u32 *real)
{
	struct weir_schedule *schedule;
	__u64 current, turn;
	__u32 row, size;

	if (!weir_serves(service, &draft->index.key))
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

/* The real server and the first LIP:port to try, into the draft. 0; -ENOENT no real server;
 * -EPROTONOSUPPORT one of the other family, for a packet that must keep its own; -EADDRINUSE no
 * LIP:port; -EINVAL an index points nowhere. */
static __always_inline int weir_choose(const struct weir_node *node,
				       const struct weir_service *service, struct weir_draft *draft)
{
	struct weir_entry *entry = &draft->event.truth.entry;
	struct weir_real_server *server;
	struct weir_pool pool;
	__u32 real = 0, zero = 0;
	__u64 *taken;
	int error;

	if (node->port_max < node->port_min)
		return -EINVAL;
	error = weir_schedule_real(service, draft, &real);
	if (error)
		return error;
	server = bpf_map_lookup_elem(&weir_real_servers, &real);
	taken = bpf_map_lookup_elem(&weir_lports, &zero);
	if (!server || !server->used || server->service != draft->service || !taken)
		return -EINVAL;
	if (WEIR_WIDE && draft->bound_to &&
	    draft->bound_to != (weir_is_mapped(&server->raddr) ? 4 : 6))
		return -EPROTONOSUPPORT;
	entry->key.saddr = weir_ip_of(&server->raddr);
	entry->key.sport = server->rport ?: draft->index.key.dport;
	entry->key.proto = draft->index.key.proto;
	entry->real = real;
	draft->index.egress = server->egress;
	weir_pool_for(node, entry->key.saddr, &pool);
	if (!pool.size)
		return -EADDRINUSE; /* another node claims this pool too */
	/* Begin anywhere, so that a new incarnation does not meet the ports of the last one. */
	if (!*taken)
		*taken = bpf_get_prandom_u32();
	weir_next_lport(&pool, taken, &entry->key);
	return 0;
}

/*
 * Plans a session for this packet, if it could open one, in this CPU's draft, and has the buckets
 * fetched that it would live in. A SYN's is planned before its session is looked for: most open
 * one, and then all that memory is waited for at once. 0; -ENOENT no service; -EXDEV one of the
 * other family's table; -EINVAL an index points nowhere.
 */
__noinline int weir_plan(const struct weir_packet *packet)
{
	const struct weir_node *node = weir_this_node();
	struct weir_draft *draft = weir_this_draft();
	const struct weir_service *service;
	__u32 index = 0;

	if (!packet || !node || !draft)
		return -EINVAL;
	if (weir_find_service(&packet->key, &index))
		return -ENOENT;
	service = bpf_map_lookup_elem(&weir_services, &index);
	if (!service)
		return -EINVAL;
	if (service->wide != WEIR_WIDE)
		return WEIR_WIDE ? -EINVAL : -EXDEV;
	if (packet->key.proto == IPPROTO_TCP && !weir_is_syn(packet))
		return 0;
	__builtin_memset(draft, 0, sizeof(*draft));
	draft->index.key = packet->key;
	draft->service = index;
	draft->now = packet->now;
	draft->sequence = packet->sequence;
	draft->bound_to = packet->bound ? packet->version : 0;
	draft->error = weir_choose(node, service, draft);
	if (!draft->error) {
		inbound_foresee(&draft->index.key);
		outbound_foresee(&draft->event.truth.entry.key);
	}
	return 0;
}

#endif
