/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef WEIR_BENCH_REDIRECT_H
#define WEIR_BENCH_REDIRECT_H

#include <linux/types.h>

/* Written before the program is attached, read by it. */
struct redirect_macs {
	__u8 target[6];
	__u8 source[6];
};

#endif
