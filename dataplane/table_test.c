// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The test of the session table: an XDP program on one CPU against the writer thread on another,
 * all operations mixed, on few keys in few slots. Compiled once for each family.
 *
 * First the rules that need no second CPU are checked. Then writers are killed in the midst of
 * their work, many times, and what they leave behind must be put right by the next one. At last one
 * writer works on until the operations asked for are done. Among its operations are merges of
 * random records, which go into a model of the merge too. Now and then XDP is brought to rest,
 * every slot is looked at, and the model compared. Any lost flag or fact, foreign value, duplicate,
 * missed live key, stuck slot or difference makes the test fail.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "table_test_command.h"
#include "table_test_inspect.h"
#include "table_test_rules.h"
#include "table_test_user.h"

#if WEIR_WIDE
#define TEST_OBJECT "table_test6.bpf.o"
#else
#define TEST_OBJECT "table_test4.bpf.o"
#endif
#define TEST_XDP_CPU       0
#define TEST_USER_CPU      1
#define TEST_BATCH         4000000 /* XDP runs in one system call, which costs some 10 ms */
#define TEST_KILLS_MIN     20
#define TEST_KILLS_MAX     2000
#define TEST_KILLS_PER     50000 /* one writer is killed for so many operations asked for */
#define TEST_INSPECTIONS   32
#define TEST_LIFE_MICROS   2000 /* longest life of a writer that is killed, once it works */
#define TEST_READY_SECONDS 10

static struct totals totals;
static int inbound_fd, outbound_fd, program_fd;
static struct weir_layout layout = {
	.version = WEIR_LAYOUT_VERSION,
	.inbound4_buckets = TEST_INBOUND_BUCKETS,
	.outbound4_buckets = TEST_OUTBOUND_BUCKETS,
	.inbound6_buckets = TEST_INBOUND_BUCKETS,
	.outbound6_buckets = TEST_OUTBOUND_BUCKETS,
};
static bool over;
static __s64 base; /* flags in the books when they were opened */

static void fail(const char *what, int err)
{
	fprintf(stderr, "Cannot %s: %s\n", what, strerror(err < 0 ? -err : err));
	exit(1);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("run on two CPUs", errno);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* XDP's thread. */
static void *run_xdp(void *unused)
{
	__u8 packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = TEST_BATCH);

	(void)unused;
	pin(TEST_XDP_CPU);
	while (!__atomic_load_n(&over, __ATOMIC_SEQ_CST)) {
		if (bpf_prog_test_run_opts(program_fd, &opts) || opts.retval != 2 /* XDP_PASS */)
			fail("run the XDP program", errno);
	}
	return NULL;
}

/* Once a run has seen that it shall rest, the one before has ended. */
static void bring_to_rest(void)
{
	__u32 rest = test_shared->rest | 1;

	__atomic_store_n(&test_shared->rest, rest, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&test_shared->resting, __ATOMIC_SEQ_CST) != rest)
		usleep(20);
}

static void let_run(void)
{
	__atomic_add_fetch(&test_shared->rest, 1, __ATOMIC_SEQ_CST);
}

static __u64 operations_done(void)
{
	return weir_load(&test_shared->xdp.operations) + test_user->side.operations;
}

/* Flags that the books say are in the table. */
static __s64 flags_due(void)
{
	return test_shared->xdp.flags_in + test_user->side.flags_in +
	       weir_writer_counters.flags_added - test_shared->xdp.flags_out -
	       test_user->side.flags_out - weir_writer_counters.flags_gone;
}

/* Looks at the whole table, with XDP at rest. */
static struct test_finding inspect(void)
{
	struct test_finding finding;

	bring_to_rest();
	finding = test_inspect();
	totals.inspections++;
	totals.stuck += finding.stuck;
	totals.duplicates += finding.duplicates;
	totals.foreign += finding.foreign;
	totals.missed += finding.missed;
	return finding;
}

static void become_writer(void)
{
	struct weir_backend backend = test_merged_backend();
	int err = test_family.map(inbound_fd, outbound_fd, &layout);

	if (!err)
		err = test_family.use_backends(&backend, 1);
	if (err)
		fail("map the tables", err);
}

static void progress(const char *phase, __u64 goal)
{
	static double last;

	if (seconds() - last < 1)
		return;
	last = seconds();
	fprintf(stderr, "%s: %" PRIu64 " of %" PRIu64 " million operations\n", phase,
		(uint64_t)(operations_done() / 1000000), (uint64_t)(goal / 1000000));
}

/* A writer of its own process, which never returns. */
static void work_until_killed(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	become_writer();
	test_sweep();
	test_house_all();
	for (;;)
		test_writer_operation(false);
}

/* Starts a writer, kills it at some moment, takes its place and puts right what it has left. */
static void kill_one_writer(void)
{
	__u64 before = test_user->side.operations;
	double limit = seconds() + TEST_READY_SECONDS;
	pid_t writer = fork();

	if (writer < 0)
		fail("start a writer", errno);
	if (!writer)
		work_until_killed();
	while (weir_load(&test_user->side.operations) < before + 64) {
		if (seconds() > limit)
			fail("see the writer work", ETIMEDOUT);
		usleep(50);
	}
	usleep(rand() % TEST_LIFE_MICROS);
	kill(writer, SIGKILL);
	if (waitpid(writer, NULL, 0) != writer)
		fail("wait for the writer", errno);
	totals.kills++;

	/* First with XDP at work, as it would be. */
	become_writer();
	for (int i = 0; i < 4; i++) {
		test_let_time_pass(false);
		test_sweep();
		test_house_all();
	}
	test_finish_merge();
	inspect();
	test_family.unmap();
	let_run();
}

static void kill_writers(__u64 kills, __u64 goal)
{
	for (__u64 i = 0; i < kills; i++) {
		kill_one_writer();
		progress("killing writers", goal);
	}
}

static void open_books(void)
{
	struct test_finding finding = inspect();

	base = (__s64)finding.flags - flags_due();
	let_run();
}

/* Each flag that was ever set is on a live entry, or went with its entry. */
static void balance_books(void)
{
	struct test_finding finding = inspect();
	__s64 lost = base + flags_due() - (__s64)finding.flags;

	totals.lost_flags += lost < 0 ? -lost : lost;
	base -= lost;
	let_run();
}

static void work(__u64 goal)
{
	__u64 start = operations_done();
	__u64 step = goal > start ? (goal - start) / TEST_INSPECTIONS + 1 : 1;

	open_books();
	for (int i = 0; i < TEST_INSPECTIONS; i++) {
		while (operations_done() < start + (i + 1) * step) {
			for (int j = 0; j < 4096; j++)
				test_writer_operation(true);
			progress("working", goal);
		}
		balance_books();
	}
}

static void *map_whole(struct bpf_map *map)
{
	size_t page = sysconf(_SC_PAGESIZE);
	size_t length = (size_t)bpf_map__value_size(map) * bpf_map__max_entries(map);
	void *memory = mmap(NULL, (length + page - 1) / page * page, PROT_READ | PROT_WRITE,
			    MAP_SHARED, bpf_map__fd(map), 0);

	if (memory == MAP_FAILED)
		fail("map a table of the test", errno);
	return memory;
}

/* Memory that a writer shares with its successor. */
static void *share(size_t length)
{
	void *memory =
		mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		fail("get memory", errno);
	return memory;
}

static void set_constants(struct bpf_object *object)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, ".rodata");

	if (!map || bpf_map__set_initial_value(map, &test_constants, sizeof(test_constants)))
		fail("find the constants in " TEST_OBJECT, EINVAL);
}

/* The object lies beside this program. */
static struct bpf_object *load(void)
{
	char path[PATH_MAX] = {};
	char file[PATH_MAX + 32];
	struct bpf_object *object;
	int err;

	if (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
		fail("find this program", errno);
	snprintf(file, sizeof(file), "%s/" TEST_OBJECT, dirname(path));
	object = bpf_object__open_file(file, NULL);
	if (!object)
		fail("open " TEST_OBJECT " beside the test program", errno);
	set_constants(object);
	err = bpf_object__load(object);
	if (err)
		fail("load " TEST_OBJECT " (root is needed)", err);
	return object;
}

static void prepare(const struct options *options)
{
	__u64 random = options->seed * 2 + 1;
	struct bpf_object *object;

	for (int i = 0; i < 2; i++)
		layout.hash_key[i] = test_random(&random);
	weir_make_secret(layout.hash_key, test_constants.secret);
	object = load();
	program_fd = bpf_program__fd(bpf_object__find_program_by_name(object, "table_test"));
	inbound_fd = bpf_object__find_map_fd_by_name(object, "test_inbound");
	outbound_fd = bpf_object__find_map_fd_by_name(object, "test_outbound");
	test_inbound = map_whole(bpf_object__find_map_by_name(object, "test_inbound"));
	test_outbound = map_whole(bpf_object__find_map_by_name(object, "test_outbound"));
	test_shared = map_whole(bpf_object__find_map_by_name(object, "test_shared"));
	test_user = share(sizeof(*test_user));
	test_model = share(sizeof(*test_model));
	test_shared->random = test_random(&random);
	test_shared->now = TEST_SECONDS(1000);
	test_shared->no_recheck = test_broken == TEST_NO_RECHECK;
	test_user->random = test_random(&random);
	srand(test_random(&random));
	for (__u32 client = 0; client < TEST_STEADY; client++)
		test_shared->epoch[client] = 1;
	for (__u32 port = 0; port < TEST_MERGED; port++)
		test_shared->merged_epoch[port] = 1;
	pin(TEST_USER_CPU);
}

int main(int argc, char **argv)
{
	struct options options = parse(argc, argv);
	__u64 kills = options.operations / TEST_KILLS_PER;
	double start = seconds();
	pthread_t xdp;
	bool ok;

	if (kills < TEST_KILLS_MIN)
		kills = TEST_KILLS_MIN;
	if (kills > TEST_KILLS_MAX)
		kills = TEST_KILLS_MAX;
	prepare(&options);
	totals.broken_rules = test_rules(inbound_fd, outbound_fd, &layout);
	if (pthread_create(&xdp, NULL, run_xdp, NULL))
		fail("start a thread", EAGAIN);
	if (test_broken == TEST_SOUND)
		kill_writers(kills, options.operations);
	become_writer();
	test_house_all();
	work(options.operations);

	bring_to_rest();
	__atomic_store_n(&over, true, __ATOMIC_SEQ_CST);
	pthread_join(xdp, NULL);
	ok = report(&options, &totals, seconds() - start);
	test_family.unmap();
	return ok ? 0 : 1;
}
