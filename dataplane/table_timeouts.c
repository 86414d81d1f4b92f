// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "table_timeouts.h"

struct weir_timeouts_known weir_timeouts_known = {.shortest = ~0u};

static __u32 weir_shorter(__u32 timeout, __u32 shortest)
{
	return timeout && timeout < shortest ? timeout : shortest;
}

int weir_timeouts_use(const struct weir_timeouts *timeouts, __u32 count)
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
	weir_timeouts_known.shortest = ~0u;
	for (__u32 i = 0; i < count; i++) {
		__u32 both = weir_shorter(timeouts[i].established, timeouts[i].handshake);

		weir_timeouts_known.shortest = weir_shorter(both, weir_timeouts_known.shortest);
	}
	return 0;
}
