/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The addon's access to the elements of any map: bytes in, bytes out, lengths checked against the
 * map. */
#ifndef WEIR_ADDON_MAPS_H
#define WEIR_ADDON_MAPS_H

#include <stdlib.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "addon_state.h"
#include "addon_call.h"

/* {name: {keySize, valueSize, maxEntries}} of all maps. */
static napi_value describe_maps(struct call *call)
{
	napi_value maps, one;
	struct bpf_map *map;

	napi_create_object(call->env, &maps);
	for (size_t i = 0; i < dataplane.objects_len; i++) {
		bpf_object__for_each_map(map, dataplane.objects[i])
		{
			napi_create_object(call->env, &one);
			set(call, one, "keySize", number_value(call, bpf_map__key_size(map)));
			set(call, one, "valueSize", number_value(call, bpf_map__value_size(map)));
			set(call, one, "maxEntries", number_value(call, bpf_map__max_entries(map)));
			set(call, maps, bpf_map__name(map), one);
		}
	}
	return maps;
}

/* The first argument: a map's name. */
static struct bpf_map *get_map(struct call *call)
{
	struct bpf_map *map;

	if (!loaded(call) ||
	    !get_string(call, call->argument[0], "map name", call->object, sizeof(call->object)))
		return NULL;
	map = find_map(call->object);
	return map ? map : fail_with(call, ENOENT, "there is no such map");
}

/* Of one element as the kernel copies it: a per-CPU map has a value for each possible CPU, each
 * rounded up to 8 bytes. */
static size_t value_bytes(const struct bpf_map *map)
{
	size_t size = bpf_map__value_size(map);

	switch (bpf_map__type(map)) {
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_PERCPU_HASH:
		return ((size + 7) & ~7ul) * dataplane.cpus;
	default:
		return size;
	}
}

/* mapLookup(map, key): Buffer, of a per-CPU map one value after another. ENOENT. */
static napi_value map_lookup(napi_env env, napi_callback_info info)
{
	struct call call = call_begin(env, info, "mapLookup");
	struct bpf_map *map = get_map(&call);
	napi_value result = NULL;
	struct bytes key;
	void *value;

	if (!map || !get_exact_bytes(&call, call.argument[1], "key", bpf_map__key_size(map), &key))
		return NULL;
	if (napi_create_buffer(env, value_bytes(map), &value, &result) != napi_ok)
		return fail_with(&call, ENOMEM, "%zu bytes", value_bytes(map));
	if (bpf_map_lookup_elem(bpf_map__fd(map), key.data, value))
		return fail(&call, errno);
	return result;
}

/* mapUpdate(map, key, value): undefined. E2BIG if it is full. */
static napi_value map_update(napi_env env, napi_callback_info info)
{
	struct call call = call_begin(env, info, "mapUpdate");
	struct bpf_map *map = get_map(&call);
	struct bytes key, value;

	if (!map ||
	    !get_exact_bytes(&call, call.argument[1], "key", bpf_map__key_size(map), &key) ||
	    !get_exact_bytes(&call, call.argument[2], "value", value_bytes(map), &value))
		return NULL;
	if (bpf_map_update_elem(bpf_map__fd(map), key.data, value.data, BPF_ANY))
		return fail(&call, errno);
	return NULL;
}

/* mapDelete(map, key): undefined. ENOENT. */
static napi_value map_delete(napi_env env, napi_callback_info info)
{
	struct call call = call_begin(env, info, "mapDelete");
	struct bpf_map *map = get_map(&call);
	struct bytes key;

	if (!map || !get_exact_bytes(&call, call.argument[1], "key", bpf_map__key_size(map), &key))
		return NULL;
	if (bpf_map_delete_elem(bpf_map__fd(map), key.data))
		return fail(&call, errno);
	return NULL;
}

/* mapKeys(map): Buffer with one key after another. Only the agent adds keys, so the walk sees each
 * of them once. */
static napi_value map_keys(napi_env env, napi_callback_info info)
{
	struct call call = call_begin(env, info, "mapKeys");
	struct bpf_map *map = get_map(&call);
	napi_value result = NULL;
	size_t size, count = 0;
	__u8 *keys;
	int err;

	if (!map)
		return NULL;
	size = bpf_map__key_size(map);
	keys = malloc(size * bpf_map__max_entries(map));
	if (!keys)
		return fail_with(&call, ENOMEM, "%u keys", bpf_map__max_entries(map));
	do {
		void *previous = count ? keys + (count - 1) * size : NULL;

		err = bpf_map_get_next_key(bpf_map__fd(map), previous, keys + count * size);
	} while (!err && ++count < bpf_map__max_entries(map));
	if (!err || err == -ENOENT)
		result = bytes_value(&call, keys, count * size);
	else
		fail(&call, -err);
	free(keys);
	return result;
}

#endif
