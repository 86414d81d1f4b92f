// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "system.h"
#include "transport.h"

/* Nothing that proves both directions for so long: broken. */
#define SILENCE_NS (5 * NS_PER_S)

static const char *const outcome_names[] = {"connecting", "open",      "complete",   "reset",
					    "timedOut",   "corrupted", "endedEarly", "moved"};

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
	note_gap(connection, now_ns());
	connection->outcome = outcome;
	connection->end_ns = wall_ns();
	close(connection->fd);
	free(connection->end);
	connection->end = NULL;
	*connection->link = connection->next;
	if (connection->next)
		connection->next->link = connection->link;
}

static void end_by(struct connection *connection, int result)
{
	switch (result) {
	case ALL_HEARD:
		return end(connection, COMPLETE);
	case -EBADMSG:
		return end(connection, CORRUPTED);
	case -ETIMEDOUT:
		return end(connection, TIMED_OUT);
	case -ENODATA:
		return end(connection, ENDED_EARLY);
	case -EXDEV:
		return end(connection, MOVED);
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

static void speak(struct client *client, struct connection *connection, __u64 now)
{
	int error;

	connection->ending = connection->brief || client->finishing;
	connection->due_ns = now + client->interval_ms * NS_PER_MS;
	error = client->transport->speak(connection, connection->ending);
	if (error)
		end_by(connection, error);
}

static void connected(struct client *client, struct connection *connection)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
	struct sockaddr_in6 self; /* of either family: the port is at the same place */
	int error = 0;

	getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof(error)});
	if (error)
		return end_by(connection, -error);
	getsockname(connection->fd, (struct sockaddr *)&self, &(socklen_t){sizeof(self)});
	epoll_ctl(client->epoll, EPOLL_CTL_MOD, connection->fd, &event);
	connection->port = ntohs(self.sin6_port);
	connection->connected = true;
	connection->connected_ns = wall_ns();
	/* A flow is open when there has been an answer. */
	if (client->transport == &tcp)
		connection->outcome = OPEN;
	speak(client, connection, now_ns());
}

static int bind_next(struct client *client, int fd)
{
	struct sockaddr_storage self = {.ss_family = client->target.ss_family};

	((struct sockaddr_in6 *)&self)->sin6_port =
		htons(client->next_port++); /* of either family */
	return bind(fd, (const struct sockaddr *)&self, client->target_length);
}

struct connection *connection_open(struct client *client, unsigned int id, bool brief)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	struct epoll_event event = {.events = EPOLLOUT, .data.ptr = connection};
	const struct sockaddr *target = (const struct sockaddr *)&client->target;

	if (!connection)
		abort();
	connection->id = id;
	connection->brief = brief;
	connection->begin_ns = wall_ns();
	connection->progress_ns = now_ns();
	insert(client, connection);
	connection->fd = socket(target->sa_family, client->transport->type | SOCK_NONBLOCK, 0);
	if (connection->fd < 0 ||
	    (!brief && client->next_port && bind_next(client, connection->fd)) ||
	    epoll_ctl(client->epoll, EPOLL_CTL_ADD, connection->fd, &event)) {
		perror("Cannot open a connection");
		exit(1);
	}
	client->transport->make(connection, brief ? 0 : client->interval_ms);
	if (connect(connection->fd, target, client->target_length) && errno != EINPROGRESS)
		end_by(connection, -errno);
	return connection;
}

static void hear(struct client *client, struct connection *connection)
{
	__u64 known = connection->proven, now;
	int result = client->transport->hear(connection);

	if (connection->proven > known) {
		now = now_ns();
		note_gap(connection, now);
		connection->progress_ns = now;
		connection->outcome = OPEN;
		if (connection->proven > connection->sent_at_mark)
			connection->recovered = true;
	}
	if (result)
		end_by(connection, result);
}

void connection_event(struct client *client, struct connection *connection)
{
	if (!connection->connected)
		connected(client, connection);
	else
		hear(client, connection);
}

void connection_tick(struct client *client, struct connection *connection, __u64 now)
{
	bool last = client->finishing && !connection->ending;

	if (now > connection->progress_ns + SILENCE_NS)
		end(connection, TIMED_OUT);
	else if (connection->connected && (last || now >= connection->due_ns))
		speak(client, connection, now);
}

void connection_mark(struct connection *connection)
{
	connection->gap_marked_ns = 0;
	connection->recovered = false;
	connection->sent_at_mark = connection->sent;
}

void connection_tell(const struct connection *connection)
{
	char local[INET6_ADDRSTRLEN];

	printf("{\"event\":\"connection\",\"id\":%u,\"brief\":%s,\"outcome\":\"%s\",\"port\":%u,"
	       "\"lip\":\"%s\",\"lport\":%u,\"server\":\"%s\",\"beginMs\":%.3f,"
	       "\"connectedMs\":%.3f,\"endMs\":%.3f,\"bytesVerified\":%" PRIu64
	       ",\"datagrams\":%" PRIu64 ",\"datagramsLost\":%" PRIu64
	       ",\"gapMs\":%.1f,\"gapAtMs\":%.3f,\"gapMarkedMs\":%.1f}\n",
	       connection->id, connection->brief ? "true" : "false",
	       outcome_names[connection->outcome], connection->port,
	       witness_address(&connection->witness, local), connection->witness.port,
	       connection->witness.server, connection->begin_ns / 1e6,
	       connection->connected_ns / 1e6, connection->end_ns / 1e6,
	       (uint64_t)connection->verified, (uint64_t)connection->datagrams,
	       (uint64_t)connection->lost, connection->gap_ns / 1e6, connection->gap_at_ns / 1e6,
	       connection->gap_marked_ns / 1e6);
}
