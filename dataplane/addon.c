/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The Node.js addon: the agent's hands on the dataplane. Bytes in, bytes or an errno out, no
 * policy: src/node/dataplane.ts says what the bytes mean and what to do about an errno.
 *
 * A process has one dataplane. close() and the end of the process release all but what is pinned:
 * maps, and the links that keep the program on its interfaces.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>
#include <sys/file.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "addon_call.h"
#include "addon_clock.h"
#include "addon_events.h"
#include "addon_jobs.h"
#include "addon_links.h"
#include "addon_maps.h"
#include "addon_pins.h"
#include "addon_state.h"
#include "table_user.h"
#include "weir.h"

#define PROGRAM      "weir_director"
#define FRAME_MAX    65535 /* bytes that testRun takes */
#define FRAME_GROWTH 256   /* bytes that a program may add to them */

/* The threads have ended. */
static void release(void)
{
	if (dataplane.mapped)
		weir_tables_unmap();
	bpf_object__close(dataplane.object);
	if (dataplane.lock >= 0)
		close(dataplane.lock);
	dataplane.mapped = false;
	dataplane.object = NULL;
	dataplane.lock = -1;
	dataplane.owner = NULL;
}

/* close(): undefined. Waits for the jobs that are queued, and settles them. */
static napi_value close_dataplane(napi_env env, napi_callback_info info)
{
	(void)info;
	if (dataplane.owner == env) {
		events_stop(env);
		writer_finish(env);
		release();
	}
	return NULL;
}

static void environment_ends(void *env)
{
	if (dataplane.owner == env) {
		events_stop(env);
		writer_abandon();
		release();
	}
}

/* Before any pin is opened; held until release(). EAGAIN if another process has it. */
static bool take_lock(struct call *call, const char *path)
{
	/* Children must not inherit it: the lock would outlive the agent. */
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return fail_with(call, errno, "%s", path);
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		int err = errno;

		close(fd);
		return fail_with(call, err, "%s", path);
	}
	dataplane.lock = fd;
	return true;
}

/* After the kernel has taken the object: completes what a fresh pin lacks and maps the tables. */
static bool use_loaded(struct call *call, const struct weir_layout *layout, bool fresh)
{
	int layouts = bpf_object__find_map_fd_by_name(dataplane.object, "weir_layouts");
	int inbound = bpf_object__find_map_fd_by_name(dataplane.object, "weir_inbound4");
	int outbound = bpf_object__find_map_fd_by_name(dataplane.object, "weir_outbound4");
	struct bpf_program *program = bpf_object__find_program_by_name(dataplane.object, PROGRAM);
	__u32 zero = 0;
	int err;

	if (!program)
		return fail_with(call, ENOENT, "the object has no program %s", PROGRAM);
	dataplane.program = bpf_program__fd(program);
	if (fresh) {
		err = bpf_map_update_elem(layouts, &zero, layout, BPF_ANY);
		if (err)
			return fail_with(call, -err, "weir_layouts");
	}
	err = weir_tables_map(inbound, outbound, layout);
	if (err)
		return fail_with(call, -err, "mapping the session table");
	dataplane.mapped = true;
	err = writer_start(call->env);
	if (err)
		return fail_with(call, -err, "the writer thread");
	return true;
}

/*
 * load({lock, object, pinDir, maxEntries: {map: n}}): {map: {keySize, valueSize, maxEntries}} of
 * all maps. What is pinned in pinDir is adopted, the rest is made and pinned there. EAGAIN if
 * another process has the lock; EEXIST if what is pinned does not fit; nothing has changed then.
 */
static napi_value load_dataplane(napi_env env, napi_callback_info info)
{
	struct call call = call_begin(env, info, "load");
	char lock[PATH_MAX], object_path[PATH_MAX], pin_dir[PATH_MAX];
	struct weir_layout layout;
	napi_value value, sizes;
	bool fresh;
	int err;

	if (!get_property(&call, call.argument[0], "lock", &value) ||
	    !get_string(&call, value, "lock", lock, sizeof(lock)) ||
	    !get_property(&call, call.argument[0], "object", &value) ||
	    !get_string(&call, value, "object", object_path, sizeof(object_path)) ||
	    !get_property(&call, call.argument[0], "pinDir", &value) ||
	    !get_string(&call, value, "pinDir", pin_dir, sizeof(pin_dir)) ||
	    !get_property(&call, call.argument[0], "maxEntries", &sizes))
		return NULL;
	/* Another environment, a worker's, may be at the same. */
	if (!__sync_bool_compare_and_swap(&dataplane.owner, NULL, env))
		return fail_with(&call, EBUSY, "a dataplane is loaded already");
	if (!take_lock(&call, lock))
		goto out;
	LIBBPF_OPTS(bpf_object_open_opts, options, .pin_root_path = pin_dir);

	log_tail[0] = '\0';
	libbpf_set_print(keep_log);
	dataplane.object = bpf_object__open_file(object_path, &options);
	if (!dataplane.object) {
		fail_with_log(&call, errno, object_path);
		goto out;
	}
	dataplane.cpus = libbpf_num_possible_cpus();
	strcpy(dataplane.pin_dir, pin_dir);
	if (!set_sizes(&call, dataplane.object, sizes) ||
	    !choose_layout(&call, dataplane.object, &layout, &fresh) ||
	    !adopt_pins(&call, dataplane.object) ||
	    !set_constants(&call, dataplane.object, &layout, dataplane.cpus))
		goto out;
	err = bpf_object__load(dataplane.object);
	if (err) {
		fail_with_log(&call, -err, object_path);
		goto out;
	}
	if (!use_loaded(&call, &layout, fresh))
		goto out;
	return describe_maps(&call);
out:
	release();
	return NULL;
}

/* attach(ifindex): {adopted, mode}, mode as XDP_ATTACHED_*. The link outlives the process. */
static napi_value attach_program(napi_env env, napi_callback_info info)
{
	struct call call = call_begin(env, info, "attach");
	char path[PATH_MAX + 32];
	napi_value result, adopted;
	__u32 ifindex;
	int mode;

	if (!loaded(&call) || !get_u32(&call, call.argument[0], "ifindex", &ifindex))
		return NULL;
	link_path(path, sizeof(path), ifindex);
	mode = adopt_link(path, ifindex);
	napi_get_boolean(env, mode >= 0, &adopted);
	if (mode == -ENOLINK) {
		unlink(path);
		mode = -ENOENT;
	}
	if (mode == -ENOENT)
		mode = make_link(path, ifindex);
	if (mode < 0)
		return fail_with(&call, -mode, "ifindex %u", ifindex);
	napi_create_object(env, &result);
	set(&call, result, "adopted", adopted);
	set(&call, result, "mode", number_value(&call, mode));
	return result;
}

/* detach(ifindex): undefined. ENOENT if there is no pinned link. */
static napi_value detach_program(napi_env env, napi_callback_info info)
{
	struct call call = call_begin(env, info, "detach");
	char path[PATH_MAX + 32];
	__u32 ifindex;
	int fd, err;

	if (!loaded(&call) || !get_u32(&call, call.argument[0], "ifindex", &ifindex))
		return NULL;
	link_path(path, sizeof(path), ifindex);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return fail_with(&call, -fd, "%s", path);
	/* Removing the pin alone would leave the program on while anybody else holds the link. */
	err = bpf_link_detach(fd);
	close(fd);
	if (!err && unlink(path))
		err = -errno;
	return err ? fail_with(&call, -err, "%s", path) : NULL;
}

/* clock(): the tick of now, as a BigInt that does not wrap. */
static napi_value read_clock(napi_env env, napi_callback_info info)
{
	napi_value result;

	(void)info;
	napi_create_bigint_uint64(env, current_tick(), &result);
	return result;
}

/* testRun(frame, ifindex, repeat): {verdict, frame, durationNs}, the duration of one run on
 * average. */
static napi_value test_run(napi_env env, napi_callback_info info)
{
	struct call call = call_begin(env, info, "testRun");
	static __u8 out[FRAME_MAX + FRAME_GROWTH];
	napi_value result;
	struct bytes frame;
	__u32 ifindex, repeat;

	if (!loaded(&call) || !get_bytes(&call, call.argument[0], "frame", &frame) ||
	    !get_u32(&call, call.argument[1], "ifindex", &ifindex) ||
	    !get_u32(&call, call.argument[2], "repeat", &repeat))
		return NULL;
	if (frame.length > FRAME_MAX)
		return fail_with(&call, EINVAL, "the frame has %zu bytes, at most %d fit",
				 frame.length, FRAME_MAX);
	struct xdp_md context = {.data_end = frame.length, .ingress_ifindex = ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame.data, .data_size_in = frame.length,
		    .data_out = out, .data_size_out = sizeof(out), .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = repeat);

	if (bpf_prog_test_run_opts(dataplane.program, &run))
		return fail_with(&call, errno, "ifindex %u, %zu bytes", ifindex, frame.length);
	napi_create_object(env, &result);
	set(&call, result, "verdict", number_value(&call, run.retval));
	set(&call, result, "frame", bytes_value(&call, out, run.data_size_out));
	set(&call, result, "durationNs", number_value(&call, run.duration));
	return result;
}

NAPI_MODULE_INIT()
{
	static const struct {
		const char *name;
		napi_callback function;
	} functions[] = {
		{"load", load_dataplane},   {"close", close_dataplane},
		{"attach", attach_program}, {"detach", detach_program},
		{"mapLookup", map_lookup},  {"mapUpdate", map_update},
		{"mapDelete", map_delete},  {"mapKeys", map_keys},
		{"clock", read_clock},      {"testRun", test_run},
		{"submit", submit},         {"events", listen_to_events},
	};
	size_t i;

	for (i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		napi_value function;

		napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH,
				     functions[i].function, NULL, &function);
		napi_set_named_property(env, exports, functions[i].name, function);
	}
	napi_add_env_cleanup_hook(env, environment_ends, env);
	return exports;
}
