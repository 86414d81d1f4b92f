// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * When a mark's session is first seen in a message of conntrackd that arrives at the other node.
 *
 *   conntrack-watch MARKS INTERFACE
 *
 * The daemon there has yet to read the message, and nobody has committed the session to the kernel:
 * what is measured is a lower bound. Prints a line when it is ready; runs until it is killed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include "marks.h"

#define BATCH_MAX 64
#define BYTES_MAX 2048

/* A mark's address followed by the VIP: the original direction, as conntrackd writes it. */
static void look(struct marks *marks, const uint8_t *bytes, size_t length, uint64_t now)
{
	const uint32_t vip = htonl(VIP);
	const uint8_t *end = bytes + length, *found = bytes;

	while ((found = memmem(found, end - found, &vip, sizeof(vip)))) {
		if (found - bytes >= 4 && found[-4] == MARK_NET >> 24 &&
		    found[-3] == (MARK_NET >> 16 & 255)) {
			uint32_t mark = found[-2] << 8 | found[-1];

			if (marks->sent_ns[mark] && !marks->seen_ns[mark])
				marks->seen_ns[mark] = now;
		}
		found += sizeof(vip);
	}
}

int main(int argc, char **argv)
{
	static uint8_t buffers[BATCH_MAX][BYTES_MAX];
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP)};
	struct iovec vectors[BATCH_MAX];
	struct mmsghdr messages[BATCH_MAX] = {};
	struct marks *marks;
	int fd, room = 16 << 20;

	if (argc != 3) {
		fprintf(stderr, "conntrack-watch: wrong arguments\n");
		return 2;
	}
	marks = map_marks(argv[1]);
	address.sll_ifindex = if_nametoindex(argv[2]);
	fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP));
	if (fd < 0 || !address.sll_ifindex ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)))
		die(argv[2]);
	for (int i = 0; i < BATCH_MAX; i++) {
		vectors[i] = (struct iovec){buffers[i], BYTES_MAX};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		int count = recvmmsg(fd, messages, BATCH_MAX, MSG_WAITFORONE, NULL);
		uint64_t now = now_ns();

		if (count < 0 && errno != EINTR)
			die("recvmmsg");
		for (int i = 0; i < count; i++)
			look(marks, buffers[i], messages[i].msg_len, now);
	}
}
