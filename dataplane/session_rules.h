/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What follows from a session's entries alone: the same for the XDP program and for the sweep. */
#ifndef WEIR_SESSION_RULES_H
#define WEIR_SESSION_RULES_H

#include <stdbool.h>
#include "weir.h"

/* The key of the session's other entry: the new tuple, reversed. */
static inline struct weir_key4 weir_other_key(const struct weir_entry4 *entry)
{
	return (struct weir_key4){
		.saddr = entry->new_daddr,
		.daddr = entry->new_saddr,
		.sport = entry->new_dport,
		.dport = entry->new_sport,
		.proto = entry->key.proto,
	};
}

/* A RST at tick `reset` (0 = none) counts until data is seen after its grace time. */
static inline bool weir_reset_counts(__u32 reset, __u32 seen)
{
	return reset && (__s32)(seen - reset) <= WEIR_RESET_GRACE_TICKS;
}

#endif
