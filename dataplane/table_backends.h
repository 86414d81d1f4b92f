/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * From the addresses in a record to this node's own numbers: which real server a session has, and
 * which egress group leads there. Included by table_user.c alone.
 */
#ifndef WEIR_TABLE_BACKENDS_H
#define WEIR_TABLE_BACKENDS_H

#include <errno.h>
#include <stdlib.h>
#include "table_user.h"

/* Open addressing, at most half full. */
static struct {
	struct weir_backend4 *entries; /* proto 0 = free */
	__u32 mask;
} weir_backends;

static __u32 weir_backend_hash(__be32 vaddr, __be16 vport, __be32 raddr, __be16 rport)
{
	__u64 hash = ((__u64)vaddr << 32 | raddr) * 0x9e3779b97f4a7c15ULL;

	hash = (hash ^ ((__u64)vport << 16 | rport)) * 0xff51afd7ed558ccdULL;
	return hash >> 32;
}

int weir_backends_set(const struct weir_backend4 *backends, size_t count)
{
	struct weir_backend4 *entries;
	size_t size = 2;

	while (size < 2 * count)
		size *= 2;
	entries = calloc(size, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const struct weir_backend4 *one = &backends[i];
		__u32 at = weir_backend_hash(one->vaddr, one->vport, one->raddr, one->rport);

		while (entries[at & (size - 1)].proto)
			at++;
		entries[at & (size - 1)] = *one;
	}
	free(weir_backends.entries);
	weir_backends.entries = entries;
	weir_backends.mask = size - 1;
	return 0;
}

/* The real server of a session, by its outbound entry. One that this node's config does not have
 * gets the number WEIR_REAL_UNKNOWN, and the kernel finds the way there. */
static struct weir_backend4 weir_backend_of(const struct weir_entry4 *entry)
{
	const struct weir_backend4 *one;
	__u32 at = weir_backend_hash(entry->new_saddr, entry->new_sport, entry->key.saddr,
				     entry->key.sport);

	for (; weir_backends.entries; at++) {
		one = &weir_backends.entries[at & weir_backends.mask];
		if (!one->proto)
			break;
		if (one->vaddr == entry->new_saddr && one->vport == entry->new_sport &&
		    one->raddr == entry->key.saddr && one->rport == entry->key.sport &&
		    one->proto == entry->key.proto)
			return *one;
	}
	return (struct weir_backend4){.real = WEIR_REAL_UNKNOWN, .egress = WEIR_EGRESS_KERNEL};
}

#endif
