/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The session table: slots that XDP programs and the agent share, with no lock. This file is
 * compiled by both.
 *
 * A key may live in two buckets, named by a keyed hash of it. A bucket has seven slots, and one
 * 64-bit head for each. The head says who lives in the slot (fingerprint of the key, version) and
 * how it stands (flags, state):
 *
 *     EMPTY --claim--> BUSY --publish--> live --advance--> live, further on
 *       ^                ^                |
 *       |                +----replace-----+--remove--> DEAD --sweep, a second later--> EMPTY
 *
 * The rules, which hold on both sides:
 *  1. Each of these arrows is a compare-and-swap (CAS) of the head. The version rises whenever the
 *     occupant changes, so a CAS with an old head never touches another session, and a head that
 *     moved on makes it fail.
 *  2. Look-up: first bucket, then second, always in this order. Fingerprint equal and live: compare
 *     the key. Copy what is needed, then ask holds(): if the head has changed its identity
 *     meanwhile, the copy may be a mixture. Look up once more; if it fails again, drop the packet
 *     and count it. BUSY with the same fingerprint is "busy", never "no session". read() does all
 *     of this.
 *  3. Insert: claim a slot, *then* look for a twin in both buckets, first bucket first. Of two
 *     inserters of one key at least one sees the other. A live twin or a busy one: give the slot
 *     back.
 *  4. Flags are joined by OR, states by the later one. The one whose CAS changed the head counts
 *     the event.
 *  5. A slot's body is written only while it is BUSY, by whoever made it BUSY. After that only
 *     `seen` and `reset` (plain 32-bit stores) and facts (a CAS from "unset, this version") change.
 *  6. A removed slot stays DEAD for at least a second, so that a plain store of a program that is
 *     still running never meets a new occupant.
 *  7. Only the agent's one writer thread moves entries, and only from the first bucket to the
 *     second. It publishes the copy before it takes the original away: who reads in the order of
 *     rule 2 cannot miss it. Between the two it closes the original's unset facts
 *     (WEIR_FACT_MOVING), so that nothing is learned there any more. Flags that come in meanwhile
 *     make its CAS fail, and are carried over.
 *  8. A BUSY head that has not changed for a second belongs to a writer that was killed: XDP is
 *     BUSY for less than a microsecond. The sweep empties it. Should its owner come back after all,
 *     its publish fails with -ESTALE.
 *  9. A writer that was killed in the midst of a move leaves one key in both buckets. Rule 2 makes
 *     the first bucket's entry the only one that counts; the next writer removes the other, and
 *     opens the facts again, before anything else. (Should XDP remove the first one before that,
 *     the other comes to light: the same session as it was at the move, which expires in its turn.)
 *
 * Memory order. A CAS that succeeds is a full barrier everywhere (BPF_CMPXCHG; __sync_* in C).
 * Otherwise two orders are needed: head before body when reading, and body before the second look
 * at the head. x86 never swaps two loads, so a compiler barrier is enough. On arm64 it is not:
 * there the object must be compiled with -D__TARGET_ARCH_arm64, which turns weir_order_loads() into
 * a BPF_XCHG on the stack (a full barrier, by LSE or by dmb; some 5 ns). That is reasoned from the
 * Arm model, not proven by a run. In C it is an acquire fence.
 *
 * Template by inclusion. The includer defines WEIR_HASH_SECRET (see weir_make_secret()) before the
 * first inclusion, and before each one:
 *     WEIR_TABLE            inbound            prefix of all names: inbound_find() ...
 *     WEIR_SLOT             struct weir_entry  begins with the key
 *     WEIR_BUCKET           struct weir_inbound_bucket
 *     WEIR_TABLE_BUCKETS    number of buckets
 *     WEIR_TABLE_BUCKET(i)  pointer to bucket i, or NULL
 * All of these are undefined again at the end. The family, and so the width of the keys, is that of
 * the translation unit (family.h).
 */
#ifndef WEIR_TABLE_COMMON
#define WEIR_TABLE_COMMON

#include "family.h"
#include "table_words.h"

#define WEIR_KEY_WORDS ((int)(sizeof(struct weir_key) / sizeof(__u64)))

static __always_inline __u64 weir_hash_key(const struct weir_key *key)
{
	return weir_hash(key, WEIR_KEY_WORDS, WEIR_HASH_SECRET);
}

#define WEIR_PASTE_EXPANDED(prefix, name) prefix##_##name
#define WEIR_PASTE(prefix, name)          WEIR_PASTE_EXPANDED(prefix, name)
#endif

#define WEIR_NAME(name) WEIR_PASTE(WEIR_TABLE, name)
#define WEIR_REF        struct WEIR_NAME(ref)
#define WEIR_SLOT_WORDS ((int)(sizeof(WEIR_SLOT) / sizeof(__u64)))

/* One occupant of one slot. Valid for the run of the program that looked it up, no longer. */
struct WEIR_NAME(ref) {
	__u64 *head;
	WEIR_SLOT *slot;
	__u64 seen; /* the head when it was last looked at */
	__u64 was;  /* the head that its last CAS replaced: what advance, replace or remove won */
};

/* After copying from the slot: is the copy of one occupant, and does it still live here? */
static __always_inline bool WEIR_NAME(holds)(const WEIR_REF *ref)
{
	weir_order_loads();
	return weir_head_same(weir_load(ref->head), ref->seen);
}

/* Head i of a bucket, or its spare word; see weir_probe(). */
static __always_inline __u64 *WEIR_NAME(head)(WEIR_BUCKET *bucket, __u64 i)
{
	return (__u64 *)((char *)bucket + __builtin_offsetof(WEIR_BUCKET, head)) + i;
}

/* Does the key live in slot i? 0, -ENOENT, -EBUSY. */
static __always_inline int WEIR_NAME(find_at)(WEIR_BUCKET *bucket, __u64 i,
					      const struct weir_key *key, __u16 fingerprint,
					      WEIR_REF *ref)
{
	__u64 head = weir_load(WEIR_NAME(head)(bucket, i));

	i = weir_opaque(i); /* or clang turns the check into `i == WEIR_SLOTS` */
	if (WEIR_HEAD_FINGERPRINT(head) != fingerprint || i >= WEIR_SLOTS)
		return -ENOENT;
	i = weir_opaque(i); /* or clang computes the slot's address before the check */
	if (!weir_head_live(head))
		return WEIR_HEAD_STATE(head) == WEIR_BUSY ? -EBUSY : -ENOENT;
	weir_order_loads();
	if (!weir_words_equal(&bucket->slot[i], key, WEIR_KEY_WORDS))
		return -ENOENT;
	ref->head = &bucket->head[i];
	ref->slot = &bucket->slot[i];
	ref->seen = head;
	return 0;
}

static __always_inline int WEIR_NAME(find_in)(WEIR_BUCKET *bucket, const struct weir_key *key,
					      __u16 fingerprint, WEIR_REF *ref)
{
	__u32 slots = weir_match(bucket->head, fingerprint);
	int missing = -ENOENT;

	WEIR_ROLLED
	for (int i = 0; slots && i < WEIR_SLOTS; i++) {
		int err = WEIR_NAME(find_at)(bucket, weir_lowest(slots) & 7, key, fingerprint, ref);

		if (!err)
			return 0;
		if (err == -EBUSY)
			missing = err;
		slots &= slots - 1;
	}
	return missing;
}

/* find(), with the key's hash. */
static __always_inline int WEIR_NAME(find_by)(const struct weir_key *key, __u64 hash, WEIR_REF *ref)
{
	__u16 fingerprint = weir_fingerprint(hash);
	WEIR_BUCKET *bucket = WEIR_TABLE_BUCKET(weir_first_bucket(hash, WEIR_TABLE_BUCKETS));
	int first, second;

	if (!bucket)
		return -EFAULT;
	first = WEIR_NAME(find_in)(bucket, key, fingerprint, ref);
	if (!first)
		return 0;
	/* Heads of the second bucket are read after those of the first, or a move could be
	 * missed. */
	weir_order_loads();
	bucket = WEIR_TABLE_BUCKET(weir_second_bucket(hash, WEIR_TABLE_BUCKETS));
	if (!bucket)
		return -EFAULT;
	second = WEIR_NAME(find_in)(bucket, key, fingerprint, ref);
	return second == -ENOENT ? first : second;
}

/* 0 = found, `ref` is set; -ENOENT; -EBUSY = perhaps it is being written at this moment; -EFAULT =
 * the table is smaller than WEIR_TABLE_BUCKETS says (never). */
static __always_inline int WEIR_NAME(find)(const struct weir_key *key, WEIR_REF *ref)
{
	return WEIR_NAME(find_by)(key, weir_hash_key(key), ref);
}

/* find(), and a copy of the entry, without the rest of a truth, that belongs to one occupant.
 * Returns as find() does; -EBUSY also when the occupant changed twice while it was copied. */
static __always_inline int WEIR_NAME(read)(const struct weir_key *key, WEIR_REF *ref,
					   struct weir_entry *copy)
{
	__u64 hash = weir_hash_key(key);

	for (int tries = 0; tries < 2; tries++) {
		int err = WEIR_NAME(find_by)(key, hash, ref);

		if (err)
			return err;
		*copy = *(const struct weir_entry *)ref->slot;
		if (WEIR_NAME(holds)(ref))
			return 0;
	}
	return -EBUSY;
}

/* Has the first bytes of the key's preferred slot, where most keys are, fetched beside the heads.
 */
static __always_inline void WEIR_NAME(fetch)(const WEIR_BUCKET *bucket, __u16 fingerprint,
					     int bytes)
{
	const char *slot = (const char *)bucket + weir_preferred(fingerprint) * sizeof(WEIR_SLOT);

	WEIR_UNROLL
	for (int at = 0; at < bytes; at += WEIR_LINE)
		weir_load((const __u64 *)(slot + at));
}

/* Has both buckets of a key fetched, for an insert: before anything waits for them. */
static __always_inline void WEIR_NAME(foresee)(const struct weir_key *key)
{
	__u64 hash = weir_hash_key(key);
	WEIR_BUCKET *first = WEIR_TABLE_BUCKET(weir_first_bucket(hash, WEIR_TABLE_BUCKETS));
	WEIR_BUCKET *second = WEIR_TABLE_BUCKET(weir_second_bucket(hash, WEIR_TABLE_BUCKETS));

	if (!first || !second)
		return;
	weir_load(first->head);
	weir_load(second->head);
	WEIR_NAME(fetch)(first, weir_fingerprint(hash), sizeof(WEIR_SLOT));
	WEIR_NAME(fetch)(second, weir_fingerprint(hash), sizeof(WEIR_SLOT));
}

/*
 * find() for the fast path: looks at both buckets at once, and once only, without a branch that the
 * CPU could guess wrong. 0; -EAGAIN = there is more to it: find() knows.
 */
static __always_inline int WEIR_NAME(glance)(const struct weir_key *key, WEIR_REF *ref)
{
	__u64 hash = weir_hash_key(key);
	__u16 fingerprint = weir_fingerprint(hash);
	__u32 first = weir_first_bucket(hash, WEIR_TABLE_BUCKETS);
	__u32 second = weir_second_bucket(hash, WEIR_TABLE_BUCKETS), place;
	WEIR_BUCKET *bucket = WEIR_TABLE_BUCKET(first), *other = WEIR_TABLE_BUCKET(second);

	if (!bucket || !other)
		return -EAGAIN;
	WEIR_NAME(fetch)(bucket, fingerprint, sizeof(struct weir_entry));
	WEIR_NAME(fetch)(other, fingerprint, sizeof(struct weir_entry));
	place = weir_match(bucket->head, fingerprint);
	place = weir_lowest(place | weir_match(other->head, fingerprint) << 8);
	bucket = WEIR_TABLE_BUCKET(first ^ ((first ^ second) & -(place >> 3)));
	if (!bucket || WEIR_NAME(find_at)(bucket, place & 7, key, fingerprint, ref))
		return -EAGAIN;
	return 0;
}

/* Makes an empty slot of the bucket BUSY, the preferred one if it is free. False: the bucket is
 * full. */
static __always_inline bool WEIR_NAME(claim)(WEIR_BUCKET *bucket, __u16 fingerprint,
					     WEIR_REF *claim)
{
	for (int probe = 0; probe < WEIR_SLOTS; probe++) {
		__u64 i = weir_probe(fingerprint, probe);
		__u64 old, busy;

		i = weir_opaque(i);
		if (i >= WEIR_SLOTS)
			continue;
		i = weir_opaque(i);
		old = weir_load(&bucket->head[i]);
		busy = WEIR_HEAD(fingerprint, WEIR_HEAD_VERSION(old) + 1, 0, WEIR_BUSY);
		if (WEIR_HEAD_STATE(old) != WEIR_EMPTY ||
		    weir_cas(&bucket->head[i], old, busy) != old)
			continue;
		claim->head = &bucket->head[i];
		claim->slot = &bucket->slot[i];
		claim->seen = busy;
		return true;
	}
	return false;
}

/* The body of a slot that the caller has made BUSY, from word `from` on. */
static __always_inline void WEIR_NAME(write)(const WEIR_REF *claim, const WEIR_SLOT *body, int from)
{
	volatile weir_word *to = (volatile weir_word *)claim->slot;
	const weir_word *word = (const weir_word *)body;
	__u32 version = WEIR_HEAD_VERSION(claim->seen);

	WEIR_UNROLL
	for (int i = from; i < WEIR_SLOT_WORDS; i++)
		to[i] = WEIR_FACTS((WEIR_SLOT *)0) >> i & 1 ? weir_fact_stamp(word[i], version)
							    : word[i];
}

/* BUSY -> live. -ESTALE: the sweep took the slot for abandoned; nothing has been published. */
static __always_inline int WEIR_NAME(publish)(const WEIR_REF *claim, __u16 flags, __u8 state)
{
	__u64 head = WEIR_HEAD_IDENTITY(claim->seen) << 24 | (__u64)flags << 8 | state;

	return weir_cas(claim->head, claim->seen, head) == claim->seen ? 0 : -ESTALE;
}

/* BUSY -> EMPTY: nobody has seen a body here. */
static __always_inline void WEIR_NAME(release)(const WEIR_REF *claim)
{
	weir_cas(claim->head, claim->seen,
		 WEIR_HEAD(0, WEIR_HEAD_VERSION(claim->seen), 0, WEIR_EMPTY));
}

/* Another entry with this key in the bucket? 0, -EEXIST (live), -EBUSY (the same fingerprint is
 * being written). */
static __always_inline int WEIR_NAME(twin_in)(WEIR_BUCKET *bucket, const struct weir_key *key,
					      __u16 fingerprint, const __u64 *own)
{
	WEIR_REF twin;

	for (int probe = 0; probe < WEIR_SLOTS; probe++) {
		__u64 i = weir_probe(fingerprint, probe);
		int err;

		if (WEIR_NAME(head)(bucket, i) == own)
			continue;
		err = WEIR_NAME(find_at)(bucket, i, key, fingerprint, &twin);
		if (err != -ENOENT)
			return err ? err : -EEXIST;
	}
	return 0;
}

/*
 * Adds an entry whose key is not there yet, in the emptier one of its buckets. Facts in `body` may
 * carry any version. 0; -EEXIST = the key lives; -EBUSY = another writer is at it, try again;
 * -ENOSPC = both buckets are full (a twin was not looked for); -ESTALE = rule 8; -EFAULT as find().
 */
static __always_inline int WEIR_NAME(insert)(const WEIR_SLOT *body, __u16 flags, __u8 state)
{
	const struct weir_key *key = (const struct weir_key *)body;
	__u64 hash = weir_hash_key(key);
	__u16 fingerprint = weir_fingerprint(hash);
	WEIR_BUCKET *first = WEIR_TABLE_BUCKET(weir_first_bucket(hash, WEIR_TABLE_BUCKETS));
	WEIR_BUCKET *second = WEIR_TABLE_BUCKET(weir_second_bucket(hash, WEIR_TABLE_BUCKETS));
	WEIR_BUCKET *emptier;
	WEIR_REF claim = {};
	int twin;

	if (!first || !second)
		return -EFAULT;
	WEIR_NAME(fetch)(first, fingerprint, sizeof(WEIR_SLOT));
	WEIR_NAME(fetch)(second, fingerprint, sizeof(WEIR_SLOT));
	emptier = weir_count_empty(second->head) > weir_count_empty(first->head) ? second : first;
	if (!WEIR_NAME(claim)(emptier, fingerprint, &claim) &&
	    !WEIR_NAME(claim)(emptier == first ? second : first, fingerprint, &claim))
		return -ENOSPC;

	twin = WEIR_NAME(twin_in)(first, key, fingerprint, claim.head);
	weir_order_loads();
	if (!twin)
		twin = WEIR_NAME(twin_in)(second, key, fingerprint, claim.head);
	if (twin) {
		WEIR_NAME(release)(&claim);
		return twin;
	}
	WEIR_NAME(write)(&claim, body, 0);
	return WEIR_NAME(publish)(&claim, flags, state);
}

/* Joins flags and state into the head. 1 = this call changed it (ref->was -> ref->seen: count the
 * event); 0 = nothing to change; -ESTALE = the occupant has gone. */
static __always_inline int WEIR_NAME(advance)(WEIR_REF *ref, __u16 flags, __u8 state)
{
	for (int tries = 0; tries < WEIR_CAS_TRIES; tries++) {
		__u64 joined = weir_head_join(ref->seen, flags, state), now;

		if (joined == ref->seen)
			return 0;
		now = weir_cas(ref->head, ref->seen, joined);
		if (now == ref->seen) {
			ref->was = now;
			ref->seen = joined;
			return 1;
		}
		if (!weir_head_same(now, ref->seen))
			return -ESTALE;
		ref->seen = now;
	}
	return -ESTALE;
}

/* The occupant's head -> `next`, whatever flags and state came in meanwhile. 0, -ESTALE. */
static __always_inline int WEIR_NAME(take)(WEIR_REF *ref, __u64 next)
{
	for (int tries = 0; tries < WEIR_CAS_TRIES; tries++) {
		__u64 now = weir_cas(ref->head, ref->seen, next);

		if (now == ref->seen) {
			ref->was = now;
			ref->seen = next;
			return 0;
		}
		if (!weir_head_same(now, ref->seen))
			return -ESTALE;
		ref->seen = now;
	}
	return -ESTALE;
}

/* A new occupant with the same key in the place of the old one, whose last head is then ref->was.
 * 0; -ESTALE = the old one had gone already, or rule 8. */
static __always_inline int WEIR_NAME(replace)(WEIR_REF *ref, const WEIR_SLOT *body, __u16 flags,
					      __u8 state)
{
	__u16 fingerprint = WEIR_HEAD_FINGERPRINT(ref->seen);
	__u32 version = WEIR_HEAD_VERSION(ref->seen) + 1;

	if (WEIR_NAME(take)(ref, WEIR_HEAD(fingerprint, version, 0, WEIR_BUSY)))
		return -ESTALE;
	WEIR_NAME(write)(ref, body, WEIR_KEY_WORDS);
	if (WEIR_NAME(publish)(ref, flags, state))
		return -ESTALE;
	ref->seen = WEIR_HEAD(fingerprint, version, flags, state);
	return 0;
}

/* live -> DEAD. 0 = by this call, the last head is then ref->was; -ESTALE = it had gone already. */
static __always_inline int WEIR_NAME(remove)(WEIR_REF *ref)
{
	return WEIR_NAME(take)(ref, WEIR_HEAD(0, WEIR_HEAD_VERSION(ref->seen) + 1, 0, WEIR_DEAD));
}

/* Sets a fact, a field of ref->slot. Returns as weir_fact_set(). */
static __always_inline int WEIR_NAME(learn)(const WEIR_REF *ref, __u64 *fact, __u32 value)
{
	return weir_fact_set(fact, ref->seen, value);
}

#undef WEIR_NAME
#undef WEIR_REF
#undef WEIR_SLOT_WORDS
#undef WEIR_TABLE
#undef WEIR_SLOT
#undef WEIR_BUCKET
#undef WEIR_TABLE_BUCKETS
#undef WEIR_TABLE_BUCKET
