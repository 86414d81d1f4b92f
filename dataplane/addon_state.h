/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the parts of the addon share. A process has one dataplane. */
#ifndef WEIR_ADDON_STATE_H
#define WEIR_ADDON_STATE_H

#include <limits.h>
#include <bpf/libbpf.h>
#include "addon_call.h"

static struct {
	napi_env owner; /* whose end releases it */
	int lock;
	struct bpf_object *object; /* NULL = not loaded */
	int program;
	int cpus;
	char pin_dir[PATH_MAX];
	bool mapped;
} dataplane = {.lock = -1};

static bool loaded(struct call *call)
{
	if (!dataplane.object || dataplane.owner != call->env)
		return fail_with(call, EBADF, "no dataplane is loaded here");
	return true;
}

#endif
