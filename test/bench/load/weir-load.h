/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What weir-load.c hands to weir-load.bpf.c. */
#ifndef WEIR_BENCH_WEIR_LOAD_H
#define WEIR_BENCH_WEIR_LOAD_H

#include <linux/types.h>

#define SESSIONS_MAX (1u << 21)

/* One run: these segments of these sessions. It is the head of the run's input frame. */
struct job {
	__u32 first;
	__u32 count;
	__u32 spacing;
	__u32 closing;
	__u32 length; /* segments of each */
};

/* Where the real server of a session answers to. */
struct lip {
	__be32 address;
	__be16 port;
	__be16 pad;
};

#endif
