/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What this node knows, for the others: records of its sessions, and sums by which two nodes find
 * out in what they differ. Included by table_user.c alone. Reads only.
 */
#ifndef WEIR_TABLE_COLLECT_H
#define WEIR_TABLE_COLLECT_H

#include <stdlib.h>
#include "sync_codec.h"
#include "table_family.h"
#include "table_timeouts.h"
#include "table_pair.h"

/* A session that has not changed for so long is the same on every node, but for a loss. */
#define WEIR_SETTLED_TICKS (10 * WEIR_TICKS_PER_SECOND)

/* One live session: a copy that belongs to one occupant. False: there is none in this slot. */
static bool weir_read_session(__u32 bucket, __u32 i, struct weir_record *record)
{
	struct weir_place place = weir_place(&weir_outbound, bucket, i);

	if (!weir_head_live(place.seen) || WEIR_HEAD_STATE(place.seen) == WEIR_HELD)
		return false;
	weir_order_loads();
	record->truth = *(const struct weir_truth *)place.slot;
	weir_order_loads();
	record->head = weir_load(place.head);
	return weir_head_same(record->head, place.seen) &&
	       WEIR_HEAD_STATE(record->head) != WEIR_HELD;
}

/* The same of a position, in a long pass. */
static bool weir_visit_session(__u64 position, struct weir_record *record)
{
	if (position % WEIR_SLOTS == 0)
		weir_pause(position / WEIR_SLOTS);
	return weir_read_session(position / WEIR_SLOTS, position % WEIR_SLOTS, record);
}

static bool weir_is_shared(__u64 head)
{
	return WEIR_HEAD_FLAGS(head) & WEIR_FLAG_SHARED;
}

static __u64 weir_positions(void)
{
	return weir_outbound.memory ? (__u64)weir_outbound.buckets * WEIR_SLOTS : 0;
}

/* The end of a walk to `to`. */
static __u64 weir_end(__u64 to)
{
	return to < weir_positions() ? to : weir_positions();
}

static size_t weir_snapshot(__u64 *from, __u64 to, void *list, size_t room)
{
	struct weir_record *records = list;
	size_t count = 0;

	for (; *from < weir_end(to) && count < room; (*from)++)
		count += weir_read_session(*from / WEIR_SLOTS, *from % WEIR_SLOTS, &records[count]);
	return count;
}

static size_t weir_collect(__u64 *from, __u64 to, __u32 now, __u32 changed_within, void *list,
			   size_t room)
{
	struct weir_sync_record *records = list;
	struct weir_record record;
	size_t count = 0;

	for (; *from < weir_end(to) && count < room; (*from)++) {
		if (!weir_read_session(*from / WEIR_SLOTS, *from % WEIR_SLOTS, &record) ||
		    !weir_is_shared(record.head) ||
		    weir_age(now, record.truth.changed) > changed_within)
			continue;
		weir_sync_encode(record.head, &record.truth, now, &records[count++]);
	}
	return count;
}

static size_t weir_find(const void *list, size_t count, __u32 now, void *output)
{
	struct weir_sync_record *records = output;
	const struct weir_key *keys = list;
	size_t found = 0;

	for (size_t i = 0; i < count; i++) {
		struct weir_key key = keys[i];
		struct weir_entry entry;
		struct inbound_ref index;
		struct outbound_ref ref;
		struct weir_truth truth;

		key.pad[0] = 0;
		if (keys[i].pad[0] == WEIR_SYNC_KEY_CLIENT) {
			if (inbound_read(&key, &index, &entry))
				continue;
			key = weir_other_key(&entry);
		}
		if (outbound_find(&key, &ref) || WEIR_HEAD_STATE(ref.seen) == WEIR_HELD ||
		    !(WEIR_HEAD_FLAGS(ref.seen) & WEIR_FLAG_SHARED))
			continue;
		truth = *ref.slot;
		if (outbound_holds(&ref))
			weir_sync_encode(ref.seen, &truth, now, &records[found++]);
	}
	return found;
}

/* What two nodes that agree have in common, as words. Without ticks, and without what is a node's
 * own. */
static __u64 weir_hash_session(const struct weir_record *record)
{
	const struct weir_truth *truth = &record->truth;
	const struct weir_entry *entry = &truth->entry;
	struct {
		struct weir_key key;
		__u64 generation;
		__u64 supersedes;
		weir_ip caddr;
		weir_ip vaddr;
		__be16 cport;
		__be16 vport;
		__u32 origin;
		__u64 head;
		__u64 zero;
		__u64 fact[WEIR_SYNC_FACTS];
	} said = {
		.key = entry->key,
		.generation = entry->generation,
		.supersedes = truth->supersedes,
		.caddr = entry->new_daddr,
		.vaddr = entry->new_saddr,
		.cport = entry->new_dport,
		.vport = entry->new_sport,
		.origin = truth->origin,
		.head = (__u64)WEIR_HEAD_FLAGS(record->head) << 8 | WEIR_HEAD_STATE(record->head),
	};

	for (int i = 0; i < WEIR_SYNC_FACTS; i++) {
		__u64 fact = ((const weir_word *)truth)[weir_sync_facts[i]];

		if (weir_fact_valid(fact))
			said.fact[i] = 1ULL << 32 | (__u32)fact;
	}
	/* The same on every node: not the key of this node's tables. */
	return weir_sip_hash(&said, sizeof(said) / sizeof(__u64), 0, 0);
}

static __u32 weir_digest_bucket(const struct weir_key *key)
{
	return weir_sip_hash(key, WEIR_KEY_WORDS, 0, 0) % WEIR_DIGEST_BUCKETS;
}

/* Established or half-closed, long unchanged, and far from its end: whatever two nodes know of it
 * must be equal. */
static bool weir_is_settled(const struct weir_record *record, __u32 now,
			    const struct weir_timeouts *timeouts)
{
	const struct weir_truth *truth = &record->truth;

	__u8 state = WEIR_HEAD_STATE(record->head);

	return weir_is_shared(record->head) &&
	       (state == WEIR_ESTABLISHED || state == WEIR_FIN_ONE) && !truth->reset &&
	       weir_age(now, truth->changed) >= WEIR_SETTLED_TICKS &&
	       weir_age(now, truth->entry.seen) < timeouts->established / 4 * 3;
}

static void weir_add_digest(__u32 now, struct weir_digest *digest)
{
	struct weir_record record;

	for (__u64 at = 0; at < weir_positions(); at++) {
		if (!weir_visit_session(at, &record) ||
		    !weir_is_settled(&record, now, weir_timeouts_of(record.truth.entry.real)))
			continue;
		digest->sessions++;
		digest->sum[weir_digest_bucket(&record.truth.entry.key)] +=
			weir_hash_session(&record);
	}
}

static bool weir_in_buckets(const __u8 *buckets, const struct weir_key *key)
{
	__u32 bucket = weir_digest_bucket(key);

	return buckets[bucket / 8] >> bucket % 8 & 1;
}

static size_t weir_settled_hashes(const __u8 *buckets, __u32 now, __u64 *hashes, size_t room)
{
	struct weir_record record;
	size_t count = 0;

	for (__u64 at = 0; at < weir_positions() && count < room; at++) {
		if (weir_visit_session(at, &record) &&
		    weir_is_settled(&record, now, weir_timeouts_of(record.truth.entry.real)) &&
		    weir_in_buckets(buckets, &record.truth.entry.key))
			hashes[count++] = weir_hash_session(&record);
	}
	return count;
}

static size_t weir_settled_missing(const __u8 *buckets, const __u64 *known, size_t known_len,
				   __u32 now, void *list, size_t room)
{
	struct weir_sync_record *records = list;
	struct weir_record record;
	size_t count = 0;

	for (__u64 at = 0; at < weir_positions() && count < room; at++) {
		__u64 hash;

		if (!weir_visit_session(at, &record) ||
		    !weir_is_settled(&record, now, weir_timeouts_of(record.truth.entry.real)) ||
		    !weir_in_buckets(buckets, &record.truth.entry.key))
			continue;
		hash = weir_hash_session(&record);
		if (!known_len ||
		    !bsearch(&hash, known, known_len, sizeof(hash), weir_compare_words))
			weir_sync_encode(record.head, &record.truth, now, &records[count++]);
	}
	return count;
}

static void weir_add_sums(__u64 since, struct weir_table_sums *sums)
{
	struct weir_record record;

	for (__u64 at = 0; at < weir_positions(); at++) {
		if (!weir_visit_session(at, &record) || !weir_is_shared(record.head) ||
		    record.truth.entry.generation < since)
			continue;
		sums->sessions++;
		sums->truth += weir_hash_session(&record);
	}
	for (__u64 at = 0; at < (__u64)weir_inbound.buckets * WEIR_SLOTS; at++) {
		weir_word word[WEIR_KEY_WORDS + 1];
		struct weir_place place;

		if (at % WEIR_SLOTS == 0)
			weir_pause(at / WEIR_SLOTS);
		place = weir_place(&weir_inbound, at / WEIR_SLOTS, at % WEIR_SLOTS);
		if (!weir_head_live(place.seen))
			continue;
		/* The key, and the generation behind it. */
		for (int i = 0; i <= WEIR_KEY_WORDS; i++)
			word[i] = place.slot[i];
		if (word[WEIR_KEY_WORDS] < since)
			continue;
		sums->entries++;
		sums->index += weir_sip_hash(word, WEIR_KEY_WORDS + 1, 0, 0);
	}
}

#endif
