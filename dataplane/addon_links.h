/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * How the program gets on an interface and stays there when the agent goes: a link, pinned.
 * Functions return -errno.
 */
#ifndef WEIR_ADDON_LINKS_H
#define WEIR_ADDON_LINKS_H

#include <unistd.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "addon_state.h"

static void link_path(char *path, size_t size, __u32 ifindex)
{
	snprintf(path, size, "%s/link-%u", dataplane.pin_dir, ifindex);
}

/* How our program runs on an interface: XDP_ATTACHED_DRV and so on; 0 = it does not; or -errno. */
static int attached_mode(__u32 ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	struct bpf_prog_info info = {};
	__u32 length = sizeof(info);
	int err = bpf_obj_get_info_by_fd(dataplane.program, &info, &length);

	if (!err)
		err = bpf_xdp_query(ifindex, 0, &query);
	if (err)
		return err;
	return query.prog_id == info.id ? query.attach_mode : XDP_ATTACHED_NONE;
}

/* Has the pinned link of an earlier agent run our program, without a gap. -ENOLINK: it belongs to
 * no or another device. */
static int adopt_link(const char *path, __u32 ifindex)
{
	int fd = bpf_obj_get(path), err, mode;

	if (fd < 0)
		return fd;
	err = bpf_link_update(fd, dataplane.program, NULL);
	close(fd);
	if (err)
		return err;
	mode = attached_mode(ifindex);
	return mode == XDP_ATTACHED_NONE ? -ENOLINK : mode;
}

/* Native mode only: generic XDP would be many times slower without a word. */
static int make_link(const char *path, __u32 ifindex)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);
	int fd = bpf_link_create(dataplane.program, ifindex, BPF_XDP, &options), err;

	if (fd < 0)
		return fd;
	err = bpf_obj_pin(fd, path);
	close(fd);
	return err ? err : attached_mode(ifindex);
}

#endif
