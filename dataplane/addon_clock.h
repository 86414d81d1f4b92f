/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The clock that the XDP program reads, seen from user space: the kernel's jiffies. times(2) gives
 * them in units of 10 ms, rounded down, so this clock may be some ticks behind the program's.
 */
#ifndef WEIR_ADDON_CLOCK_H
#define WEIR_ADDON_CLOCK_H

#include <time.h>
#include <unistd.h>
#include <sys/times.h>
#include "weir.h"

#define NS_PER_SECOND 1000000000ull

static __u64 current_tick(void)
{
	struct tms unused;
	__u64 now = times(&unused);

	return now * (NS_PER_SECOND / sysconf(_SC_CLK_TCK)) >> WEIR_TICK_SHIFT;
}

/* The length of a jiffy: what the coarse clocks advance by (timekeeping_init() and
 * hrtimer_resolution aside, TICK_NSEC). */
static __u64 jiffy_ns(void)
{
	struct timespec resolution;

	clock_getres(CLOCK_MONOTONIC_COARSE, &resolution);
	return resolution.tv_sec * NS_PER_SECOND + resolution.tv_nsec;
}

#endif
