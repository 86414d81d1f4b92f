// SPDX-License-Identifier: Apache-2.0
// The real server's end of UDP: hears each client on one socket, and sends datagrams at the
// client's pace, until the client wants to end.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "flow.h"
#include "system.h"

#define BUCKETS 4096
#define TICK_MS 10
/* For bursts; the system may allow less. */
#define BUFFER_BYTES (16 << 20)
/* The drills call a flow broken long before. */
#define SILENCE_NS (10 * NS_PER_S)

struct session {
	struct session *next, **link; /* in its bucket */
	__u64 due_ns, heard_ns;
	bool ended;
	struct sockaddr_in6 peer;
	struct flow flow;
};

static struct session *buckets[BUCKETS];
static unsigned int sessions;

static struct session **bucket_of(const struct sockaddr_in6 *peer)
{
	__u64 words[3] = {peer->sin6_port};

	memcpy(&words[1], &peer->sin6_addr, sizeof(peer->sin6_addr));
	return &buckets[proof_checksum(words, sizeof(words), 0) % BUCKETS];
}

static struct session *find(const struct sockaddr_in6 *peer)
{
	struct session *session = *bucket_of(peer);

	while (session &&
	       (session->peer.sin6_port != peer->sin6_port ||
		memcmp(&session->peer.sin6_addr, &peer->sin6_addr, sizeof(peer->sin6_addr))))
		session = session->next;
	return session;
}

static void insert(struct session *session)
{
	struct session **bucket = bucket_of(&session->peer);

	session->next = *bucket;
	session->link = bucket;
	if (session->next)
		session->next->link = &session->next;
	*bucket = session;
	sessions++;
}

static void forget(struct session *session)
{
	*session->link = session->next;
	if (session->next)
		session->next->link = session->link;
	free(session);
	sessions--;
}

static struct session *begin(const struct sockaddr_in6 *peer, __u64 key)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		abort();
	session->peer = *peer;
	session->flow.is_server = true;
	session->flow.key = key;
	session->flow.witness = witness_of(peer);
	insert(session);
	return session;
}

static void answer(int fd, struct session *session, __u16 flags, __u64 now)
{
	/* What is not sent is as good as lost, and so is counted. */
	flow_send(&session->flow, fd, &session->peer, flags);
	session->due_ns = now + session->flow.peer.interval_ms * NS_PER_MS;
}

static void hear(int fd, struct datagram *datagram, size_t size, const struct sockaddr_in6 *peer,
		 __u64 now)
{
	struct session *session = find(peer);
	bool first;
	__u64 key;

	if (!datagram_key(datagram, size, &key))
		return; /* Nobody that can be told. */
	if (session && session->flow.key != key) {
		forget(session);
		session = NULL;
	}
	if (!session)
		session = begin(peer, key);
	first = !session->flow.received;
	session->heard_ns = now;
	if (flow_hear(&session->flow, datagram, size)) {
		answer(fd, session, DATAGRAM_WRONG, now);
		return;
	}
	session->ended = session->flow.peer.flags & DATAGRAM_END;
	if (first || session->ended)
		answer(fd, session, session->ended ? DATAGRAM_END : 0, now);
}

static void hear_all(int fd, __u64 now)
{
	union {
		struct datagram head;
		__u8 bytes[DATAGRAM_MAX + 1];
	} in;
	struct sockaddr_in6 peer;
	ssize_t size;

	for (;;) {
		socklen_t length = sizeof(peer);

		size = recvfrom(fd, &in, sizeof(in), 0, (struct sockaddr *)&peer, &length);
		if (size < 0)
			return;
		hear(fd, &in.head, size, &peer, now);
	}
}

static void tick(int fd, __u64 now)
{
	for (unsigned int i = 0; i < BUCKETS; i++) {
		for (struct session *session = buckets[i], *next; session; session = next) {
			next = session->next;
			if (now > session->heard_ns + SILENCE_NS)
				forget(session);
			else if (!session->ended && session->flow.peer.interval_ms &&
				 now >= session->due_ns)
				answer(fd, session, 0, now);
		}
	}
}

int serve_flows(__u16 port)
{
	int fd = listen_on(SOCK_DGRAM, port), epoll = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN};

	if (fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) {
		perror("Cannot listen");
		return 1;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &(int){BUFFER_BYTES}, sizeof(int));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &(int){BUFFER_BYTES}, sizeof(int));
	for (__u64 tick_ns = 0;;) {
		__u64 now;

		epoll_wait(epoll, &event, 1, sessions ? TICK_MS : -1);
		now = now_ns();
		hear_all(fd, now);
		if (now < tick_ns)
			continue;
		tick_ns = now + TICK_MS * NS_PER_MS;
		tick(fd, now);
	}
}
