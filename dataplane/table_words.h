/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The words that the session table (table.h) is made of, for BPF and C: its memory order, its hash,
 * heads, facts, and sets of slots.
 */
#ifndef WEIR_TABLE_WORDS_H
#define WEIR_TABLE_WORDS_H

#include <linux/errno.h>
#include <stdbool.h>
#include "weir.h"

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#ifdef __BPF__
#define WEIR_UNROLL _Pragma("unroll")
#define WEIR_ROLLED _Pragma("nounroll")
#else
#define WEIR_UNROLL
#define WEIR_ROLLED
#endif

/* How often one call repeats a CAS that lost to a change of flags or state. A session has fewer
 * such changes in its life than this (two FINs, four steps of state). */
#define WEIR_CAS_TRIES 8

#define WEIR_LINE 64 /* bytes of a cache line */

/* Beside WEIR_FACT_VALID in a fact word; see rule 7. */
#define WEIR_FACT_MOVING 0x02

/* Slots and keys are read, written and compared as words, whatever the type of their fields. */
typedef __u64 __attribute__((may_alias)) weir_word;

static __always_inline __u64 weir_load(const __u64 *word)
{
	return *(const volatile __u64 *)word;
}

/* Returns what was there; equal to `expected` = it was swapped. */
static __always_inline __u64 weir_cas(__u64 *word, __u64 expected, __u64 desired)
{
	return __sync_val_compare_and_swap(word, expected, desired);
}

/* The same number, but clang forgets what it knows about it. It drops a bounds check that it can
 * prove, or turns `< 7` into `!= 7` for an index of at most 7; the verifier does not follow the
 * proof, and Linux 6.1's learns no bound from `!=`. */
#define weir_opaque(number)                                                                        \
	({                                                                                         \
		__typeof__(number) opaque = (number);                                              \
		asm volatile("" : "+r"(opaque));                                                   \
		opaque;                                                                            \
	})

/* Loads before this call happen before loads after it; see "Memory order" in table.h. */
static __always_inline void weir_order_loads(void)
{
#if !defined(__BPF__)
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
#elif defined(__TARGET_ARCH_arm64)
	__u64 barrier = 0;
	barrier = __sync_lock_test_and_set((volatile __u64 *)&barrier, 1);
	asm volatile("" : : "r"(barrier) : "memory");
#else
	asm volatile("" : : : "memory");
#endif
}

static __always_inline __u64 weir_rotate(__u64 word, int bits)
{
	return word << bits | word >> (64 - bits);
}

static __always_inline void weir_sip_round(__u64 v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = weir_rotate(v[1], 13) ^ v[0];
	v[3] = weir_rotate(v[3], 16) ^ v[2];
	v[0] = weir_rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = weir_rotate(v[1], 17) ^ v[2];
	v[3] = weir_rotate(v[3], 21) ^ v[0];
	v[2] = weir_rotate(v[2], 32);
}

/* SipHash-1-3 of whole words (Aumasson and Bernstein, 2012; one compression round and three final
 * ones, as in Rust). */
static __always_inline __u64 weir_sip_hash(const void *data, int words, __u64 key0, __u64 key1)
{
	const weir_word *word = data;
	__u64 length = (__u64)words << 59; /* in bytes, in the top byte of the last word */
	__u64 v[4] = {
		key0 ^ 0x736f6d6570736575ULL,
		key1 ^ 0x646f72616e646f6dULL,
		key0 ^ 0x6c7967656e657261ULL,
		key1 ^ 0x7465646279746573ULL,
	};

	WEIR_UNROLL
	for (int i = 0; i < words; i++) {
		v[3] ^= word[i];
		weir_sip_round(v);
		v[0] ^= word[i];
	}
	v[3] ^= length;
	weir_sip_round(v);
	v[0] ^= length;
	v[2] ^= 0xff;
	weir_sip_round(v);
	weir_sip_round(v);
	weir_sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* What the hash of a key of so many words needs to be secret; and of the longest. */
#define WEIR_SECRET_WORDS(key_words) (2 * (key_words) + 2)
#define WEIR_SECRET_MAX              WEIR_SECRET_WORDS(5)

/* The secret that a table's hash key stands for. The sum's own factor is odd: it loses no bit. */
static __always_inline void weir_make_secret(const __u64 hash_key[2], __u64 secret[WEIR_SECRET_MAX])
{
	for (__u64 i = 0; i < WEIR_SECRET_MAX; i++)
		secret[i] = weir_sip_hash(&i, 1, hash_key[0], hash_key[1]);
	secret[1] |= 1;
}

/*
 * Fourteen keys that share both buckets fill them, so nobody outside may be able to make some. A
 * sum of the key's 32-bit halves, each times a secret number, is strongly universal (Carter and
 * Wegman, 1979; Dietzfelbinger, 1996): without the secret no two keys are likelier to meet than any
 * others. What follows spreads it over all bits, as MurmurHash3 ends. The products do not wait for
 * each other as SipHash's rounds do: it takes 5 ns less for a narrow key, 12 ns less for a wide
 * one.
 */
static __always_inline __u64 weir_hash(const void *key, int words, const volatile __u64 *secret)
{
	const weir_word *word = key;
	__u64 sum = secret[0];

	WEIR_UNROLL
	for (int i = 0; i < words; i++)
		sum += (__u32)word[i] * secret[2 * i + 2] + (word[i] >> 32) * secret[2 * i + 3];
	sum ^= sum >> 32;
	sum *= secret[1];
	sum ^= sum >> 29;
	sum *= 0xc4ceb9fe1a85ec53ULL;
	return sum ^ sum >> 32;
}

/* The two buckets come from the two halves of the hash, the fingerprint from all of it. */
static __always_inline __u32 weir_first_bucket(__u64 hash, __u32 buckets)
{
	return (__u64)(__u32)hash * buckets >> 32;
}

static __always_inline __u32 weir_second_bucket(__u64 hash, __u32 buckets)
{
	return (hash >> 32) * buckets >> 32;
}

static __always_inline __u16 weir_fingerprint(__u64 hash)
{
	return hash * 0x9e3779b97f4a7c15ULL >> 48;
}

static __always_inline bool weir_head_live(__u64 head)
{
	return WEIR_HEAD_STATE(head) >= WEIR_LIVE;
}

/* Is `head` still the live occupant that `seen` was? Flags and state may differ. */
static __always_inline bool weir_head_same(__u64 head, __u64 seen)
{
	return WEIR_HEAD_IDENTITY(head) == WEIR_HEAD_IDENTITY(seen) && weir_head_live(head);
}

/* Flags joined by OR, the later of the two states; both FINs make it WEIR_FIN_BOTH. */
static __always_inline __u64 weir_head_join(__u64 head, __u16 flags, __u8 state)
{
	const __u16 fins = WEIR_FLAG_FIN_CLIENT | WEIR_FLAG_FIN_REAL;
	__u8 later = WEIR_HEAD_STATE(head) > state ? WEIR_HEAD_STATE(head) : state;

	flags |= WEIR_HEAD_FLAGS(head);
	if ((flags & fins) == fins && later < WEIR_FIN_BOTH)
		later = WEIR_FIN_BOTH;
	return WEIR_HEAD_IDENTITY(head) << 24 | (__u64)flags << 8 | later;
}

static __always_inline __u64 weir_fact_unset(__u32 version)
{
	return (__u64)(version & 0xffffff) << 40;
}

/* An unset fact of an entry that is being moved: to be learned at its new place. */
static __always_inline __u64 weir_fact_moving(__u32 version)
{
	return weir_fact_unset(version) | (__u64)WEIR_FACT_MOVING << 32;
}

static __always_inline bool weir_fact_valid(__u64 fact)
{
	return fact >> 32 & WEIR_FACT_VALID;
}

/* The same fact, for a slot with another version. */
static __always_inline __u64 weir_fact_stamp(__u64 fact, __u32 version)
{
	return weir_fact_valid(fact) ? WEIR_FACT(version, fact) : weir_fact_unset(version);
}

/*
 * Sets a fact of the occupant that `seen_head` names. 0 = by this call; -EEXIST = it is set
 * already; -ESTALE = the occupant has gone or is being moved at this moment: look it up again.
 */
static __always_inline int weir_fact_set(__u64 *fact, __u64 seen_head, __u32 value)
{
	__u32 version = WEIR_HEAD_VERSION(seen_head);
	__u64 old = weir_cas(fact, weir_fact_unset(version), WEIR_FACT(version, value));

	if (old == weir_fact_unset(version))
		return 0;
	return old >> 40 == version && weir_fact_valid(old) ? -EEXIST : -ESTALE;
}

/* Which words of a slot are facts, one bit for each. */
#define WEIR_FACT_WORD(type, field) (1u << (__builtin_offsetof(type, field) / sizeof(__u64)))
#define WEIR_ENTRY_FACTS(type)                                                                     \
	(WEIR_FACT_WORD(type, sequence_fact) | WEIR_FACT_WORD(type, timestamp_fact))
#define WEIR_TRUTH_FACTS(type)                                                                     \
	(WEIR_FACT_WORD(type, entry.sequence_fact) | WEIR_FACT_WORD(type, entry.timestamp_fact) |  \
	 WEIR_FACT_WORD(type, client_isn_fact) | WEIR_FACT_WORD(type, real_isn_fact) |             \
	 WEIR_FACT_WORD(type, client_fin_fact) | WEIR_FACT_WORD(type, real_fin_fact) |             \
	 WEIR_FACT_WORD(type, options_fact))
#define WEIR_FACTS(slot)                                                                           \
	_Generic((slot),                                                                           \
		struct weir_entry4 *: WEIR_ENTRY_FACTS(struct weir_entry4),                        \
		struct weir_truth4 *: WEIR_TRUTH_FACTS(struct weir_truth4),                        \
		struct weir_entry6 *: WEIR_ENTRY_FACTS(struct weir_entry6),                        \
		struct weir_truth6 *: WEIR_TRUTH_FACTS(struct weir_truth6))

/* The slot that a key takes if it is free. */
static __always_inline __u32 weir_preferred(__u16 fingerprint)
{
	return weir_opaque((__u32)fingerprint * WEIR_SLOTS >> 16);
}

/* The order in which slots are tried for a new entry: from its preferred one on, round the bucket.
 * To the verifier each is 0 to 7, so it follows one path for all that comes after; in 64 bits, or
 * Linux 6.1's forgets that when clang keeps it on the stack. */
static __always_inline __u64 weir_probe(__u16 fingerprint, int probe)
{
	__s32 slot = weir_preferred(fingerprint) + probe;

	return weir_opaque(slot - (WEIR_SLOTS & (WEIR_SLOTS - 1 - slot) >> 31)) & 7;
}

/*
 * A set of slots: bit i for each head that has this fingerprint. By the borrow of a subtraction: a
 * branch for each would be one that the CPU cannot guess, because flows come in any order.
 */
static __always_inline __u32 weir_match(const __u64 *heads, __u16 fingerprint)
{
	__u32 slots = 0;

	WEIR_UNROLL
	for (int i = 0; i < WEIR_SLOTS; i++)
		slots = weir_opaque(slots |
				    ((weir_opaque(weir_load(&heads[i]) >> 48 ^ fingerprint) - 1) &
				     1 << (16 + i)));
	return slots >> 16;
}

#define WEIR_LOWEST 0xcd7ea84fb6935210ULL

/* The number of the lowest bit of 16 that is set (de Bruijn's sequence; BPF has no such
 * instruction). 0 if there is none. */
static __always_inline __u32 weir_lowest(__u32 bits)
{
	__u32 turn = (bits & -bits) * 0x09af >> 12 & 15;

	return WEIR_LOWEST >> turn * 4 & 15;
}

static __always_inline int weir_count_empty(const __u64 *heads)
{
	int empty = 0;

	/* By the borrow of a subtraction, not by a branch: the verifier would follow both. */
	WEIR_UNROLL
	for (int i = 0; i < WEIR_SLOTS; i++)
		empty += (weir_opaque((__u32)WEIR_HEAD_STATE(weir_load(&heads[i]))) - 1) >> 31;
	return empty;
}

static __always_inline bool weir_words_equal(const void *a, const void *b, int words)
{
	const volatile weir_word *x = a, *y = b;
	__u64 difference = 0;

	WEIR_UNROLL
	for (int i = 0; i < words; i++)
		difference |= x[i] ^ y[i];
	return !difference;
}

#endif
