// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The session table's jobs over a pipe, on memory of this process's own: so that a test in another
 * language can give them histories, let hours pass between two jobs, and look at what comes out.
 *
 * A request is a merge_test_request and its input, an answer a merge_test_answer and its output.
 * Ends at the end of its input.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include "table_family.h"
#include "table_jobs.h"

#define MERGE_TEST_MAX (64u << 20) /* bytes of an input or an output */

/* In place of a job: empty tables, as the merge_test_tables say. */
#define MERGE_TEST_BEGIN 0

struct merge_test_request {
	__u32 job;
	__u32 now;
	__u32 length;
	__u32 room;
};

struct merge_test_answer {
	__s32 error; /* -errno */
	__u32 length;
};

struct merge_test_tables {
	__u64 hash_key[2];
	__u32 buckets; /* of each */
	__u32 pad;
};

static int begin(const struct merge_test_tables *tables, size_t length)
{
	const struct weir_layout layout = {
		.version = WEIR_LAYOUT_VERSION,
		.inbound4_buckets = tables->buckets,
		.outbound4_buckets = tables->buckets,
		.inbound6_buckets = tables->buckets,
		.outbound6_buckets = tables->buckets,
		.hash_key = {tables->hash_key[0], tables->hash_key[1]},
	};

	int err;

	if (length != sizeof(*tables))
		return -EINVAL;
	err = weir_narrow.map(-1, -1, &layout);
	return err ? err : weir_wide.map(-1, -1, &layout);
}

/* Buffers of exactly these sizes: a read or write beyond is found by the address sanitizer. */
static bool serve(const struct merge_test_request *request)
{
	struct merge_test_answer answer = {};
	char *input = malloc(request->length);
	char *output = calloc(1, request->room);
	size_t written = 0;
	bool ok = input && output && fread(input, 1, request->length, stdin) == request->length;

	if (!ok)
		goto out;
	answer.error = request->job == MERGE_TEST_BEGIN
			       ? begin((const void *)input, request->length)
			       : weir_job(request->job, request->now, input, request->length,
					  output, request->room, &written);
	answer.length = written;
	ok = fwrite(&answer, sizeof(answer), 1, stdout) == 1 &&
	     fwrite(output, 1, written, stdout) == written && !fflush(stdout);
out:
	free(input);
	free(output);
	return ok;
}

int main(void)
{
	struct merge_test_request request;

	while (fread(&request, sizeof(request), 1, stdin) == 1) {
		if (request.length > MERGE_TEST_MAX || request.room > MERGE_TEST_MAX ||
		    !serve(&request)) {
			fprintf(stderr, "Cannot serve job %u: broken request\n", request.job);
			return 1;
		}
	}
	return 0;
}
