// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Sends datagrams out of an interface, from within the kernel.
 *
 *   generator OBJECT DEVICE FRAME FLOWS MS
 *
 * OBJECT is generator.bpf.o; FRAME hexadecimal, that of flow 0. Each flow in turn, as fast as one
 * CPU can, for MS milliseconds; for 0 each flow once, in batches that any ring takes. Prints
 * {"sent", "ns", "waitedNs"}: the frames, the time between the first and the last one, and for how
 * long others had its CPU.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <signal.h>
#include <sys/time.h>
#include "common.h"
#include "generator.h"

/* A veth's ring takes 256. */
#define BATCH 64

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	stopped = signal;
}

static void stop_after(long ms)
{
	struct itimerval timer = {.it_value = {ms / 1000, ms % 1000 * 1000}};
	struct sigaction action = {.sa_handler = stop}; /* without SA_RESTART */

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* For a CPU, since it began. */
static unsigned long long waited_ns(void)
{
	FILE *stat = fopen("/proc/self/schedstat", "r");
	unsigned long long waited = 0;

	check(stat && fscanf(stat, "%*u %llu", &waited) == 1 ? 0 : -EIO, "schedstat");
	fclose(stat);
	return waited;
}

static void parse_frame(const char *hex, __u8 *frame)
{
	check(strlen(hex) == 2 * FRAME_BYTES ? 0 : -EINVAL, "frame");
	for (int i = 0; i < FRAME_BYTES; i++)
		check(sscanf(hex + 2 * i, "%2hhx", frame + i) == 1 ? 0 : -EINVAL, "frame");
}

static void generate(int program, int repeat)
{
	__u8 frame[FRAME_BYTES] = {};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = sizeof(frame),
		    .repeat = repeat, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH);
	int error = bpf_prog_test_run_opts(program, &options);

	check(error == -EINTR ? 0 : error, "BPF_PROG_TEST_RUN");
}

int main(int argc, char **argv)
{
	struct generator_state state = {};
	struct generator_plan plan = {};
	struct bpf_object *object;
	unsigned long long waited;
	int program, states;
	long ms;

	if (argc != 6) {
		fprintf(stderr, "generator: wrong arguments\n");
		return 2;
	}
	plan.ifindex = interface_index(argv[2]);
	parse_frame(argv[3], (__u8 *)plan.frame);
	plan.flows = atoi(argv[4]);
	ms = atol(argv[5]);
	object = load_object(argv[1]);
	put(map_fd(object, "plans"), &plan);
	states = map_fd(object, "states");
	program = program_fd(object, "generate");
	waited = waited_ns();
	if (ms) {
		/* One call for all: each one waits for RCU, 10 to 30 ms. */
		stop_after(ms);
		while (!stopped)
			generate(program, INT_MAX);
		get(states, &state);
	} else {
		for (; state.sent < plan.flows; get(states, &state))
			generate(program,
				 plan.flows - state.sent < BATCH ? plan.flows - state.sent : BATCH);
	}
	printf("{\"sent\":%llu,\"ns\":%llu,\"waitedNs\":%llu}\n", state.sent,
	       state.last_ns - state.first_ns, waited_ns() - waited);
	return 0;
}
