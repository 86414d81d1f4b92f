/* SPDX-License-Identifier: Apache-2.0 */
/* What both ends ask of the system. */
#ifndef WEIR_SYSTEM_H
#define WEIR_SYSTEM_H

#include <linux/types.h>

#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull

/* Nanoseconds: of CLOCK_MONOTONIC, and since 1970. */
__u64 now_ns(void);
__u64 wall_ns(void);

/* As many open files as the system allows. */
void raise_file_limit(void);

#endif
