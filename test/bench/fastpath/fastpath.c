// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Times one packet through a program, by BPF_PROG_TEST_RUN.
 *
 *   fastpath PROGRAMS PINS INTERFACE SESSIONS
 *
 * PROGRAMS is fastpath.bpf.o; PINS the directory with the maps of a node of weir and the link of
 * its INTERFACE; the kernel's hashes get room for SESSIONS, and as many again for those that are
 * created. Then lines on standard input, each answered by one line:
 *
 *   fill FAMILY FRAME ADDRESS_AT PORT_AT ADDRESS FLOWS    flows into the kernel's hash: "filled"
 *   time PROGRAM REPEAT FRAME ADDRESS_AT PORT_AT ADDRESS FLOWS FIRST
 *                                 {"ns", "verdict", "forwarded", "created"} of REPEAT packets
 *   begin NUMBER ROUND            of ROUND LIP:ports the next is that of flow NUMBER: "begun"
 *   charged                       {"narrow", "wide"}: bytes that the kernel charges for the tables
 *
 * PROGRAM is one of fastpath.bpf.o, or "weir"; FRAME is hexadecimal; the rest as in flows.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "flows.h"
#include "weir.h"

#define BATCH 4096
/* The kernel tells whole nanoseconds of each test run; the mean of so many is finer. */
#define PARTS 16

static struct bpf_object *programs;
static const char *pins;
static __u32 ifindex;
static struct ring_buffer *rings;

static void check(int error, const char *what)
{
	if (!error)
		return;
	fprintf(stderr, "fastpath: %s: %s\n", what, strerror(error < 0 ? -error : errno));
	exit(1);
}

static int open_pin(const char *name)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", pins, name);
	fd = bpf_obj_get(path);
	check(fd < 0 ? fd : 0, path);
	return fd;
}

static int ignore(void *context, void *data, size_t length)
{
	return context || !data || !length;
}

static void add_ring(int fd)
{
	if (rings)
		check(ring_buffer__add(rings, fd, ignore, NULL), "ring");
	else
		rings = ring_buffer__new(fd, ignore, NULL, NULL);
	check(rings ? 0 : -errno, "ring");
}

static int map_fd(const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(programs, name);

	check(fd < 0 ? fd : 0, name);
	return fd;
}

static void load_programs(const char *path, __u32 sessions)
{
	static const char *const hashes[] = {"hash4", "replies4", "hash6", "replies6"};

	programs = bpf_object__open_file(path, NULL);
	check(programs ? 0 : -errno, path);
	for (size_t i = 0; i < sizeof(hashes) / sizeof(*hashes); i++)
		bpf_map__set_max_entries(bpf_object__find_map_by_name(programs, hashes[i]),
					 sessions);
	check(bpf_object__load(programs), path);
	add_ring(map_fd("records"));
	add_ring(open_pin("weir_events"));
}

/* The program on the node's interface. */
static int weir_program(void)
{
	struct bpf_link_info info = {};
	__u32 length = sizeof(info);
	char name[32];
	int fd, program;

	snprintf(name, sizeof(name), "link-%u", ifindex);
	fd = open_pin(name);
	check(bpf_obj_get_info_by_fd(fd, &info, &length), name);
	program = bpf_prog_get_fd_by_id(info.prog_id);
	check(program < 0 ? program : 0, name);
	close(fd);
	return program;
}

static int program_fd(const char *name)
{
	struct bpf_program *program;

	if (!strcmp(name, "weir"))
		return weir_program();
	program = bpf_object__find_program_by_name(programs, name);
	check(program ? 0 : -ENOENT, name);
	return bpf_program__fd(program);
}

static void read_counters(struct weir_counters *sum)
{
	static int fd = -1;
	int cpus = libbpf_num_possible_cpus();
	struct weir_counters each[cpus];
	__u32 zero = 0;

	if (fd < 0)
		fd = open_pin("weir_counters");
	check(bpf_map_lookup_elem(fd, &zero, each), "weir_counters");
	memset(sum, 0, sizeof(*sum));
	for (int cpu = 0; cpu < cpus; cpu++) {
		sum->forwarded += each[cpu].forwarded;
		sum->session_created += each[cpu].session_created;
	}
}

static int parse_frame(const char *hex, __u8 *frame)
{
	memset(frame, 0, FRAME_BYTES);
	for (int i = 0; hex[2 * i]; i++) {
		unsigned int byte;

		if (i == FRAME_BYTES || sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return -EINVAL;
		frame[i] = byte;
	}
	return 0;
}

static void time_program(const char *name, __u32 repeat, const struct run *run)
{
	struct weir_counters before, after;
	__u8 frame[FRAME_BYTES + 64] = {}, out[FRAME_BYTES + 256];
	struct xdp_md context = {.data_end = FRAME_BYTES, .ingress_ifindex = ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = FRAME_BYTES,
		    .data_out = out, .ctx_in = &context, .ctx_size_in = sizeof(context));
	int tested = program_fd(name), wrapper = program_fd("wrapper");
	__u32 zero = 0;
	__u64 ns = 0;

	check(bpf_map_update_elem(map_fd("runs"), &zero, run, BPF_ANY), "runs");
	check(bpf_map_update_elem(map_fd("tested"), &zero, &tested, BPF_ANY), "tested");
	read_counters(&before);
	for (__u64 part = 0; part < PARTS; part++) {
		options.repeat = repeat * (part + 1) / PARTS - repeat * part / PARTS;
		if (!options.repeat)
			continue;
		options.data_size_out = sizeof(out);
		check(bpf_prog_test_run_opts(wrapper, &options), name);
		ns += (__u64)options.duration * options.repeat;
	}
	read_counters(&after);
	ring_buffer__consume(rings);
	printf("{\"ns\":%.2f,\"verdict\":%u,\"forwarded\":%llu,\"created\":%llu}\n",
	       (double)ns / repeat, options.retval, after.forwarded - before.forwarded,
	       after.session_created - before.session_created);
}

/* The key of flow i, in the way of fastpath.bpf.c. */
static void key_of(const struct run *run, __u32 i, int family, void *key)
{
	__u8 frame[FRAME_BYTES];
	__be32 address = htonl(run->address + i % FLOW_ADDRESSES);
	__be16 port = htons(FLOW_PORT + i / FLOW_ADDRESSES);

	memcpy(frame, run->frame, sizeof(frame));
	memcpy(frame + run->address_at, &address, sizeof(address));
	memcpy(frame + run->port_at, &port, sizeof(port));
	memset(key, 0, family == 4 ? sizeof(struct key4) : sizeof(struct key6));
	memcpy(key, frame + (family == 4 ? 26 : 22), family == 4 ? 12 : 36);
	((__u8 *)key)[family == 4 ? 12 : 36] = frame[family == 4 ? 23 : 20];
}

static void fill(int family, const struct run *run)
{
	static __u8 keys[BATCH * sizeof(struct key6)], values[BATCH * sizeof(struct value6)];
	size_t size = family == 4 ? sizeof(struct key4) : sizeof(struct key6);
	int fd = map_fd(family == 4 ? "hash4" : "hash6");

	for (__u32 first = 0; first < run->flows; first += BATCH) {
		__u32 count = run->flows - first < BATCH ? run->flows - first : BATCH;

		for (__u32 i = 0; i < count; i++)
			key_of(run, first + i, family, keys + i * size);
		check(bpf_map_update_batch(fd, keys, values, &count, NULL), "fill");
	}
	puts("filled");
}

/* What the kernel charges for a map: memlock of its fdinfo, bytes. */
static unsigned long long charge(const char *name)
{
	int fd = open_pin(name);
	unsigned long long bytes = 0;
	char path[64], line[128];
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = fopen(path, "r");
	check(info ? 0 : -errno, path);
	while (fgets(line, sizeof(line), info))
		sscanf(line, "memlock: %llu", &bytes);
	fclose(info);
	close(fd);
	return bytes;
}

static void print_charges(void)
{
	printf("{\"narrow\":%llu,\"wide\":%llu}\n",
	       charge("weir_inbound4") + charge("weir_outbound4"),
	       charge("weir_inbound6") + charge("weir_outbound6"));
}

/* The director counts the LIP:ports that a CPU has given out; 0 would be seeded at random. */
static void begin(__u64 number, __u64 round)
{
	int cpus = libbpf_num_possible_cpus(), fd = open_pin("weir_lports");
	__u64 taken[cpus];
	__u32 zero = 0;

	for (int cpu = 0; cpu < cpus; cpu++)
		taken[cpu] = round + number;
	check(bpf_map_update_elem(fd, &zero, taken, BPF_ANY), "weir_lports");
	close(fd);
	puts("begun");
}

static int serve(char *line)
{
	char command[16], name[32], hex[2 * FRAME_BYTES + 1];
	struct run run = {.random = 1};
	unsigned long long number, round;
	__u32 repeat;
	int family;

	if (sscanf(line, "begin %llu %llu", &number, &round) == 2) {
		begin(number, round);
		return 0;
	}
	if (!strcmp(line, "charged\n")) {
		print_charges();
		return 0;
	}
	if (sscanf(line, "fill %d %256s %u %u %u %u", &family, hex, &run.address_at, &run.port_at,
		   &run.address, &run.flows) == 6) {
		check(parse_frame(hex, run.frame), "frame");
		fill(family, &run);
		return 0;
	}
	if (sscanf(line, "%15s %31s %u %256s %u %u %u %u %u", command, name, &repeat, hex,
		   &run.address_at, &run.port_at, &run.address, &run.flows, &run.first) == 9 &&
	    !strcmp(command, "time")) {
		check(parse_frame(hex, run.frame), "frame");
		time_program(name, repeat, &run);
		return 0;
	}
	return -EINVAL;
}

int main(int argc, char **argv)
{
	cpu_set_t first;
	char line[1024];

	if (argc != 5) {
		fprintf(stderr, "fastpath: wrong arguments\n");
		return 2;
	}
	pins = argv[2];
	ifindex = if_nametoindex(argv[3]);
	check(ifindex ? 0 : -errno, argv[3]);
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	check(sched_setaffinity(0, sizeof(first), &first), "affinity");
	setvbuf(stdout, NULL, _IOLBF, 0);
	load_programs(argv[1], strtoul(argv[4], NULL, 10));
	puts("ready");
	while (fgets(line, sizeof(line), stdin))
		check(serve(line), line);
	return 0;
}
