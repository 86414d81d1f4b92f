// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The agent's side of the session table: the mapping, and the parts that the includes name. The
 * protocol is table.h's.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "table_collect.h"
#include "table_index.h"
#include "table_merge.h"
#ifdef WEIR_TABLE_TEST
#include "table_test_put.h"
#endif
#include "table_sweep.h"
#include "table_user.h"
#include "table_writer.h"

/* Does the map have this many buckets of this size? */
static int weir_check_map(int fd, __u32 buckets, __u32 bucket_size)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);
	int err;

	if (fd < 0)
		return 0;
	err = bpf_obj_get_info_by_fd(fd, &info, &length);
	if (err)
		return err;
	return info.value_size == bucket_size && info.max_entries == buckets && buckets ? 0
											: -EINVAL;
}

/* Maps the table between two pages that fault: a stray pointer of the agent's ends there. */
static int weir_map_table(struct weir_table *table, int fd)
{
	size_t page = sysconf(_SC_PAGESIZE);
	size_t length = ((size_t)table->buckets * table->bucket_size + page - 1) / page * page;
	char *guarded =
		mmap(NULL, length + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int err = 0;

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

static void weir_unmap_table(struct weir_table *table)
{
	size_t page = sysconf(_SC_PAGESIZE);

	if (table->memory)
		munmap(table->memory - page, table->length + 2 * page);
	table->memory = NULL;
}

int weir_tables_map(int inbound_fd, int outbound_fd, const struct weir_layout *layout)
{
	int err;

	weir_tables_unmap();
	weir_inbound = (struct weir_table){
		.buckets = layout->inbound4_buckets,
		.bucket_size = sizeof(struct weir_inbound4_bucket),
		.slot_size = sizeof(struct weir_entry4),
		.key_words = sizeof(struct weir_key4) / sizeof(__u64),
		.facts = WEIR_ENTRY4_FACTS,
		.ticks = {offsetof(struct weir_entry4, seen)},
	};
	weir_outbound = (struct weir_table){
		.buckets = layout->outbound4_buckets,
		.bucket_size = sizeof(struct weir_outbound4_bucket),
		.slot_size = sizeof(struct weir_truth4),
		.key_words = sizeof(struct weir_key4) / sizeof(__u64),
		.facts = WEIR_TRUTH4_FACTS,
		.ticks = {offsetof(struct weir_truth4, entry.seen),
			  offsetof(struct weir_truth4, reset),
			  offsetof(struct weir_truth4, changed),
			  offsetof(struct weir_truth4, synced)},
	};
	memcpy(weir_hash_key, layout->hash_key, sizeof(weir_hash_key));
	memset(&weir_sweep_memory, 0, sizeof(weir_sweep_memory));
	memset(&weir_writer_counters, 0, sizeof(weir_writer_counters));

	err = weir_check_map(inbound_fd, weir_inbound.buckets, weir_inbound.bucket_size);
	if (!err)
		err = weir_check_map(outbound_fd, weir_outbound.buckets, weir_outbound.bucket_size);
	if (!err)
		err = weir_map_table(&weir_inbound, inbound_fd);
	if (!err)
		err = weir_map_table(&weir_outbound, outbound_fd);
	if (err)
		weir_tables_unmap();
	return err;
}

void weir_tables_unmap(void)
{
	weir_unmap_table(&weir_inbound);
	weir_unmap_table(&weir_outbound);
}

void weir_pause_use(void (*pause)(void))
{
	weir_pause_hook = pause;
}

int weir_inbound4_make_room(__u32 bucket)
{
	if (bucket >= weir_inbound.buckets)
		return -EINVAL;
	return weir_make_room(&weir_inbound, bucket, 1, 1, true) ? 0 : -ENOSPC;
}

int weir_outbound4_make_room(__u32 bucket)
{
	if (bucket >= weir_outbound.buckets)
		return -EINVAL;
	return weir_make_room(&weir_outbound, bucket, 1, 1, true) ? 0 : -ENOSPC;
}
