// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Builds the segments of many sessions in one run and hands each to the director. So one system
 * call serves hundreds of packets, and none of them needs a link.
 *
 * The director is compiled in: it is dataplane/director.bpf.c, in which prepare.sh has made the
 * program a function. A tail call to the loaded one would end the run after one packet, an
 * extension (BPF_PROG_TYPE_EXT) is refused by kernels that are locked down.
 */
#include "director-function.c"
#include "life.h"
#include "weir-load.h"

#define SADDR_OFFSET (sizeof(struct ethhdr) + 12)
#define SPORT_OFFSET (sizeof(struct ethhdr) + sizeof(struct iphdr))

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SESSIONS_MAX);
	__type(key, __u32);
	__type(value, struct lip);
} lips SEC(".maps");

struct frame {
	struct ethhdr ethernet;
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

/* The frame in the making: it would not fit the stack beside the director's. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct frame);
} frames SEC(".maps");

struct walk {
	struct xdp_md *ctx;
	struct job job;
	__u32 failed; /* frames that the director did not send on */
};

/* The director corrects checksums by differences and does not look at them, so they are zero. */
static __always_inline void build(struct frame *frame, const struct segment *segment,
				  struct client client, const struct lip *lip)
{
	__u32 own = segment->from_client ? CLIENT_ISN + segment->client : REAL_ISN + segment->real;
	__u32 other =
		segment->from_client ? REAL_ISN + segment->real : CLIENT_ISN + segment->client;

	frame->ethernet.h_proto = bpf_htons(ETH_P_IP);
	frame->ip.version = 4;
	frame->ip.ihl = 5;
	frame->ip.tot_len = bpf_htons(sizeof(frame->ip) + sizeof(frame->tcp));
	frame->ip.frag_off = bpf_htons(0x4000);
	frame->ip.ttl = 64;
	frame->ip.protocol = IPPROTO_TCP;
	frame->tcp.seq = bpf_htonl(own);
	frame->tcp.ack_seq = segment->flags & LIFE_ACK ? bpf_htonl(other) : 0;
	frame->tcp.doff = 5;
	frame->tcp.syn = !!(segment->flags & LIFE_SYN);
	frame->tcp.fin = !!(segment->flags & LIFE_FIN);
	frame->tcp.ack = !!(segment->flags & LIFE_ACK);
	frame->tcp.window = 0xffff;
	if (segment->from_client) {
		frame->ip.saddr = bpf_htonl(client.address);
		frame->ip.daddr = bpf_htonl(VIP);
		frame->tcp.source = bpf_htons(client.port);
		frame->tcp.dest = bpf_htons(VIP_PORT);
	} else {
		frame->ip.saddr = bpf_htonl(REAL_SERVER);
		frame->ip.daddr = lip->address;
		frame->tcp.source = bpf_htons(REAL_PORT);
		frame->tcp.dest = lip->port;
	}
}

/* Segment i / count of session i % count. */
static long walk_on(__u32 i, struct walk *walk)
{
	__u32 count = walk->job.count ?: 1;
	__u64 step = i / count;
	__u32 session = walk->job.first + i % count, zero = 0;
	struct segment segment = {};
	struct frame *frame = bpf_map_lookup_elem(&frames, &zero);
	struct lip *lip = bpf_map_lookup_elem(&lips, &session);

	if (!lip || !frame)
		return 1;
	segment = walk->job.closing ? closing[step % LIFE_MAX] : opening[step % LIFE_MAX];
	__builtin_memset(frame, 0, sizeof(*frame));
	build(frame, &segment, client_of(walk->job.spacing, session), lip);
	if (bpf_xdp_store_bytes(walk->ctx, 0, frame, sizeof(*frame)))
		return 1;
	if (weir_director(walk->ctx) != XDP_REDIRECT)
		walk->failed++;
	if (segment.flags == LIFE_SYN &&
	    (bpf_xdp_load_bytes(walk->ctx, SADDR_OFFSET, &lip->address, sizeof(lip->address)) ||
	     bpf_xdp_load_bytes(walk->ctx, SPORT_OFFSET, &lip->port, sizeof(lip->port))))
		return 1;
	return 0;
}

/* Returns how many frames the director did not send on. */
SEC("xdp.frags")
int weir_bench_load(struct xdp_md *ctx)
{
	struct walk walk = {.ctx = ctx};

	if (bpf_xdp_load_bytes(ctx, 0, &walk.job, sizeof(walk.job)))
		return -1;
	bpf_loop(walk.job.count * walk.job.length, walk_on, &walk, 0);
	return walk.failed;
}
