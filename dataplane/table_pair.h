/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The two mapped tables of the family that is compiled. Included by table_user.c's parts alone. */
#ifndef WEIR_TABLE_PAIR_H
#define WEIR_TABLE_PAIR_H

#include "family.h"
#include "table_writer.h"

static struct weir_table weir_inbound, weir_outbound;

/* Both tables have the same. */
#define WEIR_HASH_SECRET weir_inbound.secret

#define WEIR_TABLE               inbound
#define WEIR_SLOT                struct weir_entry
#define WEIR_BUCKET              struct weir_inbound_bucket
#define WEIR_TABLE_BUCKETS       weir_inbound.buckets
#define WEIR_TABLE_BUCKET(index) ((struct weir_inbound_bucket *)weir_inbound.memory + (index))
#include "table.h"

#define WEIR_TABLE               outbound
#define WEIR_SLOT                struct weir_truth
#define WEIR_BUCKET              struct weir_outbound_bucket
#define WEIR_TABLE_BUCKETS       weir_outbound.buckets
#define WEIR_TABLE_BUCKET(index) ((struct weir_outbound_bucket *)weir_outbound.memory + (index))
#include "table.h"

static bool weir_same_key(const struct weir_key *one, const struct weir_key *other)
{
	return weir_words_equal(one, other, WEIR_KEY_WORDS);
}

#endif
