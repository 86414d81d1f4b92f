/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* From an IPv4 header to an IPv6 one and back (RFC 7915), for the wide table's sessions. */
#ifndef WEIR_TRANSLATE_FAMILY_H
#define WEIR_TRANSLATE_FAMILY_H

#include "translate.h"

/* Writes an IP header of `version` in the place of the packet's; see weir_make_ip4(). */
static __always_inline int weir_put_ip(struct xdp_md *ctx, __u32 offset,
				       const struct weir_packet *packet, __u8 version,
				       const struct weir_address *saddr,
				       const struct weir_address *daddr, __u8 class)
{
	union {
		struct iphdr ip4;
		struct weir_made_ip6 ip6;
	} made; /* one at a time, for the stack */

	if (version == 4) {
		weir_make_ip4(&made.ip4, packet, saddr->word[3], daddr->word[3], class);
		return bpf_xdp_store_bytes(ctx, offset, &made.ip4, sizeof(made.ip4));
	}
	weir_make_ip6(&made.ip6, packet, saddr, daddr, class);
	return packet->fragment
		       ? bpf_xdp_store_bytes(ctx, offset, &made.ip6, sizeof(made.ip6))
		       : bpf_xdp_store_bytes(ctx, offset, &made.ip6.ip, sizeof(made.ip6.ip));
}

/*
 * Puts the header of the entry's version in the place of the packet's, with what is in front of it.
 * What is behind it is to grow by `growth` bytes: the room for that is made too, at its beginning.
 * 0; -ENOSPC: no room; -EINVAL: never. `packet` describes the new header afterwards.
 */
__noinline int weir_change_header(struct xdp_md *ctx, struct weir_packet *packet,
				  const struct weir_entry *entry, int growth)
{
	__u32 behind, bytes;
	int class, error;
	__be16 type;
	__u8 version;

	if (!packet || !entry)
		return -EINVAL;
	version = weir_new_version(entry);
	bytes = weir_made_bytes(packet, version);
	behind = (sizeof(struct ethhdr) + packet->tags) & 0x1f;
	class = weir_read_class(ctx, packet->version, behind);
	if (class < 0)
		return class;
	error = weir_move_link(ctx, (int)packet->ip_bytes - (int)bytes - growth);
	if (error)
		return error;
	type = bpf_htons(version == 4 ? ETH_P_IP : ETH_P_IPV6);
	packet->ttl--;
	packet->length += growth;
	error = bpf_xdp_store_bytes(ctx, behind - sizeof(type), &type, sizeof(type));
	if (error)
		return error;
	error = weir_put_ip(ctx, behind, packet, version, &entry->new_saddr, &entry->new_daddr,
			    class);
	packet->length += bytes - packet->ip_bytes;
	packet->ip_bytes = bytes;
	packet->version = version;
	return error;
}

#endif
