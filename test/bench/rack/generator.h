/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef WEIR_BENCH_GENERATOR_H
#define WEIR_BENCH_GENERATOR_H

#include <linux/types.h>

/* The smallest Ethernet frame, without its check sequence. */
#define FRAME_BYTES 60
/* The clock is read for every so many frames. */
#define CLOCK_EVERY 64

/* Written before the run, read by the program. */
struct generator_plan {
	__u64 frame[FRAME_BYTES / 8 + 1]; /* of flow 0: IPv4 without options, UDP */
	__u32 ifindex;
	__u32 flows; /* flow i adds i to the frame's source port */
};

/* Written by the program alone. Times are of CLOCK_MONOTONIC. */
struct generator_state {
	__u64 sent;
	__u64 first_ns;
	__u64 last_ns; /* at most CLOCK_EVERY frames ago */
};

#endif
