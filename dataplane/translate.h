/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Rewriting a segment's addresses, ports, TTL and checksums, all by differences that are constant
 * for a session. */
#ifndef WEIR_TRANSLATE_H
#define WEIR_TRANSLATE_H

#include "parse.h"
#include "session_rules.h"

/* HC' = ~(~HC + ~m + m') with delta = ~m + m' (RFC 1624, equation 3). */
static __always_inline __sum16 weir_checksum(__sum16 check, __u16 delta)
{
	return ~weir_fold((__u64)(__u16)~check + delta);
}

/* Translates the segment in place, by a copy of its entry. Only the Ethernet header keeps its old
 * content. */
static __always_inline int weir_translate(struct xdp_md *ctx, struct weir_counters *counters,
					  const struct weir_packet *packet,
					  const struct weir_entry4 *entry)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr) + packet->tags;
	struct tcphdr *tcp = (void *)(ip + 1);

	if ((void *)(tcp + 1) > data_end)
		return weir_drop(&counters->drop_malformed);
	ip->ttl--;
	ip->saddr = entry->new_saddr;
	ip->daddr = entry->new_daddr;
	ip->check = weir_checksum(ip->check, entry->l3_delta);
	tcp->source = entry->new_sport;
	tcp->dest = entry->new_dport;
	tcp->check = weir_checksum(tcp->check, entry->l4_delta);
	return WEIR_NEXT;
}

#endif
