/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The maps of the director. All are pinned by name under /sys/fs/bpf/weir/v<WEIR_LAYOUT_VERSION>,
 * so they outlive the agent. The sizes here are the smallest that load; the agent raises them
 * before the first load.
 */
#ifndef WEIR_MAPS_H
#define WEIR_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "weir.h"

#define WEIR_PINNED __uint(pinning, LIBBPF_PIN_BY_NAME)

/* Constants of one load, set before it from the pinned weir_layout. */
const volatile __u64 weir_hash_key0 = 0;
const volatile __u64 weir_hash_key1 = 0;
const volatile __u32 weir_inbound4_buckets = 1;
const volatile __u32 weir_outbound4_buckets = 1;
const volatile __u64 weir_jiffy_ns = 4000000; /* 1 s / HZ */
/* Possible CPUs: each begins at its own share of the LIP:ports. */
const volatile __u32 weir_cpus = 1;

/* Session table. Written by XDP and by the agent's one writer thread: see table.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_inbound4_bucket);
	WEIR_PINNED;
} weir_inbound4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_outbound4_bucket);
	WEIR_PINNED;
} weir_outbound4 SEC(".maps");

/* Configuration. Written by the agent only, read by XDP. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_layout);
	WEIR_PINNED;
} weir_layouts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_node);
	WEIR_PINNED;
} weir_nodes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct weir_service_key);
	__type(value, __u32); /* index into weir_services */
	WEIR_PINNED;
} weir_service_index SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_service);
	WEIR_PINNED;
} weir_services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2); /* two rows for each service */
	__type(key, __u32);
	__type(value, struct weir_schedule);
	WEIR_PINNED;
} weir_schedules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_real_server);
	WEIR_PINNED;
} weir_real_servers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3); /* 0 the kernel, 1 towards clients, 2 + i towards real server i */
	__type(key, __u32);
	__type(value, struct weir_egress_group);
	WEIR_PINNED;
} weir_egress_groups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct weir_prefix);
	__type(value, __u32); /* WEIR_OWN_* */
	WEIR_PINNED;
} weir_prefixes SEC(".maps");

/* Tick until which the egress groups are known to be fresh: the agent renews it each 200 ms, one
 * second ahead. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
	WEIR_PINNED;
} weir_lease SEC(".maps");

/* The interfaces that frames may leave by, keyed by ifindex. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
	WEIR_PINNED;
} weir_devices SEC(".maps");

/* Written by XDP; the agent raises it too, when it merges. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64); /* highest generation made or seen here */
	WEIR_PINNED;
} weir_generation SEC(".maps");

/* Changes of sessions, for the other nodes: see weir.h. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* bytes */
	WEIR_PINNED;
} weir_events SEC(".maps");

/* How many misses a CPU has told of lately. */
struct weir_miss_budget {
	__u32 window; /* number of the time slice */
	__u32 told;   /* in it */
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_miss_budget);
} weir_miss_budgets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64); /* turns taken; one for each service */
	WEIR_PINNED;
} weir_turns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64); /* LIP:port candidates taken; 0 = not seeded yet */
	WEIR_PINNED;
} weir_lports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_counters);
	WEIR_PINNED;
} weir_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_traffic); /* index as weir_real_servers */
	WEIR_PINNED;
} weir_traffic SEC(".maps");

#endif
