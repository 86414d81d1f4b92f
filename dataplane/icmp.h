/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ICMP to one of weir's addresses: an echo request to a VIP is answered here; an error goes the way
 * of the session whose packet it quotes. It changes nothing about that session.
 */
#ifndef WEIR_ICMP_H
#define WEIR_ICMP_H

#include "reply.h"
#include "translate_error.h"

#define WEIR_ECHOES_MAX 64 /* answered by one CPU in each time slice; see weir_may() */

/* The message at hand; of one that is no error, the packet alone. Per CPU in a map: it would not
 * fit the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_error);
} weir_messages SEC(".maps");

/* Sends an echo request to a VIP back as its reply, without options or extension headers, and with
 * the request's class (RFC 1349 section 5.1). */
static __always_inline int weir_answer_echo(struct xdp_md *ctx, struct weir_counters *counters,
					    const struct weir_packet *packet,
					    struct weir_icmp *icmp)
{
	const __u16 *word = (const __u16 *)icmp; /* type and code */
	__u16 bytes = packet->length - packet->ip_bytes, before = *word;
	int class = weir_read_class(ctx, packet->version, sizeof(struct ethhdr) + packet->tags);

	if (weir_owner(&packet->key.daddr) != WEIR_OWN_VIP)
		return weir_drop(&counters->drop_icmp_type);
	if (weir_is_forged(counters, packet))
		return XDP_DROP;
	if (!weir_may_answer(ctx, packet))
		return weir_drop(&counters->drop_malformed);
	if (!weir_may(WEIR_BUDGET_ECHOES, WEIR_ECHOES_MAX, packet->now))
		return weir_drop(&counters->drop_icmp_rate);
	icmp->type = packet->version == 4 ? WEIR_ICMP_ECHO_REPLY : ICMPV6_ECHO_REPLY;
	icmp->check = weir_checksum(icmp->check, weir_fold((__u64)(__u16)~before + *word));
	if (class < 0 || weir_move_link(ctx, packet->ip_bytes - WEIR_REPLY_IP_BYTES) ||
	    weir_put_reply_ip(ctx, packet, class, packet->key.proto, bytes) ||
	    bpf_xdp_store_bytes(ctx, sizeof(struct ethhdr) + packet->tags + WEIR_REPLY_IP_BYTES,
				icmp, sizeof(*icmp)))
		return weir_drop(&counters->drop_malformed);
	if (weir_send_back(ctx) != XDP_REDIRECT)
		return weir_drop(&counters->drop_no_device);
	counters->answered_echo++;
	return XDP_REDIRECT;
}

/* The quoted IP header at `offset`. `quoted` is then known but for its ports; addresses are
 * exchanged, as in packets that go the error's way. */
static __always_inline int weir_read_quoted_ip(struct xdp_md *ctx, __u32 offset,
					       struct weir_packet *quoted)
{
	if (quoted->version == 4) {
		struct iphdr ip;

		if (bpf_xdp_load_bytes(ctx, offset, &ip, sizeof(ip)) || ip.version != 4 ||
		    ip.ihl < 5)
			return -EINVAL;
		quoted->key.saddr = weir_ip_of4(ip.daddr);
		quoted->key.daddr = weir_ip_of4(ip.saddr);
		quoted->key.proto = ip.protocol;
		quoted->length = bpf_ntohs(ip.tot_len);
		quoted->ip_bytes = ip.ihl * 4;
		quoted->ttl = ip.ttl;
		quoted->fragment = bpf_ntohs(ip.frag_off) & WEIR_IP_FRAGMENT;
		quoted->id = bpf_ntohs(ip.id);
	} else {
#if WEIR_WIDE
		struct ipv6hdr ip;

		if (bpf_xdp_load_bytes(ctx, offset, &ip, sizeof(ip)) || ip.version != 6)
			return -EINVAL;
		__builtin_memcpy(&quoted->key.saddr, &ip.daddr, sizeof(ip.daddr));
		__builtin_memcpy(&quoted->key.daddr, &ip.saddr, sizeof(ip.saddr));
		quoted->key.proto = ip.nexthdr;
		quoted->length = sizeof(ip) + bpf_ntohs(ip.payload_len);
		quoted->ip_bytes = sizeof(ip);
		quoted->ttl = ip.hop_limit;
		if (weir_is_extension(ip.nexthdr))
			return weir_read_extensions(ctx, quoted, offset) < 0 ? -EINVAL : 0;
#endif
	}
	return 0;
}

/* The quoted packet. -EINVAL: it cannot be read, or it is not one that the error's destination has
 * sent. */
static __always_inline int weir_read_quoted(struct xdp_md *ctx, struct weir_error *error)
{
	const struct weir_packet *packet = &error->packet;
	struct weir_packet *quoted = &error->quoted;
	__u32 offset = weir_transport_offset(packet) + sizeof(struct weir_icmp);
	__be16 ports[2];

	if (weir_read_quoted_ip(ctx, offset, quoted))
		return -EINVAL;
	if ((quoted->key.proto != IPPROTO_TCP && quoted->key.proto != IPPROTO_UDP) ||
	    weir_is_later_fragment(quoted) ||
	    quoted->length < quoted->ip_bytes + sizeof(struct udphdr) ||
	    quoted->ip_bytes + sizeof(struct udphdr) > error->quoted_bytes ||
	    !weir_same_ip(&quoted->key.daddr, &packet->key.daddr) ||
	    bpf_xdp_load_bytes(ctx, offset + quoted->ip_bytes, ports, sizeof(ports)))
		return -EINVAL;
	quoted->key.sport = ports[1];
	quoted->key.dport = ports[0];
	return 0;
}

static __always_inline int weir_forward_error(struct xdp_md *ctx, struct weir_counters *counters,
					      struct weir_error *error, bool outbound)
{
	const struct weir_packet *packet = &error->packet;
	__u16 bytes = packet->length;
	struct weir_hop hop = {};
	enum weir_way way;
	int verdict;

	if (weir_is_bound(packet, weir_new_version(&error->entry)))
		return weir_drop_bound(counters, packet);
	if (weir_sum_icmp(ctx, packet, packet->key.saddr, packet->key.daddr) != 0xffff)
		return weir_drop(&counters->drop_malformed);
	way = weir_find_way(ctx, packet, &error->entry, weir_new_error_length(error), &hop);
	if (way == WEIR_WAY_NONE)
		return weir_drop(&counters->drop_no_route);
	if (way == WEIR_WAY_TOO_BIG) /* no error about an error */
		return weir_drop(&counters->drop_too_big);
	error->way_out = hop.mtu;
	verdict = weir_translate_error(ctx, counters, error);
	if (verdict != WEIR_NEXT)
		return verdict;
	verdict = weir_leave(ctx, counters, packet, way, &hop);
	if (verdict != XDP_DROP) {
		counters->icmp_translated++;
		weir_count_traffic(error->entry.real, bytes, outbound);
	}
	return verdict;
}

/* Copies the entry of packets with this key, and does not note that there was one. 0, -ENOENT or
 * -EBUSY. */
__noinline int weir_read_entry(const struct weir_key *key, struct weir_entry *entry, bool outbound)
{
	struct outbound_ref truth = {};
	struct inbound_ref index = {};
	int error;

	if (!key || !entry)
		return -EINVAL;
	if (!outbound)
		return inbound_read(key, &index, entry);
	error = outbound_read(key, &truth, entry);
	return !error && WEIR_HEAD_STATE(truth.seen) == WEIR_HELD ? -ENOENT : error;
}

static __always_inline int weir_direct_error(struct xdp_md *ctx, struct weir_counters *counters,
					     struct weir_error *error, const struct weir_icmp *icmp)
{
	struct weir_packet *packet = &error->packet, *quoted = &error->quoted;
	bool outbound = weir_is_outbound(packet);
	int missing;

	*quoted = (struct weir_packet){.now = packet->now, .version = packet->version};
	error->quoted_bytes = weir_quoted_bytes(packet->version, icmp,
						packet->length - packet->ip_bytes - sizeof(*icmp));
	if (weir_read_quoted(ctx, error))
		return weir_drop(&counters->drop_icmp_inner);
	missing = weir_read_entry(&quoted->key, &error->entry, outbound);
	if (missing == -EBUSY)
		return weir_drop(&counters->drop_busy);
	if (missing) {
		if (weir_may_be_wide())
			return weir_hand_to(ctx, counters, WEIR_STAGE_ICMP6);
		weir_tell_miss(counters, quoted, !outbound);
		return weir_drop(&counters->drop_icmp_no_session);
	}
	if (weir_ttl_spent(packet))
		return weir_drop(&counters->drop_ttl);
	return weir_forward_error(ctx, counters, error, outbound);
}

static __always_inline int weir_direct_icmp(struct xdp_md *ctx, struct weir_counters *counters)
{
	__u32 zero = 0;
	struct weir_error *message = bpf_map_lookup_elem(&weir_messages, &zero);
	struct weir_packet *packet;
	struct weir_icmp icmp;
	int verdict;

	if (!message)
		return weir_drop(&counters->drop_inconsistent);
	packet = &message->packet;
	*packet = (struct weir_packet){.now = weir_now()};
	verdict = weir_parse_ip(ctx, counters, packet);
	if (verdict != WEIR_NEXT)
		return verdict;
	if (packet->length < packet->ip_bytes + sizeof(icmp) ||
	    bpf_xdp_load_bytes(ctx, weir_transport_offset(packet), &icmp, sizeof(icmp)))
		return weir_drop(&counters->drop_malformed);
	if (weir_is_error(packet->version, icmp.type))
		return weir_direct_error(ctx, counters, message, &icmp);
	if (packet->version == WEIR_REPLY_VERSION &&
	    weir_is_echo_request(packet->version, icmp.type))
		return weir_answer_echo(ctx, counters, packet, &icmp);
	return weir_drop(&counters->drop_icmp_type);
}

#endif
