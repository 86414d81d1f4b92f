/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * How late a session reaches the other node. Some sessions are marks: their client address is one
 * that no other session has, 10.65.x.y for mark 256 x + y. The load program writes down when it
 * opened each, the watch program when the other node had it, in a file that both have mapped.
 */
#ifndef WEIR_BENCH_MARKS_H
#define WEIR_BENCH_MARKS_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "life.h"

/* CLOCK_MONOTONIC; 0 = not yet. The load program writes `sent`, the watch program `seen`. */
struct marks {
	volatile uint64_t sent_ns[MARKS_MAX];
	volatile uint64_t seen_ns[MARKS_MAX];
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* The file has the size already: whoever starts both programs has made it. */
static struct marks *map_marks(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct marks *marks;

	if (fd < 0)
		die(path);
	marks = mmap(NULL, sizeof(*marks), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (marks == MAP_FAILED)
		die(path);
	close(fd);
	return marks;
}

#endif
