// SPDX-License-Identifier: Apache-2.0
// The real server's end: answers each hello, then sends frames at the client's pace, until the
// client's last one.
#define _GNU_SOURCE // accept4
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "stream.h"
#include "system.h"

#define BACKLOG    4096
#define EVENTS_MAX 256
#define TICK_MS    10
/* A client that has gone without a word: the drills call a connection broken long before. */
#define SILENCE_NS (60 * NS_PER_S)

struct session {
	struct session *next, **link; /* in the list of all */
	__u64 due_ns, heard_ns;
	struct witness witness;
	struct stream stream;
};

static struct session *sessions;

static void end(struct session *session)
{
	*session->link = session->next;
	if (session->next)
		session->next->link = session->link;
	close(session->stream.fd);
	free(session);
}

static void begin(int epoll, int fd, const struct sockaddr_in6 *peer)
{
	struct session *session = calloc(1, sizeof(*session));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = session};

	if (!session || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) {
		free(session);
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	session->stream.fd = fd;
	session->stream.is_server = true;
	session->witness = witness_of(peer);
	session->heard_ns = now_ns();
	session->next = sessions;
	session->link = &sessions;
	if (sessions)
		sessions->link = &session->next;
	sessions = session;
}

static void accept_all(int epoll, int listener)
{
	struct sockaddr_in6 peer;
	socklen_t length = sizeof(peer);
	int fd;

	while ((fd = accept4(listener, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK)) >= 0)
		begin(epoll, fd, &peer);
}

static int greet(struct session *session)
{
	struct hello hello = {.key = session->stream.key, .witness = session->witness};

	session->due_ns = now_ns() + session->stream.hello.interval_ms * NS_PER_MS;
	return stream_send(&session->stream, 0, &hello);
}

/* What is due now: frames at the client's pace, the last one as soon as the client has sent its
 * own. */
static void speak(struct session *session, __u64 now)
{
	struct stream *stream = &session->stream;
	__u64 interval_ns = stream->hello.interval_ms * NS_PER_MS;
	int error = 0;

	if (stream->got_end && !stream->sent_end) {
		error = stream_send(stream, FRAME_END, NULL);
	} else if (stream->heard && !stream->sent_end && interval_ns && now >= session->due_ns) {
		error = stream_send(stream, 0, NULL);
		session->due_ns = now + interval_ns;
	}
	if ((error && error != -EAGAIN) || now > session->heard_ns + SILENCE_NS)
		end(session);
}

static void hear(struct session *session, __u64 now)
{
	struct stream *stream = &session->stream;
	int error = stream_read(stream);

	session->heard_ns = now;
	if (error == -EBADMSG)
		stream_send(stream, FRAME_WRONG, NULL);
	if (!error && stream->heard && !stream->sent_frames)
		error = greet(session);
	if (error)
		end(session);
	else if (stream->got_end)
		speak(session, now);
}

int serve_streams(__u16 port)
{
	int listener = listen_on(SOCK_STREAM, port), epoll = epoll_create1(0);
	struct epoll_event events[EVENTS_MAX] = {{.events = EPOLLIN}};

	raise_file_limit();
	if (listener < 0 || listen(listener, BACKLOG) ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, events)) {
		perror("Cannot listen");
		return 1;
	}
	for (__u64 tick_ns = 0;;) {
		int count = epoll_wait(epoll, events, EVENTS_MAX, sessions ? TICK_MS : -1);
		__u64 now = now_ns();

		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr)
				hear(events[i].data.ptr, now);
			else
				accept_all(epoll, listener);
		}
		if (now < tick_ns)
			continue;
		tick_ns = now + TICK_MS * NS_PER_MS;
		for (struct session *session = sessions, *next; session; session = next) {
			next = session->next;
			speak(session, now);
		}
	}
}
