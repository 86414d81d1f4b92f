/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The test of the session table: what both sides of it do. XDP and user space run the operations of
 * this file against each other, on few keys in few slots, and check all that they see.
 *
 * A session's bytes are a function of its generation, so a reader can tell whether what it has read
 * belongs together. Each side writes down what it has won (flags, facts) on the occupant that it
 * saw last under each key; while it sees the same generation there, all of that must still be
 * there.
 *
 * Steady clients always have a session, except while the user side renews it; an epoch, odd in that
 * time, says so. A reader that sees the same even epoch before and after must have found the
 * session.
 *
 * Records of other nodes are merged into keys of their own, among the same slots.
 */
#ifndef WEIR_TABLE_TEST_H
#define WEIR_TABLE_TEST_H

#include "family.h"
#include "table_words.h"

#define TEST_CLIENTS          192 /* inbound keys */
#define TEST_STEADY           48  /* the first of them always have a session */
#define TEST_PORTS            320 /* outbound keys; the first TEST_STEADY are the steady clients' */
#define TEST_MERGED           48  /* more outbound keys: see table_test_merge.h */
#define TEST_INBOUND_BUCKETS  40
#define TEST_OUTBOUND_BUCKETS 63
#define TEST_REALS            4 /* 0 never expires, 3 has no timeouts */

/* Half of all operations are on the last steady clients and ports and the first mortal ones, so
 * that both sides meet more often. */
#define TEST_HOT_FROM (TEST_STEADY - 6)
#define TEST_HOT      12

/* A side sets only the flags of its own parity, so what it won is its own. */
#define TEST_XDP         0
#define TEST_USER        1
#define TEST_FLAG_PAIRS  6
#define TEST_INDEX_FACTS 2
#define TEST_TRUTH_FACTS 7 /* the first two are those of an index */

/* What a side has won on the last occupant that it saw under a key. */
struct test_memory {
	__u64 generation; /* 0 = nothing */
	__u16 flags;
	__u8 facts;
	__u8 state;
	__u32 pad;
};

/* One side's books. Written by that side alone. */
struct test_side {
	__u64 operations;
	__u64 serial; /* of generations; odd on the user side */
	__u64 flags_in;
	__u64 flags_out;
	__u64 found;
	__u64 missing;
	__u64 busy;
	__u64 created;
	__u64 replaced;
	__u64 removed;
	__u64 refused; /* inserts that found a twin, a busy slot or no room */
	__u64 advanced;
	__u64 learned;
	__u64 stale; /* the occupant had gone when it should be changed */
	/* Errors. */
	__u64 lost_flags;
	__u64 lost_facts;
	__u64 foreign;
	__u64 missed;
	__u64 went_back; /* a merged key had a newer session before */
	struct test_memory inbound[TEST_CLIENTS];
	struct test_memory outbound[TEST_PORTS];
	struct test_memory merged[TEST_MERGED];
	__u64 newest[TEST_MERGED]; /* generation that this side has put there */
};

/* Shared by both sides. The user side writes all of it but `resting` and `xdp`. */
struct test_shared {
	__u64 random; /* XDP's generator; seeded by the user side */
	__u32 now;
	__u32 no_recheck; /* negative control: XDP does not look at the head again */
	__u32 rest;       /* odd = XDP shall do nothing */
	__u32 resting;    /* `rest` as XDP has seen it; written by XDP */
	__u64 epoch[TEST_STEADY];
	__u64 merged_epoch[TEST_MERGED]; /* odd = perhaps no session */
	struct test_side xdp;
};

/* Set before the program is loaded. */
struct test_constants {
	__u64 secret[WEIR_SECRET_MAX];
};

static __always_inline __u64 test_mix(__u64 word)
{
	word ^= word >> 33;
	word *= 0xff51afd7ed558ccdULL;
	word ^= word >> 33;
	word *= 0xc4ceb9fe1a85ec53ULL;
	return word ^ word >> 33;
}

static __always_inline __u64 test_random(__u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * 0x2545f4914f6cdd1dULL;
}

/* generation = serial 32 | port 16 | client 16 */
static __always_inline __u32 test_client_of(__u64 generation)
{
	return generation & 0xffff;
}

static __always_inline __u32 test_port_of(__u64 generation)
{
	return generation >> 16 & 0xffff;
}

static __always_inline __u64 test_generation(struct test_side *side, int parity, __u32 client,
					     __u32 port)
{
	side->serial = ((side->serial >> 1) + 1) << 1 | parity;
	return side->serial << 32 | (__u64)port << 16 | client;
}

/* A client or port, of `count`; `random` has 16 bits. */
static __always_inline __u32 test_pick(__u32 random, __u32 count)
{
	return random & 1 ? TEST_HOT_FROM + (random >> 1) % TEST_HOT : (random >> 1) % count;
}

static __always_inline __u32 test_pick_mortal(__u32 random, __u32 count)
{
	__u32 picked = test_pick(random, count);

	return picked < TEST_STEADY ? picked + TEST_STEADY : picked;
}

/* An address for each number, that says it in more than one word. */
static __always_inline weir_ip test_ip(__u32 number)
{
#if WEIR_WIDE
	return (weir_ip){{0xb80d0120, number >> 4, 0, ~number}};
#else
	return number;
#endif
}

static __always_inline struct weir_key test_inbound_key(__u32 client)
{
	return (struct weir_key){
		.saddr = test_ip(0x0a000000 + client),
		.daddr = test_ip(0xc000020a),
		.sport = 1024 + client,
		.dport = 80,
		.proto = 6,
	};
}

static __always_inline struct weir_key test_outbound_key(__u32 port)
{
	return (struct weir_key){
		.saddr = test_ip(0x0a030102),
		.daddr = test_ip(0x0ac80000 + port / 16),
		.sport = 80,
		.dport = 1024 + port % 16,
		.proto = 6,
	};
}

static __always_inline __u16 test_real_of(__u64 generation)
{
	if (test_client_of(generation) < TEST_STEADY)
		return 0;
	return 1 + (test_mix(generation) & 0xffff) % (TEST_REALS - 1);
}

/* All flags that an entry of this generation is born with: its mode. */
static __always_inline __u16 test_mode_of(__u64 generation)
{
	return (test_mix(generation) >> 60) << WEIR_MODE_SHIFT;
}

/* `key` becomes this generation's entry, whose other key is `other`. */
static __always_inline void test_fill_entry(struct weir_entry *entry, const struct weir_key *key,
					    const struct weir_key *other, __u64 generation,
					    __u32 now)
{
	__u64 mixed = test_mix(generation ^ *(const weir_word *)key);

	entry->key = *key;
	entry->generation = generation;
	entry->new_saddr = other->daddr;
	entry->new_daddr = other->saddr;
	entry->new_sport = other->dport;
	entry->new_dport = other->sport;
	entry->l3_delta = mixed;
	entry->l4_delta = mixed >> 16;
	entry->sequence_fact = 0;
	entry->timestamp_fact = 0;
	entry->seen = now;
	entry->egress = mixed >> 32;
	entry->real = test_real_of(generation);
}

static __always_inline void test_fill_index(struct weir_entry *index, __u64 generation, __u32 now)
{
	struct weir_key key = test_inbound_key(test_client_of(generation));
	struct weir_key other = test_outbound_key(test_port_of(generation));

	test_fill_entry(index, &key, &other, generation, now);
}

static __always_inline void test_fill_truth(struct weir_truth *truth, __u64 generation, __u32 now)
{
	struct weir_key key = test_outbound_key(test_port_of(generation));
	struct weir_key other = test_inbound_key(test_client_of(generation));
	__u64 mixed = test_mix(generation + 1);

	test_fill_entry(&truth->entry, &key, &other, generation, now);
	/* Above every generation: what each sweep does with the index, it leaves these alone. They
	 * have flags, and an entry that comes back would come without. */
	truth->supersedes = mixed | 1ULL << 63;
	truth->origin = mixed >> 13;
	truth->reset = 0;
	truth->client_isn_fact = 0;
	truth->real_isn_fact = 0;
	truth->client_fin_fact = 0;
	truth->real_fin_fact = 0;
	truth->options_fact = 0;
	truth->changed = ~mixed;
	truth->synced = mixed;
}

static __always_inline __u64 *test_fact(struct weir_truth *truth, __u32 number)
{
	switch (number) {
	case 0:
		return &truth->entry.sequence_fact;
	case 1:
		return &truth->entry.timestamp_fact;
	case 2:
		return &truth->client_isn_fact;
	case 3:
		return &truth->real_isn_fact;
	case 4:
		return &truth->client_fin_fact;
	case 5:
		return &truth->real_fin_fact;
	default:
		return &truth->options_fact;
	}
}

static __always_inline __u32 test_fact_value(__u64 generation, __u32 number)
{
	return generation * 0x9e3779b97f4a7c15ULL >> (8 + number);
}

/* A fact must be of this occupant: unset, or the value that its generation has. Adds it to
 * `facts`. */
static __always_inline bool test_fact_is_own(__u64 fact, __u64 head, __u64 generation, __u32 number,
					     __u8 *facts)
{
	__u32 version = WEIR_HEAD_VERSION(head);

	if (fact == weir_fact_unset(version) || fact == weir_fact_moving(version))
		return true;
	*facts |= 1 << number;
	return fact == WEIR_FACT(version, test_fact_value(generation, number));
}

/* Words of an entry that never change: key, generation and new tuple. */
#define TEST_OWN_WORDS                                                                             \
	((int)(__builtin_offsetof(struct weir_entry, sequence_fact) / sizeof(weir_word)))

/* The entry's own bytes, ticks and facts apart. */
static __always_inline bool test_entry_is_own(const struct weir_entry *entry, __u64 head,
					      const struct weir_entry *expected, __u8 *facts)
{
	const weir_word *word = (const weir_word *)entry;
	const weir_word *right = (const weir_word *)expected;
	__u64 difference = 0;

	WEIR_UNROLL
	for (int i = 0; i < TEST_OWN_WORDS; i++)
		difference |= word[i] ^ right[i];
	difference |= entry->egress ^ expected->egress;
	difference |= entry->real ^ expected->real;
	difference |= WEIR_HEAD_FLAGS(head) >> WEIR_MODE_SHIFT ^
		      test_mode_of(entry->generation) >> WEIR_MODE_SHIFT;
	return !difference &&
	       test_fact_is_own(entry->sequence_fact, head, entry->generation, 0, facts) &&
	       test_fact_is_own(entry->timestamp_fact, head, entry->generation, 1, facts);
}

static __always_inline bool test_index_is_own(const struct weir_entry *index, __u64 head,
					      __u32 client, __u8 *facts)
{
	struct weir_entry expected;

	test_fill_index(&expected, index->generation, 0);
	return test_client_of(index->generation) == client &&
	       test_entry_is_own(index, head, &expected, facts);
}

static __always_inline bool test_truth_is_own(const struct weir_truth *truth, __u64 head,
					      __u32 port, __u8 *facts)
{
	__u64 generation = truth->entry.generation;
	struct weir_truth expected;

	test_fill_truth(&expected, generation, 0);
	return test_port_of(generation) == port &&
	       test_entry_is_own(&truth->entry, head, &expected.entry, facts) &&
	       truth->supersedes == expected.supersedes && truth->origin == expected.origin &&
	       truth->changed == expected.changed &&
	       /* or as the sweep leaves it when it forgets a RST */
	       (truth->synced == expected.synced || truth->synced == expected.changed - 1) &&
	       test_fact_is_own(truth->client_isn_fact, head, generation, 2, facts) &&
	       test_fact_is_own(truth->real_isn_fact, head, generation, 3, facts) &&
	       test_fact_is_own(truth->client_fin_fact, head, generation, 4, facts) &&
	       test_fact_is_own(truth->real_fin_fact, head, generation, 5, facts) &&
	       test_fact_is_own(truth->options_fact, head, generation, 6, facts);
}

/* The number of bits in 16. */
static __always_inline __u32 test_count(__u32 flags)
{
	flags = (flags & 0x5555) + (flags >> 1 & 0x5555);
	flags = (flags & 0x3333) + (flags >> 2 & 0x3333);
	flags = (flags & 0x0f0f) + (flags >> 4 & 0x0f0f);
	return (flags & 0xff) + (flags >> 8);
}

#endif
