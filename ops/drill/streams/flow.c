// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include "flow.h"

#define MAGIC 0x77656972 /* "riew" */
/* One datagram in so many is a large one. */
#define LARGE_EVERY 16
#define WINDOW      64

int flow_send(struct flow *flow, int fd, const struct sockaddr_in6 *peer, __u16 flags)
{
	struct {
		struct datagram head;
		__u8 payload[PROOF_STEP + DATAGRAM_MORE];
	} out = {.head = {.magic = MAGIC,
			  .flags = flags,
			  .key = flow->key,
			  .number = flow->sent++,
			  .seen = flow->seen,
			  .received = flow->received,
			  .verified = flow->verified,
			  .interval_ms = flow->interval_ms,
			  .witness = flow->witness}};
	__u64 key = proof_key(flow->key, flow->is_server);
	bool large = out.head.number % LARGE_EVERY == LARGE_EVERY - 1;
	size_t size;

	out.head.length = proof_fill(out.payload, key, out.head.number, large ? DATAGRAM_MORE : 0);
	size = sizeof(out.head) + out.head.length;
	out.head.checksum = proof_checksum(&out, size, key);
	if (sendto(fd, &out, size, 0, (const struct sockaddr *)peer, peer ? sizeof(*peer) : 0) < 0)
		return -errno;
	return 0;
}

bool datagram_key(const struct datagram *datagram, size_t size, __u64 *key)
{
	if (size < sizeof(*datagram) || datagram->magic != MAGIC)
		return false;
	*key = datagram->key;
	return true;
}

/* Notes a number; false if it has come before, or is so old that nobody knows. */
static bool note_number(struct flow *flow, __u64 number)
{
	if (number >= flow->seen) {
		__u64 step = number + 1 - flow->seen;

		flow->window = step < WINDOW ? flow->window << step | 1 : 1;
		flow->seen = number + 1;
		return true;
	}
	number = flow->seen - 1 - number;
	if (number >= WINDOW || flow->window >> number & 1)
		return false;
	flow->window |= 1ull << number;
	return true;
}

static bool is_right(const struct flow *flow, struct datagram *datagram, size_t size)
{
	__u64 expected, key;

	if (!datagram_key(datagram, size, &key) || key != flow->key ||
	    size != sizeof(*datagram) + datagram->length || datagram->length % 8)
		return false;
	expected = datagram->checksum;
	datagram->checksum = 0;
	return proof_checksum(datagram, size, proof_key(key, !flow->is_server)) == expected;
}

int flow_hear(struct flow *flow, struct datagram *datagram, size_t size)
{
	__u64 seen = flow->seen;

	if (!is_right(flow, datagram, size) || datagram->flags & DATAGRAM_WRONG)
		return -EBADMSG;
	if (!flow->is_server && flow->received &&
	    memcmp(&flow->witness, &datagram->witness, sizeof(flow->witness)))
		return -EXDEV;
	if (!note_number(flow, datagram->number))
		return -EBADMSG;
	flow->received++;
	flow->verified += size;
	if (!flow->is_server)
		flow->witness = datagram->witness;
	if (flow->seen > seen)
		flow->peer = *datagram;
	return 0;
}
