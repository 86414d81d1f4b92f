/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that nobody could guess, and checksums that are keyed by the connection and its direction:
 * so a byte that is wrong, or another connection's, is noticed.
 */
#ifndef WEIR_PROOF_H
#define WEIR_PROOF_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#define PROOF_STEP 512 /* proof_fill() makes at most so many bytes, and always a multiple of 8 */

/* The key of one direction of a connection. */
__u64 proof_key(__u64 connection_key, bool from_server);

/* The length is a multiple of 8. */
__u64 proof_checksum(const void *bytes, size_t length, __u64 key);

/* Writes the bytes that follow from key and number, and `more` of them: a multiple of 8. Returns
 * how many. */
size_t proof_fill(__u8 *payload, __u64 key, __u64 number, size_t more);

#endif
