/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Rewriting a packet: addresses, ports, TTL and checksums, by differences that are constant for a
 * session; and the whole IP header where client and real server differ in family (RFC 7915).
 */
#ifndef WEIR_TRANSLATE_H
#define WEIR_TRANSLATE_H

#include "ip_header.h"

/* HC' = ~(~HC + ~m + m') with delta = ~m + m' (RFC 1624, equation 3). */
static __always_inline __sum16 weir_checksum(__sum16 check, __u16 delta)
{
	return ~weir_fold((__u64)(__u16)~check + delta);
}

/* The IP version that an entry leads to. */
static __always_inline __u8 weir_new_version(const struct weir_entry *entry)
{
	struct weir_address target = weir_full(entry->new_daddr);

	return weir_is_mapped(&target) ? 4 : 6;
}

/* May the packet not become one of the version that it has to? */
static __always_inline bool weir_is_bound(const struct weir_packet *packet, __u8 new_version)
{
	return WEIR_WIDE && packet->bound && packet->version != new_version;
}

static __always_inline int weir_drop_bound(struct weir_counters *counters,
					   const struct weir_packet *packet)
{
	return weir_drop(packet->bound == WEIR_BOUND_CHECKSUM ? &counters->drop_udp_checksum
							      : &counters->drop_untranslatable);
}

/* The length of the layer-3 packet when it leaves, bytes. */
static __always_inline __u32 weir_new_length(const struct weir_packet *packet,
					     const struct weir_entry *entry)
{
	__u8 version = weir_new_version(entry);

	if (version == packet->version)
		return packet->length;
	return packet->length - packet->ip_bytes + weir_made_bytes(packet, version);
}

/* All that translation changes in an IP header of the same version. */
static __always_inline int weir_rewrite_header(struct xdp_md *ctx, const struct weir_packet *packet,
					       const struct weir_entry *entry)
{
	void *data_end = (void *)(long)ctx->data_end;
	void *header = (void *)(long)ctx->data + sizeof(struct ethhdr) + packet->tags;
#if WEIR_WIDE
	struct ipv6hdr *ip = header;

	if ((void *)(ip + 1) > data_end)
		return -EINVAL;
	ip->hop_limit--;
	weir_copy_words(&ip->saddr, &entry->new_saddr, 4); /* both addresses */
#else
	struct iphdr *ip = header;

	if ((void *)(ip + 1) > data_end)
		return -EINVAL;
	ip->ttl--;
	weir_copy_words(&ip->saddr, &entry->new_saddr, 1); /* both addresses */
	ip->check = weir_checksum(ip->check, entry->l3_delta);
#endif
	return 0;
}

#if WEIR_WIDE
#include "translate_family.h"
#endif

/* Ports and checksum of a TCP or UDP header. */
static __always_inline int weir_rewrite_transport(struct xdp_md *ctx,
						  const struct weir_packet *packet,
						  const struct weir_entry *entry)
{
	__u64 offset = weir_transport_offset(packet);
	void *data_end = (void *)(long)ctx->data_end, *header;

	weir_forget(offset, packet->now);
	if (offset > WEIR_TRANSPORT_MAX)
		return -EINVAL;
	header = (void *)(long)ctx->data + offset;
	if (packet->key.proto == IPPROTO_TCP) {
		struct tcphdr *tcp = header;

		if ((void *)(tcp + 1) > data_end)
			return -EINVAL;
		*(weir_ports *)tcp = *(const weir_ports *)&entry->new_sport;
		tcp->check = weir_checksum(tcp->check, entry->l4_delta);
	} else {
		struct udphdr *udp = header;

		if ((void *)(udp + 1) > data_end)
			return -EINVAL;
		*(weir_ports *)udp = *(const weir_ports *)&entry->new_sport;
		/* 0 says that there is none; what comes out as 0 is sent as its other form (RFC
		 * 768). */
		if (udp->check)
			udp->check = weir_checksum(udp->check, entry->l4_delta) ?: 0xffff;
	}
	return 0;
}

/* Translates the packet in place, by a copy of its entry. Of the Ethernet header, only the type may
 * change. `packet` is the translated one afterwards, but for its key. */
static __always_inline int weir_translate(struct xdp_md *ctx, struct weir_counters *counters,
					  struct weir_packet *packet,
					  const struct weir_entry *entry)
{
	int error;

#if WEIR_WIDE
	if (packet->version != weir_new_version(entry))
		error = weir_change_header(ctx, packet, entry, 0);
	else
#endif
		error = weir_rewrite_header(ctx, packet, entry);
	if (!error && !weir_is_later_fragment(packet))
		error = weir_rewrite_transport(ctx, packet, entry);
	if (error == -ENOSPC)
		return weir_drop(&counters->drop_headroom);
	return error ? weir_drop(&counters->drop_malformed) : WEIR_NEXT;
}

#endif
