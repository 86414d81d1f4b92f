// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The director: FULLNAT in XDP.
 *
 *   inbound   client -> virtual service   becomes   LIP -> real server
 *   outbound  real server -> LIP          becomes   virtual service -> client
 *
 * A frame's destination says which table to ask: LIPs are within the aggregates. What is not weir's
 * goes to the kernel untouched; what is weir's never does, because the kernel would answer it or
 * send it back to the router.
 *
 * Compiled twice: the narrow weir_director is attached; it hands IPv6, and IPv4 whose other side
 * speaks IPv6, to the wide one. Both hand ICMP, fragments, and what is answered, to programs of
 * their own: each keeps to the verifier's limits.
 */
#include <linux/errno.h>
#include <stdbool.h>
#include "fragment.h"
#include "icmp.h"
#include "pipeline.h"
#include "reply.h"

#if WEIR_WIDE
#define weir_director_program weir_director6
#define weir_icmp_program     weir_icmp6
#define weir_fragment_program weir_fragment6
#define weir_reply_program    weir_reply6
#else
#define weir_director_program weir_director
#define weir_icmp_program     weir_icmp4
#define weir_fragment_program weir_fragment4
#define weir_reply_program    weir_reply4
#endif

SEC("xdp.frags")
int weir_director_program(struct xdp_md *ctx)
{
	struct weir_packet packet = {.now = weir_now()};
	struct weir_counters *counters = weir_cpu_counters();
	int verdict;

	if (!counters)
		return XDP_PASS;
	if (!WEIR_WIDE)
		counters->received++;
	verdict = weir_parse(ctx, counters, &packet);
	if (verdict != WEIR_NEXT)
		return verdict;
	return weir_direct(ctx, counters, &packet);
}

SEC("xdp.frags")
int weir_icmp_program(struct xdp_md *ctx)
{
	struct weir_counters *counters = weir_cpu_counters();

	return counters ? weir_direct_icmp(ctx, counters) : XDP_DROP;
}

SEC("xdp.frags")
int weir_fragment_program(struct xdp_md *ctx)
{
	struct weir_counters *counters = weir_cpu_counters();

	return counters ? weir_direct_fragment(ctx, counters) : XDP_DROP;
}

SEC("xdp.frags")
int weir_reply_program(struct xdp_md *ctx)
{
	struct weir_counters *counters = weir_cpu_counters();

	return counters ? weir_answer(ctx, counters) : XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
