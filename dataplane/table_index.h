/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The exact index: which session each client key leads to, from all truths of that key (merge.h).
 * The sweep notes the client keys that are in doubt, and this decides them. Included by
 * table_user.c alone.
 */
#ifndef WEIR_TABLE_INDEX_H
#define WEIR_TABLE_INDEX_H

#include <string.h>
#include "table_collect.h"
#include "table_merge.h"

#define WEIR_CONTESTS_MAX  4096 /* in one pass; the rest wait for a later one */
#define WEIR_CONTEST_SLOTS (2 * WEIR_CONTESTS_MAX)

/* A client key in doubt. What the cut leaves decides: two looks at all truths. */
struct weir_contest {
	struct weir_key client; /* proto 0 = free */
	__u64 cut;
	bool decided; /* `best` and `entry` are set */
	struct weir_claim best;
	struct weir_entry entry; /* the outbound entry of `best` */
};

static struct weir_contests {
	__u32 count;
	__u32 used[WEIR_CONTESTS_MAX]; /* slots */
	struct weir_contest slot[WEIR_CONTEST_SLOTS];
} weir_contests;

/* The contest of this key, or a free place for it. */
static struct weir_contest *weir_contest_at(const struct weir_key *client)
{
	__u32 at = weir_hash_key(client) % WEIR_CONTEST_SLOTS;

	while (weir_contests.slot[at].client.proto &&
	       !weir_same_key(&weir_contests.slot[at].client, client))
		at = (at + 1) % WEIR_CONTEST_SLOTS;
	return &weir_contests.slot[at];
}

/*
 * Notes the client key of a live truth if its index does not lead here, and perhaps should. Not if
 * it leads to a session that supersedes this one: then neither this truth nor what it supersedes
 * can change the choice.
 */
static void weir_note_contest(const struct weir_record *record)
{
	const struct weir_entry *entry = &record->truth.entry;
	struct weir_key client = weir_other_key(entry), reply;
	struct weir_entry held, rival;
	struct weir_contest *contest;
	struct weir_claim other;
	struct inbound_ref ref;
	int err = inbound_read(&client, &ref, &held);

	if (err && err != -ENOENT)
		return;
	if (!err) {
		reply = weir_other_key(&held);
		if (held.generation == entry->generation && weir_same_key(&reply, &entry->key))
			return;
		if (weir_read_claim(&reply, held.generation, &other, &rival) &&
		    other.supersedes >= entry->generation)
			return;
	}
	contest = weir_contest_at(&client);
	if (contest->client.proto || weir_contests.count == WEIR_CONTESTS_MAX)
		return;
	contest->client = client;
	weir_contests.used[weir_contests.count++] = contest - weir_contests.slot;
}

static void weir_weigh(struct weir_contest *contest, const struct weir_record *record, bool cutting)
{
	struct weir_claim claim = weir_claim_of(record->head, &record->truth);

	/* In the second look, too: XDP may have made it meanwhile. */
	if (claim.supersedes > contest->cut)
		contest->cut = claim.supersedes;
	if (cutting || claim.generation <= contest->cut ||
	    (contest->decided && !weir_claim_wins(&claim, &contest->best)))
		return;
	contest->decided = true;
	contest->best = claim;
	contest->entry = record->truth.entry;
}

static void weir_weigh_all(bool cutting)
{
	struct weir_record record;

	for (__u64 at = 0; at < weir_positions(); at++) {
		struct weir_contest *contest;
		struct weir_key client;

		if (!weir_read_session(at / WEIR_SLOTS, at % WEIR_SLOTS, &record))
			continue;
		client = weir_other_key(&record.truth.entry);
		contest = weir_contest_at(&client);
		if (contest->client.proto)
			weir_weigh(contest, &record, cutting);
	}
}

/* True: the index led elsewhere, and leads to the best now. */
static bool weir_award(const struct weir_contest *contest)
{
	struct weir_entry held = {}, rival;
	struct weir_claim other;
	struct weir_key reply;
	struct inbound_ref ref;
	int err = inbound_read(&contest->client, &ref, &held);

	if (!contest->decided || contest->best.generation <= contest->cut ||
	    (err && err != -ENOENT))
		return false;
	reply = weir_other_key(&held);
	if (!err && held.generation == contest->entry.generation &&
	    weir_same_key(&reply, &contest->entry.key))
		return false;
	/* XDP may have made this one after the looks. */
	if (!err && weir_read_claim(&reply, held.generation, &other, &rival) &&
	    other.generation > contest->cut && weir_claim_wins(&other, &contest->best))
		return false;
	return !weir_point_index(&contest->entry, err ? NULL : &ref);
}

/* Decides all contests noted. Returns how many client keys lead elsewhere now. */
static __u64 weir_decide_contests(void)
{
	__u64 awarded = 0;

	if (!weir_contests.count)
		return 0;
	weir_weigh_all(true);
	weir_weigh_all(false);
	for (__u32 i = 0; i < weir_contests.count; i++)
		awarded += weir_award(&weir_contests.slot[weir_contests.used[i]]);
	/* A megabyte, most of it never used. */
	for (__u32 i = 0; i < weir_contests.count; i++)
		weir_contests.slot[weir_contests.used[i]] = (struct weir_contest){};
	weir_contests.count = 0;
	return awarded;
}

#endif
