/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* From a parsed packet to its verdict: find or create its session, find the way, translate, send.
 */
#ifndef WEIR_PIPELINE_H
#define WEIR_PIPELINE_H

#include "create.h"
#include "reply_order.h"

/* A packet that lost the race to create its session looks it up once more. */
#define WEIR_CREATE_TRIES 2

/* The copy of a packet's entry. Per CPU in a map: the wide one would not fit the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_entry);
} weir_entries SEC(".maps");

static __always_inline __u64 weir_now(void)
{
	return bpf_jiffies64() * weir_jiffy_ns >> WEIR_TICK_SHIFT;
}

/* Is the destination a LIP of any node? */
static __always_inline bool weir_is_outbound(const struct weir_packet *packet)
{
	const struct weir_node *node = weir_this_node();
	struct weir_address target = weir_full(packet->key.daddr);
	__u32 differ = 0;

	if (!node)
		return false;
	if (!WEIR_WIDE || packet->version == 4)
		return node->aggregate4_mask &&
		       (target.word[3] & node->aggregate4_mask) == node->aggregate4;
#pragma unroll
	for (int i = 0; i < 4; i++)
		differ |=
			(target.word[i] & node->aggregate6_mask.word[i]) ^ node->aggregate6.word[i];
	return node->aggregate6_mask.word[0] && !differ;
}

/* May what misses this table be in the wide one? */
static __always_inline bool weir_may_be_wide(void)
{
	const struct weir_node *node = weir_this_node();

	return !WEIR_WIDE && node && node->mixed;
}

/* Asked before a packet changes anything: what is not forwarded has not been. */
static __always_inline bool weir_ttl_spent(const struct weir_packet *packet)
{
	return packet->ttl <= 1;
}

static __always_inline int weir_drop_spent(struct xdp_md *ctx, struct weir_counters *counters,
					   const struct weir_packet *packet)
{
	counters->drop_ttl++;
	return weir_reply(ctx, packet, WEIR_REPLY_TTL, 0);
}

static __always_inline void weir_count_session(__u32 real)
{
	struct weir_traffic *traffic = bpf_map_lookup_elem(&weir_traffic, &real);

	if (traffic)
		traffic->sessions++;
}

/* No service for it: the kernel's, or dropped, and answered if the config says so. */
static __always_inline int weir_drop_unserved(struct xdp_md *ctx, struct weir_counters *counters,
					      const struct weir_packet *packet)
{
	const struct weir_node *node = weir_this_node();

	if (weir_owner(&packet->key.daddr) == 0)
		return weir_pass(counters);
	counters->drop_no_service++;
	if (!node || node->unknown != WEIR_UNKNOWN_REJECT)
		return XDP_DROP;
	return weir_reply(ctx, packet, WEIR_REPLY_REFUSED, 0);
}

/* A packet that nobody sends who means well. None of its kind has a session. */
static __always_inline bool weir_is_forged(struct weir_counters *counters,
					   const struct weir_packet *packet)
{
	if (weir_same_ip(&packet->key.saddr, &packet->key.daddr))
		counters->drop_land++;
	else if (weir_owner(&packet->key.saddr))
		counters->drop_own_source++;
	else
		return false;
	return true;
}

/* A packet that no open session claims, and what weir_plan() said of it. As weir_from_client(), or
 * -EAGAIN if another CPU was faster. */
static __always_inline int weir_open(struct xdp_md *ctx, struct weir_counters *counters,
				     const struct weir_packet *packet, int planned,
				     __u64 supersedes, struct weir_entry *entry,
				     const __u32 wide_stage)
{
	struct weir_draft *draft = weir_this_draft();

	if (planned == -ENOENT)
		return weir_drop_unserved(ctx, counters, packet);
	if (planned == -EXDEV)
		return weir_hand_to(ctx, counters, wide_stage);
	if (planned || !draft)
		return weir_drop(&counters->drop_inconsistent);
	if (weir_is_forged(counters, packet))
		return XDP_DROP;
	if (!weir_is_syn(packet)) {
		weir_tell_miss(counters, packet, true);
		/* A datagram makes a session at once: if another node knows an older one, that
		 * takes the client's key back when it arrives. */
		if (packet->key.proto == IPPROTO_TCP)
			return weir_drop(&counters->drop_no_session);
	}
	if (weir_ttl_spent(packet))
		return weir_drop_spent(ctx, counters, packet);
	draft->supersedes = supersedes;
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
	case -EPROTONOSUPPORT:
		return weir_drop_bound(counters, packet);
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

static __always_inline int weir_from_client(struct xdp_md *ctx, struct weir_counters *counters,
					    const struct weir_packet *packet,
					    struct weir_entry *entry, const __u32 wide_stage)
{
	for (int i = 0; i < WEIR_CREATE_TRIES; i++) {
		bool syn = weir_is_syn(packet);
		int planned = syn ? weir_plan(packet) : 0;
		__u64 head, supersedes = 0;
		int error = weir_inbound_get(&packet->key, entry, &head, packet->now);
		int verdict;

		if (error == -EBUSY)
			break;
		if (!error) {
			if (!syn || weir_may_replace(entry, packet->now) != 1) {
				if (weir_ttl_spent(packet))
					return weir_drop_spent(ctx, counters, packet);
				if (weir_is_bound(packet, weir_new_version(entry)))
					return weir_drop_bound(counters, packet);
				weir_client_segment(packet, entry);
				return WEIR_NEXT;
			}
			supersedes = entry->generation;
		}
		if (!syn)
			planned = weir_plan(packet);
		verdict = weir_open(ctx, counters, packet, planned, supersedes, entry, wide_stage);
		if (verdict != -EAGAIN)
			return verdict;
	}
	return weir_drop(&counters->drop_busy);
}

static __always_inline int weir_from_real(struct xdp_md *ctx, struct weir_counters *counters,
					  const struct weir_packet *packet,
					  struct weir_entry *entry, const __u32 wide_stage)
{
	__u64 head;
	int error = weir_outbound_get(&packet->key, entry, &head, packet->now);

	if (error == -EBUSY)
		return weir_drop(&counters->drop_busy);
	if (error || WEIR_HEAD_STATE(head) == WEIR_HELD) {
		if (weir_may_be_wide())
			return weir_hand_to(ctx, counters, wide_stage);
		weir_tell_miss(counters, packet, false);
		return weir_drop(&counters->drop_no_session);
	}
	if (weir_ttl_spent(packet))
		return weir_drop_spent(ctx, counters, packet);
	if (weir_is_bound(packet, weir_new_version(entry)))
		return weir_drop_bound(counters, packet);
	if (weir_real_segment(packet, entry, head)) {
		counters->drop_not_indexed++;
		return weir_reply(ctx, packet, WEIR_REPLY_REFUSED, 0);
	}
	return WEIR_NEXT;
}

/* Per-CPU, and only for packets that have left. */
static __always_inline void weir_count_traffic(__u32 real, __u16 bytes, bool outbound)
{
	struct weir_traffic *traffic = bpf_map_lookup_elem(&weir_traffic, &real);

	if (!traffic)
		return;
	if (outbound) {
		traffic->outbound_packets++;
		traffic->outbound_bytes += bytes;
	} else {
		traffic->inbound_packets++;
		traffic->inbound_bytes += bytes;
	}
}

/* The end of a packet that has been translated. */
static __always_inline int weir_leave(struct xdp_md *ctx, struct weir_counters *counters,
				      const struct weir_packet *packet, enum weir_way way,
				      const struct weir_hop *hop)
{
	if (way == WEIR_WAY_HOP)
		return weir_transmit(ctx, counters, packet, hop);
	/* Translated and still addressed to us: the kernel finishes what it can do better. */
	if (way == WEIR_WAY_NO_NEIGHBOUR)
		counters->passed_no_neighbour++;
	else if (way == WEIR_WAY_NO_DEVICE)
		counters->passed_no_device++;
	else
		counters->passed_too_big++;
	return XDP_PASS;
}

static __always_inline int weir_forward(struct xdp_md *ctx, struct weir_counters *counters,
					struct weir_packet *packet, const struct weir_entry *entry,
					bool outbound)
{
	__u16 bytes = packet->length, length = weir_new_length(packet, entry);
	struct weir_hop hop = {};
	enum weir_way way;
	int verdict;

	if (weir_is_bound(packet, weir_new_version(entry)))
		return weir_drop_bound(counters, packet);
	way = weir_find_way(ctx, packet, entry, length, &hop);
	if (way == WEIR_WAY_NONE)
		return weir_drop(&counters->drop_no_route);
	if (way == WEIR_WAY_TOO_BIG) {
		counters->drop_too_big++;
		return weir_reply(ctx, packet, WEIR_REPLY_TOO_BIG, hop.mtu + bytes - length);
	}
	verdict = weir_translate(ctx, counters, packet, entry);
	if (verdict != WEIR_NEXT)
		return verdict;
	verdict = weir_leave(ctx, counters, packet, way, &hop);
	if (verdict != XDP_DROP)
		weir_count_traffic(entry->real, bytes, outbound);
	return verdict;
}

/* Finds the session of a packet, or makes it: WEIR_NEXT with `entry` set, or a verdict. What the
 * wide table may know goes to `wide_stage`. */
static __always_inline int weir_find_session(struct xdp_md *ctx, struct weir_counters *counters,
					     const struct weir_packet *packet,
					     struct weir_entry *entry, bool outbound,
					     const __u32 wide_stage)
{
	return outbound ? weir_from_real(ctx, counters, packet, entry, wide_stage)
			: weir_from_client(ctx, counters, packet, entry, wide_stage);
}

static __always_inline int weir_direct(struct xdp_md *ctx, struct weir_counters *counters,
				       struct weir_packet *packet)
{
	__u32 zero = 0;
	struct weir_entry *entry = bpf_map_lookup_elem(&weir_entries, &zero);
	bool outbound = weir_is_outbound(packet);
	int verdict;

	if (!entry)
		return weir_drop(&counters->drop_inconsistent);
	verdict = weir_find_session(ctx, counters, packet, entry, outbound, WEIR_STAGE_DIRECTOR6);
	if (verdict != WEIR_NEXT)
		return verdict;
	return weir_forward(ctx, counters, packet, entry, outbound);
}

#endif
