/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The addon's runs of the attached program on frames that nobody has sent: BPF_PROG_TEST_RUN. */
#ifndef WEIR_ADDON_RUN_H
#define WEIR_ADDON_RUN_H

#include <stdlib.h>
#include <bpf/bpf.h>
#include "addon_call.h"
#include "addon_maps.h"
#include "addon_state.h"

#define FRAME_MAX    65535 /* bytes that one run takes */
#define FRAME_GROWTH 256   /* bytes that a program may add to them */

/* 0 or -errno. What comes out goes to `out`, of FRAME_MAX + FRAME_GROWTH bytes. */
static int run_program(struct bpf_test_run_opts *run, const void *frame, size_t length,
		       __u32 ifindex, void *out)
{
	struct xdp_md context = {.data_end = length, .ingress_ifindex = ifindex};

	run->data_in = frame;
	run->data_size_in = length;
	run->data_out = out;
	run->data_size_out = FRAME_MAX + FRAME_GROWTH;
	run->ctx_in = &context;
	run->ctx_size_in = sizeof(context);
	return bpf_prog_test_run_opts(dataplane.program, run) ? -errno : 0;
}

/* testRun(frame, ifindex, repeat): {verdict, frame, durationNs}, the duration of one run on
 * average. */
static napi_value test_run(napi_env env, napi_callback_info info)
{
	struct call call = call_begin(env, info, "testRun");
	static __u8 out[FRAME_MAX + FRAME_GROWTH];
	LIBBPF_OPTS(bpf_test_run_opts, run);
	napi_value result;
	struct bytes frame;
	__u32 ifindex, repeat;
	int err;

	if (!loaded(&call) || !get_bytes(&call, call.argument[0], "frame", &frame) ||
	    !get_u32(&call, call.argument[1], "ifindex", &ifindex) ||
	    !get_u32(&call, call.argument[2], "repeat", &repeat))
		return NULL;
	if (frame.length > FRAME_MAX)
		return fail_with(&call, EINVAL, "the frame has %zu bytes, at most %d fit",
				 frame.length, FRAME_MAX);
	run.repeat = repeat;
	err = run_program(&run, frame.data, frame.length, ifindex, out);
	if (err)
		return fail_with(&call, -err, "ifindex %u, %zu bytes", ifindex, frame.length);
	napi_create_object(env, &result);
	set(&call, result, "verdict", number_value(&call, run.retval));
	set(&call, result, "frame", bytes_value(&call, out, run.data_size_out));
	set(&call, result, "durationNs", number_value(&call, run.duration));
	return result;
}

/* The words of a per-CPU map's first element, summed over all CPUs. */
struct sums {
	struct bpf_map *map;
	size_t words;
	__u64 *each; /* of each CPU */
	__u64 *total;
	__u64 *before;
};

static void sums_end(struct sums *sums)
{
	free(sums->each);
	free(sums->total);
	free(sums->before);
}

static bool sums_begin(struct sums *sums, struct bpf_map *map)
{
	sums->map = map;
	sums->words = (bpf_map__value_size(map) + 7) / 8;
	sums->each = calloc(dataplane.cpus * sums->words, sizeof(__u64));
	sums->total = calloc(sums->words, sizeof(__u64));
	sums->before = calloc(sums->words, sizeof(__u64));
	return sums->each && sums->total && sums->before;
}

static int sums_read(struct sums *sums)
{
	__u64 *previous = sums->before;
	__u32 zero = 0;

	sums->before = sums->total;
	sums->total = previous;
	if (bpf_map_lookup_elem(bpf_map__fd(sums->map), &zero, sums->each))
		return -errno;
	for (size_t word = 0; word < sums->words; word++) {
		sums->total[word] = 0;
		for (int cpu = 0; cpu < dataplane.cpus; cpu++)
			sums->total[word] += sums->each[cpu * sums->words + word];
	}
	return 0;
}

/* What testRunMany gives of one frame; `rises` and then `length` bytes follow. */
struct run_result {
	__u32 verdict;
	__u32 length;
	__u32 rises;
};

struct run_rise {
	__u32 word;
	__u32 by;
};

/* Appends the result of one run. Returns how many bytes it takes, or -errno: -ENOSPC if more than
 * `room`. */
static ssize_t run_one(struct sums *sums, const void *frame, size_t length, __u32 ifindex, __u8 *to,
		       size_t room)
{
	static __u8 out[FRAME_MAX + FRAME_GROWTH];
	LIBBPF_OPTS(bpf_test_run_opts, run);
	struct run_result result = {};
	struct run_rise rise;
	size_t at = sizeof(result);
	int err = run_program(&run, frame, length, ifindex, out);

	if (err || (err = sums_read(sums)))
		return err;
	result.verdict = run.retval;
	result.length = run.data_size_out;
	if (room < at + sums->words * sizeof(rise) + result.length)
		return -ENOSPC;
	for (size_t word = 0; word < sums->words; word++) {
		rise.word = word;
		rise.by = sums->total[word] - sums->before[word];
		if (!rise.by)
			continue;
		memcpy(to + at, &rise, sizeof(rise));
		at += sizeof(rise);
		result.rises++;
	}
	memcpy(to, &result, sizeof(result));
	memcpy(to + at, out, result.length);
	return at + result.length;
}

/* Takes the next frame, and its length before it, off `frames`. */
static bool take_frame(struct bytes *frames, struct bytes *frame)
{
	__u32 length;

	if (frames->length < sizeof(length))
		return false;
	memcpy(&length, frames->data, sizeof(length));
	frame->data = frames->data + sizeof(length);
	frame->length = length;
	if (length > FRAME_MAX || length > frames->length - sizeof(length))
		return false;
	frames->data += sizeof(length) + length;
	frames->length -= sizeof(length) + length;
	return true;
}

/* All of them. Returns how many bytes the results take, or -errno. */
static ssize_t run_each(struct bpf_map *counters, struct bytes frames, __u32 ifindex, __u8 *to,
			size_t room)
{
	struct sums sums = {};
	struct bytes frame;
	size_t written = 0;
	ssize_t step = -ENOMEM;

	if (sums_begin(&sums, counters))
		step = sums_read(&sums);
	while (step >= 0 && frames.length) {
		if (!take_frame(&frames, &frame)) {
			step = -EINVAL;
			break;
		}
		step = run_one(&sums, frame.data, frame.length, ifindex, to + written,
			       room - written);
		if (step > 0)
			written += step;
	}
	sums_end(&sums);
	return step < 0 ? step : (ssize_t)written;
}

/*
 * testRunMany(map, frames, ifindex, room): Buffer, of at most `room` bytes. `frames` is one after
 * another, each behind its length (u32). The results are as many, in their order: struct
 * run_result, then what rose in the first element of that per-CPU map of counters, then the frame
 * as it came out.
 */
static napi_value test_run_many(napi_env env, napi_callback_info info)
{
	struct call call = call_begin(env, info, "testRunMany");
	struct bpf_map *map = get_map(&call);
	struct bytes frames;
	__u32 ifindex, room;
	ssize_t written;
	__u8 *output;

	if (!map || !get_bytes(&call, call.argument[1], "frames", &frames) ||
	    !get_u32(&call, call.argument[2], "ifindex", &ifindex) ||
	    !get_u32(&call, call.argument[3], "room", &room))
		return NULL;
	if (bpf_map__type(map) != BPF_MAP_TYPE_PERCPU_ARRAY)
		return fail_with(&call, EINVAL, "it is no per-CPU array");
	output = malloc(room);
	if (!output)
		return fail_with(&call, ENOMEM, "%u bytes", room);
	written = run_each(map, frames, ifindex, output, room);
	if (written < 0) {
		free(output);
		return fail_with(&call, -written, "ifindex %u, %zu bytes of frames", ifindex,
				 frames.length);
	}
	return given_bytes(&call, output, written);
}

#endif
