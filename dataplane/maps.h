/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The maps of the director: those of the family's own tables, and those that both families share.
 * All are pinned by name under /sys/fs/bpf/weir/v<WEIR_LAYOUT_VERSION>, so they outlive the agent.
 * The sizes here are the smallest that load; the agent raises them before the first load.
 */
#ifndef WEIR_MAPS_H
#define WEIR_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "family.h"
#include "table_words.h"

#define WEIR_PINNED __uint(pinning, LIBBPF_PIN_BY_NAME)

/* The names of what each family has for itself. */
#if WEIR_WIDE
#define weir_inbound          weir_inbound6
#define weir_outbound         weir_outbound6
#define weir_inbound_buckets  weir_inbound6_buckets
#define weir_outbound_buckets weir_outbound6_buckets
#define weir_fragments        weir_fragments6
#else
#define weir_inbound          weir_inbound4
#define weir_outbound         weir_outbound4
#define weir_inbound_buckets  weir_inbound4_buckets
#define weir_outbound_buckets weir_outbound4_buckets
#define weir_fragments        weir_fragments4
#endif

/* Constants of one load, set before it from the pinned weir_layout. */
const volatile __u64 weir_hash_secret[WEIR_SECRET_MAX] = {};
const volatile __u32 weir_inbound_buckets = 1;
const volatile __u32 weir_outbound_buckets = 1;
const volatile __u64 weir_jiffy_ns = 4000000; /* 1 s / HZ */
/* Possible CPUs: each begins at its own share of the LIP:ports. */
const volatile __u32 weir_cpus = 1;

/* Session table. Written by XDP and by the agent's one writer thread: see table.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_inbound_bucket);
	WEIR_PINNED;
} weir_inbound SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_outbound_bucket);
	WEIR_PINNED;
} weir_outbound SEC(".maps");

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
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct weir_service_range);
	__type(value, __u32); /* index into weir_services */
	WEIR_PINNED;
} weir_service_ranges SEC(".maps");

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
	__uint(max_entries, WEIR_EGRESS_REALS + 1); /* see WEIR_EGRESS_* */
	__type(key, __u32);
	__type(value, struct weir_egress_group);
	WEIR_PINNED;
} weir_egress_groups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
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

/* What a CPU may do only so often: how much of it in the current time slice. */
struct weir_budget {
	__u32 window; /* number of the time slice */
	__u32 spent;  /* in it */
};
enum weir_budget_kind {
	WEIR_BUDGET_MISSES,  /* misses that the agent is told of */
	WEIR_BUDGET_ECHOES,  /* echo requests answered */
	WEIR_BUDGET_REPLIES, /* RST and ICMP errors sent */
	WEIR_BUDGETS,
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WEIR_BUDGETS);
	__type(key, __u32);
	__type(value, struct weir_budget);
	WEIR_PINNED;
} weir_budgets SEC(".maps");

/* The programs that the attached one hands packets to: WEIR_STAGE_*. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, WEIR_STAGES);
	__type(key, __u32);
	__type(value, __u32);
	WEIR_PINNED;
} weir_stages SEC(".maps");

/* A datagram of which fragments are forwarded: made by its first one, which alone has ports. */
struct weir_fragment_key {
	weir_ip saddr;
	weir_ip daddr;
	__u32 id;
	__u8 proto; /* 0 for IPv6, where it is the first fragment's (RFC 8200 section 4.5) */
	__u8 pad[3];
};
#define WEIR_PIECES_MAX 8
struct weir_piece {
	__u16 begin; /* in units of 8 bytes */
	__u16 end;   /* the unit behind it */
};
struct weir_datagram {
	__u32 tick;  /* of the first fragment */
	__u16 units; /* in all; 0 = the last fragment is still to come */
	__u8 outbound;
	__u8 poisoned; /* two fragments overlap: none of it is forwarded any more */
	__u8 pieces;
	__u8 pad[7];
	struct weir_piece piece[WEIR_PIECES_MAX]; /* what has been seen, in no order, joined */
	struct weir_entry entry;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct weir_fragment_key);
	__type(value, struct weir_datagram);
	WEIR_PINNED;
} weir_fragments SEC(".maps");

/* What the next stage is to do with the packet: written just before it is handed on. */
struct weir_order {
	__u32 reply; /* WEIR_REPLY_* */
	__u32 mtu;   /* of the way that the packet was too big for */
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_order);
	WEIR_PINNED;
} weir_orders SEC(".maps");

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
