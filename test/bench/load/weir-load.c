// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The life of TCP sessions as frames for the director of a node, by BPF_PROG_TEST_RUN.
 *
 *   weir-load PROGRAM PINS INTERFACE MARKS
 *
 * PROGRAM is weir-load.bpf.o; PINS the directory with the node's maps and the link of its
 * INTERFACE, by which the frames come in. Then a line on standard input for each
 * phase, answered by one JSON object: `open|syn|close SESSIONS RATE WINDOW SPACING`.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <net/if.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "pace.h"
#include "weir-load.h"

static int program;
static __u32 ifindex;
static __u32 is_closing, length;
static __u64 failed;

static void check(int error, const char *what)
{
	if (!error)
		return;
	fprintf(stderr, "weir-load: %s: %s\n", what, strerror(error < 0 ? -error : errno));
	exit(1);
}

/* Runs the segments of these sessions through the director. */
static void send_batch(const struct plan *plan, struct marks *marks, uint64_t first,
		       unsigned int count)
{
	__u8 frame[64] = {}, after[64];
	struct job job = {first, count, plan->spacing, is_closing, length};
	struct xdp_md context = {.data_end = sizeof(frame), .ingress_ifindex = ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = sizeof(frame),
		    .data_out = after, .data_size_out = sizeof(after), .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = 1);
	uint64_t now = now_ns();

	memcpy(frame, &job, sizeof(job));
	for (unsigned int i = 0; i < count && !is_closing; i++) {
		__u32 mark = mark_of(plan->spacing, first + i);

		if (mark < MARKS_MAX)
			marks->sent_ns[mark] = now;
	}
	check(bpf_prog_test_run_opts(program, &run), "test run");
	failed += run.retval;
}

/* Has the object use the maps that the node has pinned. */
static void adopt_pins(struct bpf_object *object, const char *pins)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
	{
		char path[PATH_MAX];
		int fd;

		snprintf(path, sizeof(path), "%s/%s", pins, bpf_map__name(map));
		fd = bpf_obj_get(path);
		if (fd < 0)
			continue;
		check(bpf_map__reuse_fd(map, fd), path);
		check(bpf_map__set_pin_path(map, NULL), path);
		close(fd);
	}
}

static int is_constants(const char *name)
{
	const char *suffix = strstr(name, ".rodata");

	return suffix && !strcmp(suffix, ".rodata");
}

/* A constant by its name; NULL = there is none of this size. */
static __u8 *find_constant(const struct btf *btf, __u8 *values, const char *name, __u32 size)
{
	const struct btf_type *section =
		btf__type_by_id(btf, btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC));

	for (int i = 0; section && i < btf_vlen(section); i++) {
		const struct btf_var_secinfo *place = btf_var_secinfos(section) + i;
		const struct btf_type *variable = btf__type_by_id(btf, place->type);

		if (place->size == size &&
		    !strcmp(btf__name_by_offset(btf, variable->name_off), name))
			return values + place->offset;
	}
	return NULL;
}

/* The constants of the program that runs on the node's interface, and what they are. */
static struct btf *read_constants(const char *pins, __u8 *values, __u32 room)
{
	struct bpf_link_info link = {};
	struct bpf_prog_info info = {};
	__u32 maps[64], length = sizeof(link), zero = 0;
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/link-%u", pins, ifindex);
	fd = bpf_obj_get(path);
	check(fd < 0 ? fd : bpf_obj_get_info_by_fd(fd, &link, &length), path);
	fd = bpf_prog_get_fd_by_id(link.prog_id);
	info.nr_map_ids = sizeof(maps) / sizeof(*maps);
	info.map_ids = (__u64)(unsigned long)maps;
	length = sizeof(info);
	check(fd < 0 ? fd : bpf_obj_get_info_by_fd(fd, &info, &length), "the node's program");
	for (__u32 i = 0; i < info.nr_map_ids; i++) {
		struct bpf_map_info one = {};

		length = sizeof(one);
		fd = bpf_map_get_fd_by_id(maps[i]);
		check(fd < 0 ? fd : bpf_obj_get_info_by_fd(fd, &one, &length), "its maps");
		if (is_constants(one.name) && one.value_size <= room) {
			check(bpf_map_lookup_elem(fd, &zero, values), "its constants");
			return btf__load_from_kernel_by_id(one.btf_id);
		}
		close(fd);
	}
	check(-ENOENT, "its constants");
	return NULL;
}

/* Gives the object the constants that the node's program has: the table's hash key, above all. */
static void copy_constants(struct bpf_object *object, const char *pins)
{
	__u8 theirs[4096], ours[4096];
	struct btf *their_btf = read_constants(pins, theirs, sizeof(theirs));
	const struct btf *btf = bpf_object__btf(object);
	const struct btf_type *section =
		btf__type_by_id(btf, btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC));
	struct bpf_map *map, *constants = NULL;
	const void *initial;
	size_t size = 0;

	bpf_object__for_each_map(map, object)
	{
		if (is_constants(bpf_map__name(map)))
			constants = map;
	}
	initial = constants ? bpf_map__initial_value(constants, &size) : NULL;
	check(their_btf && section && initial && size <= sizeof(ours) ? 0 : -EINVAL, "constants");
	memcpy(ours, initial, size);
	for (int i = 0; i < btf_vlen(section); i++) {
		const struct btf_var_secinfo *place = btf_var_secinfos(section) + i;
		const struct btf_type *variable = btf__type_by_id(btf, place->type);
		const char *name = btf__name_by_offset(btf, variable->name_off);
		const __u8 *value = find_constant(their_btf, theirs, name, place->size);

		if (value)
			memcpy(ours + place->offset, value, place->size);
	}
	check(bpf_map__set_initial_value(constants, ours, size), "constants");
}

static void load_program(const char *path, const char *pins)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *load;

	check(object ? 0 : -errno, path);
	adopt_pins(object, pins);
	copy_constants(object, pins);
	check(bpf_object__load(object), path);
	load = bpf_object__find_program_by_name(object, "weir_bench_load");
	check(load ? 0 : -ENOENT, "weir_bench_load");
	program = bpf_program__fd(load);
}

int main(int argc, char **argv)
{
	struct marks *marks;
	char line[256], phase[16];

	if (argc != 5) {
		fprintf(stderr, "weir-load: wrong arguments\n");
		return 2;
	}
	ifindex = if_nametoindex(argv[3]);
	check(ifindex ? 0 : -errno, argv[3]);
	load_program(argv[1], argv[2]);
	marks = map_marks(argv[4]);
	stay_on(0);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		struct plan plan = {};
		uint64_t begin, sent;

		if (sscanf(line, "%15s %lu %lf %lu %lu", phase, &plan.sessions, &plan.rate,
			   &plan.window, &plan.spacing) != 5 ||
		    plan.sessions > SESSIONS_MAX)
			return 2;
		is_closing = !strcmp(phase, "close");
		length = length_of(phase);
		failed = 0;
		begin = now_ns();
		sent = pace(&plan, marks, send_batch);
		print_result(sent, failed, begin, now_ns());
	}
	return 0;
}
