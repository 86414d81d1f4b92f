/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The idle timeouts that the agent has set last, and what follows from them. */
#ifndef WEIR_TABLE_TIMEOUTS_H
#define WEIR_TABLE_TIMEOUTS_H

#include <stdbool.h>
#include "table_user.h"

#define WEIR_FUTURE_TICKS (60 * WEIR_TICKS_PER_SECOND) /* so little ahead of now is now */

extern struct weir_timeouts_known {
	struct weir_timeouts *each; /* by the number of the real server */
	__u32 count;
	__u32 shortest; /* of a session that is not closed; 2^32 - 1 if there are none */
} weir_timeouts_known;

/* Of a real server that has none: the defaults. */
static inline const struct weir_timeouts *weir_timeouts_of(__u16 real)
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
static inline __u32 weir_timeout(const struct weir_timeouts *timeouts, __u8 state, bool reset)
{
	__u32 timeout = state < WEIR_ESTABLISHED ? timeouts->handshake
			: state < WEIR_FIN_BOTH  ? timeouts->established
						 : timeouts->closed;

	return reset && timeouts->reset < timeout ? timeouts->reset : timeout;
}

/* Idle ticks after which a session goes: its timeout, a quarter of that (whoever sees its packets
 * refreshes it no more often), and a margin. */
static inline __u64 weir_idle_limit(__u32 timeout)
{
	return (__u64)timeout + timeout / 4 + WEIR_MARGIN_TICKS;
}

static inline __u32 weir_idle_ticks(__u32 now, __u32 seen, __u32 reset)
{
	__u32 last = reset && (__s32)(reset - seen) > 0 ? reset : seen;
	__u32 idle = now - last;

	return idle > -(__u32)WEIR_FUTURE_TICKS ? 0 : idle;
}

#endif
