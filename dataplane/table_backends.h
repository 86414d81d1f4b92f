/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * From the addresses in a record to this node's own numbers: which real server a session has, and
 * which egress group leads there. Included by table_user.c alone.
 */
#ifndef WEIR_TABLE_BACKENDS_H
#define WEIR_TABLE_BACKENDS_H

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include "table_pair.h"

/* Of this family. Open addressing, at most half full. */
static struct {
	struct weir_backend *entries; /* proto 0 = free */
	__u32 mask;
} weir_backends;

/* Both ports are 0 for a service with a range of them. */
static __u32 weir_backend_hash(weir_ip vaddr, __be16 vport, weir_ip raddr, __be16 rport)
{
	const struct weir_key key = {
		.saddr = raddr, .daddr = vaddr, .sport = rport, .dport = vport};
	const weir_word *word = (const weir_word *)&key;
	__u64 hash = 0;

	for (int i = 0; i < WEIR_KEY_WORDS; i++)
		hash = (hash ^ hash >> 32 ^ word[i]) * 0x9e3779b97f4a7c15ULL;
	return hash >> 32;
}

static __u32 weir_backend_place(const struct weir_backend *one)
{
	__be16 vport = htons(one->vport_min);
	weir_ip vaddr = weir_ip_of(&one->vaddr), raddr = weir_ip_of(&one->raddr);

	if (one->vport_min != one->vport_max)
		return weir_backend_hash(vaddr, 0, raddr, 0);
	return weir_backend_hash(vaddr, vport, raddr, one->rport ?: vport);
}

/* Are sessions of this backend in this family's tables? */
static bool weir_backend_is_own(const struct weir_backend *one)
{
	bool narrow = weir_is_mapped(&one->vaddr) && weir_is_mapped(&one->raddr);

	return narrow != WEIR_WIDE;
}

static int weir_use_backends(const struct weir_backend *backends, size_t count)
{
	struct weir_backend *entries;
	size_t size = 2;

	while (size < 2 * count)
		size *= 2;
	entries = calloc(size, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		__u32 at = weir_backend_place(&backends[i]);

		if (!weir_backend_is_own(&backends[i]))
			continue;
		while (entries[at & (size - 1)].proto)
			at++;
		entries[at & (size - 1)] = backends[i];
	}
	free(weir_backends.entries);
	weir_backends.entries = entries;
	weir_backends.mask = size - 1;
	return 0;
}

static bool weir_backend_has(const struct weir_backend *one, const struct weir_entry *entry)
{
	const weir_ip vaddr = weir_ip_of(&one->vaddr), raddr = weir_ip_of(&one->raddr);
	__u16 vport = ntohs(entry->new_sport);

	return vport >= one->vport_min && vport <= one->vport_max &&
	       entry->key.sport == (one->rport ?: entry->new_sport) &&
	       one->proto == entry->key.proto && weir_same_ip(&vaddr, &entry->new_saddr) &&
	       weir_same_ip(&raddr, &entry->key.saddr);
}

/* The first one from this place on, or NULL. */
static const struct weir_backend *weir_backend_at(__u32 place, const struct weir_entry *entry)
{
	for (; weir_backends.entries; place++) {
		const struct weir_backend *one = &weir_backends.entries[place & weir_backends.mask];

		if (!one->proto)
			break;
		if (weir_backend_has(one, entry))
			return one;
	}
	return NULL;
}

/* The real server of a session, by its outbound entry: of its very port before that of a range. One
 * that this node's config does not have gets the number WEIR_REAL_UNKNOWN, and the kernel finds the
 * way there. */
static const struct weir_backend *weir_backend_of(const struct weir_entry *entry)
{
	static const struct weir_backend unknown = {.real = WEIR_REAL_UNKNOWN,
						    .egress = WEIR_EGRESS_KERNEL};
	const weir_ip vaddr = entry->new_saddr, raddr = entry->key.saddr;
	const struct weir_backend *one = weir_backend_at(
		weir_backend_hash(vaddr, entry->new_sport, raddr, entry->key.sport), entry);

	if (!one)
		one = weir_backend_at(weir_backend_hash(vaddr, 0, raddr, 0), entry);
	return one ?: &unknown;
}

#endif
