/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the BPF side and the C side of the benchmark agree about: flow number i, and what a run is
 * told. Flows are numbered as the director gives out LIP:ports, so that the flow of a session has
 * the same number in both directions.
 */
#ifndef WEIR_BENCH_FLOWS_H
#define WEIR_BENCH_FLOWS_H

#include <linux/types.h>

/* Flow i has address i % FLOW_ADDRESSES and port FLOW_PORT + i / FLOW_ADDRESSES. */
#define FLOW_ADDRESSES 256
#define FLOW_PORT      1024

/* Bytes of every frame: an IPv6 header, TCP and Ethernet fit. */
#define FRAME_BYTES 128

struct run {
	__u8 frame[FRAME_BYTES];
	__u32 address_at; /* offset of the 32 bits that number addresses; 0 = all frames are equal
			   */
	__u32 port_at;    /* and of the flow's port */
	__u32 address;    /* host order: of flow 0 */
	__u32 flows;      /* random ones of so many; 0 = one new flow after the other */
	__u32 first;      /* of the new flows */
	__u32 pad;
	__u64 random; /* not 0 */
};

/* Keys and values of the kernel's hash: a session's key, and what a packet needs of it. */
struct key4 {
	__u64 word[2];
};
struct value4 {
	__u64 word[8]; /* with the key and the kernel's own 48 bytes: two lines, its best case */
};
struct key6 {
	__u64 word[5];
};
struct value6 {
	__u64 word[11];
};

#endif
