/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What TCP's flags do to a session. FIN and RST never stop translation: they only shorten the idle
 * timeout, and whoever sweeps the table acts on that. Only a SYN replaces a closed session.
 */
#ifndef WEIR_SESSION_H
#define WEIR_SESSION_H

#include "events.h"
#include "translate.h"

#define WEIR_HASH_KEY0 weir_hash_key0
#define WEIR_HASH_KEY1 weir_hash_key1

#define WEIR_TABLE         inbound4
#define WEIR_KEY           struct weir_key4
#define WEIR_SLOT          struct weir_entry4
#define WEIR_BUCKET        struct weir_inbound4_bucket
#define WEIR_TABLE_BUCKETS weir_inbound4_buckets
static __always_inline WEIR_BUCKET *weir_inbound4_bucket(__u32 index)
{
	return bpf_map_lookup_elem(&weir_inbound4, &index);
}
#define WEIR_TABLE_BUCKET(index) weir_inbound4_bucket(index)
#include "table.h"

#define WEIR_TABLE         outbound4
#define WEIR_KEY           struct weir_key4
#define WEIR_SLOT          struct weir_truth4
#define WEIR_BUCKET        struct weir_outbound4_bucket
#define WEIR_TABLE_BUCKETS weir_outbound4_buckets
static __always_inline WEIR_BUCKET *weir_outbound4_bucket(__u32 index)
{
	return bpf_map_lookup_elem(&weir_outbound4, &index);
}
#define WEIR_TABLE_BUCKET(index) weir_outbound4_bucket(index)
#include "table.h"

/*
 * The functions of this file are calls of their own, with plain data in and out: the verifier
 * checks each of them once, instead of once for each slot that a key may be found in. The fast path
 * makes one such call, a read.
 */

/* Copies the entry of `key`; `head` is its slot's. Returns as inbound4_find(). */
__noinline int weir_inbound4_read(const struct weir_key4 *key, struct weir_entry4 *entry,
				  __u64 *head)
{
	struct inbound4_ref ref = {};
	int error;

	if (!key || !entry || !head)
		return -EINVAL;
	error = inbound4_read(key, &ref, entry);
	*head = ref.seen;
	return error;
}

__noinline int weir_outbound4_read(const struct weir_key4 *key, struct weir_entry4 *entry,
				   __u64 *head)
{
	struct outbound4_ref ref = {};
	int error;

	if (!key || !entry || !head)
		return -EINVAL;
	error = outbound4_read(key, &ref, entry);
	*head = ref.seen;
	return error;
}

static __always_inline bool weir_is_reset(const struct weir_truth4 *truth)
{
	const volatile struct weir_truth4 *live = truth;

	return weir_reset_counts(live->reset, live->entry.seen);
}

/*
 * May a SYN at `now` take the client key of this session? Not while the session is open: then the
 * SYN is a repetition, or the real server's to answer (RFC 5961 section 4). A RST of the client
 * alone proves nothing, because nobody checks its sequence number here: it counts when no data has
 * followed it for the grace time. Until then the SYN goes to the real server too.
 */
static __always_inline bool weir_is_closed(const struct outbound4_ref *truth, __u32 now)
{
	__u8 state = WEIR_HEAD_STATE(truth->seen);

	if (state >= WEIR_FIN_BOTH)
		return true;
	if (!weir_is_reset(truth->slot))
		return false;
	return state < WEIR_ESTABLISHED || WEIR_HEAD_FLAGS(truth->seen) & WEIR_FLAG_RST_REAL ||
	       (__s32)(now - truth->slot->reset) > WEIR_RESET_GRACE_TICKS;
}

/* 1 if a SYN at `now` may replace the session that `entry`, its inbound entry, leads to. */
__noinline int weir_may_replace(const struct weir_entry4 *entry, __u32 now)
{
	struct outbound4_ref truth = {};
	struct weir_key4 key;
	int error;

	if (!entry)
		return -EINVAL;
	key = weir_other_key(entry);
	error = outbound4_find(&key, &truth);
	if (error)
		return error == -ENOENT;
	return truth.slot->entry.generation != entry->generation || weir_is_closed(&truth, now);
}

/* 1 if the session of `entry`, an outbound one, is the one that its client key names. */
__noinline int weir_is_indexed(const struct weir_entry4 *entry)
{
	struct inbound4_ref index = {};
	struct weir_key4 key;

	if (!entry)
		return -EINVAL;
	key = weir_other_key(entry);
	return !inbound4_find(&key, &index) && index.slot->generation == entry->generation;
}

/* Writes the time of the last packet into the inbound entry, so that the next one of this second
 * need not. */
__noinline int weir_touch_index(const struct weir_packet *packet)
{
	struct inbound4_ref index = {};
	int error;

	if (!packet)
		return -EINVAL;
	error = inbound4_find(&packet->key, &index);
	if (!error)
		*(volatile __u32 *)&index.slot->seen = packet->now;
	return error;
}

/* Writes the record of a session that has changed, as it stands in the table. */
static __always_inline void weir_tell_change(struct weir_counters *counters,
					     const struct outbound4_ref *truth, __u32 now)
{
	struct weir_session_event4 *event;

	*(volatile __u32 *)&truth->slot->changed = now;
	if (!(WEIR_HEAD_FLAGS(truth->seen) & WEIR_FLAG_SHARED))
		return;
	/* Before the copy is taken: a change that comes meanwhile has its own record. */
	*(volatile __u32 *)&truth->slot->synced = now;
	event = bpf_ringbuf_reserve(&weir_events, sizeof(*event), 0);
	if (!event) {
		*(volatile __u32 *)&truth->slot->synced = now - 1;
		counters->event_lost++;
		return;
	}
	event->kind = WEIR_EVENT_SESSION;
	event->tick = now;
	event->head = truth->seen;
	__builtin_memcpy(&event->truth, truth->slot, sizeof(event->truth));
	if (!outbound4_holds(truth)) {
		bpf_ringbuf_discard(event, 0); /* the table has gone on without this session */
		return;
	}
	bpf_ringbuf_submit(event, 0);
	counters->event_sent++;
}

/* These say whether the other nodes have to know. */
static __always_inline bool weir_note_reset(const struct weir_packet *packet,
					    struct weir_counters *counters,
					    struct outbound4_ref *truth, bool real)
{
	bool news = !weir_is_reset(truth->slot);

	if (news)
		counters->session_reset++;
	if (real)
		news |= outbound4_advance(truth, WEIR_FLAG_RST_REAL, WEIR_SYN) == 1;
	/* A repetition changes nothing: what the others do not hear must not count here either. */
	if (news)
		*(volatile __u32 *)&truth->slot->reset = (__u32)packet->now ?: 1;
	return news;
}

/* Data after the grace time: the RST is forgotten, because ticks wrap after weeks. */
static __always_inline bool weir_note_seen(const struct weir_packet *packet,
					   struct outbound4_ref *truth)
{
	*(volatile __u32 *)&truth->slot->entry.seen = packet->now;
	if (!truth->slot->reset || weir_is_reset(truth->slot))
		return false;
	*(volatile __u32 *)&truth->slot->reset = 0;
	return true;
}

/* WEIR_FLAG_SHARED if a session of this real server is told of once it is established. */
static __always_inline __u16 weir_share_established(__u32 real)
{
	const struct weir_real_server *server = bpf_map_lookup_elem(&weir_real_servers, &real);
	const struct weir_service *service;
	__u32 index;

	if (!server)
		return 0;
	index = server->service;
	service = bpf_map_lookup_elem(&weir_services, &index);
	return service && service->sync == WEIR_SYNC_ESTABLISHED ? WEIR_FLAG_SHARED : 0;
}

/* Moves the session's state on. The winner of the compare-and-swap alone counts. */
static __always_inline bool weir_note_state(struct weir_counters *counters,
					    struct outbound4_ref *truth, __u16 flags, __u8 state)
{
	__u8 before = WEIR_HEAD_STATE(truth->seen), after;

	if (before < WEIR_ESTABLISHED && state >= WEIR_ESTABLISHED &&
	    !(WEIR_HEAD_FLAGS(truth->seen) & WEIR_FLAG_SHARED))
		flags |= weir_share_established(truth->slot->entry.real);
	if (outbound4_advance(truth, flags, state) != 1)
		return false;
	before = WEIR_HEAD_STATE(truth->was);
	after = WEIR_HEAD_STATE(truth->seen);
	if (before < WEIR_ESTABLISHED && after >= WEIR_ESTABLISHED)
		counters->session_established++;
	if (before < WEIR_FIN_BOTH && after == WEIR_FIN_BOTH)
		counters->session_closed++;
	return true;
}

/*
 * What a segment does to the truth of its session, whose key and generation are given. `side` is
 * WEIR_FLAG_FIN_CLIENT for segments from the client, WEIR_FLAG_FIN_REAL for those from the real
 * server. -ENOENT if the session has gone.
 */
__noinline int weir_note(const struct weir_packet *packet, const struct weir_key4 *key,
			 __u64 generation, __u16 side)
{
	struct weir_counters *counters = weir_cpu_counters();
	struct outbound4_ref truth = {};
	bool real = side == WEIR_FLAG_FIN_REAL, established, news;
	int error;

	if (!packet || !key || !counters)
		return -EINVAL;
	error = outbound4_find(key, &truth);
	if (error)
		return error;
	if (truth.slot->entry.generation != generation || WEIR_HEAD_STATE(truth.seen) == WEIR_HELD)
		return -ENOENT;
	established = WEIR_HEAD_STATE(truth.seen) >= WEIR_ESTABLISHED;
	if (packet->tcp_flags & WEIR_TCP_RST) {
		news = weir_note_reset(packet, counters, &truth, real);
		goto out;
	}
	news = weir_note_seen(packet, &truth);
	if (packet->tcp_flags & WEIR_TCP_FIN) {
		news |= !outbound4_learn(
			&truth, real ? &truth.slot->real_fin_fact : &truth.slot->client_fin_fact,
			packet->sequence);
		/* A client proves nothing by a FIN: a half-open session keeps its short timeout. */
		news |= weir_note_state(counters, &truth, side,
					real || established ? WEIR_FIN_ONE : WEIR_SYN);
	} else if (real && packet->tcp_flags & WEIR_TCP_SYN) {
		news |= !outbound4_learn(&truth, &truth.slot->real_isn_fact, packet->sequence);
		news |= weir_note_state(counters, &truth, 0, WEIR_SYNACK);
	} else if (real) {
		news |= weir_note_state(counters, &truth, 0, WEIR_ESTABLISHED);
	}
out:
	if (news)
		weir_tell_change(counters, &truth, packet->now);
	return 0;
}

static __always_inline bool weir_is_stale(const struct weir_packet *packet,
					  const struct weir_entry4 *entry)
{
	return (__s32)((__u32)packet->now - entry->seen) > WEIR_TICKS_PER_SECOND;
}

/* A segment of a known session from the client. */
static __always_inline void weir_client_segment(const struct weir_packet *packet,
						const struct weir_entry4 *entry)
{
	bool stale = weir_is_stale(packet, entry);
	struct weir_key4 key;

	if (!stale && !(packet->tcp_flags & (WEIR_TCP_FIN | WEIR_TCP_RST)))
		return;
	key = weir_other_key(entry);
	if (stale)
		weir_touch_index(packet);
	weir_note(packet, &key, entry->generation, WEIR_FLAG_FIN_CLIENT);
}

/* A segment of a known session from the real server. -ESTALE for a SYN/ACK of a session that lost
 * its client key. */
static __always_inline int weir_real_segment(const struct weir_packet *packet,
					     const struct weir_entry4 *entry, __u64 head)
{
	if (WEIR_HEAD_STATE(head) >= WEIR_ESTABLISHED && !weir_is_stale(packet, entry) &&
	    !(packet->tcp_flags & (WEIR_TCP_FIN | WEIR_TCP_RST | WEIR_TCP_SYN)))
		return 0;
	if ((packet->tcp_flags & WEIR_TCP_SYNACK_MASK) == WEIR_TCP_SYNACK &&
	    weir_is_indexed(entry) != 1)
		return -ESTALE;
	weir_note(packet, &packet->key, entry->generation, WEIR_FLAG_FIN_REAL);
	return 0;
}

#endif
