// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What the writer does in the tables of one family: the parts that the includes name, behind struct
 * weir_family. Compiled twice, with -DWEIR_WIDE=0 and with -DWEIR_WIDE=1. The protocol is
 * table.h's.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include "table_collect.h"
#include "table_family.h"
#include "table_index.h"
#include "table_merge.h"
#include "table_pair.h"
#ifdef WEIR_TABLE_TEST
#include "table_test_put.h"
#endif
#include "table_sweep.h"

#if WEIR_WIDE
#define WEIR_OWN_FAMILY   weir_wide
#define weir_record_event weir_record_event6
#else
#define WEIR_OWN_FAMILY   weir_narrow
#define weir_record_event weir_record_event4
#endif

static void weir_unmap(void)
{
	weir_table_unmap(&weir_inbound);
	weir_table_unmap(&weir_outbound);
}

static int weir_map(int inbound_fd, int outbound_fd, const struct weir_layout *layout)
{
	int err;

	weir_unmap();
	weir_inbound = (struct weir_table){
		.buckets = WEIR_WIDE ? layout->inbound6_buckets : layout->inbound4_buckets,
		.bucket_size = sizeof(struct weir_inbound_bucket),
		.slot_size = sizeof(struct weir_entry),
		.key_words = WEIR_KEY_WORDS,
		.facts = WEIR_FACTS((struct weir_entry *)0),
		.ticks = {offsetof(struct weir_entry, seen)},
	};
	weir_outbound = (struct weir_table){
		.buckets = WEIR_WIDE ? layout->outbound6_buckets : layout->outbound4_buckets,
		.bucket_size = sizeof(struct weir_outbound_bucket),
		.slot_size = sizeof(struct weir_truth),
		.key_words = WEIR_KEY_WORDS,
		.facts = WEIR_FACTS((struct weir_truth *)0),
		.ticks = {offsetof(struct weir_truth, entry.seen),
			  offsetof(struct weir_truth, reset), offsetof(struct weir_truth, changed),
			  offsetof(struct weir_truth, synced)},
	};
	weir_make_secret(layout->hash_key, weir_inbound.secret);
	weir_make_secret(layout->hash_key, weir_outbound.secret);
	memset(&weir_sweep_memory, 0, sizeof(weir_sweep_memory));

	err = weir_table_map(&weir_inbound, inbound_fd);
	if (!err)
		err = weir_table_map(&weir_outbound, outbound_fd);
	if (err)
		weir_unmap();
	return err;
}

const struct weir_family WEIR_OWN_FAMILY = {
	.record_bytes = sizeof(struct weir_sync_record),
	.key_bytes = sizeof(struct weir_key),
	.snapshot_bytes = sizeof(struct weir_record),
	.map = weir_map,
	.unmap = weir_unmap,
	.use_backends = weir_use_backends,
	.sweep = weir_sweep,
	.merge = weir_merge,
	.positions = weir_positions,
	.collect = weir_collect,
	.snapshot = weir_snapshot,
	.find = weir_find,
	.add_digest = weir_add_digest,
	.hashes = weir_settled_hashes,
	.missing = weir_settled_missing,
	.add_sums = weir_add_sums,
};

void weir_record_event(const struct weir_session_event *event, __u32 now,
		       struct weir_sync_record *record)
{
	weir_sync_encode(event->head, &event->truth, now, record);
}
