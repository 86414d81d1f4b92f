// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "table_writer.h"

#define WEIR_MOVE_DEPTH     2 /* a chain of two moves finds room up to 93 % load */
#define WEIR_SLOT_WORDS_MAX (sizeof(struct weir_truth6) / sizeof(__u64))

struct weir_writer_counters weir_writer_counters;

void (*weir_pause_hook)(void);

void weir_pause_use(void (*pause)(void))
{
	weir_pause_hook = pause;
}

static __u64 weir_generation_private;
static __u64 *weir_generation = &weir_generation_private;

void weir_generation_use(__u64 *word)
{
	weir_generation = word ? word : &weir_generation_private;
}

void weir_raise_generation(__u64 generation)
{
	__u64 now = weir_load(weir_generation);

	while (now < generation) {
		__u64 old = weir_cas(weir_generation, now, generation);

		if (old == now)
			return;
		now = old;
	}
}

/* Does the map have as many buckets of as many bytes? */
static int weir_check_map(const struct weir_table *table, int fd)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);
	int err;

	if (!table->buckets)
		return -EINVAL;
	if (fd < 0)
		return 0;
	err = bpf_obj_get_info_by_fd(fd, &info, &length);
	if (err)
		return err;
	return info.value_size == table->bucket_size && info.max_entries == table->buckets
		       ? 0
		       : -EINVAL;
}

/* Between two pages that fault: a stray pointer of the agent's ends there. */
int weir_table_map(struct weir_table *table, int fd)
{
	size_t page = sysconf(_SC_PAGESIZE);
	size_t length = ((size_t)table->buckets * table->bucket_size + page - 1) / page * page;
	int err = weir_check_map(table, fd);
	char *guarded;

	if (err)
		return err;
	guarded = mmap(NULL, length + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (guarded == MAP_FAILED)
		return -errno;
	if (mmap(guarded + page, length, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0) == MAP_FAILED ||
	    madvise(guarded, length + 2 * page, MADV_DONTFORK)) {
		err = -errno;
		munmap(guarded, length + 2 * page);
		return err;
	}
	table->memory = guarded + page;
	table->length = length;
	return 0;
}

void weir_table_unmap(struct weir_table *table)
{
	size_t page = sysconf(_SC_PAGESIZE);

	if (table->memory)
		munmap(table->memory - page, table->length + 2 * page);
	table->memory = NULL;
}

static int weir_empty_in(const struct weir_table *table, __u32 bucket)
{
	return weir_count_empty(weir_heads(table, bucket));
}

/* The buckets of the key in a slot that is live. If its occupant changes meanwhile the answer is
 * wrong but harmless: what follows begins with a CAS of the head, or ends with a look at it. */
static void weir_buckets_of(const struct weir_table *table, const struct weir_place *place,
			    __u32 *first, __u32 *second)
{
	weir_word key[WEIR_SLOT_WORDS_MAX];
	__u64 hash;

	weir_order_loads();
	for (__u32 i = 0; i < table->key_words; i++)
		key[i] = ((const volatile weir_word *)place->slot)[i];
	hash = weir_hash(key, table->key_words, table->secret);
	*first = weir_first_bucket(hash, table->buckets);
	*second = weir_second_bucket(hash, table->buckets);
}

/* Makes an empty slot of the bucket BUSY with this fingerprint, the preferred one if it is free. */
static bool weir_claim(const struct weir_table *table, __u32 bucket, __u16 fingerprint,
		       struct weir_place *claim)
{
	for (int probe = 0; probe < WEIR_SLOTS; probe++) {
		__u32 i = weir_probe(fingerprint, probe);
		__u64 busy;

		if (i >= WEIR_SLOTS)
			continue;
		*claim = weir_place(table, bucket, i);
		if (WEIR_HEAD_STATE(claim->seen) != WEIR_EMPTY)
			continue;
		busy = WEIR_HEAD(fingerprint, WEIR_HEAD_VERSION(claim->seen) + 1, 0, WEIR_BUSY);
		if (weir_cas(claim->head, claim->seen, busy) != claim->seen)
			continue;
		claim->seen = busy;
		return true;
	}
	return false;
}

/* Closes the unset facts of the original, and carries over those that were learned since it was
 * copied: after this, whoever wants to learn a fact must do so in the copy. */
static void weir_close_facts(const struct weir_table *table, const struct weir_place *original,
			     const struct weir_place *copy)
{
	__u32 version = WEIR_HEAD_VERSION(original->seen);

	for (__u32 i = 0; i < table->slot_size / sizeof(__u64); i++) {
		__u64 fact;

		if (!(table->facts >> i & 1))
			continue;
		fact = weir_cas((__u64 *)&original->slot[i], weir_fact_unset(version),
				weir_fact_moving(version));
		if (fact >> 40 == version && weir_fact_valid(fact))
			weir_fact_set((__u64 *)&copy->slot[i], copy->seen, fact);
	}
}

/* The contrary, for an original that stays because its mover was killed. */
static void weir_open_facts(const struct weir_table *table, const struct weir_place *original)
{
	__u32 version = WEIR_HEAD_VERSION(original->seen);

	for (__u32 i = 0; i < table->slot_size / sizeof(__u64); i++) {
		if (table->facts >> i & 1)
			weir_cas((__u64 *)&original->slot[i], weir_fact_moving(version),
				 weir_fact_unset(version));
	}
}

/* Ticks that XDP has stored into the original since it was copied. A newer one in the copy
 * stays. */
static void weir_carry_ticks(const struct weir_table *table, const struct weir_place *original,
			     const weir_word *body, const struct weir_place *copy)
{
	for (__u32 i = 0; i < WEIR_TICKS_MAX && table->ticks[i]; i++) {
		__u32 before = *(const __u32 *)((const char *)body + table->ticks[i]);
		__u32 *from = (__u32 *)((char *)original->slot + table->ticks[i]);
		__u32 *to = (__u32 *)((char *)copy->slot + table->ticks[i]);

		__sync_bool_compare_and_swap(to, before, *(volatile __u32 *)from);
	}
}

/* XDP has removed or replaced the original. Its copy was to be found for a moment: XDP may have
 * given it flags of its own, and may even have removed or replaced it too. */
static void weir_withdraw(struct weir_place *copy)
{
	weir_writer_counters.moves_undone++;
	weir_writer_counters.flags_added += weir_count_flags(copy->seen);
	if (weir_bury(copy))
		weir_writer_counters.flags_gone += weir_count_flags(copy->seen);
}

/*
 * Moves the occupant `original` into bucket `to`. Readers look into the original's bucket first:
 * they see it there, then DEAD there and the copy here, never neither. `at_once`: the slot is
 * needed now and skips the quarantine, so a program that stalls for the time of this call may store
 * a tick into a new occupant, which then looks fresher than it is. False: nothing has moved.
 */
static bool weir_move(const struct weir_table *table, struct weir_place original, __u32 to,
		      bool at_once)
{
	weir_word body[WEIR_SLOT_WORDS_MAX];
	struct weir_place copy;
	__u32 words = table->slot_size / sizeof(__u64);
	__u64 busy, dead, joined, now;

	if (!weir_claim(table, to, WEIR_HEAD_FINGERPRINT(original.seen), &copy))
		return false;
	busy = copy.seen;
	for (__u32 i = 0; i < words; i++) {
		body[i] = ((const volatile weir_word *)original.slot)[i];
		((volatile weir_word *)copy.slot)[i] =
			table->facts >> i & 1 ? weir_fact_stamp(body[i], WEIR_HEAD_VERSION(busy))
					      : body[i];
	}
	weir_order_loads();
	now = weir_load(original.head);
	if (!weir_head_same(now, original.seen)) {
		weir_empty(copy.head, busy);
		return false;
	}
	original.seen = now;
	copy.seen = weir_head_join(WEIR_HEAD_IDENTITY(busy) << 24, WEIR_HEAD_FLAGS(now),
				   WEIR_HEAD_STATE(now));
	weir_cas(copy.head, busy, copy.seen); /* only this thread recovers BUSY slots */
	weir_close_facts(table, &original, &copy);

	for (;;) {
		dead = WEIR_HEAD(0, WEIR_HEAD_VERSION(original.seen) + 1, 0, WEIR_DEAD);
		now = weir_cas(original.head, original.seen, dead);
		if (now == original.seen)
			break;
		if (!weir_head_same(now, original.seen)) {
			weir_withdraw(&copy);
			return false;
		}
		/* Flags came in. Nobody finds the copy before the original is gone, so this CAS
		 * fails only if that is so. */
		joined = weir_head_join(copy.seen, WEIR_HEAD_FLAGS(now), WEIR_HEAD_STATE(now));
		if (weir_cas(copy.head, copy.seen, joined) == copy.seen)
			copy.seen = joined;
		original.seen = now;
	}
	weir_carry_ticks(table, &original, body, &copy);
	if (at_once)
		weir_empty(original.head, dead);
	weir_writer_counters.moves++;
	return true;
}

bool weir_make_room(const struct weir_table *table, __u32 bucket, int spare, int depth,
		    bool at_once)
{
	for (__u32 i = 0; i < WEIR_SLOTS; i++) {
		struct weir_place original = weir_place(table, bucket, i);
		__u32 first, second;

		if (!weir_head_live(original.seen))
			continue;
		weir_buckets_of(table, &original, &first, &second);
		if (first != bucket || second == bucket)
			continue;
		if (weir_empty_in(table, second) < spare &&
		    (depth < 2 || !weir_make_room(table, second, spare, depth - 1, at_once)))
			continue;
		if (weir_move(table, original, second, at_once))
			return true;
	}
	return false;
}

int weir_make_room_for(const struct weir_table *table, __u64 hash)
{
	__u32 first = weir_first_bucket(hash, table->buckets);
	__u32 second = weir_second_bucket(hash, table->buckets);

	for (int depth = 1; depth <= WEIR_MOVE_DEPTH; depth++) {
		if (weir_make_room(table, first, 1, depth, true) ||
		    weir_make_room(table, second, 1, depth, true))
			return 0;
	}
	return -ENOSPC;
}

/*
 * A writer that was killed in the midst of a move has left the entry in both its buckets: the copy,
 * in the second one, goes. False: the first bucket was busy with the key, try again.
 */
static bool weir_remove_duplicate(const struct weir_table *table, __u32 bucket, __u32 i,
				  struct weir_sweep_result *result)
{
	struct weir_place copy = weir_place(table, bucket, i);
	__u32 first, second;

	if (!weir_head_live(copy.seen))
		return true;
	weir_buckets_of(table, &copy, &first, &second);
	if (second != bucket || first == bucket)
		return true;
	for (__u32 j = 0; j < WEIR_SLOTS; j++) {
		struct weir_place original = weir_place(table, first, j);

		if (WEIR_HEAD_FINGERPRINT(original.seen) != WEIR_HEAD_FINGERPRINT(copy.seen))
			continue;
		if (WEIR_HEAD_STATE(original.seen) == WEIR_BUSY)
			return false;
		weir_order_loads();
		if (!weir_head_live(original.seen) ||
		    !weir_words_equal(original.slot, copy.slot, table->key_words) ||
		    !weir_head_same(weir_load(original.head), original.seen))
			continue;
		weir_open_facts(table, &original);
		if (weir_bury(&copy)) {
			result->duplicates++;
			weir_writer_counters.flags_gone += weir_count_flags(copy.seen);
		}
	}
	return true;
}

bool weir_remove_duplicates(const struct weir_table *table, struct weir_sweep_result *result)
{
	bool all = true;

	for (__u32 bucket = 0; bucket < table->buckets; bucket++) {
		for (__u32 i = 0; i < WEIR_SLOTS; i++)
			all &= weir_remove_duplicate(table, bucket, i, result);
	}
	return all;
}
