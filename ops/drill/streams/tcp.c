// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/random.h>
#include "stream.h"
#include "transport.h"

struct tcp_end {
	__u32 interval_ms;
	struct stream stream;
};

static void make(struct connection *connection, __u32 interval_ms)
{
	struct tcp_end *end = calloc(1, sizeof(*end));

	if (!end ||
	    getrandom(&end->stream.key, sizeof(end->stream.key), 0) != sizeof(end->stream.key))
		abort();
	setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	end->interval_ms = interval_ms;
	end->stream.fd = connection->fd;
	connection->end = end;
}

static int speak(struct connection *connection, bool last)
{
	struct tcp_end *end = connection->end;
	struct stream *stream = &end->stream;
	struct hello hello = {.key = stream->key, .interval_ms = end->interval_ms};
	int error = 0;

	if (!stream->sent_frames)
		error = stream_send(stream, 0, &hello);
	else if (!last && !stream->sent_end)
		error = stream_send(stream, 0, NULL);
	if (!error && last && !stream->sent_end)
		error = stream_send(stream, FRAME_END, NULL);
	connection->sent = stream->sent_bytes;
	return error == -EAGAIN ? 0 : error;
}

static int hear(struct connection *connection)
{
	struct stream *stream = &((struct tcp_end *)connection->end)->stream;
	int error = stream_read(stream);

	connection->proven = stream->peer_verified;
	connection->verified = stream->verified_bytes + stream->peer_verified;
	connection->witness = stream->hello.witness;
	if (stream->peer_wrong)
		return -EBADMSG;
	if (stream->got_end && stream->sent_end && stream->peer_verified == stream->sent_bytes)
		return ALL_HEARD;
	return stream->got_end ? -ENODATA : error;
}

const struct transport tcp = {.type = SOCK_STREAM, .make = make, .speak = speak, .hear = hear};
