/* SPDX-License-Identifier: Apache-2.0 */
/* A connection, or a flow of datagrams, as the client sees it from its beginning to its end, and
 * what is to be told about it. */
#ifndef WEIR_CONNECTION_H
#define WEIR_CONNECTION_H

#include <stdbool.h>
#include <sys/socket.h>
#include "witness.h"

/* Broken are those after COMPLETE. */
enum outcome { CONNECTING, OPEN, COMPLETE, RESET, TIMED_OUT, CORRUPTED, ENDED_EARLY, MOVED };

struct connection {
	struct connection *next, **link; /* in the list of those that have not ended */
	enum outcome outcome;
	bool connected; /* so that something can be sent */
	bool brief;     /* one exchange, and the end */
	bool recovered;
	bool ending; /* the last has been sent */
	unsigned int id;
	int fd;
	__u16 port;
	__u64 due_ns;      /* when to send next */
	__u64 progress_ns; /* when the server has last told that it got more */
	/* The longest time between progress, when it began, and the longest since the mark. */
	__u64 gap_ns, gap_at_ns, gap_marked_ns;
	/* TCP: bytes; UDP: datagrams. What the server has got of it by its own word. */
	__u64 sent, proven, sent_at_mark;
	__u64 verified;                       /* bytes, in both directions */
	__u64 datagrams, lost;                /* in both directions; 0 for TCP */
	__u64 begin_ns, connected_ns, end_ns; /* since 1970, like gap_at_ns */
	struct witness witness;
	void *end; /* the transport's; until the end */
};

/* What all connections have in common. */
struct client {
	const struct transport *transport;
	int epoll;
	struct sockaddr_storage target;
	socklen_t target_length;
	__u32 interval_ms;
	__u16 next_port; /* of the next lasting one; 0 = the kernel chooses */
	bool finishing;
	struct connection *active; /* those that have not ended */
};

/* Begins one; its events carry the connection. */
struct connection *connection_open(struct client *client, unsigned int id, bool brief);

/* The socket has something to say. */
void connection_event(struct client *client, struct connection *connection);

/* What is due now: something, the last, or the end of waiting. */
void connection_tick(struct client *client, struct connection *connection, __u64 now);

/* From now on `recovered` and gap_marked_ns refer to this moment. */
void connection_mark(struct connection *connection);

/* One line on standard output. */
void connection_tell(const struct connection *connection);

#endif
