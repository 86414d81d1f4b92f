/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the C programs of the benchmark share: errors end them, with a sentence. */
#ifndef WEIR_BENCH_COMMON_H
#define WEIR_BENCH_COMMON_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* `error` is 0 or -errno. */
static inline void check(int error, const char *what)
{
	if (!error)
		return;
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(-error));
	exit(1);
}

static inline unsigned int interface_index(const char *name)
{
	unsigned int ifindex = if_nametoindex(name);

	check(ifindex ? 0 : -errno, name);
	return ifindex;
}

static inline struct bpf_object *load_object(const char *path)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);

	check(object ? 0 : -errno, path);
	check(bpf_object__load(object), path);
	return object;
}

static inline int map_fd(struct bpf_object *object, const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(object, name);

	check(fd < 0 ? fd : 0, name);
	return fd;
}

static inline int program_fd(struct bpf_object *object, const char *name)
{
	struct bpf_program *program = bpf_object__find_program_by_name(object, name);

	check(program ? 0 : -ENOENT, name);
	return bpf_program__fd(program);
}

static inline void put(int map, const void *value)
{
	__u32 zero = 0;

	check(bpf_map_update_elem(map, &zero, value, BPF_ANY), "write a map");
}

static inline void get(int map, void *value)
{
	__u32 zero = 0;

	check(bpf_map_lookup_elem(map, &zero, value), "read a map");
}

/* In the driver, and as long as this process lives. */
static inline void attach(int program, unsigned int ifindex)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);
	int link = bpf_link_create(program, ifindex, BPF_XDP, &options);

	check(link < 0 ? link : 0, "attach");
}

#endif
