/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the parts of the addon share. A process has one dataplane. */
#ifndef WEIR_ADDON_STATE_H
#define WEIR_ADDON_STATE_H

#include <limits.h>
#include <bpf/libbpf.h>
#include "addon_call.h"

#define OBJECTS_MAX 16

static struct {
	napi_env owner; /* whose end releases it */
	int lock;
	struct bpf_object *objects[OBJECTS_MAX];
	size_t objects_len; /* 0 = not loaded */
	int program;        /* that is attached */
	int cpus;
	char pin_dir[PATH_MAX];
	bool mapped;      /* the tables */
	void *generation; /* a page, whose first word XDP shares; NULL = not mapped */
} dataplane = {.lock = -1};

/* Objects that have a map of this name share it, if it is pinned. NULL = none has. */
static struct bpf_map *find_map(const char *name)
{
	struct bpf_map *map = NULL;

	for (size_t i = 0; i < dataplane.objects_len && !map; i++)
		map = bpf_object__find_map_by_name(dataplane.objects[i], name);
	return map;
}

/* -ENOENT = there is no such map. */
static int map_fd(const char *name)
{
	struct bpf_map *map = find_map(name);

	return map ? bpf_map__fd(map) : -ENOENT;
}

/* NULL = there is none. */
static struct bpf_program *find_program(const char *name)
{
	struct bpf_program *program = NULL;

	for (size_t i = 0; i < dataplane.objects_len && !program; i++)
		program = bpf_object__find_program_by_name(dataplane.objects[i], name);
	return program;
}

static bool loaded(struct call *call)
{
	if (!dataplane.objects_len || dataplane.owner != call->env)
		return fail_with(call, EBADF, "no dataplane is loaded here");
	return true;
}

#endif
