// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The life of TCP sessions as frames on two links of a machine that translates them with conntrack.
 *
 *   conntrack-load open|syn|close MARKS CLIENTS SERVERS SESSIONS RATE WINDOW SPACING
 *
 * CLIENTS and SERVERS are the interfaces of this network namespace on whose other ends that machine
 * is. `open` brings sessions to established, `syn` only begins them, `close` ends the same
 * ones. Prints one JSON object.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include "pace.h"

/* As test/bench/conntrackd.ts has told the machine: 10.64.0.0/16 becomes 10.200.0.0/16, and so on.
 */
#define TRANSLATED 0x00880000u

struct frame {
	struct ether_header ethernet;
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

static const struct segment *life;
static unsigned int life_length;
static int sockets[2]; /* [from_client] */

static uint32_t sum16(const void *bytes, size_t length, uint32_t sum)
{
	const uint16_t *words = bytes;

	for (size_t i = 0; i < length / 2; i++)
		sum += words[i];
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return ~((sum & 0xffff) + (sum >> 16));
}

static void build(struct frame *frame, const struct segment *segment, struct client client)
{
	int from_client = segment->from_client;
	uint32_t own = from_client ? CLIENT_ISN + segment->client : REAL_ISN + segment->real;
	uint32_t other = from_client ? REAL_ISN + segment->real : CLIENT_ISN + segment->client;

	memset(frame, 0, sizeof(*frame));
	/* Broadcast would be taken for no host; the machine's interfaces all have this address. */
	memcpy(frame->ethernet.ether_dhost, "\x02\0\0\0\0\x01", ETH_ALEN);
	memcpy(frame->ethernet.ether_shost, "\x02\0\0\0\0\x02", ETH_ALEN);
	frame->ethernet.ether_type = htons(ETHERTYPE_IP);
	frame->ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tot_len = htons(sizeof(frame->ip) + sizeof(frame->tcp)),
		.frag_off = htons(IP_DF),
		.ttl = 64,
		.protocol = IPPROTO_TCP,
		.saddr = htonl(from_client ? client.address : REAL_SERVER),
		.daddr = htonl(from_client ? VIP : client.address + TRANSLATED),
	};
	frame->ip.check = fold(sum16(&frame->ip, sizeof(frame->ip), 0));
	frame->tcp = (struct tcphdr){
		.th_sport = htons(from_client ? client.port : REAL_PORT),
		.th_dport = htons(from_client ? VIP_PORT : client.port),
		.th_seq = htonl(own),
		.th_ack = segment->flags & LIFE_ACK ? htonl(other) : 0,
		.th_off = 5,
		.th_flags = segment->flags,
		.th_win = htons(65535),
	};
	frame->tcp.th_sum = fold(sum16(&frame->tcp, sizeof(frame->tcp),
				       sum16(&frame->ip.saddr, 8, 0) + htons(IPPROTO_TCP) +
					       htons(sizeof(frame->tcp))));
}

/* One segment of each session, then the next one of each, as on a busy link. */
static void send_batch(const struct plan *plan, struct marks *marks, uint64_t first,
		       unsigned int count)
{
	static struct frame frames[BATCH_MAX];
	static struct iovec vectors[BATCH_MAX];
	static struct mmsghdr messages[BATCH_MAX];

	for (unsigned int i = 0; i < count; i++) {
		__u32 mark = mark_of(plan->spacing, first + i);

		if (mark < MARKS_MAX && life == opening)
			marks->sent_ns[mark] = now_ns();
	}
	for (unsigned int step = 0; step < life_length; step++) {
		unsigned int done = 0;

		for (unsigned int i = 0; i < count; i++) {
			build(&frames[i], &life[step], client_of(plan->spacing, first + i));
			vectors[i] = (struct iovec){&frames[i], sizeof(frames[i])};
			messages[i].msg_hdr =
				(struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
		}
		while (done < count) {
			int sent = sendmmsg(sockets[life[step].from_client], messages + done,
					    count - done, 0);

			if (sent < 0 && errno != ENOBUFS && errno != EINTR)
				die("sendmmsg");
			done += sent > 0 ? sent : 0;
		}
	}
}

static int open_link(const char *name)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(name)};
	int fd = socket(AF_PACKET, SOCK_RAW, 0), on = 1;

	if (!address.sll_ifindex || fd < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)))
		die(name);
	return fd;
}

int main(int argc, char **argv)
{
	struct plan plan;
	struct marks *marks;
	uint64_t begin, sent;

	if (argc != 9) {
		fprintf(stderr, "conntrack-load: wrong arguments\n");
		return 2;
	}
	life = strcmp(argv[1], "close") ? opening : closing;
	life_length = length_of(argv[1]);
	marks = map_marks(argv[2]);
	sockets[1] = open_link(argv[3]);
	sockets[0] = open_link(argv[4]);
	plan = (struct plan){
		.sessions = strtoull(argv[5], NULL, 10),
		.rate = atof(argv[6]),
		.window = strtoull(argv[7], NULL, 10),
		.spacing = strtoull(argv[8], NULL, 10),
	};
	stay_on(0);
	begin = now_ns();
	sent = pace(&plan, marks, send_batch);
	print_result(sent, 0, begin, now_ns());
	return 0;
}
