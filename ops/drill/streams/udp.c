// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include "flow.h"
#include "transport.h"

static void make(struct connection *connection, __u32 interval_ms)
{
	struct flow *flow = calloc(1, sizeof(*flow));

	if (!flow || getrandom(&flow->key, sizeof(flow->key), 0) != sizeof(flow->key))
		abort();
	flow->interval_ms = interval_ms;
	connection->end = flow;
}

/* A socket that has no room for a datagram loses it, as the network may. */
static int speak(struct connection *connection, bool last)
{
	struct flow *flow = connection->end;
	int error = flow_send(flow, connection->fd, NULL, last ? DATAGRAM_END : 0);

	connection->sent = flow->sent;
	return error == -EAGAIN || error == -ENOBUFS ? 0 : error;
}

static int hear_all(struct connection *connection)
{
	union {
		struct datagram head;
		__u8 bytes[DATAGRAM_MAX + 1];
	} in;

	for (;;) {
		ssize_t size = recv(connection->fd, &in, sizeof(in), 0);
		int error;

		if (size < 0)
			return errno == EAGAIN ? 0 : -errno;
		error = flow_hear(connection->end, &in.head, size);
		if (error)
			return error;
	}
}

static int hear(struct connection *connection)
{
	struct flow *flow = connection->end;
	int error = hear_all(connection);
	__u64 to_server_lost = flow->peer.seen - flow->peer.received;

	connection->proven = flow->peer.seen;
	connection->verified = flow->verified + flow->peer.verified;
	connection->witness = flow->witness;
	connection->datagrams = flow->peer.seen + flow->seen;
	connection->lost = to_server_lost + flow->seen - flow->received;
	return !error && flow->peer.flags & DATAGRAM_END ? ALL_HEARD : error;
}

const struct transport udp = {.type = SOCK_DGRAM, .make = make, .speak = speak, .hear = hear};
