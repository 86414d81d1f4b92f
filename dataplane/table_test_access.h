/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What only the table's test asks of table_user.c: in the family that both are compiled for. */
#ifndef WEIR_TABLE_TEST_ACCESS_H
#define WEIR_TABLE_TEST_ACCESS_H

#include <stdbool.h>
#include "family.h"
#include "table_family.h"

#if WEIR_WIDE
#define test_family weir_wide
#else
#define test_family weir_narrow
#endif

/*
 * Stores a session of any content: `record` in the outbound table and `index` in the inbound one.
 * An older generation of either key is replaced in place. Makes room in full buckets.
 * 0 = both are in; otherwise neither: -EEXIST = one of the keys has this generation or a newer one,
 * -EBUSY = another writer is at it, -ENOSPC = no room can be made, -ENODEV = nothing is mapped.
 */
int weir_session_put(const struct weir_record *record, const struct weir_entry *index);

/* Moves one entry of this bucket to its second one, so that a slot is free at once.
 * 0, -ENOSPC = nothing can be moved, -EINVAL = no such bucket. */
int weir_make_room_in(bool inbound, __u32 bucket);

#endif
