// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include "connection.h"

/* Nothing that proves both directions for so long: broken. */
#define SILENCE_NS 5000000000ull

static const char *const outcome_names[] = {"connecting", "open",      "complete",  "reset",
					    "timedOut",   "corrupted", "endedEarly"};

static void note_gap(struct connection *connection, __u64 now)
{
	__u64 gap = now - connection->progress_ns;

	if (gap > connection->gap_ns) {
		connection->gap_ns = gap;
		connection->gap_at_ns = wall_ns() - gap;
	}
	if (gap > connection->gap_marked_ns)
		connection->gap_marked_ns = gap;
}

static void end(struct connection *connection, enum outcome outcome)
{
	struct stream *stream = connection->stream;

	note_gap(connection, now_ns());
	connection->outcome = outcome;
	connection->end_ns = wall_ns();
	connection->hello = stream->hello;
	connection->verified = stream->verified_bytes + stream->peer_verified;
	close(stream->fd);
	free(stream);
	connection->stream = NULL;
	*connection->link = connection->next;
	if (connection->next)
		connection->next->link = connection->link;
}

static void end_by_error(struct connection *connection, int error)
{
	switch (-error) {
	case EBADMSG:
		return end(connection, CORRUPTED);
	case ETIMEDOUT:
		return end(connection, TIMED_OUT);
	case ENODATA:
		return end(connection, ENDED_EARLY);
	default:
		return end(connection, RESET);
	}
}

static void insert(struct client *client, struct connection *connection)
{
	connection->next = client->active;
	connection->link = &client->active;
	if (connection->next)
		connection->next->link = &connection->next;
	client->active = connection;
}

struct connection *connection_open(struct client *client, unsigned int id, bool brief)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	struct stream *stream = calloc(1, sizeof(*stream));
	struct epoll_event event = {.events = EPOLLOUT, .data.ptr = connection};

	if (!connection || !stream ||
	    getrandom(&stream->key, sizeof(stream->key), 0) != sizeof(stream->key))
		abort();
	connection->id = id;
	connection->brief = brief;
	connection->stream = stream;
	connection->begin_ns = wall_ns();
	connection->progress_ns = now_ns();
	insert(client, connection);
	stream->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (stream->fd < 0 || epoll_ctl(client->epoll, EPOLL_CTL_ADD, stream->fd, &event)) {
		perror("Cannot open a connection");
		exit(1);
	}
	setsockopt(stream->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	if (connect(stream->fd, (struct sockaddr *)&client->target, sizeof(client->target)) &&
	    errno != EINPROGRESS)
		end_by_error(connection, -errno);
	return connection;
}

static void connected(struct client *client, struct connection *connection)
{
	struct stream *stream = connection->stream;
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
	struct hello hello = {.key = stream->key,
			      .interval_ms = connection->brief ? 0 : client->interval_ms};
	struct sockaddr_in self;
	int error = 0;

	getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof(error)});
	if (error)
		return end_by_error(connection, -error);
	getsockname(stream->fd, (struct sockaddr *)&self, &(socklen_t){sizeof(self)});
	epoll_ctl(client->epoll, EPOLL_CTL_MOD, stream->fd, &event);
	connection->port = ntohs(self.sin_port);
	connection->outcome = OPEN;
	connection->connected_ns = wall_ns();
	connection->due_ns = now_ns() + client->interval_ms * 1000000ull;
	error = stream_send(stream, 0, &hello);
	if (!error && connection->brief)
		error = stream_send(stream, FRAME_END, NULL);
	if (error)
		end_by_error(connection, error);
}

static void hear(struct connection *connection)
{
	struct stream *stream = connection->stream;
	__u64 known = stream->peer_verified, now;
	int error = stream_read(stream);

	if (stream->peer_verified > known) {
		now = now_ns();
		note_gap(connection, now);
		connection->progress_ns = now;
		if (stream->peer_verified > connection->sent_at_mark)
			connection->recovered = true;
	}
	if (stream->peer_wrong)
		end(connection, CORRUPTED);
	else if (stream->got_end && stream->sent_end && stream->peer_verified == stream->sent_bytes)
		end(connection, COMPLETE);
	else if (stream->got_end)
		end(connection, ENDED_EARLY);
	else if (error)
		end_by_error(connection, error);
}

void connection_event(struct client *client, struct connection *connection)
{
	if (connection->outcome == CONNECTING)
		connected(client, connection);
	else
		hear(connection);
}

void connection_tick(struct client *client, struct connection *connection, __u64 now)
{
	struct stream *stream = connection->stream;
	int error = 0;

	if (now > connection->progress_ns + SILENCE_NS)
		return end(connection, TIMED_OUT);
	if (connection->outcome != OPEN || stream->sent_end)
		return;
	if (client->finishing)
		error = stream_send(stream, FRAME_END, NULL);
	else if (now >= connection->due_ns)
		error = stream_send(stream, 0, NULL);
	if (now >= connection->due_ns)
		connection->due_ns = now + client->interval_ms * 1000000ull;
	if (error && error != -EAGAIN)
		end_by_error(connection, error);
}

void connection_mark(struct connection *connection)
{
	connection->gap_marked_ns = 0;
	connection->recovered = false;
	connection->sent_at_mark = connection->stream->sent_bytes;
}

void connection_tell(const struct connection *connection)
{
	const struct hello *hello =
		connection->stream ? &connection->stream->hello : &connection->hello;
	struct in_addr local = {hello->address};

	printf("{\"event\":\"connection\",\"id\":%u,\"brief\":%s,\"outcome\":\"%s\",\"port\":%u,"
	       "\"lip\":\"%s\",\"lport\":%u,\"server\":\"%s\",\"beginMs\":%.3f,"
	       "\"connectedMs\":%.3f,\"endMs\":%.3f,\"bytesVerified\":%" PRIu64
	       ",\"gapMs\":%.1f,\"gapAtMs\":%.3f,\"gapMarkedMs\":%.1f}\n",
	       connection->id, connection->brief ? "true" : "false",
	       outcome_names[connection->outcome], connection->port,
	       local.s_addr ? inet_ntoa(local) : "", hello->port, hello->server,
	       connection->begin_ns / 1e6, connection->connected_ns / 1e6, connection->end_ns / 1e6,
	       (uint64_t)connection->verified, connection->gap_ns / 1e6,
	       connection->gap_at_ns / 1e6, connection->gap_marked_ns / 1e6);
}
