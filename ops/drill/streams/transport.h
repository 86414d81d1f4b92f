/* SPDX-License-Identifier: Apache-2.0 */
/* What TCP and UDP make differently of a connection. */
#ifndef WEIR_TRANSPORT_H
#define WEIR_TRANSPORT_H

#include "connection.h"

struct transport {
	int type; /* of the socket */
	/* Memory for the client's end of it; calloc() or abort(). */
	void (*make)(struct connection *connection, __u32 interval_ms);
	/* Sends what is due, or the last. 0 or -errno. */
	int (*speak)(struct connection *connection, bool last);
	/* Reads all there is, and notes what it tells. 0; ALL_HEARD at the end; -errno. */
	int (*hear)(struct connection *connection);
};

#define ALL_HEARD 1

extern const struct transport tcp, udp;

#endif
