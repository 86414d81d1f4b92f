/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Rewriting an ICMP error: its own addresses, as those of any packet of the session, and the packet
 * in error that it quotes, which is one of the session's other direction.
 */
#ifndef WEIR_TRANSLATE_ERROR_H
#define WEIR_TRANSLATE_ERROR_H

#include "icmp_types.h"
#include "translate.h"

/* An error at hand. */
struct weir_error {
	struct weir_packet packet;
	struct weir_packet quoted; /* the packet in error; its key is that of packets that go the
				      error's way */
	struct weir_entry entry;   /* of this key */
	__u32 quoted_bytes;        /* of it that are there */
	__u32 way_out;             /* MTU of the way out; 0 = unknown */
};

/* The folded sum of the packet's ICMP message: 0xffff if its checksum is right. -EINVAL: too long.
 */
static __always_inline int weir_sum_icmp(struct xdp_md *ctx, const struct weir_packet *packet,
					 weir_ip saddr, weir_ip daddr)
{
	__u32 bytes = packet->length - packet->ip_bytes;
	int sum = weir_sum_bytes(ctx, weir_transport_offset(packet), bytes);

	if (sum < 0 || packet->version == 4)
		return sum;
	return weir_fold(sum + weir_sum_pseudo(saddr, daddr, IPPROTO_ICMPV6, bytes));
}

/* What a sum gains when the entry's new addresses take the place of these. */
static __always_inline __u64 weir_address_delta(weir_ip saddr, weir_ip daddr,
						const struct weir_entry *entry)
{
	return weir_sum_not_ip(saddr) + weir_sum_ip(entry->new_saddr) + weir_sum_not_ip(daddr) +
	       weir_sum_ip(entry->new_daddr);
}

/* The headers of an error that stays in its family. */
static __always_inline int weir_rewrite_error(struct xdp_md *ctx, struct weir_error *error)
{
	const struct weir_packet *packet = &error->packet;
	struct weir_entry *entry = &error->entry;
	__u32 offset = weir_transport_offset(packet) + sizeof(struct weir_icmp);
#if WEIR_WIDE
	struct ipv6hdr ip;

	if (bpf_xdp_load_bytes(ctx, offset, &ip, sizeof(ip)))
		return -EINVAL;
	__builtin_memcpy(&ip.saddr, &entry->new_daddr, sizeof(ip.saddr));
	__builtin_memcpy(&ip.daddr, &entry->new_saddr, sizeof(ip.daddr));
#else
	struct iphdr ip;

	if (bpf_xdp_load_bytes(ctx, offset, &ip, sizeof(ip)))
		return -EINVAL;
	ip.saddr = entry->new_daddr;
	ip.daddr = entry->new_saddr;
	ip.check = weir_checksum(
		ip.check, weir_fold(weir_address_delta(entry->key.saddr, entry->key.daddr, entry)));
	/* The error's own source is whoever sent it. */
	entry->l3_delta =
		weir_fold(weir_address_delta(packet->key.saddr, packet->key.daddr, entry) +
			  (__u16)~WEIR_TTL_ONE);
#endif
	if (bpf_xdp_store_bytes(ctx, offset, &ip, sizeof(ip)))
		return -EINVAL;
	return weir_rewrite_header(ctx, packet, entry);
}

#if WEIR_WIDE
/* The largest MTU that may be told of in the other family, by the interface that the error came in
 * by and by its way out (RFC 7915 sections 4.2 and 5.2). */
static __always_inline __u32 weir_mtu_max(struct xdp_md *ctx, const struct weir_error *error)
{
	__u32 most = error->way_out ?: 0xffff, way_in = 0;

	bpf_check_mtu(ctx, 0, &way_in, 0, 0);
	way_in += error->packet.version == 4 ? WEIR_IP6_MORE : -WEIR_IP6_MORE;
	return way_in < most ? way_in : most;
}

/* Puts headers of the other family in the place of the packet's and of the quoted one's, and the
 * ICMP message that corresponds to this one in between. Both descriptions are of the new headers
 * afterwards. -EOPNOTSUPP: none corresponds. */
__noinline int weir_change_error(struct xdp_md *ctx, struct weir_error *error)
{
	struct weir_packet *packet, *quoted;
	struct weir_icmp icmp;
	__u32 offset, bytes, length, mtu_max;
	int class, failed;

	if (!error)
		return -EINVAL;
	packet = &error->packet;
	quoted = &error->quoted;
	mtu_max = weir_mtu_max(ctx, error);
	offset = weir_transport_offset(packet);
	class = weir_read_class(ctx, quoted->version, offset + sizeof(icmp));
	if (class < 0 || bpf_xdp_load_bytes(ctx, offset, &icmp, sizeof(icmp)))
		return -EINVAL;
	failed = packet->version == 4 ? weir_icmp_to6(&icmp, quoted->length, mtu_max)
				      : weir_icmp_to4(&icmp, quoted->fragment, mtu_max);
	if (failed)
		return failed;
	/* Extensions would not begin at a multiple of the other family's units. */
	length = packet->ip_bytes + sizeof(icmp) + error->quoted_bytes;
	if (length < packet->length && weir_cut(ctx, packet, length))
		return -EINVAL;
	packet->length = length;
	quoted->version = packet->version == 4 ? 6 : 4;
	packet->key.proto = packet->version == 4 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	bytes = weir_made_bytes(quoted, quoted->version);
	failed = weir_change_header(ctx, packet, &error->entry, (int)bytes - (int)quoted->ip_bytes);
	if (failed)
		return failed;
	offset = weir_transport_offset(packet);
	failed = bpf_xdp_store_bytes(ctx, offset, &icmp, sizeof(icmp));
	if (failed)
		return failed;
	failed = weir_put_ip(ctx, offset + sizeof(icmp), quoted, quoted->version,
			     &error->entry.new_daddr, &error->entry.new_saddr, class);
	error->quoted_bytes += bytes - quoted->ip_bytes;
	quoted->length += bytes - quoted->ip_bytes;
	quoted->ip_bytes = bytes;
	return failed;
}
#endif

/* Ports and checksum of the quoted transport header at `offset`, of which there are `bytes`. */
static __always_inline int weir_rewrite_quoted(struct xdp_md *ctx, __u32 offset, __u32 bytes,
					       const struct weir_entry *entry)
{
	const __be16 ports[] = {entry->new_dport, entry->new_sport};
	bool tcp = entry->key.proto == IPPROTO_TCP;
	__u32 at = tcp ? __builtin_offsetof(struct tcphdr, check)
		       : __builtin_offsetof(struct udphdr, check);
	__sum16 check;

	if (bpf_xdp_store_bytes(ctx, offset, (void *)ports, sizeof(ports)))
		return -EINVAL;
	if (bytes < at + sizeof(check))
		return 0;
	if (bpf_xdp_load_bytes(ctx, offset + at, &check, sizeof(check)))
		return -EINVAL;
	if (!tcp && !check)
		return 0;
	check = weir_checksum(check, entry->l4_delta);
	if (!tcp && !check)
		check = 0xffff;
	return bpf_xdp_store_bytes(ctx, offset + at, &check, sizeof(check));
}

/* Makes the checksum of the packet's ICMP message anew. */
static __always_inline int weir_check_icmp(struct xdp_md *ctx, const struct weir_packet *packet,
					   const struct weir_entry *entry)
{
	__u32 at = weir_transport_offset(packet) + __builtin_offsetof(struct weir_icmp, check);
	__sum16 check = 0;
	int sum;

	if (bpf_xdp_store_bytes(ctx, at, &check, sizeof(check)))
		return -EINVAL;
	sum = weir_sum_icmp(ctx, packet, entry->new_saddr, entry->new_daddr);
	if (sum < 0)
		return sum;
	check = ~sum;
	return bpf_xdp_store_bytes(ctx, at, &check, sizeof(check));
}

/* The bytes of an error's layer-3 packet when it leaves, if nothing is cut off. */
static __always_inline __u32 weir_new_error_length(const struct weir_error *error)
{
	__u8 version = weir_new_version(&error->entry);
	__u32 length = weir_new_length(&error->packet, &error->entry);

	return version == error->packet.version
		       ? length
		       : length + weir_made_bytes(&error->quoted, version) - error->quoted.ip_bytes;
}

/* As weir_translate(). */
static __always_inline int weir_translate_error(struct xdp_md *ctx, struct weir_counters *counters,
						struct weir_error *error)
{
	const struct weir_packet *packet = &error->packet, *quoted = &error->quoted;
	int failed;

#if WEIR_WIDE
	if (packet->version != weir_new_version(&error->entry))
		failed = weir_change_error(ctx, error);
	else
#endif
		failed = weir_rewrite_error(ctx, error);
	if (!failed)
		failed = weir_rewrite_quoted(ctx,
					     weir_transport_offset(packet) +
						     sizeof(struct weir_icmp) + quoted->ip_bytes,
					     error->quoted_bytes - quoted->ip_bytes, &error->entry);
	if (!failed)
		failed = weir_check_icmp(ctx, packet, &error->entry);
	if (failed == -EOPNOTSUPP)
		return weir_drop(&counters->drop_untranslatable);
	if (failed == -ENOSPC)
		return weir_drop(&counters->drop_headroom);
	return failed ? weir_drop(&counters->drop_malformed) : WEIR_NEXT;
}

#endif
