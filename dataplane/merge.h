/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The merge rule: which of two records of a session counts, and which session a client key leads
 * to. Pure; table_merge.h applies it to the table.
 *
 * The outbound entry is the truth about a session. Records of one generation join (states by the
 * later, flags by OR, ticks by the later, facts write-once), a higher generation replaces a lower
 * one, and merging one entry never changes another. So records may come in any order, twice, or
 * late.
 *
 * The inbound entry is an index: a pure function of all truths of its client key. It leads to one
 * of those above the cut, the highest generation that one of them supersedes.
 */
#ifndef WEIR_MERGE_H
#define WEIR_MERGE_H

#include "session_rules.h"

/* What the choice between two truths of a client key depends on. */
struct weir_claim {
	__u64 generation;
	__u64 supersedes;
	__u32 origin;
	__u8 state;
	bool reset; /* a RST counts */
};

/* The better ones are the higher. */
enum weir_claim_rank {
	WEIR_CLAIM_CLOSED,
	WEIR_CLAIM_SYN,
	WEIR_CLAIM_SYNACK,
	WEIR_CLAIM_PROVEN,
};

static inline struct weir_claim weir_claim_of(__u64 head, const struct weir_truth *truth)
{
	return (struct weir_claim){
		.generation = truth->entry.generation,
		.supersedes = truth->supersedes,
		.origin = truth->origin,
		.state = WEIR_HEAD_STATE(head),
		.reset = weir_reset_counts(truth->reset, truth->entry.seen),
	};
}

static inline enum weir_claim_rank weir_claim_rank(const struct weir_claim *claim)
{
	if (claim->state >= WEIR_FIN_BOTH || claim->reset)
		return WEIR_CLAIM_CLOSED;
	return claim->state >= WEIR_ESTABLISHED ? WEIR_CLAIM_PROVEN
	       : claim->state == WEIR_SYNACK    ? WEIR_CLAIM_SYNACK
						: WEIR_CLAIM_SYN;
}

/* Of two truths above the cut, is it `one`? A client uses the first answer that it gets: of two
 * half-open sessions the earlier counts, of two proven or closed ones the later. */
static inline bool weir_claim_wins(const struct weir_claim *one, const struct weir_claim *other)
{
	enum weir_claim_rank rank = weir_claim_rank(one);
	bool earlier = one->generation < other->generation ||
		       (one->generation == other->generation && one->origin < other->origin);

	if (rank != weir_claim_rank(other))
		return rank > weir_claim_rank(other);
	return (rank == WEIR_CLAIM_SYN || rank == WEIR_CLAIM_SYNACK) == earlier;
}

/* Of two truths of a client key that has no others, does `one` get it? With more than two, the
 * sweep has the last word: only it sees the cut. */
static inline bool weir_claim_beats(const struct weir_claim *one, const struct weir_claim *other)
{
	if (one->supersedes >= other->generation)
		return true;
	if (other->supersedes >= one->generation)
		return false;
	return weir_claim_wins(one, other);
}

#endif
