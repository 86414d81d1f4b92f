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
#include <sys/mman.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "addon_call.h"
#include "addon_clock.h"
#include "addon_events.h"
#include "addon_jobs.h"
#include "addon_links.h"
#include "addon_maps.h"
#include "addon_pins.h"
#include "addon_run.h"
#include "addon_state.h"
#include "table_family.h"
#include "weir.h"

#define PROGRAM "weir_director" /* is attached; hands packets to those of weir_stages */

/* The threads have ended. */
static void release(void)
{
	if (dataplane.mapped) {
		weir_narrow.unmap();
		weir_wide.unmap();
	}
	weir_generation_use(NULL);
	if (dataplane.generation)
		munmap(dataplane.generation, sysconf(_SC_PAGESIZE));
	while (dataplane.objects_len)
		bpf_object__close(dataplane.objects[--dataplane.objects_len]);
	if (dataplane.lock >= 0)
		close(dataplane.lock);
	dataplane.mapped = false;
	dataplane.generation = NULL;
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

/* Opens the objects that JavaScript names, in this order. */
static bool open_objects(struct call *call, napi_value paths)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .pin_root_path = dataplane.pin_dir);
	char path[PATH_MAX];
	napi_value value;
	uint32_t count;

	if (napi_get_array_length(call->env, paths, &count) != napi_ok || !count ||
	    count > OBJECTS_MAX)
		return fail_with(call, EINVAL, "objects is not an array of 1 to %d paths",
				 OBJECTS_MAX);
	for (uint32_t i = 0; i < count; i++) {
		struct bpf_object *object;

		napi_get_element(call->env, paths, i, &value);
		if (!get_string(call, value, "object", path, sizeof(path)))
			return false;
		object = bpf_object__open_file(path, &options);
		if (!object)
			return fail_with_log(call, errno, path);
		dataplane.objects[dataplane.objects_len++] = object;
	}
	return true;
}

/* Has the kernel take the objects, as far as nothing that is pinned speaks against it. */
static bool load_objects(struct call *call, const struct weir_layout *layout)
{
	for (size_t i = 0; i < dataplane.objects_len; i++) {
		if (!adopt_pins(call, dataplane.objects[i]) ||
		    !set_constants(call, dataplane.objects[i], layout, dataplane.cpus))
			return false;
	}
	for (size_t i = 0; i < dataplane.objects_len; i++) {
		struct bpf_object *object = dataplane.objects[i];
		int err;

		/* What the ones before have pinned. */
		if (!adopt_pins(call, object))
			return false;
		err = bpf_object__load(object);
		if (err)
			return fail_with_log(call, -err, bpf_object__name(object));
	}
	return true;
}

/* Maps the tables, and the word of the generation that XDP shares. */
static bool map_memory(struct call *call, const struct weir_layout *layout)
{
	void *generation = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED,
				map_fd("weir_generation"), 0);
	int err;

	if (generation == MAP_FAILED)
		return fail_with(call, errno, "mapping weir_generation");
	dataplane.generation = generation;
	madvise(generation, sysconf(_SC_PAGESIZE), MADV_DONTFORK);
	weir_generation_use(generation);
	dataplane.mapped = true;
	err = weir_narrow.map(map_fd("weir_inbound4"), map_fd("weir_outbound4"), layout);
	if (!err)
		err = weir_wide.map(map_fd("weir_inbound6"), map_fd("weir_outbound6"), layout);
	return !err || fail_with(call, -err, "mapping the session table");
}

/* Puts the programs that the attached one hands packets to where it looks for them. */
static bool fill_stages(struct call *call)
{
	static const char *const names[WEIR_STAGES] = {
		[WEIR_STAGE_DIRECTOR6] = "weir_director6",
		[WEIR_STAGE_ICMP4] = "weir_icmp4",
		[WEIR_STAGE_ICMP6] = "weir_icmp6",
		[WEIR_STAGE_FRAGMENT4] = "weir_fragment4",
		[WEIR_STAGE_FRAGMENT6] = "weir_fragment6",
		[WEIR_STAGE_REPLY4] = "weir_reply4",
		[WEIR_STAGE_REPLY6] = "weir_reply6",
	};

	for (__u32 stage = 0; stage < WEIR_STAGES; stage++) {
		struct bpf_program *program = find_program(names[stage]);
		int fd = program ? bpf_program__fd(program) : -1;

		if (program && bpf_map_update_elem(map_fd("weir_stages"), &stage, &fd, BPF_ANY))
			return fail_with(call, errno, "weir_stages: %s", names[stage]);
	}
	return true;
}

/* After the kernel has taken the objects: completes what fresh pins lack, and takes hold. */
static bool use_loaded(struct call *call, const struct weir_layout *layout, bool fresh)
{
	struct bpf_program *program = find_program(PROGRAM);
	__u32 zero = 0;
	int err;

	if (!program)
		return fail_with(call, ENOENT, "no object has a program %s", PROGRAM);
	dataplane.program = bpf_program__fd(program);
	if (fresh && bpf_map_update_elem(map_fd("weir_layouts"), &zero, layout, BPF_ANY))
		return fail_with(call, errno, "weir_layouts");
	if (!fill_stages(call) || !map_memory(call, layout))
		return false;
	err = writer_start(call->env);
	return !err || fail_with(call, -err, "the writer thread");
}

/*
 * load({lock, objects, pinDir, maxEntries: {map: n}}): {map: {keySize, valueSize, maxEntries}} of
 * all maps. What is pinned in pinDir is adopted, the rest is made and pinned there; so the objects
 * share it. EAGAIN if another process has the lock; EEXIST if what is pinned does not fit; nothing
 * has changed then.
 */
static napi_value load_dataplane(napi_env env, napi_callback_info info)
{
	struct call call = call_begin(env, info, "load");
	char lock[PATH_MAX], pin_dir[PATH_MAX];
	struct weir_layout layout;
	napi_value value, paths, sizes;
	bool fresh;

	if (!get_property(&call, call.argument[0], "lock", &value) ||
	    !get_string(&call, value, "lock", lock, sizeof(lock)) ||
	    !get_property(&call, call.argument[0], "objects", &paths) ||
	    !get_property(&call, call.argument[0], "pinDir", &value) ||
	    !get_string(&call, value, "pinDir", pin_dir, sizeof(pin_dir)) ||
	    !get_property(&call, call.argument[0], "maxEntries", &sizes))
		return NULL;
	/* Another environment, a worker's, may be at the same. */
	if (!__sync_bool_compare_and_swap(&dataplane.owner, NULL, env))
		return fail_with(&call, EBUSY, "a dataplane is loaded already");
	if (!take_lock(&call, lock))
		goto out;
	log_tail[0] = '\0';
	libbpf_set_print(keep_log);
	dataplane.cpus = libbpf_num_possible_cpus();
	strcpy(dataplane.pin_dir, pin_dir);
	if (!open_objects(&call, paths) || !set_sizes(&call, sizes) ||
	    !choose_layout(&call, &layout, &fresh) || !load_objects(&call, &layout) ||
	    !use_loaded(&call, &layout, fresh))
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

NAPI_MODULE_INIT()
{
	static const struct {
		const char *name;
		napi_callback function;
	} functions[] = {
		{"load", load_dataplane},
		{"close", close_dataplane},
		{"attach", attach_program},
		{"detach", detach_program},
		{"mapLookup", map_lookup},
		{"mapUpdate", map_update},
		{"mapDelete", map_delete},
		{"mapKeys", map_keys},
		{"clock", read_clock},
		{"testRun", test_run},
		{"submit", submit},
		{"events", listen_to_events},
		{"testRunMany", test_run_many},
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
