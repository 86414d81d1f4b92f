/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Dropped packets that are answered: the answer is made by a program of its own, see reply.h. */
#ifndef WEIR_REPLY_ORDER_H
#define WEIR_REPLY_ORDER_H

#include "egress.h"

#define WEIR_REPLY_REFUSED 1 /* RST, or ICMP port unreachable for UDP */
#define WEIR_REPLY_TTL     2 /* ICMP time exceeded */
#define WEIR_REPLY_TOO_BIG 3 /* ICMP fragmentation needed, packet too big */

/* Sends the answer to a packet that has not been changed, and whose drop the caller has counted. */
static __always_inline int weir_reply(struct xdp_md *ctx, const struct weir_packet *packet,
				      __u32 reply, __u32 mtu)
{
	__u32 zero = 0;
	struct weir_order *order = bpf_map_lookup_elem(&weir_orders, &zero);

	if (!order)
		return XDP_DROP;
	order->reply = reply;
	order->mtu = mtu;
	if (packet->version == 4)
		bpf_tail_call(ctx, &weir_stages, WEIR_STAGE_REPLY4);
	else
		bpf_tail_call(ctx, &weir_stages, WEIR_STAGE_REPLY6);
	return XDP_DROP;
}

#endif
