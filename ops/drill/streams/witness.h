/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a real server tells of a connection: who it is, and whom it saw. A client whose witness
 * changes has got another session.
 */
#ifndef WEIR_WITNESS_H
#define WEIR_WITNESS_H

#include <linux/types.h>
#include <netinet/in.h>

/* On the wire as it is in memory: both ends run on one machine. */
struct witness {
	struct in6_addr address; /* IPv4 as ::ffff:a.b.c.d */
	__u16 port;              /* host order */
	char server[14];
};
_Static_assert(sizeof(struct witness) == 32, "a multiple of 8");

/* A socket that hears IPv4 and IPv6 on a port, non-blocking; -1 and errno. */
int listen_on(int type, __u16 port);

/* This machine as a witness of a peer that such a socket has heard. */
struct witness witness_of(const struct sockaddr_in6 *peer);

/* The address as text; empty if there is none. `text` has room for INET6_ADDRSTRLEN. */
const char *witness_address(const struct witness *witness, char *text);

#endif
