/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The idle timeouts that the last sweep was told: digests go by them too. Included by table_user.c
 * alone. */
#ifndef WEIR_TABLE_TIMEOUTS_H
#define WEIR_TABLE_TIMEOUTS_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "table_user.h"

#define WEIR_FUTURE_TICKS (60 * WEIR_TICKS_PER_SECOND) /* so little ahead of now is now */

static struct {
	struct weir_timeouts *each; /* by the number of the real server */
	__u32 count;
} weir_timeouts_known;

static int weir_timeouts_keep(const struct weir_timeouts *timeouts, __u32 count)
{
	if (count != weir_timeouts_known.count) {
		void *each = realloc(weir_timeouts_known.each, count * sizeof(*timeouts));

		if (count && !each)
			return -ENOMEM;
		weir_timeouts_known.each = each;
		weir_timeouts_known.count = count;
	}
	if (count)
		memcpy(weir_timeouts_known.each, timeouts, count * sizeof(*timeouts));
	return 0;
}

/* Of a real server that has none: the defaults. */
static const struct weir_timeouts *weir_timeouts_of(__u16 real)
{
	static const struct weir_timeouts fallback = {
		.handshake = WEIR_DEFAULT_HANDSHAKE_TICKS,
		.established = WEIR_DEFAULT_ESTABLISHED_TICKS,
		.closed = WEIR_DEFAULT_CLOSED_TICKS,
		.reset = WEIR_DEFAULT_RESET_TICKS,
	};

	return real < weir_timeouts_known.count ? &weir_timeouts_known.each[real] : &fallback;
}

/* A RST makes it shorter. */
static __u32 weir_timeout(const struct weir_timeouts *timeouts, __u8 state, bool reset)
{
	__u32 timeout = state < WEIR_ESTABLISHED ? timeouts->handshake
			: state < WEIR_FIN_BOTH  ? timeouts->established
						 : timeouts->closed;

	return reset && timeouts->reset < timeout ? timeouts->reset : timeout;
}

/* Idle ticks after which a session goes: its timeout, a quarter of that (whoever sees its packets
 * refreshes it no more often), and a margin. */
static __u64 weir_idle_limit(__u32 timeout)
{
	return (__u64)timeout + timeout / 4 + WEIR_MARGIN_TICKS;
}

static __u32 weir_idle_ticks(__u32 now, __u32 seen, __u32 reset)
{
	__u32 last = reset && (__s32)(reset - seen) > 0 ? reset : seen;
	__u32 idle = now - last;

	return idle > -(__u32)WEIR_FUTURE_TICKS ? 0 : idle;
}

#endif
