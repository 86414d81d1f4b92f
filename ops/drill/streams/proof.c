// SPDX-License-Identifier: Apache-2.0
#include <string.h>
#include "proof.h"

#define MIX         0x9e3779b97f4a7c15ull
#define SERVER_SALT 0x5bf03635dcd1e867ull

static __u64 mixed(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * MIX;
	return hash ^ (hash >> 32);
}

__u64 proof_key(__u64 connection_key, bool from_server)
{
	return from_server ? connection_key ^ SERVER_SALT : connection_key;
}

__u64 proof_checksum(const void *bytes, size_t length, __u64 key)
{
	__u64 hash = mixed(key, length), word;

	for (size_t at = 0; at < length; at += sizeof(word)) {
		memcpy(&word, (const __u8 *)bytes + at, sizeof(word));
		hash = mixed(hash, word);
	}
	return hash;
}

size_t proof_fill(__u8 *payload, __u64 key, __u64 number, size_t more)
{
	__u64 state = mixed(key, number + 1);
	size_t length = 8 + state % PROOF_STEP / 8 * 8 + more;

	for (size_t at = 0; at < length; at += sizeof(state)) {
		state = mixed(state, at);
		memcpy(payload + at, &state, sizeof(state));
	}
	return length;
}
