/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The claims of sessions on a client key, in the table: which one the inbound entry leads to, by
 * the rule of merge.h. Included by table_user.c alone.
 */
#ifndef WEIR_TABLE_CLAIMS_H
#define WEIR_TABLE_CLAIMS_H

#include <errno.h>
#include "merge.h"
#include "table_backends.h"
#include "table_pair.h"

#define WEIR_MERGE_TRIES 8 /* a record that meets XDP at work on the same key tries again */

/* The session of this outbound key and generation, if there is one: what its claim on the client
 * key is, and its first line. */
static bool weir_read_claim(const struct weir_key *key, __u64 generation, struct weir_claim *claim,
			    struct weir_entry *entry)
{
	struct outbound_ref ref;

	if (outbound_find(key, &ref) || WEIR_HEAD_STATE(ref.seen) == WEIR_HELD)
		return false;
	*entry = ref.slot->entry;
	*claim = weir_claim_of(ref.seen, ref.slot);
	return entry->generation == generation && outbound_holds(&ref);
}

/* Makes the client key of `entry`, an outbound one, lead to it. -EAGAIN = XDP was at it. */
static int weir_point_index(const struct weir_entry *entry, const struct inbound_ref *held)
{
	const __u16 mode = WEIR_MODE_FULLNAT << WEIR_MODE_SHIFT;
	struct weir_entry index = {.key = weir_other_key(entry)};
	int err;

	weir_index_of(entry, &index);
	index.egress = weir_backend_of(entry)->egress;
	if (held) {
		struct inbound_ref ref = *held;

		err = inbound_replace(&ref, &index, mode, WEIR_LIVE);
		if (!err)
			weir_writer_counters.flags_gone += weir_count_flags(ref.was);
	} else {
		err = inbound_insert(&index, mode, WEIR_LIVE);
		if (err == -ENOSPC && weir_make_room_for(&weir_inbound, weir_hash_key(&index.key)))
			return -ENOSPC;
	}
	if (!err)
		weir_writer_counters.flags_added += __builtin_popcount(mode);
	return err ? -EAGAIN : 0;
}

/*
 * One comparison keeps the index: does the session of this outbound key and generation get its
 * client key? 0, also if not; -ENOSPC; -EBUSY = XDP was at it each time, the sweep will see.
 */
static int weir_merge_index(const struct weir_key *key, __u64 generation)
{
	struct weir_claim claim, other;
	struct weir_entry entry, rival, held;
	struct weir_key client, reply;
	struct inbound_ref ref;
	int err;

	for (int tries = 0; tries < WEIR_MERGE_TRIES; tries++) {
		if (!weir_read_claim(key, generation, &claim, &entry))
			return 0;
		client = weir_other_key(&entry);
		err = inbound_read(&client, &ref, &held);
		if (err && err != -ENOENT)
			continue;
		if (!err) {
			reply = weir_other_key(&held);
			if (held.generation == generation && weir_same_key(&reply, key))
				return 0;
			if (weir_read_claim(&reply, held.generation, &other, &rival) &&
			    !weir_claim_beats(&claim, &other))
				return 0;
		}
		err = weir_point_index(&entry, err ? NULL : &ref);
		if (err != -EAGAIN)
			return err;
	}
	return -EBUSY;
}

/* Takes the client key away from a session that has gone. */
static void weir_drop_index(const struct weir_entry *gone)
{
	struct weir_key client = weir_other_key(gone);
	struct inbound_ref ref;

	if (inbound_find(&client, &ref) || ref.slot->generation != gone->generation ||
	    inbound_remove(&ref))
		return;
	weir_writer_counters.flags_gone += weir_count_flags(ref.was);
}

#endif
