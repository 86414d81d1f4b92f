/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Opens sessions at a steady rate, or as fast as the other node takes them. It sleeps while none is
 * due: a program that spins would take a processor from what is measured.
 */
#ifndef WEIR_BENCH_PACE_H
#define WEIR_BENCH_PACE_H

#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include "marks.h"

#define BATCH_MAX 64
#define TICK_NS   200000
#define STALL_NS  5000000000ull /* the other node takes nothing for so long: give up */

struct plan {
	uint64_t sessions;
	double rate;      /* sessions/s; 0 = as fast as the window allows */
	uint64_t window;  /* sessions that the other node may be behind; 0 = any number */
	uint64_t spacing; /* each how-many-eth session is a mark; 0 = none */
};

/* Sessions that have reached the other node, by the last mark that has. `next`: where to go on. */
static uint64_t arrived(const struct plan *plan, const struct marks *marks, uint64_t sent,
			uint64_t *next)
{
	for (uint64_t mark = *next; mark < MARKS_MAX && mark * plan->spacing < sent; mark++)
		if (marks->seen_ns[mark])
			*next = mark + 1;
	return *next ? (*next - 1) * plan->spacing + 1 : 0;
}

/* Sends what is due until all sessions are sent. `send` gets the first one and how many. Returns
 * how many were sent; fewer if the other node stalls. */
static uint64_t pace(const struct plan *plan, struct marks *marks,
		     void (*send)(const struct plan *plan, struct marks *marks, uint64_t first,
				  unsigned int count))
{
	uint64_t begin = now_ns(), moved = begin, sent = 0, next = 0;

	while (sent < plan->sessions) {
		uint64_t now = now_ns(), due = plan->sessions;

		if (plan->rate > 0 && (now - begin) * plan->rate / 1e9 < due)
			due = (now - begin) * plan->rate / 1e9;
		if (plan->window) {
			uint64_t limit = arrived(plan, marks, sent, &next) + plan->window;

			due = due < limit ? due : limit;
		}
		if (due > sent) {
			unsigned int count = due - sent < BATCH_MAX ? due - sent : BATCH_MAX;

			send(plan, marks, sent, count);
			sent += count;
			moved = now;
		} else if (now - moved > STALL_NS) {
			break;
		} else {
			struct timespec tick = {.tv_nsec = TICK_NS};

			nanosleep(&tick, NULL);
		}
	}
	return sent;
}

/* Segments of each session in a phase: `open`, `close`, or `syn`, which only begins. */
static unsigned int length_of(const char *phase)
{
	if (!strcmp(phase, "close"))
		return CLOSING_LENGTH;
	return strcmp(phase, "syn") ? OPENING_LENGTH : SYN_LENGTH;
}

/* All the load's packets are processed on one processor, so they stay in order. */
static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
	prctl(PR_SET_TIMERSLACK, 1000);
}

/* `failed`: frames that were not sent on. */
static void print_result(uint64_t sent, uint64_t failed, uint64_t begin_ns, uint64_t end_ns)
{
	printf("{\"sent\":%llu,\"failed\":%llu,\"beginNs\":%llu,\"endNs\":%llu}\n",
	       (unsigned long long)sent, (unsigned long long)failed, (unsigned long long)begin_ns,
	       (unsigned long long)end_ns);
	fflush(stdout);
}

#endif
