/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A session as one node tells the others of it: version 1 of the records in
 * proto/weir/v1/sync.proto. A record is narrow if and only if all of its four addresses are IPv4
 * ones; in a wide record those that are stand IPv4-mapped.
 *
 * Addresses, never numbers of this node's services or servers; ages, never readings of this node's
 * clock. Addresses and ports are as on the wire, all else little-endian, whatever the host.
 */
#ifndef WEIR_SYNC_RECORD_H
#define WEIR_SYNC_RECORD_H

#include "weir.h"

#define WEIR_SYNC_NO_RESET 0xffffffff /* in `reset`: no RST was seen */
#define WEIR_SYNC_FACTS    7
/* A generation is ns since 1970: this is the year 2116. A record beyond it would stop the clock of
 * every node that believes it. */
#define WEIR_GENERATION_MAX (1ULL << 62)

struct weir_sync_record4 {
	__be32 saddr; /* real server -> LIP: the outbound key */
	__be32 daddr;
	__be16 sport;
	__be16 dport;
	__u8 proto;
	__u8 state; /* WEIR_SYN to WEIR_FIN_BOTH */
	__u16 flags;
	__u64 generation;
	__u64 supersedes;
	__be32 vaddr; /* virtual service -> client */
	__be32 caddr;
	__be16 vport;
	__be16 cport;
	__u32 origin;
	__u32 idle;      /* ticks since the last packet */
	__u32 reset;     /* ticks since the last RST, or WEIR_SYNC_NO_RESET */
	__u32 unchanged; /* ticks since the last change of state, flags or facts */
	__u8 valid;      /* bit i: fact[i] is known */
	__u8 zero[3];
	__u32 fact[WEIR_SYNC_FACTS]; /* in the order of weir_sync_facts */
	__u32 zero_too;
};
_Static_assert(sizeof(struct weir_sync_record4) == 96, "the wire knows this length");

struct weir_sync_record6 {
	struct weir_address saddr;
	struct weir_address daddr;
	__be16 sport;
	__be16 dport;
	__u8 proto;
	__u8 state;
	__u16 flags;
	__u64 generation;
	__u64 supersedes;
	struct weir_address vaddr;
	struct weir_address caddr;
	__be16 vport;
	__be16 cport;
	__u32 origin;
	__u32 idle;
	__u32 reset;
	__u32 unchanged;
	__u8 valid;
	__u8 zero[3];
	__u32 fact[WEIR_SYNC_FACTS];
	__u32 zero_too;
};
_Static_assert(sizeof(struct weir_sync_record6) == 144, "the wire knows this length");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records are copied, not converted");

/* A key on the wire is the first bytes of a record, with state and flags zero: a key of the table.
 * In the byte of the state: it is a client's, client -> virtual service. */
#define WEIR_SYNC_KEY_CLIENT 1
_Static_assert(__builtin_offsetof(struct weir_sync_record4, generation) ==
			       sizeof(struct weir_key4) &&
		       __builtin_offsetof(struct weir_sync_record6, generation) ==
			       sizeof(struct weir_key6),
	       "a wire key is a key");

#endif
