/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_CLIENT_H
#define WEIR_CLIENT_H

#include <linux/types.h>

struct transport;

/* Does what it is told on standard input, to the end; returns an exit code. */
int run_client(const struct transport *transport, const char *address, __u16 port,
	       unsigned int interval_ms);

#endif
