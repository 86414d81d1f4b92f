/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * How a load meets what an earlier agent has pinned: maps are adopted if they are exactly what this
 * load would make, and the programs get the hash key and the bucket counts with which the pinned
 * tables were filled.
 *
 * Functions return false with a JavaScript exception pending.
 */
#ifndef WEIR_ADDON_PINS_H
#define WEIR_ADDON_PINS_H

#include <stdlib.h>
#include <unistd.h>
#include <sys/random.h>
#include <time.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "weir.h"
#include "addon_call.h"
#include "addon_clock.h"
#include "addon_state.h"
#include "table_words.h"

#define MAP_NAME_BYTES 64
#define LOG_TAIL_BYTES 8192 /* of libbpf's messages: the verifier says last what is wrong */

static char log_tail[LOG_TAIL_BYTES];

static int keep_log(enum libbpf_print_level level, const char *format, va_list args)
{
	size_t used = strlen(log_tail), length, room = sizeof(log_tail) - 1;
	char *text;

	if (level == LIBBPF_DEBUG || vasprintf(&text, format, args) < 0)
		return 0;
	length = strlen(text);
	if (length > room) {
		memmove(text, text + length - room, room + 1);
		length = room;
	}
	if (used + length > room) {
		size_t cut = used + length - room;

		memmove(log_tail, log_tail + cut, used - cut);
		used -= cut;
	}
	memcpy(log_tail + used, text, length + 1);
	free(text);
	return 0;
}

/* Throws EEXIST with `mismatch`, {map, property, found, wanted}, if a pin is not what this load
 * would make. */
static bool same(struct call *call, const char *map, const char *property, __u32 found,
		 __u32 wanted)
{
	char detail[256];
	napi_value error, mismatch;

	if (found == wanted)
		return true;
	snprintf(detail, sizeof(detail), "pinned %s has %s %u, wanted is %u", map, property, found,
		 wanted);
	napi_create_object(call->env, &mismatch);
	set(call, mismatch, "map", string_value(call, map));
	set(call, mismatch, "property", string_value(call, property));
	set(call, mismatch, "found", number_value(call, found));
	set(call, mismatch, "wanted", number_value(call, wanted));
	error = make_error(call, EEXIST, detail);
	set(call, error, "mismatch", mismatch);
	napi_throw(call->env, error);
	return false;
}

/* Throws with `log`, the end of what libbpf and the verifier said. */
static bool fail_with_log(struct call *call, int errnum, const char *path)
{
	napi_value error = make_error(call, errnum, path);

	set(call, error, "log", string_value(call, log_tail));
	napi_throw(call->env, error);
	return false;
}

/* In all objects that have the map. */
static bool set_size(struct call *call, const char *name, __u32 max_entries)
{
	bool found = false;

	for (size_t i = 0; i < dataplane.objects_len; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(dataplane.objects[i], name);

		if (map)
			bpf_map__set_max_entries(map, max_entries);
		found |= map != NULL;
	}
	return found || fail_with(call, ENOENT, "no object has a map %s", name);
}

static bool set_sizes(struct call *call, napi_value sizes)
{
	napi_value names, key, value;
	uint32_t count, i;

	if (napi_get_property_names(call->env, sizes, &names) != napi_ok)
		return fail_with(call, EINVAL, "maxEntries is not an object");
	napi_get_array_length(call->env, names, &count);
	for (i = 0; i < count; i++) {
		char name[MAP_NAME_BYTES];
		__u32 max_entries;

		napi_get_element(call->env, names, i, &key);
		if (!get_string(call, key, "map name", name, sizeof(name)))
			return false;
		napi_get_property(call->env, sizes, key, &value);
		if (!get_u32(call, value, name, &max_entries) || !set_size(call, name, max_entries))
			return false;
	}
	return true;
}

/*
 * Has the object use the maps that are pinned already. libbpf would do this too, but does not tell
 * which size differs, and version 1.1 refuses each pinned devmap, because the kernel adds a flag to
 * it (BPF_F_RDONLY_PROG).
 */
static bool adopt_pins(struct call *call, struct bpf_object *object)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
	{
		const char *name = bpf_map__name(map), *path = bpf_map__pin_path(map);
		struct bpf_map_info info = {};
		__u32 length = sizeof(info);
		int fd, err;

		if (!path)
			continue;
		fd = bpf_obj_get(path);
		if (fd == -ENOENT)
			continue;
		if (fd < 0)
			return fail_with(call, -fd, "%s", path);
		err = bpf_obj_get_info_by_fd(fd, &info, &length);
		if (!err &&
		    !(same(call, name, "type", info.type, bpf_map__type(map)) &&
		      same(call, name, "key_size", info.key_size, bpf_map__key_size(map)) &&
		      same(call, name, "value_size", info.value_size, bpf_map__value_size(map)) &&
		      same(call, name, "max_entries", info.max_entries,
			   bpf_map__max_entries(map)))) {
			close(fd);
			return false;
		}
		if (!err)
			err = bpf_map__reuse_fd(map, fd);
		if (!err)
			err = bpf_map__set_pin_path(
				map, NULL); /* it is pinned: nothing left to do for libbpf */
		close(fd);
		if (err)
			return fail_with(call, -err, "%s", path);
	}
	return true;
}

/* The sizes in struct weir_layout, and the maps that have them. */
static const struct {
	const char *map, *name;
	size_t offset;
} layout_sizes[] = {
	{"weir_inbound4", "inbound4_buckets", offsetof(struct weir_layout, inbound4_buckets)},
	{"weir_outbound4", "outbound4_buckets", offsetof(struct weir_layout, outbound4_buckets)},
	{"weir_inbound6", "inbound6_buckets", offsetof(struct weir_layout, inbound6_buckets)},
	{"weir_outbound6", "outbound6_buckets", offsetof(struct weir_layout, outbound6_buckets)},
	{"weir_services", "services_max", offsetof(struct weir_layout, services_max)},
};
#define LAYOUT_SIZES (sizeof(layout_sizes) / sizeof(layout_sizes[0]))

static __u32 *layout_size(struct weir_layout *layout, size_t i)
{
	return (__u32 *)((char *)layout + layout_sizes[i].offset);
}

/* The layout that the pinned tables were made with, or a new one. `*fresh` = it has to be written
 * after the load. */
static bool choose_layout(struct call *call, struct weir_layout *layout, bool *fresh)
{
	struct bpf_map *layouts = find_map("weir_layouts");
	struct weir_layout wanted = {.version = WEIR_LAYOUT_VERSION};
	struct timespec made;
	__u32 zero = 0;
	int fd, err;

	if (!layouts)
		return fail_with(call, EINVAL, "no object has a map weir_layouts");
	for (size_t i = 0; i < LAYOUT_SIZES; i++) {
		struct bpf_map *map = find_map(layout_sizes[i].map);

		if (!map)
			return fail_with(call, EINVAL, "no object has a map %s",
					 layout_sizes[i].map);
		*layout_size(&wanted, i) = bpf_map__max_entries(map);
	}

	/* An agent that died before its load was complete left zeros, and empty tables. */
	*layout = (struct weir_layout){};
	fd = bpf_obj_get(bpf_map__pin_path(layouts));
	if (fd < 0 && fd != -ENOENT)
		return fail_with(call, -fd, "%s", bpf_map__pin_path(layouts));
	if (fd >= 0) {
		struct bpf_map_info info = {};
		__u32 length = sizeof(info);

		/* The kernel copies as many bytes as the map has, whatever there is room for. */
		err = bpf_obj_get_info_by_fd(fd, &info, &length);
		if (!err && info.value_size == sizeof(*layout))
			err = bpf_map_lookup_elem(fd, &zero, layout);
		close(fd);
		if (err)
			return fail_with(call, -err, "weir_layouts");
		if (!same(call, "weir_layouts", "value_size", info.value_size, sizeof(*layout)))
			return false;
	}
	*fresh = layout->version == 0;
	if (*fresh) {
		clock_gettime(CLOCK_REALTIME, &made);
		*layout = wanted;
		layout->incarnation = made.tv_sec * 1000000000ULL + made.tv_nsec;
		if (getrandom(layout->hash_key, sizeof(layout->hash_key), 0) < 0)
			return fail_with(call, errno, "getrandom");
	}
	if (!same(call, "weir_layouts", "version", layout->version, wanted.version))
		return false;
	for (size_t i = 0; i < LAYOUT_SIZES; i++) {
		if (!same(call, "weir_layouts", layout_sizes[i].name, *layout_size(layout, i),
			  *layout_size(&wanted, i)))
			return false;
	}
	return true;
}

struct constant {
	const char *name; /* of a `const volatile` variable of the programs */
	const void *value;
	size_t size;
	const char *map; /* NULL = every object has this constant; else those with this map */
};

/* Where the constant stands in .rodata; -1 = the object has no such constant of this size. */
static long find_constant(const struct btf *btf, const struct constant *constant)
{
	int id = btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC), i;
	const struct btf_type *section = id < 0 ? NULL : btf__type_by_id(btf, id);

	for (i = 0; section && i < btf_vlen(section); i++) {
		const struct btf_var_secinfo *place = btf_var_secinfos(section) + i;
		const struct btf_type *variable = btf__type_by_id(btf, place->type);

		if (place->size == constant->size &&
		    !strcmp(btf__name_by_offset(btf, variable->name_off), constant->name))
			return place->offset;
	}
	return -1;
}

static bool set_constants(struct call *call, struct bpf_object *object,
			  const struct weir_layout *layout, __u32 cpus)
{
	const __u64 jiffy = jiffy_ns();
	__u64 secret[WEIR_SECRET_MAX];
	const struct constant constants[] = {
		{"weir_hash_secret", secret, sizeof(secret), NULL},
		{"weir_inbound4_buckets", &layout->inbound4_buckets, sizeof(__u32),
		 "weir_inbound4"},
		{"weir_outbound4_buckets", &layout->outbound4_buckets, sizeof(__u32),
		 "weir_outbound4"},
		{"weir_inbound6_buckets", &layout->inbound6_buckets, sizeof(__u32),
		 "weir_inbound6"},
		{"weir_outbound6_buckets", &layout->outbound6_buckets, sizeof(__u32),
		 "weir_outbound6"},
		{"weir_cpus", &cpus, sizeof(cpus), NULL},
		{"weir_jiffy_ns", &jiffy, sizeof(jiffy), NULL},
	};
	struct bpf_map *map, *rodata = NULL;
	const void *initial;
	size_t size, i;
	__u8 *image;
	int err;

	weir_make_secret(layout->hash_key, secret);
	bpf_object__for_each_map(map, object)
	{
		const char *suffix = strstr(bpf_map__name(map), ".rodata");

		if (suffix && !strcmp(suffix, ".rodata"))
			rodata = map;
	}
	initial = rodata ? bpf_map__initial_value(rodata, &size) : NULL;
	image = initial ? malloc(size) : NULL;
	if (!image)
		return fail_with(call, initial ? ENOMEM : EINVAL, ".rodata");
	memcpy(image, initial, size);
	for (i = 0; i < sizeof(constants) / sizeof(constants[0]); i++) {
		long offset = find_constant(bpf_object__btf(object), &constants[i]);

		if (constants[i].map && !bpf_object__find_map_by_name(object, constants[i].map))
			continue;
		if (offset < 0 || offset + constants[i].size > size) {
			free(image);
			return fail_with(call, EINVAL, "the object has no constant %s of %zu bytes",
					 constants[i].name, constants[i].size);
		}
		memcpy(image + offset, constants[i].value, constants[i].size);
	}
	err = bpf_map__set_initial_value(rodata, image, size);
	free(image);
	if (err)
		return fail_with(call, -err, ".rodata");
	return true;
}

#endif
