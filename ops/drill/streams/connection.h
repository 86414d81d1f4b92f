/* SPDX-License-Identifier: Apache-2.0 */
/* A connection as the client sees it, from the SYN to its end, and what is to be told about it. */
#ifndef WEIR_CONNECTION_H
#define WEIR_CONNECTION_H

#include <netinet/in.h>
#include "stream.h"

enum outcome { CONNECTING, OPEN, COMPLETE, RESET, TIMED_OUT, CORRUPTED, ENDED_EARLY };

struct connection {
	struct connection *next, **link; /* in the list of those that have not ended */
	enum outcome outcome;
	bool brief; /* one exchange, and the end */
	bool recovered;
	unsigned int id;
	__u16 port;
	__u64 due_ns;      /* the next frame */
	__u64 progress_ns; /* when the server has last told that it got more */
	/* The longest time between progress, when it began, and the longest since the mark. */
	__u64 gap_ns, gap_at_ns, gap_marked_ns;
	__u64 sent_at_mark;                   /* bytes */
	__u64 verified;                       /* bytes, in both directions; set at the end */
	__u64 begin_ns, connected_ns, end_ns; /* since 1970, like gap_at_ns */
	struct hello hello;                   /* the server's; set at the end */
	struct stream *stream;                /* until the end */
};

/* What all connections have in common. */
struct client {
	int epoll;
	struct sockaddr_in target;
	__u32 interval_ms;
	bool finishing;
	struct connection *active; /* those that have not ended */
};

/* Begins one; its events carry the connection. */
struct connection *connection_open(struct client *client, unsigned int id, bool brief);

/* The socket has something to say. */
void connection_event(struct client *client, struct connection *connection);

/* What is due now: a frame, the last frame, or the end of waiting. */
void connection_tick(struct client *client, struct connection *connection, __u64 now);

/* From now on `recovered` and gap_marked_ns refer to this moment. */
void connection_mark(struct connection *connection);

/* One line on standard output. */
void connection_tell(const struct connection *connection);

#endif
