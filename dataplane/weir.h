/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The memory that the XDP program and user space share. This file is the one source of these
 * layouts: the TypeScript side (src/node/layout.ts) is generated from the BTF that clang makes of
 * it.
 *
 * Byte order: __be16 and __be32 are as on the wire, everything else is the host's. Addresses in
 * configuration maps are 16 bytes (IPv4 as ::ffff:a.b.c.d, RFC 4291 section 2.5.5.2). The session
 * table has one instance for each width of its keys: the narrow one (names end in 4) has the
 * sessions whose client and real server both speak IPv4, the wide one (6) all others; there IPv4
 * addresses are mapped as above. Time is counted in ticks of 2^20 ns (1.05 ms) of the
 * kernel's jiffies, which cost nothing to read in XDP (the coarse monotonic clock: 18 ns). The
 * table holds the lower 32 bits, compared by signed difference.
 */
#ifndef WEIR_H
#define WEIR_H

#ifndef __BPF__
#include <linux/types.h>
#endif

/* Pins live under /sys/fs/bpf/weir/v<this>. It rises with every change of a layout in this file. */
#define WEIR_LAYOUT_VERSION 4

#define WEIR_SLOTS            7  /* slots in a bucket; the eighth line holds the heads */
#define WEIR_TICK_SHIFT       20 /* ns >> WEIR_TICK_SHIFT = ticks */
#define WEIR_TICKS_PER_SECOND 954
/* A prime: the size of a maglev table (Maglev, NSDI 2016, section 3.4). */
#define WEIR_SCHEDULE_SIZE   16381
#define WEIR_HOPS_MAX        8  /* routers in one egress group */
#define WEIR_EGRESS_KERNEL   0  /* the egress group that asks the kernel's FIB for each packet */
#define WEIR_EGRESS_CLIENTS4 1  /* the group towards IPv4 clients */
#define WEIR_EGRESS_CLIENTS6 2  /* the group towards IPv6 clients */
#define WEIR_EGRESS_REALS    3  /* the group towards real server 0; those of the others follow */
#define WEIR_PORT_PROBES     16 /* LIP:port candidates that one SYN may try */
/* Data seen later than this after a RST restores a session. */
#define WEIR_RESET_GRACE_TICKS (2 * WEIR_TICKS_PER_SECOND)

/* The states of a slot's head. From WEIR_LIVE on, the slot is occupied; a later state is a higher
 * number. */
#define WEIR_EMPTY       0
#define WEIR_BUSY        1 /* being written: its owner publishes it soon */
#define WEIR_DEAD        2 /* deleted: the sweep empties it a pass (at least 1 s) later */
#define WEIR_LIVE        3
#define WEIR_SYN         3 /* the client's SYN, or its first datagram, has gone to the real server */
#define WEIR_SYNACK      4 /* the real server's SYN/ACK has gone to the client */
#define WEIR_ESTABLISHED 5 /* the real server has sent a datagram, or a segment but SYN or RST */
#define WEIR_FIN_ONE     6 /* one side has sent its FIN */
#define WEIR_FIN_BOTH    7 /* both sides have */
#define WEIR_HELD        8 /* expired, but its LIP:port is not given out again for a while */

/* The 16 flags of a head. Bits 12 to 15 hold the forwarding mode, which never changes during a
 * session. */
#define WEIR_FLAG_FIN_CLIENT 0x0001
#define WEIR_FLAG_FIN_REAL   0x0002
#define WEIR_FLAG_RST_REAL   0x0004 /* the real server has sent a RST */
#define WEIR_FLAG_SHARED     0x0008 /* the other nodes are told of this session */
#define WEIR_MODE_SHIFT      12
#define WEIR_MODE_FULLNAT    0

/* A slot's head: fingerprint 16 | version 24 | flags 16 | state 8. The version rises at each change
 * of occupant, so a compare-and-swap with an old head never touches another session. See table.h
 * for the protocol. */
#define WEIR_HEAD(fingerprint, version, flags, state)                                              \
	((__u64)(fingerprint) << 48 | ((__u64)(version) & 0xffffff) << 24 | (__u64)(flags) << 8 |  \
	 (state))
#define WEIR_HEAD_STATE(head)       ((__u8)(head))
#define WEIR_HEAD_FLAGS(head)       ((__u16)((head) >> 8))
#define WEIR_HEAD_VERSION(head)     ((__u32)((head) >> 24) & 0xffffff)
#define WEIR_HEAD_FINGERPRINT(head) ((__u16)((head) >> 48))
#define WEIR_HEAD_IDENTITY(head)    ((head) >> 24) /* fingerprint and version: who lives here */

/* A fact that XDP learns once: {slot version 24 | valid 8 | value 32}, set by one compare-and-swap,
 * so that a program that stalled cannot write into the slot's next occupant. */
#define WEIR_FACT_VALID 0x01
#define WEIR_FACT(version, value)                                                                  \
	((__u64)((version) & 0xffffff) << 40 | (__u64)WEIR_FACT_VALID << 32 | (__u32)(value))

struct weir_address {
	__be32 word[4];
};

/* One direction of a flow, as its packets carry it. Compared as 64-bit words. */
struct weir_key4 {
	__be32 saddr;
	__be32 daddr;
	__be16 sport;
	__be16 dport;
	__u8 proto;
	__u8 pad[3];
} __attribute__((aligned(8)));
_Static_assert(sizeof(struct weir_key4) == 16, "two words");

struct weir_key6 {
	struct weir_address saddr;
	struct weir_address daddr;
	__be16 sport;
	__be16 dport;
	__u8 proto;
	__u8 pad[3];
} __attribute__((aligned(8)));
_Static_assert(sizeof(struct weir_key6) == 40, "five words");

/*
 * What a packet needs, in one cache line. In the inbound table the key is client -> virtual service
 * and the new tuple is LIP -> real server; in the outbound table the key is real server -> LIP and
 * the new tuple is virtual service -> client. The new tuple reversed is therefore the other entry's
 * key. Written whole while the slot is BUSY; afterwards only ticks (plain stores; `seen` at most
 * once a second) and the facts change.
 */
struct weir_entry4 {
	struct weir_key4 key;
	__u64 generation; /* names the session; hybrid logical clock of its origin, ns */
	__be32 new_saddr;
	__be32 new_daddr;
	__be16 new_sport;
	__be16 new_dport;
	__u16 l3_delta; /* constant checksum differences (RFC 1624); l3 includes TTL - 1 */
	__u16 l4_delta;
	__u64 sequence_fact;  /* SYNPROXY's sequence difference */
	__u64 timestamp_fact; /* SYNPROXY's timestamp difference */
	__u32 seen;           /* tick of the last packet */
	__u16 egress;         /* egress group, index into weir_egress_groups */
	__u16 real;           /* index into weir_real_servers */
};
_Static_assert(sizeof(struct weir_entry4) == 64, "one cache line");

struct weir_entry6 {
	struct weir_key6 key;
	__u64 generation;
	struct weir_address new_saddr;
	struct weir_address new_daddr;
	__be16 new_sport;
	__be16 new_dport;
	__u16 l3_delta; /* 0: IPv6 has no such checksum, and a translated IPv4 header gets a new one
			 */
	__u16 l4_delta;
	__u64 sequence_fact;
	__u64 timestamp_fact;
	__u32 seen;
	__u16 egress;
	__u16 real;
	__u64 spare[2];
};
_Static_assert(sizeof(struct weir_entry6) == 128, "two cache lines");

/* The outbound entry is the truth about a session. Its second line is for transitions. */
struct weir_truth4 {
	struct weir_entry4 entry;
	__u64 supersedes; /* highest generation of the client key before it; 0 = none */
	__u32 origin;     /* the node that allocated LIP:port */
	__u32 reset;      /* tick of the last RST; 0 = none */
	__u64 client_isn_fact;
	__u64 real_isn_fact;
	__u64 client_fin_fact; /* sequence number at the client's FIN */
	__u64 real_fin_fact;
	__u64 options_fact; /* MSS and window scales */
	__u32 changed;      /* tick of the last change of state, flags or facts; HELD: until when */
	__u32 synced; /* tick of the last record sent or merged; before `changed`: to be sent */
};
_Static_assert(sizeof(struct weir_truth4) == 128, "two cache lines");

struct weir_truth6 {
	struct weir_entry6 entry;
	__u64 supersedes;
	__u32 origin;
	__u32 reset;
	__u64 client_isn_fact;
	__u64 real_isn_fact;
	__u64 client_fin_fact;
	__u64 real_fin_fact;
	__u64 options_fact;
	__u32 changed;
	__u32 synced;
};
_Static_assert(sizeof(struct weir_truth6) == 192, "three cache lines");

/* Seven slots, then one line with their heads. Nobody uses the spare word. */
struct weir_inbound4_bucket {
	struct weir_entry4 slot[WEIR_SLOTS];
	__u64 head[WEIR_SLOTS];
	__u64 spare;
};
_Static_assert(sizeof(struct weir_inbound4_bucket) == 512, "eight lines");

struct weir_outbound4_bucket {
	struct weir_truth4 slot[WEIR_SLOTS];
	__u64 head[WEIR_SLOTS];
	__u64 spare;
};
_Static_assert(sizeof(struct weir_outbound4_bucket) == 960, "fifteen lines");

struct weir_inbound6_bucket {
	struct weir_entry6 slot[WEIR_SLOTS];
	__u64 head[WEIR_SLOTS];
	__u64 spare;
};
_Static_assert(sizeof(struct weir_inbound6_bucket) == 960, "fifteen lines");

struct weir_outbound6_bucket {
	struct weir_truth6 slot[WEIR_SLOTS];
	__u64 head[WEIR_SLOTS];
	__u64 spare;
};
_Static_assert(sizeof(struct weir_outbound6_bucket) == 1408, "twenty-two lines");

/* One session as the snapshot copies it out of the outbound table. */
struct weir_record4 {
	__u64 head;
	struct weir_truth4 truth;
};
_Static_assert(sizeof(struct weir_record4) == 136, "packed by nature");

struct weir_record6 {
	__u64 head;
	struct weir_truth6 truth;
};
_Static_assert(sizeof(struct weir_record6) == 200, "");

/* Written by whoever creates the pins, read by every later agent: what must be the same for the
 * pinned tables to mean anything. */
struct weir_layout {
	__u32 version; /* WEIR_LAYOUT_VERSION */
	__u32 inbound4_buckets;
	__u32 outbound4_buckets;
	__u32 inbound6_buckets;
	__u32 outbound6_buckets;
	__u32 services_max;
	__u64 hash_key[2]; /* random, so that nobody can aim flows at one bucket: weir_make_secret()
			    */
	__u64 incarnation; /* when the pins were made, ns since 1970: names one run of a node's
			      dataplane */
};
_Static_assert(sizeof(struct weir_layout) == 48, "");

/* What becomes of packets to a VIP that has no service on their port. */
#define WEIR_UNKNOWN_DROP   0
#define WEIR_UNKNOWN_REJECT 1 /* TCP: RST; UDP: ICMP port unreachable (RFC 9293, RFC 1122) */

/* What becomes of packets with IPv4 options, or with IPv6 hop-by-hop, routing or destination
 * options headers. */
#define WEIR_OPTIONS_PASS 0 /* forwarded with them */
#define WEIR_OPTIONS_DROP 1

/* Where the node stands. Written by the agent before the program is attached and at reload. */
struct weir_node {
	__be32 aggregate4; /* covers the pools of all nodes; destinations within it are looked up as
			      outbound */
	__be32 aggregate4_mask;
	__u32 pool4; /* host order: first LIP of this node's own pool */
	__u32 pool4_size;
	__u16 port_min; /* host order, both inclusive */
	__u16 port_max;
	__u32 origin;          /* this node's number */
	__s64 realtime_offset; /* CLOCK_REALTIME - CLOCK_MONOTONIC in ns, for generations */
	__u32 lookups;         /* not 0 = tell the agent of packets that no session claims */
	__u8 unknown;          /* WEIR_UNKNOWN_* */
	__u8 options;          /* WEIR_OPTIONS_* */
	__u8 mixed; /* not 0 = a service and its real servers differ in family: what misses the
		       narrow table is looked up in the wide one */
	__u8 pad;
	struct weir_address aggregate6; /* as aggregate4; a mask of zeros = none */
	struct weir_address aggregate6_mask;
	struct weir_address pool6; /* first LIP; the last 32 bits count up, and never overflow */
	__u32 pool6_size;
	__u32 pad_too;
};
_Static_assert(sizeof(struct weir_node) == 96, "");

struct weir_service_key {
	struct weir_address vaddr;
	__be16 vport;
	__u8 proto;
	__u8 pad;
};
_Static_assert(sizeof(struct weir_service_key) == 20, "");

/* Longest-prefix map of the services with a range of ports: asked for what weir_service_index does
 * not have. A range is the prefixes that it consists of. */
struct weir_service_range {
	__u32 length; /* of the prefix, bits: 144 = all ports, 160 = one */
	struct weir_address vaddr;
	__u8 proto;
	__u8 pad;
	__be16 vport;
};
_Static_assert(sizeof(struct weir_service_range) == 24, "");

#define WEIR_SCHEDULER_RR     0
#define WEIR_SCHEDULER_MAGLEV 1

/* When the other nodes are first told of a session of this service. */
#define WEIR_SYNC_IMMEDIATE   0 /* when it is created */
#define WEIR_SYNC_OFF         1 /* never */
#define WEIR_SYNC_ESTABLISHED 2 /* when the real server's first segment has come */
#define WEIR_SYNC_AFTER       3 /* when it has lived for weir_timeouts.share; by the sweep */

/* A virtual service. The agent fills a row of weir_schedules, then points `schedule` at it with one
 * 64-bit store: each service owns rows 2i and 2i + 1 and alternates between them. */
struct weir_service {
	struct weir_service_key key; /* vport is the first of the range. Checked against the packet:
					an index that changed hands is noticed */
	__u8 scheduler;
	__u8 mode;
	__u8 sync;      /* WEIR_SYNC_* */
	__u8 wide;      /* its sessions live in the wide table: it or its real servers speak IPv6 */
	__u64 schedule; /* row 32 | entries in use 32; no entries = no real server takes new
			   sessions */
	__u16 vport_max; /* host order: the last of the range */
	__u16 pad[3];
};
_Static_assert(sizeof(struct weir_service) == 40, "");

/* The order of real servers: a maglev table indexed by the client's hash, or a weighted round robin
 * indexed in turn. */
struct weir_schedule {
	__u16 real[WEIR_SCHEDULE_SIZE + 3];
};
_Static_assert(sizeof(struct weir_schedule) == 32768, "");

struct weir_real_server {
	struct weir_address raddr;
	__be16 rport;  /* 0 = the port that the client asks for */
	__u16 egress;  /* egress group towards it */
	__u16 service; /* index of its service: a server of two services is here twice */
	__u8 used;
	__u8 pad;
};
_Static_assert(sizeof(struct weir_real_server) == 24, "");

struct weir_hop {
	__u8 dmac[6];
	__u8 smac[6];
	__u32 ifindex;
	__u16 vlan; /* 802.1Q VLAN identifier; 0 = untagged */
	__u16 mtu;  /* of the layer-3 packet; 0 = unchecked */
	__u32 pad;
} __attribute__((aligned(8)));
_Static_assert(sizeof(struct weir_hop) == 24, "three words");

/* The next hops towards one destination; a flow always uses the same one of `hops`. None = ask the
 * kernel's FIB. */
struct weir_egress_group {
	__u32 hops;
	__u32 pad;
	struct weir_hop hop[WEIR_HOPS_MAX];
};
_Static_assert(sizeof(struct weir_egress_group) == 200, "");

/* Longest-prefix map of the addresses that are weir's: what misses the tables and is within one is
 * never passed on. */
struct weir_prefix {
	__u32 length; /* of the 128-bit form */
	struct weir_address address;
};
#define WEIR_OWN_VIP  1
#define WEIR_OWN_POOL 2

/* How long a silent session outlives its timeout and a quarter of it: so that a node which hears of
 * it late keeps it too. */
#define WEIR_MARGIN_TICKS (5 * WEIR_TICKS_PER_SECOND)

/* Idle timeouts in ticks, one set for each index of weir_real_servers. */
struct weir_timeouts {
	__u32 handshake;
	__u32 established;
	__u32 closed; /* after both FINs */
	__u32 reset;  /* after a RST */
	__u32 share;  /* age at which a session with WEIR_SYNC_AFTER is sent; 0 = never */
};
_Static_assert(sizeof(struct weir_timeouts) == 20, "");

/* What XDP writes into the ring buffer weir_events, for the agent. */
#define WEIR_EVENT_SESSION4 1 /* weir_session_event4: a session has changed */
#define WEIR_EVENT_MISS4    2 /* weir_miss_event4: a packet that no session claims */
#define WEIR_EVENT_SESSION6 3 /* the same of the wide table */
#define WEIR_EVENT_MISS6    4

struct weir_session_event4 {
	__u32 kind;
	__u32 tick; /* when it was written */
	__u64 head; /* of the outbound entry */
	struct weir_truth4 truth;
};
_Static_assert(sizeof(struct weir_session_event4) == 144, "");

struct weir_session_event6 {
	__u32 kind;
	__u32 tick;
	__u64 head;
	struct weir_truth6 truth;
};
_Static_assert(sizeof(struct weir_session_event6) == 208, "");

struct weir_miss_event4 {
	__u32 kind;
	__u32 inbound; /* 1: the key is a client's; 0: a real server's */
	struct weir_key4 key;
};
_Static_assert(sizeof(struct weir_miss_event4) == 24, "");

struct weir_miss_event6 {
	__u32 kind;
	__u32 inbound;
	struct weir_key6 key;
};
_Static_assert(sizeof(struct weir_miss_event6) == 48, "");

/* The programs that others hand a packet to: indexes of weir_stages. */
#define WEIR_STAGE_DIRECTOR6 0 /* IPv6, and IPv4 whose other side speaks IPv6 */
#define WEIR_STAGE_ICMP4     1 /* ICMP for one of weir's addresses */
#define WEIR_STAGE_ICMP6     2 /* ICMPv6, and ICMP about sessions of the wide table */
#define WEIR_STAGE_FRAGMENT4 3 /* fragments for one of weir's addresses */
#define WEIR_STAGE_FRAGMENT6 4
#define WEIR_STAGE_REPLY4    5 /* a packet that is answered: RST or ICMP error */
#define WEIR_STAGE_REPLY6    6
#define WEIR_STAGES          7

/*
 * One per-CPU set. A field's name is the metric's name and the drop reason. received = forwarded +
 * answered_echo + all passed_* + all drop_*: the test suite checks that sum.
 */
struct weir_counters {
	__u64 received;            /* frames that the program saw */
	__u64 forwarded;           /* translated and sent; expected */
	__u64 answered_echo;       /* ICMP echo requests to a VIP, answered; expected */
	__u64 passed_foreign;      /* not for weir, given to the kernel untouched; expected */
	__u64 passed_no_neighbour; /* translated, the kernel resolves the next hop; now and then */
	__u64 passed_no_device;    /* translated, the kernel has another way out for it */
	__u64 passed_too_big;      /* translated, the kernel fragments it (IPv4 without DF) */
	__u64 drop_malformed;      /* lengths contradict each other; not expected */
	__u64 drop_fragment_stranger; /* its datagram's first fragment was not seen; rarely */
	__u64 drop_fragment_overlap;  /* overlaps another one, or more gaps than are remembered */
	__u64 drop_fragment_tiny;     /* too short for its transport header, or no multiple of 8 */
	__u64 drop_options;           /* IP options, where the config says so; not expected */
	__u64 drop_extension;         /* more, or other, IPv6 extension headers than are read */
	__u64 drop_protocol;          /* a protocol that no service has; scans, expected */
	__u64 drop_tcp_flags;         /* a combination that no TCP sends; scans, expected */
	__u64 drop_land;              /* from its own destination; not expected */
	__u64 drop_own_source;        /* from a VIP or a LIP; not expected */
	__u64 drop_udp_checksum;      /* zero in UDP over IPv6, or where IPv4 becomes IPv6 */
	__u64 drop_no_service;        /* VIP without a service on that port; scans, expected */
	__u64 drop_no_session;        /* not a SYN and no session; expected after a timeout */
	__u64 drop_no_real_server;    /* no real server takes new sessions; not expected */
	__u64 drop_no_lport;          /* every LIP:port tried is in use; not expected */
	__u64 drop_table_full;        /* both buckets full; not expected below 65 % load */
	__u64 drop_busy;              /* the entry is being written; expected rarely, TCP repeats */
	__u64 drop_not_indexed;       /* SYN/ACK of a session without its client key; rarely */
	__u64 drop_icmp_type;       /* ICMP that is neither an echo request nor an error; rarely */
	__u64 drop_icmp_inner;      /* an error about a packet that cannot be read; rarely */
	__u64 drop_icmp_no_session; /* an error about no session; expected after a timeout */
	__u64 drop_icmp_rate;       /* echo requests beyond what is answered; scans */
	__u64 drop_untranslatable;  /* nothing corresponds in the other family (RFC 7915); rarely */
	__u64 drop_ttl;             /* TTL or hop limit would reach 0; traceroute */
	__u64 drop_no_route;        /* the kernel's FIB has no way there; not expected */
	__u64 drop_no_device;    /* a group's hop is on none of weir's interfaces; not expected */
	__u64 drop_too_big;      /* larger than the next hop's MTU; path MTU discovery */
	__u64 drop_headroom;     /* no room for a longer header; not expected */
	__u64 drop_inconsistent; /* an index in a map points nowhere; never expected */
	/* Events: not part of the sum. */
	__u64 session_created;
	__u64 session_replaced; /* of those created: took over the client key of a closed session */
	__u64 session_established;
	__u64 session_closed;  /* both FINs seen */
	__u64 session_reset;   /* RST seen */
	__u64 lport_probe;     /* LIP:port tried and found in use */
	__u64 insert_race;     /* two CPUs created the same session; one won */
	__u64 icmp_translated; /* of those forwarded: ICMP errors */
	__u64 rst_sent;        /* RST sent by us: drop_not_indexed, or drop_no_service by config */
	__u64 icmp_sent;       /* ICMP errors sent by us: drop_ttl, drop_too_big, drop_no_service */
	__u64 reply_limited;   /* RST and ICMP errors that were not sent: too many at once */
	__u64 event_sent;      /* records of sessions written for the other nodes; expected */
	__u64 event_lost; /* not written, the ring was full; the sweep makes up for it; rarely */
	__u64 miss_told;  /* misses that the agent was told of, to ask the other nodes */
};

/* Per-CPU, one for each real server. */
struct weir_traffic {
	__u64 sessions; /* created by this node */
	__u64 inbound_packets;
	__u64 inbound_bytes; /* of the layer-3 packets */
	__u64 outbound_packets;
	__u64 outbound_bytes;
};

#endif
