// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include "stream.h"

#define MAGIC 0x72696577 /* "weir" */
/* One frame in so many takes several segments. */
#define LARGE_EVERY 64
#define LARGE_MORE  8192

/* The key of one direction. A hello is read before the key is known. */
static __u64 direction_key(const struct stream *stream, bool from_server, bool hello)
{
	return proof_key(hello && !from_server ? 0 : stream->key, from_server);
}

static int flush(struct stream *stream)
{
	while (stream->out_from < stream->out_length) {
		ssize_t sent = send(stream->fd, stream->out + stream->out_from,
				    stream->out_length - stream->out_from, MSG_NOSIGNAL);

		if (sent < 0)
			return -errno;
		stream->out_from += sent;
	}
	return 0;
}

int stream_send(struct stream *stream, __u16 flags, const struct hello *hello)
{
	struct frame *frame = (struct frame *)stream->out;
	__u64 key = direction_key(stream, stream->is_server, hello != NULL);
	int error = flush(stream);

	if (error)
		return error;
	*frame = (struct frame){.magic = MAGIC,
				.flags = flags,
				.number = stream->sent_frames,
				.verified = stream->verified_bytes};
	if (hello) {
		frame->flags |= FRAME_HELLO;
		frame->length = sizeof(*hello);
		memcpy(frame + 1, hello, sizeof(*hello));
	} else {
		bool large = frame->number % LARGE_EVERY == LARGE_EVERY - 1;

		frame->length =
			proof_fill((__u8 *)(frame + 1), key, frame->number, large ? LARGE_MORE : 0);
	}
	stream->out_from = 0;
	stream->out_length = sizeof(*frame) + frame->length;
	frame->checksum = proof_checksum(frame, stream->out_length, key);
	stream->sent_frames++;
	stream->sent_bytes += stream->out_length;
	if (flags & (FRAME_END | FRAME_WRONG))
		stream->sent_end = true;
	error = flush(stream);
	return error == -EAGAIN ? 0 : error;
}

/* The frame at the beginning of `in`, which is there as a whole. */
static bool verify(struct stream *stream)
{
	struct frame *frame = (struct frame *)stream->in;
	bool hello = frame->flags & FRAME_HELLO;
	__u64 key = direction_key(stream, !stream->is_server, hello), expected = frame->checksum;

	frame->checksum = 0;
	if (hello == stream->heard || stream->got_end || frame->number != stream->verified_frames ||
	    proof_checksum(frame, sizeof(*frame) + frame->length, key) != expected)
		return false;
	if (hello) {
		if (frame->length != sizeof(stream->hello))
			return false;
		memcpy(&stream->hello, frame + 1, sizeof(stream->hello));
		stream->heard = true;
		if (stream->is_server)
			stream->key = stream->hello.key;
	}
	stream->verified_frames++;
	stream->verified_bytes += sizeof(*frame) + frame->length;
	stream->peer_verified = frame->verified;
	stream->got_end = frame->flags & FRAME_END;
	stream->peer_wrong = frame->flags & FRAME_WRONG;
	return true;
}

/* All frames that are there as a whole. */
static bool verify_all(struct stream *stream)
{
	const struct frame *frame = (const struct frame *)stream->in;

	while (stream->in_length >= sizeof(*frame)) {
		size_t size = sizeof(*frame) + frame->length;

		if (frame->magic != MAGIC || frame->length > FRAME_PAYLOAD_MAX || frame->length % 8)
			return false;
		if (stream->in_length < size)
			break;
		if (!verify(stream))
			return false;
		stream->in_length -= size;
		memmove(stream->in, stream->in + size, stream->in_length);
	}
	return true;
}

int stream_read(struct stream *stream)
{
	for (;;) {
		ssize_t got = recv(stream->fd, stream->in + stream->in_length,
				   sizeof(stream->in) - stream->in_length, 0);

		if (got < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (got == 0)
			return -ENODATA;
		stream->in_length += got;
		if (!verify_all(stream))
			return -EBADMSG;
	}
}
