/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end of a UDP flow that proves itself: both ends send numbered datagrams, each of which says
 * what has come of the other direction. Lost ones are counted; wrong, doubled or very late ones
 * are not right. Each datagram of a server says again who it is and whom it saw.
 */
#ifndef WEIR_FLOW_H
#define WEIR_FLOW_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include "proof.h"
#include "witness.h"

enum {
	DATAGRAM_END = 1,   /* the sender wants to end, or agrees */
	DATAGRAM_WRONG = 2, /* the sender got something wrong */
};

/* On the wire as it is in memory: both ends run on one machine. */
struct datagram {
	__u32 magic;
	__u16 flags;
	__u16 length;   /* of the payload that follows; a multiple of 8 */
	__u64 checksum; /* of all with 0 in this place */
	__u64 key;      /* of the flow: the client's choice */
	__u64 number;   /* from 0, for each direction */
	/* Of the other direction: how many datagrams must have been sent so that the latest one of
	 * them has come, how many have come, and their bytes. */
	__u64 seen, received, verified;
	__u32 interval_ms; /* from the client: of datagrams from the server; 0 for answers only */
	__u32 pad;
	struct witness witness; /* from the server */
};

/* So many more bytes, once in a while: what fits an Ethernet frame, whole. */
#define DATAGRAM_MORE 768
#define DATAGRAM_MAX  (sizeof(struct datagram) + PROOF_STEP + DATAGRAM_MORE)

struct flow {
	bool is_server;
	__u64 key;
	__u32 interval_ms;
	__u64 sent;
	__u64 seen, received, verified; /* as in what is sent */
	__u64 window;                   /* bit n: number seen - 1 - n has come */
	struct witness witness;         /* what the server tells, and told the client at first */
	struct datagram peer;           /* the head of the latest one that came, by its number */
};

/* Sends one, to a peer or where the socket is connected to. 0 or -errno; it has a number also if it
 * was not sent. */
int flow_send(struct flow *flow, int fd, const struct sockaddr_in6 *peer, __u16 flags);

/* Verifies one that has come, and counts it. 0; -EBADMSG for what is not right; -EXDEV for another
 * witness than before. */
int flow_hear(struct flow *flow, struct datagram *datagram, size_t size);

/* The key that it claims to have; false for what is none. */
bool datagram_key(const struct datagram *datagram, size_t size, __u64 *key);

/* Serves flows on a port, for ever; returns an exit code if that cannot begin. */
int serve_flows(__u16 port);

#endif
