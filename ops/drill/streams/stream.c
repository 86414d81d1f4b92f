// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include "stream.h"

#define MAGIC        0x72696577 /* "weir" */
#define MIX          0x9e3779b97f4a7c15ull
#define SERVER_SALT  0x5bf03635dcd1e867ull
#define PAYLOAD_STEP 512
/* One frame in so many takes several segments. */
#define LARGE_EVERY 64

static __u64 mixed(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * MIX;
	return hash ^ (hash >> 32);
}

/* The key of one direction. A hello is read before the key is known. */
static __u64 direction_key(const struct stream *stream, bool from_server, bool hello)
{
	__u64 key = hello && !from_server ? 0 : stream->key;

	return from_server ? key ^ SERVER_SALT : key;
}

static __u64 checksum(const void *bytes, size_t length, __u64 key)
{
	__u64 hash = mixed(key, length), word;

	for (size_t at = 0; at < length; at += sizeof(word)) {
		memcpy(&word, (const __u8 *)bytes + at, sizeof(word));
		hash = mixed(hash, word);
	}
	return hash;
}

/* Bytes that follow from key and number; returns how many. */
static size_t fill(__u8 *payload, __u64 key, __u64 number)
{
	__u64 state = mixed(key, number + 1);
	size_t length = 8 + state % PAYLOAD_STEP / 8 * 8;

	if (number % LARGE_EVERY == LARGE_EVERY - 1)
		length += 8192;
	for (size_t at = 0; at < length; at += sizeof(state)) {
		state = mixed(state, at);
		memcpy(payload + at, &state, sizeof(state));
	}
	return length;
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
		frame->length = fill((__u8 *)(frame + 1), key, frame->number);
	}
	stream->out_from = 0;
	stream->out_length = sizeof(*frame) + frame->length;
	frame->checksum = checksum(frame, stream->out_length, key);
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
	    checksum(frame, sizeof(*frame) + frame->length, key) != expected)
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

static __u64 read_clock(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

__u64 now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

__u64 wall_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}
