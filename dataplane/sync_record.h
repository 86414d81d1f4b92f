/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A session as one node tells the others of it: version 1 of the record in
 * proto/weir/v1/sync.proto.
 *
 * Addresses, never numbers of this node's services or servers; ages, never readings of this node's
 * clock. Addresses and ports are as on the wire, all else little-endian, whatever the host.
 */
#ifndef WEIR_SYNC_RECORD_H
#define WEIR_SYNC_RECORD_H

#include <string.h>
#include "session_rules.h"
#include "table_words.h"

#define WEIR_SYNC_NO_RESET 0xffffffff /* in `reset`: no RST was seen */
#define WEIR_SYNC_FACTS    7
/* A generation is ns since 1970: this is the year 2116. A record beyond it would stop the clock of
 * every node that believes it. */
#define WEIR_GENERATION_MAX (1ULL << 62)

struct weir_sync_record4 {
	__be32 saddr; /* real server -> LIP: the outbound key */
	__be32 daddr;
	__be16 sport;
	__be16 dport;
	__u8 proto;
	__u8 state; /* WEIR_SYN to WEIR_FIN_BOTH */
	__u16 flags;
	__u64 generation;
	__u64 supersedes;
	__be32 vaddr; /* virtual service -> client */
	__be32 caddr;
	__be16 vport;
	__be16 cport;
	__u32 origin;
	__u32 idle;      /* ticks since the last packet */
	__u32 reset;     /* ticks since the last RST, or WEIR_SYNC_NO_RESET */
	__u32 unchanged; /* ticks since the last change of state, flags or facts */
	__u8 valid;      /* bit i: fact[i] is known */
	__u8 zero[3];
	__u32 fact[WEIR_SYNC_FACTS]; /* in the order of weir_sync_facts */
	__u32 zero_too;
};
_Static_assert(sizeof(struct weir_sync_record4) == 96, "the wire knows this length");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records are copied, not converted");

/* The first bytes of a record that name its session, with state and flags zero. */
#define WEIR_SYNC_KEY_BYTES 16
/* In the byte of the state: the key is a client's, client -> virtual service. */
#define WEIR_SYNC_KEY_CLIENT 1

/* Where the facts of a record are in a truth: words. */
static const __u8 weir_sync_facts[WEIR_SYNC_FACTS] = {
	__builtin_offsetof(struct weir_truth4, client_isn_fact) / 8,
	__builtin_offsetof(struct weir_truth4, real_isn_fact) / 8,
	__builtin_offsetof(struct weir_truth4, client_fin_fact) / 8,
	__builtin_offsetof(struct weir_truth4, real_fin_fact) / 8,
	__builtin_offsetof(struct weir_truth4, options_fact) / 8,
	__builtin_offsetof(struct weir_truth4, entry.sequence_fact) / 8,
	__builtin_offsetof(struct weir_truth4, entry.timestamp_fact) / 8,
};

/* The later of two ticks. */
static inline __u32 weir_later(__u32 one, __u32 other)
{
	return (__s32)(one - other) > 0 ? one : other;
}

/* Ticks from `then` to `now`; a moment after `now` is now. */
static inline __u32 weir_age(__u32 now, __u32 then)
{
	__s32 age = now - then;

	return age < 0 ? 0 : age;
}

/* The record of a truth whose slot has this head, at tick `now`. */
static inline void weir_sync_encode(__u64 head, const struct weir_truth4 *truth, __u32 now,
				    struct weir_sync_record4 *record)
{
	const struct weir_entry4 *entry = &truth->entry;

	*record = (struct weir_sync_record4){
		.saddr = entry->key.saddr,
		.daddr = entry->key.daddr,
		.sport = entry->key.sport,
		.dport = entry->key.dport,
		.proto = entry->key.proto,
		.state = WEIR_HEAD_STATE(head),
		.flags = WEIR_HEAD_FLAGS(head),
		.generation = entry->generation,
		.supersedes = truth->supersedes,
		.vaddr = entry->new_saddr,
		.caddr = entry->new_daddr,
		.vport = entry->new_sport,
		.cport = entry->new_dport,
		.origin = truth->origin,
		.idle = weir_age(now, entry->seen),
		.reset = truth->reset ? weir_age(now, truth->reset) : WEIR_SYNC_NO_RESET,
		.unchanged = weir_age(now, truth->changed),
	};
	for (int i = 0; i < WEIR_SYNC_FACTS; i++) {
		__u64 fact = ((const weir_word *)truth)[weir_sync_facts[i]];

		if (!weir_fact_valid(fact))
			continue;
		record->valid |= 1u << i;
		record->fact[i] = fact;
	}
}

/* Could an honest node have sent it? */
static inline bool weir_sync_valid(const struct weir_sync_record4 *record)
{
	return record->state >= WEIR_SYN && record->state <= WEIR_FIN_BOTH && record->generation &&
	       record->generation <= WEIR_GENERATION_MAX &&
	       record->supersedes < record->generation && !(record->valid >> WEIR_SYNC_FACTS) &&
	       !record->zero[0] && !record->zero[1] && !record->zero[2] && !record->zero_too &&
	       record->flags & WEIR_FLAG_SHARED;
}

static inline struct weir_key4 weir_sync_key(const struct weir_sync_record4 *record)
{
	return (struct weir_key4){
		.saddr = record->saddr,
		.daddr = record->daddr,
		.sport = record->sport,
		.dport = record->dport,
		.proto = record->proto,
	};
}

/* `age` more ticks ago than `now`. Ages beyond what a tick can say (26 days) are cut. */
static inline __u32 weir_sync_tick(__u32 now, __u32 age, __u32 delay)
{
	__u64 total = (__u64)age + delay;

	return now - (total < 0x7fffffff ? (__u32)total : 0x7fffffff);
}

/*
 * The truth that a record describes, which was read `delay` ticks before `now`. Facts carry version
 * 0; egress, real and the deltas are this node's own and left 0.
 */
static inline void weir_sync_decode(const struct weir_sync_record4 *record, __u32 now, __u32 delay,
				    struct weir_truth4 *truth)
{
	__u32 reset =
		record->reset == WEIR_SYNC_NO_RESET ? 0 : weir_sync_tick(now, record->reset, delay);

	*truth = (struct weir_truth4){
		.entry = {.key = weir_sync_key(record),
			  .generation = record->generation,
			  .new_saddr = record->vaddr,
			  .new_daddr = record->caddr,
			  .new_sport = record->vport,
			  .new_dport = record->cport,
			  .seen = weir_sync_tick(now, record->idle, delay)},
		.supersedes = record->supersedes,
		.origin = record->origin,
		.reset = record->reset != WEIR_SYNC_NO_RESET && !reset ? 1 : reset,
		.changed = weir_sync_tick(now, record->unchanged, delay),
	};
	truth->synced = weir_later(truth->entry.seen, truth->changed);
	if (!weir_reset_counts(truth->reset, truth->entry.seen))
		truth->reset = 0;
	for (int i = 0; i < WEIR_SYNC_FACTS; i++) {
		if (record->valid >> i & 1)
			((weir_word *)truth)[weir_sync_facts[i]] = WEIR_FACT(0, record->fact[i]);
	}
}

#endif
