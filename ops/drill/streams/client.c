// SPDX-License-Identifier: Apache-2.0
/*
 * The client's end: opens connections as it is told on standard input, and tells what became of
 * them on standard output, one JSON object a line (ops/drill/stream-events.ts reads it).
 *
 *   open N RATE    N connections that last, RATE of them a second
 *   storm RATE     from now on RATE connections a second of one exchange each; 0 ends it
 *   mark           a moment: `recovered` and `gapMarkedMs` refer to it
 *   status         how many there are, and how they are
 *   list           the connections that are open, and that the server has answered
 *   finish         no new ones; end all; tell about each of them; exit
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "client.h"
#include "system.h"
#include "transport.h"

#define EVENTS_MAX 256
#define TICK_MS    5

/* Connections that are to be opened, `rate` a second from `begin_ns` on. */
struct pace {
	__u64 begin_ns, opened, count;
	unsigned int rate;
};

static struct client client;
static struct connection **all;
static unsigned int all_len, all_size;
static struct pace lasting, storm;
static __u64 late_ns; /* the longest time by which a tick was late */

static void open_one(bool brief)
{
	if (all_len == all_size) {
		all_size = all_size ? 2 * all_size : 1024;
		all = realloc(all, all_size * sizeof(*all));
		if (!all)
			abort();
	}
	all[all_len] = connection_open(&client, all_len, brief);
	all_len++;
}

static void open_due(struct pace *pace, bool brief, __u64 now)
{
	__u64 due = (now - pace->begin_ns) * pace->rate / NS_PER_S + 1;

	while (pace->opened < pace->count && pace->opened < due) {
		open_one(brief);
		pace->opened++;
	}
}

static void tell_status(void)
{
	unsigned int connecting = 0, open = 0, recovered = 0, complete = 0, broken = 0;

	for (unsigned int i = 0; i < all_len; i++) {
		const struct connection *one = all[i];

		connecting += one->outcome == CONNECTING;
		open += one->outcome == OPEN;
		recovered += one->outcome == OPEN && (one->recovered || one->brief);
		complete += one->outcome == COMPLETE;
		broken += one->outcome > COMPLETE;
	}
	printf("{\"event\":\"status\",\"pending\":%" PRIu64 ",\"connecting\":%u,\"open\":%u,"
	       "\"recovered\":%u,\"complete\":%u,\"broken\":%u}\n",
	       (uint64_t)(lasting.count - lasting.opened), connecting, open, recovered, complete,
	       broken);
}

static void tell_open(void)
{
	for (const struct connection *one = client.active; one; one = one->next)
		if (one->outcome == OPEN && one->witness.port)
			connection_tell(one);
	printf("{\"event\":\"listed\"}\n");
}

static void obey(const char *line)
{
	unsigned int count, rate;

	if (sscanf(line, "open %u %u", &count, &rate) == 2) {
		lasting = (struct pace){.begin_ns = now_ns(), .count = count, .rate = rate};
	} else if (sscanf(line, "storm %u", &rate) == 1) {
		storm = (struct pace){
			.begin_ns = now_ns(), .count = rate ? ~0ull : 0, .rate = rate};
	} else if (!strcmp(line, "mark")) {
		for (struct connection *one = client.active; one; one = one->next)
			connection_mark(one);
		printf("{\"event\":\"marked\"}\n");
	} else if (!strcmp(line, "status")) {
		tell_status();
	} else if (!strcmp(line, "list")) {
		tell_open();
	} else if (!strcmp(line, "finish")) {
		client.finishing = true;
		lasting.count = storm.count = 0;
	} else {
		fprintf(stderr, "Cannot do what is asked: current value is %s\n", line);
		exit(1);
	}
}

/* The end of the input is the end of the program: nobody listens any more. */
static void obey_all(void)
{
	static char lines[256];
	static size_t length;
	ssize_t got = read(STDIN_FILENO, lines + length, sizeof(lines) - 1 - length);
	char *newline;

	if (got <= 0)
		exit(1);
	length += got;
	lines[length] = 0;
	while ((newline = strchr(lines, '\n'))) {
		*newline = 0;
		obey(lines);
		length -= newline + 1 - lines;
		memmove(lines, newline + 1, length + 1);
	}
	fflush(stdout);
}

static void tick_all(__u64 now)
{
	if (lasting.opened < lasting.count)
		open_due(&lasting, false, now);
	if (storm.count)
		open_due(&storm, true, now);
	for (struct connection *one = client.active, *next; one; one = next) {
		next = one->next;
		connection_tick(&client, one, now);
	}
}

static void tell_all(void)
{
	for (unsigned int i = 0; i < all_len; i++)
		connection_tell(all[i]);
	printf("{\"event\":\"finished\",\"ownDelayMs\":%.1f}\n", late_ns / 1e6);
}

static bool read_target(const char *address, __u16 port)
{
	struct sockaddr_in *narrow = (struct sockaddr_in *)&client.target;
	struct sockaddr_in6 *wide = (struct sockaddr_in6 *)&client.target;

	if (inet_pton(AF_INET, address, &narrow->sin_addr) == 1) {
		narrow->sin_family = AF_INET;
		narrow->sin_port = htons(port);
		client.target_length = sizeof(*narrow);
		return true;
	}
	wide->sin6_family = AF_INET6;
	wide->sin6_port = htons(port);
	client.target_length = sizeof(*wide);
	return inet_pton(AF_INET6, address, &wide->sin6_addr) == 1;
}

int run_client(const struct transport *transport, const char *address, __u16 port,
	       unsigned int interval_ms, __u16 first_port)
{
	struct epoll_event events[EVENTS_MAX] = {{.events = EPOLLIN}};
	__u64 next_ns = now_ns() + TICK_MS * NS_PER_MS;

	raise_file_limit();
	client.transport = transport;
	client.interval_ms = interval_ms;
	client.next_port = first_port;
	client.epoll = epoll_create1(0);
	if (!read_target(address, port) ||
	    epoll_ctl(client.epoll, EPOLL_CTL_ADD, STDIN_FILENO, events)) {
		fprintf(stderr, "Cannot begin: no address, or no standard input: %s\n", address);
		return 1;
	}
	printf("{\"event\":\"ready\"}\n");
	fflush(stdout);
	while (!client.finishing || client.active) {
		int count = epoll_wait(client.epoll, events, EVENTS_MAX, TICK_MS);
		__u64 now;

		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr)
				connection_event(&client, events[i].data.ptr);
			else
				obey_all();
		}
		now = now_ns();
		if (now < next_ns)
			continue;
		if (now - next_ns > late_ns)
			late_ns = now - next_ns;
		tick_all(now);
		next_ns = now_ns() + TICK_MS * NS_PER_MS;
	}
	tell_all();
	return 0;
}
