/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end of a TCP connection that proves itself: both ends send numbered frames. A byte that is
 * wrong, missing, doubled, or another connection's, is noticed at once; and each frame says how
 * much its sender has verified of the other direction, so one end knows about both.
 */
#ifndef WEIR_STREAM_H
#define WEIR_STREAM_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include "proof.h"
#include "witness.h"

enum {
	FRAME_HELLO = 1, /* the first one of each direction; its payload is a struct hello */
	FRAME_END = 2,   /* the last one */
	FRAME_WRONG = 4, /* the sender got something wrong; the last one */
};

/* On the wire as it is in memory: both ends run on one machine. */
struct frame {
	__u32 magic;
	__u16 flags;
	__u16 length;   /* of the payload that follows; a multiple of 8 */
	__u64 number;   /* from 0, for each direction */
	__u64 verified; /* bytes of the other direction */
	__u64 checksum; /* of the frame with 0 in this place */
};

/* From the client: what the server has to know. From the server: the witness. */
struct hello {
	__u64 key;
	__u32 interval_ms; /* of frames from the server; 0 for none between hello and end */
	__u32 pad;
	struct witness witness;
};

#define FRAME_PAYLOAD_MAX (8192 + PROOF_STEP)
#define FRAME_MAX         (sizeof(struct frame) + FRAME_PAYLOAD_MAX)

struct stream {
	int fd;
	bool is_server;
	bool heard, sent_end, got_end, peer_wrong;
	__u64 key; /* of this connection; the hello of the client brings it to the server */
	__u64 sent_frames, sent_bytes;
	__u64 verified_frames, verified_bytes;
	__u64 peer_verified; /* bytes */
	struct hello hello;  /* the peer's, once heard */
	size_t in_length, out_from, out_length;
	__u8 in[FRAME_MAX], out[FRAME_MAX];
};

/*
 * Sends one frame: a hello if `hello` is given, else random bytes. A part that the socket does not
 * take now is kept and goes first the next time.
 * 0; -EAGAIN if the frame was not made because of such a part; -errno of send().
 */
int stream_send(struct stream *stream, __u16 flags, const struct hello *hello);

/*
 * Reads and verifies all there is. 0; -ENODATA at the end of the stream; -EBADMSG for what is not
 * right; -errno of recv().
 */
int stream_read(struct stream *stream);

/* Serves connections on a port, for ever; returns an exit code if that cannot begin. */
int serve_streams(__u16 port);

#endif
