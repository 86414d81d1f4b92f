/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_CLIENT_H
#define WEIR_CLIENT_H

#include <linux/types.h>

struct transport;

/* Does what it is told on standard input, to the end; returns an exit code. Lasting connections are
 * from `first_port` on; 0: from where the kernel likes, as all others. */
int run_client(const struct transport *transport, const char *address, __u16 port,
	       unsigned int interval_ms, __u16 first_port);

#endif
