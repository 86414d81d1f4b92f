// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * When a mark's session is first found in the other node's table: from then on its program forwards
 * the session's packets, of either direction.
 *
 *   weir-watch PINS MARKS
 *
 * PINS is the directory with that node's maps. Looks each 50 us. Prints a line when it is ready;
 * runs until it is killed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <limits.h>
#include <string.h>
#include <sys/prctl.h>
#include <bpf/bpf.h>
#include "../../../dataplane/sync_record.h"
#include "../../../dataplane/table_family.h"
#include "marks.h"

#define LOOK_NS   50000
#define LOOKS_MAX 256 /* marks looked up at once */

static int open_map(const char *pins, const char *name)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", pins, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		die(path);
	return fd;
}

static void map_tables(const char *pins)
{
	struct weir_layout layout;
	__u32 zero = 0;

	if (bpf_map_lookup_elem(open_map(pins, "weir_layouts"), &zero, &layout))
		die("weir_layouts");
	errno = -weir_narrow.map(open_map(pins, "weir_inbound4"), open_map(pins, "weir_outbound4"),
				 &layout);
	if (errno)
		die("map the tables");
}

static struct weir_key4 key_of(__u32 mark)
{
	return (struct weir_key4){
		.saddr = htonl(MARK_NET + mark),
		.daddr = htonl(VIP),
		.sport = htons(MARK_PORT),
		.dport = htons(VIP_PORT),
		.proto = IPPROTO_TCP,
		.pad = {WEIR_SYNC_KEY_CLIENT},
	};
}

/* Looks for those of the first marks on their way; marks arrive about in order. Returns the first
 * that is still on its way. */
static __u32 look(struct marks *marks, __u32 first)
{
	struct weir_sync_record4 records[LOOKS_MAX];
	struct weir_key4 keys[LOOKS_MAX];
	size_t count = 0, found;
	uint64_t now;

	while (first < MARKS_MAX && marks->seen_ns[first])
		first++;
	for (__u32 mark = first; mark < MARKS_MAX && marks->sent_ns[mark] && count < LOOKS_MAX;
	     mark++) {
		if (!marks->seen_ns[mark])
			keys[count++] = key_of(mark);
	}
	found = count ? weir_narrow.find(keys, count, 0, records) : 0;
	now = now_ns();
	for (size_t i = 0; i < found; i++)
		marks->seen_ns[ntohl(records[i].caddr) - MARK_NET] = now;
	return first;
}

int main(int argc, char **argv)
{
	struct marks *marks;
	__u32 first = 0;

	if (argc != 3) {
		fprintf(stderr, "weir-watch: wrong arguments\n");
		return 2;
	}
	map_tables(argv[1]);
	marks = map_marks(argv[2]);
	prctl(PR_SET_TIMERSLACK, 1000);
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct timespec pause = {.tv_nsec = LOOK_NS};

		first = look(marks, first);
		nanosleep(&pause, NULL);
	}
}
