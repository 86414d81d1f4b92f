/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What follows from a session's entries alone: the same for the XDP program and for the agent. */
#ifndef WEIR_SESSION_RULES_H
#define WEIR_SESSION_RULES_H

#include <stdbool.h>
#include "family.h"
#include "table_words.h"

/* The key of the session's other entry: the new tuple, reversed. */
static inline struct weir_key weir_other_key(const struct weir_entry *entry)
{
	return (struct weir_key){
		.saddr = entry->new_daddr,
		.daddr = entry->new_saddr,
		.sport = entry->new_dport,
		.dport = entry->new_sport,
		.proto = entry->key.proto,
	};
}

/* One's complement sum of 16-bit words, folded (RFC 1071). Three folds: 64 to 33, to 18, to 17, to
 * 16 bits. */
static __always_inline __u16 weir_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* Unfolded. What marks an address as IPv4-mapped adds 0xffff, which is 0: a mapped address adds as
 * much as the IPv4 one. */
static __always_inline __u64 weir_sum_ip(weir_ip address)
{
	struct weir_address full = weir_full(address);

	return (__u64)full.word[0] + full.word[1] + full.word[2] + full.word[3];
}

/* Of the complement: what taking the address away adds. */
static __always_inline __u64 weir_sum_not_ip(weir_ip address)
{
	struct weir_address full = weir_full(address);

	return (__u64)(__u32)~full.word[0] + (__u32)~full.word[1] + (__u32)~full.word[2] +
	       (__u32)~full.word[3];
}

/* TTL 1, the upper byte of its word, as that word is in memory. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define WEIR_TTL_ONE 0x0001
#else
#define WEIR_TTL_ONE 0x0100
#endif

/* The constant differences between an entry's key and its new tuple. */
static __always_inline void weir_set_deltas(struct weir_entry *entry)
{
	__u64 addresses = weir_sum_not_ip(entry->key.saddr) + weir_sum_ip(entry->new_saddr) +
			  weir_sum_not_ip(entry->key.daddr) + weir_sum_ip(entry->new_daddr);
	__u64 ports = (__u64)(__u16)~entry->key.sport + entry->new_sport +
		      (__u16)~entry->key.dport + entry->new_dport;

	entry->l3_delta = WEIR_WIDE ? 0 : weir_fold(addresses + (__u16)~WEIR_TTL_ONE);
	entry->l4_delta = weir_fold(addresses + ports);
}

/* Completes `index`, the inbound entry of a truth: all but its egress. */
static __always_inline void weir_index_of(const struct weir_entry *truth, struct weir_entry *index)
{
	index->generation = truth->generation;
	index->new_saddr = truth->key.daddr;
	index->new_daddr = truth->key.saddr;
	index->new_sport = truth->key.dport;
	index->new_dport = truth->key.sport;
	index->seen = truth->seen;
	index->real = truth->real;
	weir_set_deltas(index);
}

/* A RST at tick `reset` (0 = none) counts until data is seen after its grace time. */
static inline bool weir_reset_counts(__u32 reset, __u32 seen)
{
	return reset && (__s32)(seen - reset) <= WEIR_RESET_GRACE_TICKS;
}

#endif
