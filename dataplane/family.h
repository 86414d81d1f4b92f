/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The one source of both session tables is compiled twice: with -DWEIR_WIDE=0 for the narrow one
 * (IPv4 on both sides), with -DWEIR_WIDE=1 for the wide one (all others). Here the names without a
 * family become those of the one that is compiled.
 */
#ifndef WEIR_FAMILY_H
#define WEIR_FAMILY_H

#include "weir.h"

#ifndef WEIR_WIDE
#error "WEIR_WIDE is 0 or 1"
#endif

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#if WEIR_WIDE
#define weir_key             weir_key6
#define weir_entry           weir_entry6
#define weir_truth           weir_truth6
#define weir_record          weir_record6
#define weir_inbound_bucket  weir_inbound6_bucket
#define weir_outbound_bucket weir_outbound6_bucket
#define weir_session_event   weir_session_event6
#define weir_miss_event      weir_miss_event6
#define WEIR_EVENT_SESSION   WEIR_EVENT_SESSION6
#define WEIR_EVENT_MISS      WEIR_EVENT_MISS6
#else
#define weir_key             weir_key4
#define weir_entry           weir_entry4
#define weir_truth           weir_truth4
#define weir_record          weir_record4
#define weir_inbound_bucket  weir_inbound4_bucket
#define weir_outbound_bucket weir_outbound4_bucket
#define weir_session_event   weir_session_event4
#define weir_miss_event      weir_miss_event4
#define WEIR_EVENT_SESSION   WEIR_EVENT_SESSION4
#define WEIR_EVENT_MISS      WEIR_EVENT_MISS4
#endif

#define WEIR_LITTLE_ENDIAN (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

/* word[2] of an IPv4-mapped address, as it is in memory */
#define WEIR_MAPPED (WEIR_LITTLE_ENDIAN ? 0xffff0000 : 0x0000ffff)

static __always_inline struct weir_address weir_map4(__be32 address)
{
	return (struct weir_address){{0, 0, WEIR_MAPPED, address}};
}

static __always_inline int weir_is_mapped(const struct weir_address *address)
{
	return !address->word[0] && !address->word[1] && address->word[2] == WEIR_MAPPED;
}

/* An address as the tables of this family hold it: compared and hashed only within them. */
#if WEIR_WIDE
typedef struct weir_address weir_ip;

static __always_inline weir_ip weir_ip_of4(__be32 address)
{
	return weir_map4(address);
}

static __always_inline weir_ip weir_ip_of(const struct weir_address *address)
{
	return *address;
}

static __always_inline struct weir_address weir_full(weir_ip address)
{
	return address;
}

static __always_inline int weir_same_ip(const weir_ip *one, const weir_ip *other)
{
	return !((one->word[0] ^ other->word[0]) | (one->word[1] ^ other->word[1]) |
		 (one->word[2] ^ other->word[2]) | (one->word[3] ^ other->word[3]));
}
#else
typedef __be32 weir_ip;

static __always_inline weir_ip weir_ip_of4(__be32 address)
{
	return address;
}

static __always_inline weir_ip weir_ip_of(const struct weir_address *address)
{
	return address->word[3];
}

static __always_inline struct weir_address weir_full(weir_ip address)
{
	return weir_map4(address);
}

static __always_inline int weir_same_ip(const weir_ip *one, const weir_ip *other)
{
	return *one == *other;
}
#endif

#endif
