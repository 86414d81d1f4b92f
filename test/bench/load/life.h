/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The life of a session, the same for all that are compared. Included by user space and by BPF. */
#ifndef WEIR_BENCH_LIFE_H
#define WEIR_BENCH_LIFE_H

#include <linux/types.h>

#define CLIENT_NET  0x0a400000u /* 10.64.0.0/16: 16384 sessions each address */
#define MARK_NET    0x0a410000u /* 10.65.0.0/16: one session each, see marks.h */
#define MARK_PORT   40000
#define VIP         0xc000020au /* 192.0.2.10 */
#define VIP_PORT    80
#define REAL_SERVER 0x0a030002u /* 10.3.0.2 */
#define REAL_PORT   8080
#define MARKS_MAX   65536

#define CLIENT_ISN 1000
#define REAL_ISN   5000

#define LIFE_FIN 0x01
#define LIFE_SYN 0x02
#define LIFE_ACK 0x10

/* A segment: who sends it, its flags, and how far both sequences are. */
struct segment {
	__u32 from_client;
	__u32 flags;
	__u32 client;
	__u32 real;
};

#define LIFE_MAX 4 /* segments of one phase */

#define OPENING_LENGTH 4
#define SYN_LENGTH     1 /* of them, if the load is SYNs alone */
static const struct segment opening[LIFE_MAX] = {
	{1, LIFE_SYN, 0, 0},
	{0, LIFE_SYN | LIFE_ACK, 1, 0},
	{1, LIFE_ACK, 1, 1},
	{0, LIFE_ACK, 1,
	 1}, /* to the client's request; for weir this is what establishes a session */
};

#define CLOSING_LENGTH 3
static const struct segment closing[LIFE_MAX] = {
	{1, LIFE_FIN | LIFE_ACK, 1, 1},
	{0, LIFE_FIN | LIFE_ACK, 2, 1},
	{1, LIFE_ACK, 2, 2},
};

/* One end of a session, in host order. */
struct client {
	__u32 address;
	__u16 port;
};

/* Each `spacing`-th session is a mark, until their numbers are used up; 0 = none. Returns its
 * number, or MARKS_MAX. */
static inline __u32 mark_of(__u32 spacing, __u32 session)
{
	__u32 mark = spacing && session % spacing == 0 ? session / spacing : MARKS_MAX;

	return mark < MARKS_MAX ? mark : MARKS_MAX;
}

static inline struct client client_of(__u32 spacing, __u32 session)
{
	__u32 mark = mark_of(spacing, session);

	if (mark < MARKS_MAX)
		return (struct client){.address = MARK_NET + mark, .port = MARK_PORT};
	return (struct client){.address = CLIENT_NET + (session >> 14),
			       .port = 16384 + (session & 16383)};
}

#endif
