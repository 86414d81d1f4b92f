// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The director: FULLNAT in XDP.
 *
 *   inbound   client -> virtual service   becomes   LIP -> real server
 *   outbound  real server -> LIP          becomes   virtual service -> client
 *
 * A frame's destination says which table to ask: LIPs are within the aggregate. What is not weir's
 * goes to the kernel untouched; what is weir's never does, because the kernel would answer it or
 * send it back to the router.
 */
#include <linux/errno.h>
#include <stdbool.h>
#include "create.h"
#include "reset.h"

/* A SYN that lost the race to create its session looks it up once more. */
#define WEIR_CREATE_TRIES 2

/* Finding, or creating, the session of a packet: WEIR_NEXT with `entry` set, or a verdict. */
static __always_inline int weir_inbound(struct xdp_md *ctx, struct weir_counters *counters,
					const struct weir_packet *packet,
					struct weir_entry4 *entry);
static __always_inline int weir_outbound(struct xdp_md *ctx, struct weir_counters *counters,
					 const struct weir_packet *packet,
					 struct weir_entry4 *entry);

static __always_inline int weir_forward(struct xdp_md *ctx, struct weir_counters *counters,
					const struct weir_packet *packet,
					const struct weir_entry4 *entry, bool outbound);

static __always_inline bool weir_is_outbound(const struct weir_packet *packet)
{
	__u32 zero = 0;
	const struct weir_node *node = bpf_map_lookup_elem(&weir_nodes, &zero);

	return node && node->aggregate4_mask &&
	       (packet->key.daddr & node->aggregate4_mask) == node->aggregate4;
}

SEC("xdp.frags")
int weir_director(struct xdp_md *ctx)
{
	struct weir_packet packet = {.now = bpf_jiffies64() * weir_jiffy_ns >> WEIR_TICK_SHIFT};
	struct weir_counters *counters = weir_cpu_counters();
	struct weir_entry4 entry = {};
	bool outbound;
	int verdict;

	if (!counters)
		return XDP_PASS;
	counters->received++;
	verdict = weir_parse(ctx, counters, &packet);
	if (verdict != WEIR_NEXT)
		return verdict;
	outbound = weir_is_outbound(&packet);
	verdict = outbound ? weir_outbound(ctx, counters, &packet, &entry)
			   : weir_inbound(ctx, counters, &packet, &entry);
	if (verdict != WEIR_NEXT)
		return verdict;
	return weir_forward(ctx, counters, &packet, &entry, outbound);
}

static __always_inline bool weir_is_syn(const struct weir_packet *packet)
{
	return (packet->tcp_flags & (WEIR_TCP_SYN | WEIR_TCP_ACK | WEIR_TCP_RST | WEIR_TCP_FIN)) ==
	       WEIR_TCP_SYN;
}

/* Asked before a packet changes anything: what is not forwarded has not been. */
static __always_inline bool weir_ttl_spent(const struct weir_packet *packet)
{
	return packet->ttl <= 1;
}

/* The index of the service that the packet asks for. Decides for addresses without one. */
static __always_inline int weir_find_service(const struct weir_packet *packet,
					     struct weir_counters *counters, __u32 *index)
{
	struct weir_service_key key = {
		.vaddr = weir_address_of4(packet->key.daddr),
		.vport = packet->key.dport,
		.proto = packet->key.proto,
	};
	__u32 *found = bpf_map_lookup_elem(&weir_service_index, &key);

	if (!found)
		return weir_refuse(packet, counters, &counters->drop_no_service);
	*index = *found;
	return WEIR_NEXT;
}

static __always_inline void weir_count_session(__u32 real)
{
	struct weir_traffic *traffic = bpf_map_lookup_elem(&weir_traffic, &real);

	if (traffic)
		traffic->sessions++;
}

/* A packet that no open session claims. As weir_inbound(), or -EAGAIN if another CPU was faster. */
static __always_inline int weir_open(struct xdp_md *ctx, struct weir_counters *counters,
				     const struct weir_packet *packet, __u64 supersedes,
				     struct weir_entry4 *entry)
{
	struct weir_draft *draft;
	__u32 service;
	int verdict = weir_find_service(packet, counters, &service);

	if (verdict != WEIR_NEXT)
		return verdict;
	if (!weir_is_syn(packet)) {
		weir_tell_miss(counters, packet, true);
		return weir_drop(&counters->drop_no_session);
	}
	if (weir_ttl_spent(packet))
		return weir_drop(&counters->drop_ttl);
	draft = weir_new_draft();
	if (!draft)
		return weir_drop(&counters->drop_inconsistent);
	draft->index.key = packet->key;
	draft->supersedes = supersedes;
	draft->service = service;
	draft->now = packet->now;
	draft->sequence = packet->sequence;

	switch (weir_create(ctx)) {
	case 0:
		counters->session_created++;
		if (supersedes)
			counters->session_replaced++;
		weir_count_session(draft->index.real);
		*entry = draft->index;
		return WEIR_NEXT;
	case -EEXIST:
	case -EBUSY:
		counters->insert_race++;
		return -EAGAIN;
	case -ENOENT:
		return weir_drop(&counters->drop_no_real_server);
	case -EADDRINUSE:
		return weir_drop(&counters->drop_no_lport);
	case -ENOSPC:
		return weir_drop(&counters->drop_table_full);
	default:
		return weir_drop(&counters->drop_inconsistent);
	}
}

static __always_inline int weir_inbound(struct xdp_md *ctx, struct weir_counters *counters,
					const struct weir_packet *packet, struct weir_entry4 *entry)
{
	for (int i = 0; i < WEIR_CREATE_TRIES; i++) {
		__u64 head, supersedes = 0;
		int error = weir_inbound4_read(&packet->key, entry, &head);
		int verdict;

		if (error == -EBUSY)
			break;
		if (!error) {
			if (!weir_is_syn(packet) || weir_may_replace(entry, packet->now) != 1) {
				if (weir_ttl_spent(packet))
					return weir_drop(&counters->drop_ttl);
				weir_client_segment(packet, entry);
				return WEIR_NEXT;
			}
			supersedes = entry->generation;
		}
		verdict = weir_open(ctx, counters, packet, supersedes, entry);
		if (verdict != -EAGAIN)
			return verdict;
	}
	return weir_drop(&counters->drop_busy);
}

static __always_inline int weir_outbound(struct xdp_md *ctx, struct weir_counters *counters,
					 const struct weir_packet *packet,
					 struct weir_entry4 *entry)
{
	__u64 head;
	int error = weir_outbound4_read(&packet->key, entry, &head);

	if (error == -EBUSY)
		return weir_drop(&counters->drop_busy);
	if (error || WEIR_HEAD_STATE(head) == WEIR_HELD) {
		weir_tell_miss(counters, packet, false);
		return weir_drop(&counters->drop_no_session);
	}
	if (weir_ttl_spent(packet))
		return weir_drop(&counters->drop_ttl);
	if (weir_real_segment(packet, entry, head))
		return weir_send_reset(ctx, counters, packet, &counters->drop_not_indexed);
	return WEIR_NEXT;
}

/* Per-CPU, and only for packets that have left. */
static __always_inline void weir_count_traffic(const struct weir_packet *packet, __u32 real,
					       bool outbound)
{
	struct weir_traffic *traffic = bpf_map_lookup_elem(&weir_traffic, &real);

	if (!traffic)
		return;
	if (outbound) {
		traffic->outbound_packets++;
		traffic->outbound_bytes += packet->length;
	} else {
		traffic->inbound_packets++;
		traffic->inbound_bytes += packet->length;
	}
}

static __always_inline int weir_forward(struct xdp_md *ctx, struct weir_counters *counters,
					const struct weir_packet *packet,
					const struct weir_entry4 *entry, bool outbound)
{
	struct weir_hop hop = {};
	int verdict = weir_translate(ctx, counters, packet, entry);

	if (verdict != WEIR_NEXT)
		return verdict;
	verdict = weir_find_hop(ctx, counters, packet, entry, &hop);
	if (verdict == WEIR_NEXT)
		verdict = weir_transmit(ctx, counters, packet, &hop);
	if (verdict != XDP_DROP)
		weir_count_traffic(packet, entry->real, outbound);
	return verdict;
}

char _license[] SEC("license") = "Dual BSD/GPL";
