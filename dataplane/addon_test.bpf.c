// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Stands in for the director in the addon's tests: a frame tells how many events it writes into the
 * ring, so that a million take as many frames as the test likes. Nothing else is true of it.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "maps.h"

#if WEIR_WIDE
#define weir_director weir_director6
#endif

/* What a frame says in its first bytes, as the host writes them. */
struct weir_test_order {
	__u32 sessions; /* to be written, then */
	__u32 misses;
	__u64 generation; /* of the first session; each further one has one more */
	__u32 wide;       /* not 0: they are the wide family's */
};

static struct weir_session_event session;

static __always_inline void count(long err)
{
	__u32 zero = 0;
	struct weir_counters *counters = bpf_map_lookup_elem(&weir_counters, &zero);

	if (counters && err)
		counters->event_lost++;
	else if (counters)
		counters->event_sent++;
}

static long write_session(__u32 i, void *unused)
{
	(void)i;
	(void)unused;
	session.truth.entry.generation++;
	count(bpf_ringbuf_output(&weir_events, &session, sizeof(session), 0));
	return 0;
}

static long write_miss(__u32 i, void *unused)
{
	(void)unused;
	struct weir_miss_event event = {.kind = WEIR_EVENT_MISS, .inbound = i & 1};

	event.key.saddr = weir_ip_of4(i);
	count(bpf_ringbuf_output(&weir_events, &event, sizeof(event), 0));
	return 0;
}

SEC("xdp.frags")
int weir_director(struct xdp_md *context)
{
	struct weir_test_order *order = (void *)(long)context->data;

	if ((void *)(order + 1) > (void *)(long)context->data_end)
		return XDP_DROP;
	if (!WEIR_WIDE && order->wide) {
		bpf_tail_call(context, &weir_stages, WEIR_STAGE_DIRECTOR6);
		return XDP_ABORTED;
	}
	session.kind = WEIR_EVENT_SESSION;
	session.head = WEIR_HEAD(0, 1, WEIR_FLAG_SHARED, WEIR_ESTABLISHED);
	session.truth.entry.generation = order->generation - 1;
	__u32 misses = order->misses;

	bpf_loop(order->sessions, write_session, NULL, 0);
	bpf_loop(misses, write_miss, NULL, 0);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
