/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* From a session of the table to its record (sync_record.h), and back. */
#ifndef WEIR_SYNC_CODEC_H
#define WEIR_SYNC_CODEC_H

#include "session_rules.h"
#include "sync_record.h"
#include "table_words.h"

#if WEIR_WIDE
#define weir_sync_record weir_sync_record6
#else
#define weir_sync_record weir_sync_record4
#endif

/* Where the facts of a record are in a truth: words. */
static const __u8 weir_sync_facts[WEIR_SYNC_FACTS] = {
	__builtin_offsetof(struct weir_truth, client_isn_fact) / 8,
	__builtin_offsetof(struct weir_truth, real_isn_fact) / 8,
	__builtin_offsetof(struct weir_truth, client_fin_fact) / 8,
	__builtin_offsetof(struct weir_truth, real_fin_fact) / 8,
	__builtin_offsetof(struct weir_truth, options_fact) / 8,
	__builtin_offsetof(struct weir_truth, entry.sequence_fact) / 8,
	__builtin_offsetof(struct weir_truth, entry.timestamp_fact) / 8,
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
static inline void weir_sync_encode(__u64 head, const struct weir_truth *truth, __u32 now,
				    struct weir_sync_record *record)
{
	const struct weir_entry *entry = &truth->entry;

	*record = (struct weir_sync_record){
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

/* Client and virtual service are of one IP version, real server and LIP of one, and a session whose
 * addresses are all IPv4 ones is narrow. */
static inline bool weir_sync_fits_family(const struct weir_sync_record *record)
{
#if WEIR_WIDE
	int client = weir_is_mapped(&record->caddr), real = weir_is_mapped(&record->saddr);

	return client == weir_is_mapped(&record->vaddr) && real == weir_is_mapped(&record->daddr) &&
	       !(client && real);
#else
	(void)record;
	return true;
#endif
}

/* Could an honest node have sent it? */
static inline bool weir_sync_valid(const struct weir_sync_record *record)
{
	return record->state >= WEIR_SYN && record->state <= WEIR_FIN_BOTH && record->generation &&
	       record->generation <= WEIR_GENERATION_MAX &&
	       record->supersedes < record->generation && !(record->valid >> WEIR_SYNC_FACTS) &&
	       !record->zero[0] && !record->zero[1] && !record->zero[2] && !record->zero_too &&
	       record->flags & WEIR_FLAG_SHARED && weir_sync_fits_family(record);
}

static inline struct weir_key weir_sync_key(const struct weir_sync_record *record)
{
	return (struct weir_key){
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
static inline void weir_sync_decode(const struct weir_sync_record *record, __u32 now, __u32 delay,
				    struct weir_truth *truth)
{
	__u32 reset =
		record->reset == WEIR_SYNC_NO_RESET ? 0 : weir_sync_tick(now, record->reset, delay);

	*truth = (struct weir_truth){
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
