/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What TCP's flags do to a session. FIN and RST never stop translation: they only shorten the idle
 * timeout, and whoever sweeps the table acts on that. Only a SYN replaces a closed session. A UDP
 * datagram has no flags: the real server's first one establishes the session.
 */
#ifndef WEIR_SESSION_H
#define WEIR_SESSION_H

#include "events.h"
#include "translate.h"

#define WEIR_HASH_SECRET weir_hash_secret

#define WEIR_TABLE         inbound
#define WEIR_KEY           struct weir_key
#define WEIR_SLOT          struct weir_entry
#define WEIR_BUCKET        struct weir_inbound_bucket
#define WEIR_TABLE_BUCKETS weir_inbound_buckets
static __always_inline WEIR_BUCKET *weir_inbound_at(__u32 index)
{
	return bpf_map_lookup_elem(&weir_inbound, &index);
}
#define WEIR_TABLE_BUCKET(index) weir_inbound_at(index)
#include "table.h"

#define WEIR_TABLE         outbound
#define WEIR_KEY           struct weir_key
#define WEIR_SLOT          struct weir_truth
#define WEIR_BUCKET        struct weir_outbound_bucket
#define WEIR_TABLE_BUCKETS weir_outbound_buckets
static __always_inline WEIR_BUCKET *weir_outbound_at(__u32 index)
{
	return bpf_map_lookup_elem(&weir_outbound, &index);
}
#define WEIR_TABLE_BUCKET(index) weir_outbound_at(index)
#include "table.h"

/*
 * The functions of this file are calls of their own, with plain data in and out: the verifier
 * checks each of them once, instead of once for each slot that a key may be found in. The fast path
 * makes one such call, a read.
 */

/* At most once a second a packet leaves its time in the entry that it was found by. The sweep joins
 * the times of a session's two entries. */
static __always_inline void weir_touch(struct weir_entry *slot, const struct weir_entry *copy,
				       __u32 now)
{
	if ((__s32)(now - copy->seen) > WEIR_TICKS_PER_SECOND)
		*(volatile __u32 *)&slot->seen = now;
}

/* What the fast path needs of an entry: all but the facts, and of the key only the protocol. */
static __always_inline void weir_copy_rest(struct weir_entry *copy, const struct weir_entry *entry,
					   const struct weir_key *key)
{
	const __u32 facts = WEIR_FACTS((struct weir_entry *)0);

#pragma unroll
	for (__u32 i = WEIR_KEY_WORDS; i <= offsetof(struct weir_entry, real) / sizeof(weir_word);
	     i++)
		if (!(facts >> i & 1))
			weir_copy_words((weir_word *)copy + i, (const weir_word *)entry + i, 1);
	copy->key.proto = key->proto;
}

/* Copies the entry of `key`; `head` is its slot's. Returns as inbound_find(). */
__noinline int weir_inbound_read(const struct weir_key *key, struct weir_entry *entry, __u64 *head,
				 __u32 now)
{
	struct inbound_ref ref = {};
	int error;

	if (!key || !entry || !head)
		return -EINVAL;
	error = inbound_read(key, &ref, entry);
	if (!error)
		weir_touch(ref.slot, entry, now);
	*head = ref.seen;
	return error;
}

/* Most packets of open sessions end their search here, without a call. As weir_inbound_read(). */
static __always_inline int weir_inbound_get(const struct weir_key *key, struct weir_entry *entry,
					    __u64 *head, __u32 now)
{
	struct inbound_ref ref = {};

	if (inbound_glance(key, &ref))
		return weir_inbound_read(key, entry, head, now);
	weir_copy_rest(entry, ref.slot, key);
	if (!inbound_holds(&ref))
		return weir_inbound_read(key, entry, head, now);
	weir_touch(ref.slot, entry, now);
	*head = ref.seen;
	return 0;
}

__noinline int weir_outbound_read(const struct weir_key *key, struct weir_entry *entry, __u64 *head,
				  __u32 now)
{
	struct outbound_ref ref = {};
	int error;

	if (!key || !entry || !head)
		return -EINVAL;
	error = outbound_read(key, &ref, entry);
	if (!error && WEIR_HEAD_STATE(ref.seen) != WEIR_HELD)
		weir_touch(&ref.slot->entry, entry, now);
	*head = ref.seen;
	return error;
}

static __always_inline int weir_outbound_get(const struct weir_key *key, struct weir_entry *entry,
					     __u64 *head, __u32 now)
{
	struct outbound_ref ref = {};

	if (outbound_glance(key, &ref))
		return weir_outbound_read(key, entry, head, now);
	weir_copy_rest(entry, &ref.slot->entry, key);
	if (!outbound_holds(&ref))
		return weir_outbound_read(key, entry, head, now);
	if (WEIR_HEAD_STATE(ref.seen) != WEIR_HELD)
		weir_touch(&ref.slot->entry, entry, now);
	*head = ref.seen;
	return 0;
}

static __always_inline bool weir_is_reset(const struct weir_truth *truth)
{
	const volatile struct weir_truth *live = truth;

	return weir_reset_counts(live->reset, live->entry.seen);
}

/*
 * May a SYN at `now` take the client key of this session? Not while the session is open: then the
 * SYN is a repetition, or the real server's to answer (RFC 5961 section 4). A RST of the client
 * alone proves nothing, because nobody checks its sequence number here: it counts when no data has
 * followed it for the grace time. Until then the SYN goes to the real server too.
 */
static __always_inline bool weir_is_closed(const struct outbound_ref *truth, __u32 now)
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
__noinline int weir_may_replace(const struct weir_entry *entry, __u32 now)
{
	struct outbound_ref truth = {};
	struct weir_key key;
	int error;

	if (!entry)
		return -EINVAL;
	key = weir_other_key(entry);
	error = outbound_find(&key, &truth);
	if (error)
		return error == -ENOENT;
	return truth.slot->entry.generation != entry->generation || weir_is_closed(&truth, now);
}

/* 1 if the session of `entry`, an outbound one, is the one that its client key names. */
__noinline int weir_is_indexed(const struct weir_entry *entry)
{
	struct inbound_ref index = {};
	struct weir_key key;

	if (!entry)
		return -EINVAL;
	key = weir_other_key(entry);
	return !inbound_find(&key, &index) && index.slot->generation == entry->generation;
}

/* Writes the record of a session that has changed, as it stands in the table. */
static __always_inline void weir_tell_change(struct weir_counters *counters,
					     const struct outbound_ref *truth, __u32 now)
{
	struct weir_session_event *event;

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
	if (!outbound_holds(truth)) {
		bpf_ringbuf_discard(event, 0); /* the table has gone on without this session */
		return;
	}
	bpf_ringbuf_submit(event, 0);
	counters->event_sent++;
}

/* These say whether the other nodes have to know. */
static __always_inline bool weir_note_reset(const struct weir_packet *packet,
					    struct weir_counters *counters,
					    struct outbound_ref *truth, bool real)
{
	bool news = !weir_is_reset(truth->slot);

	if (news)
		counters->session_reset++;
	if (real)
		news |= outbound_advance(truth, WEIR_FLAG_RST_REAL, WEIR_SYN) == 1;
	/* A repetition changes nothing: what the others do not hear must not count here either. */
	if (news)
		*(volatile __u32 *)&truth->slot->reset = (__u32)packet->now ?: 1;
	return news;
}

/* Data after the grace time: the RST is forgotten, because ticks wrap after weeks. */
static __always_inline bool weir_note_seen(const struct weir_packet *packet,
					   struct outbound_ref *truth)
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
					    struct outbound_ref *truth, __u16 flags, __u8 state)
{
	__u8 before = WEIR_HEAD_STATE(truth->seen), after;

	if (before < WEIR_ESTABLISHED && state >= WEIR_ESTABLISHED &&
	    !(WEIR_HEAD_FLAGS(truth->seen) & WEIR_FLAG_SHARED))
		flags |= weir_share_established(truth->slot->entry.real);
	if (outbound_advance(truth, flags, state) != 1)
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
__noinline int weir_note(const struct weir_packet *packet, const struct weir_key *key,
			 __u64 generation, __u16 side)
{
	struct weir_counters *counters = weir_cpu_counters();
	struct outbound_ref truth = {};
	bool real = side == WEIR_FLAG_FIN_REAL, established, news;
	int error;

	if (!packet || !key || !counters)
		return -EINVAL;
	error = outbound_find(key, &truth);
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
		news |= !outbound_learn(
			&truth, real ? &truth.slot->real_fin_fact : &truth.slot->client_fin_fact,
			packet->sequence);
		/* A client proves nothing by a FIN: a half-open session keeps its short timeout. */
		news |= weir_note_state(counters, &truth, side,
					real || established ? WEIR_FIN_ONE : WEIR_SYN);
	} else if (real && packet->tcp_flags & WEIR_TCP_SYN) {
		news |= !outbound_learn(&truth, &truth.slot->real_isn_fact, packet->sequence);
		news |= weir_note_state(counters, &truth, 0, WEIR_SYNACK);
	} else if (real) {
		news |= weir_note_state(counters, &truth, 0, WEIR_ESTABLISHED);
	}
out:
	if (news)
		weir_tell_change(counters, &truth, packet->now);
	return 0;
}

/* weir_note() for the client's side. A call of its own: its stack is not that of the fast path. */
__noinline int weir_note_client(const struct weir_packet *packet, const struct weir_entry *entry)
{
	struct weir_key key;

	if (!entry)
		return -EINVAL;
	key = weir_other_key(entry);
	return weir_note(packet, &key, entry->generation, WEIR_FLAG_FIN_CLIENT);
}

/* A segment of a known session from the client. */
static __always_inline void weir_client_segment(const struct weir_packet *packet,
						const struct weir_entry *entry)
{
	if (packet->tcp_flags & (WEIR_TCP_FIN | WEIR_TCP_RST))
		weir_note_client(packet, entry);
}

/* A segment of a known session from the real server. -ESTALE for a SYN/ACK of a session that lost
 * its client key. */
static __always_inline int weir_real_segment(const struct weir_packet *packet,
					     const struct weir_entry *entry, __u64 head)
{
	if (WEIR_HEAD_STATE(head) >= WEIR_ESTABLISHED &&
	    !(packet->tcp_flags & (WEIR_TCP_FIN | WEIR_TCP_RST | WEIR_TCP_SYN)))
		return 0;
	if ((packet->tcp_flags & WEIR_TCP_SYNACK_MASK) == WEIR_TCP_SYNACK &&
	    weir_is_indexed(entry) != 1)
		return -ESTALE;
	weir_note(packet, &packet->key, entry->generation, WEIR_FLAG_FIN_REAL);
	return 0;
}

#endif
