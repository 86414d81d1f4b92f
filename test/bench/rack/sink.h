/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef WEIR_BENCH_SINK_H
#define WEIR_BENCH_SINK_H

#include <linux/types.h>

/* Which datagrams are expected. Written by sink.c, read by the program. Network byte order. */
struct sink_rule {
	__be32 source; /* without host bits */
	__be32 source_mask;
	__be32 target;
	__be16 sport;  /* 0: any */
	__be16 dport;  /* 0: any */
	__u32 answers; /* 1: what is expected goes back to its sender */
};

/* Written by the program alone, on one CPU at a time: an interface has one queue. */
struct sink_counts {
	__u64 expected;
	__u64 others;
};

#endif
