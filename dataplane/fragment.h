/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Fragments. The first one of a datagram holds its ports, so it finds its session, or makes one, as
 * any packet does. The others follow it, without reassembly; one that comes before the first is
 * lost. What two fragments say differently is nobody's to choose from: an overlap ends the datagram
 * (RFC 5722, for IPv4 too).
 *
 * The network spreads fragments by addresses alone, and so do network cards: those of one datagram
 * meet one node, and one CPU after the other, never two at once.
 */
#ifndef WEIR_FRAGMENT_H
#define WEIR_FRAGMENT_H

#include "pipeline.h"

/* How long the fragments of a datagram may follow its first one. */
#define WEIR_FRAGMENT_TICKS (5 * WEIR_TICKS_PER_SECOND)

#define WEIR_DATAGRAM_MAX 65535 /* bytes */

/* The fragment at hand: its datagram's key, and the datagram if it is the first one. Per CPU in a
 * map: they would not fit the stack. */
struct weir_fragment {
	struct weir_packet packet;
	struct weir_fragment_key key;
	struct weir_datagram datagram;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_fragment);
} weir_fragment_drafts SEC(".maps");

static __always_inline bool weir_is_last(const struct weir_packet *packet)
{
	return !(packet->fragment & WEIR_IP_MORE);
}

static __always_inline struct weir_piece weir_piece_of(const struct weir_packet *packet)
{
	__u32 begin = packet->fragment & WEIR_IP_OFFSET;
	__u32 bytes = packet->length - packet->ip_bytes;

	return (struct weir_piece){begin, begin + (bytes + 7) / 8};
}

/* Adds a piece to those that have been seen; joined with its neighbours, so that the whole is one.
 * False: it overlaps one of them, or there are too many gaps to remember. */
static __always_inline bool weir_add_piece(struct weir_datagram *datagram, struct weir_piece piece)
{
	__u64 pieces = datagram->pieces;
	struct weir_piece joined = piece;
	__u64 kept = 0;

	for (__u64 i = 0; i < WEIR_PIECES_MAX && i < pieces; i++) {
		struct weir_piece other = datagram->piece[i];

		if (other.begin < piece.end && piece.begin < other.end)
			return false;
		if (other.end == piece.begin) {
			joined.begin = other.begin;
		} else if (other.begin == piece.end) {
			joined.end = other.end;
		} else if (kept < WEIR_PIECES_MAX) {
			datagram->piece[kept] = other;
			kept++;
		}
	}
	if (kept >= WEIR_PIECES_MAX)
		return false;
	datagram->piece[kept] = joined;
	datagram->pieces = kept + 1;
	return true;
}

static __always_inline bool weir_is_complete(const struct weir_datagram *datagram)
{
	return datagram->units && datagram->pieces == 1 && !datagram->piece[0].begin &&
	       datagram->piece[0].end == datagram->units;
}

/* Begins a datagram by its first fragment. */
static __always_inline int weir_begin(struct xdp_md *ctx, struct weir_counters *counters,
				      struct weir_packet *packet, struct weir_datagram *datagram)
{
	int verdict;

	if (packet->key.proto != IPPROTO_TCP && packet->key.proto != IPPROTO_UDP)
		return weir_drop(&counters->drop_protocol);
	verdict = weir_parse_transport(ctx, counters, packet, &counters->drop_fragment_tiny);
	if (verdict != WEIR_NEXT)
		return verdict;
	datagram->tick = packet->now;
	datagram->units = 0;
	datagram->outbound = weir_is_outbound(packet);
	datagram->poisoned = 0;
	datagram->pieces = 1;
	datagram->piece[0] = weir_piece_of(packet);
	return weir_find_session(ctx, counters, packet, &datagram->entry, datagram->outbound,
				 WEIR_STAGE_FRAGMENT6);
}

/* Another fragment of a datagram that has begun. */
static __always_inline int weir_go_on(struct xdp_md *ctx, struct weir_counters *counters,
				      struct weir_packet *packet, struct weir_datagram *datagram)
{
	struct weir_piece piece = weir_piece_of(packet);

	packet->key.proto = datagram->entry.key.proto; /* see weir_fragment_key */
	if (datagram->poisoned || !weir_add_piece(datagram, piece)) {
		datagram->poisoned = 1;
		return weir_drop(&counters->drop_fragment_overlap);
	}
	if (weir_is_last(packet))
		datagram->units = piece.end;
	return weir_ttl_spent(packet) ? weir_drop_spent(ctx, counters, packet) : WEIR_NEXT;
}

/* The datagram of a fragment, if its first one came in time. */
static __always_inline struct weir_datagram *weir_known_datagram(struct weir_fragment *fragment)
{
	const struct weir_packet *packet = &fragment->packet;
	struct weir_datagram *datagram;

	fragment->key = (struct weir_fragment_key){
		.saddr = packet->key.saddr,
		.daddr = packet->key.daddr,
		.id = packet->id,
		.proto = packet->version == 4 ? packet->key.proto : 0,
	};
	datagram = bpf_map_lookup_elem(&weir_fragments, &fragment->key);
	return datagram && (__u32)packet->now - datagram->tick <= WEIR_FRAGMENT_TICKS ? datagram
										      : NULL;
}

/* What is wrong with a fragment that may be looked at alone: WEIR_NEXT if nothing is. */
static __always_inline int weir_check_fragment(struct weir_counters *counters,
					       const struct weir_packet *packet)
{
	__u32 offset = packet->fragment & WEIR_IP_OFFSET;
	__u32 bytes = packet->length - packet->ip_bytes;

	if (!bytes || (!weir_is_last(packet) && bytes % 8))
		return weir_drop(&counters->drop_fragment_tiny);
	if (offset * 8 + bytes > WEIR_DATAGRAM_MAX)
		return weir_drop(&counters->drop_malformed);
	/* It would overwrite TCP's flags (RFC 1858 section 4.2). */
	if (packet->key.proto == IPPROTO_TCP && offset == 1)
		return weir_drop(&counters->drop_fragment_overlap);
	return WEIR_NEXT;
}

static __always_inline int weir_direct_fragment(struct xdp_md *ctx, struct weir_counters *counters)
{
	__u32 zero = 0;
	struct weir_fragment *fragment = bpf_map_lookup_elem(&weir_fragment_drafts, &zero);
	struct weir_datagram *datagram;
	struct weir_packet *packet;
	int verdict;
	bool begins;

	if (!fragment)
		return weir_drop(&counters->drop_inconsistent);
	packet = &fragment->packet;
	*packet = (struct weir_packet){.now = weir_now()};
	verdict = weir_parse_ip(ctx, counters, packet);
	if (verdict == WEIR_NEXT)
		verdict = weir_check_fragment(counters, packet);
	if (verdict != WEIR_NEXT)
		return verdict;
	datagram = weir_known_datagram(fragment);
	begins = !datagram;
	if (begins) {
		if (weir_is_later_fragment(packet))
			return weir_may_be_wide()
				       ? weir_hand_to(ctx, counters, WEIR_STAGE_FRAGMENT6)
				       : weir_drop(&counters->drop_fragment_stranger);
		datagram = &fragment->datagram;
		verdict = weir_begin(ctx, counters, packet, datagram);
	} else {
		verdict = weir_go_on(ctx, counters, packet, datagram);
	}
	if (verdict != WEIR_NEXT)
		return verdict;
	verdict = weir_forward(ctx, counters, packet, &datagram->entry, datagram->outbound);
	if (begins && verdict != XDP_DROP)
		bpf_map_update_elem(&weir_fragments, &fragment->key, datagram, BPF_ANY);
	/* Its identification may come again soon. */
	if (!begins && weir_is_complete(datagram))
		bpf_map_delete_elem(&weir_fragments, &fragment->key);
	return verdict;
}

#endif
