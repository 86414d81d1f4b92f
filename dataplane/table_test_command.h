/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The command line of the session table's test: what it is asked for, and the report that it
 * prints. Included by table_test.c alone.
 */
#ifndef WEIR_TABLE_TEST_COMMAND_H
#define WEIR_TABLE_TEST_COMMAND_H

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include "table_test_model.h"

#define TEST_DEFAULT_NUMBER 2000000

struct options {
	__u64 operations;
	__u64 seed;
	bool json;
};

/* Errors found while XDP was at rest; others are in the sides' books. The test adds, the report
 * reads. */
struct totals {
	__u64 broken_rules;
	__u64 lost_flags; /* by the books */
	__u64 stuck;
	__u64 duplicates;
	__u64 foreign;
	__u64 missed;
	__u64 kills;
	__u64 inspections;
};

static void usage(FILE *to)
{
	fprintf(to, "Usage: table-test [--operations N] [--seed N] [--json]\n"
		    "                  [--break plain-store|no-recheck|plain-merge|lost-record]\n"
		    "Runs the session table under load from two CPUs. --break breaks its rules on "
		    "purpose: the\n"
		    "test must fail then.\n");
}

static __u64 parse_number(const char *text)
{
	char *end;
	__u64 number;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno || *end || end == text || !number) {
		usage(stderr);
		exit(2);
	}
	return number;
}

/* TEST_SOUND: there is no such way to break it. */
static enum test_break parse_break(const char *text)
{
	static const char *const names[] = {
		[TEST_PLAIN_STORE] = "plain-store",
		[TEST_NO_RECHECK] = "no-recheck",
		[TEST_PLAIN_MERGE] = "plain-merge",
		[TEST_LOST_RECORD] = "lost-record",
	};

	for (size_t i = 1; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i]))
			return i;
	}
	return TEST_SOUND;
}

static struct options parse(int argc, char **argv)
{
	static const struct option names[] = {
		{"operations", required_argument, NULL, 'o'},
		{"seed", required_argument, NULL, 's'},
		{"json", no_argument, NULL, 'j'},
		{"break", required_argument, NULL, 'b'},
		{"help", no_argument, NULL, 'h'},
		{},
	};
	struct options options = {.operations = TEST_DEFAULT_NUMBER, .seed = time(NULL)};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (option) {
		case 'o':
			options.operations = parse_number(optarg);
			break;
		case 's':
			options.seed = parse_number(optarg);
			break;
		case 'j':
			options.json = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		case 'b':
			test_broken = parse_break(optarg);
			if (test_broken)
				break;
			/* fall through */
		default:
			usage(stderr);
			exit(2);
		}
	}
	return options;
}

/* Prints the figures. Returns whether nothing was lost, missed, doubled, stuck or broken. */
static bool report(const struct options *options, const struct totals *totals, double elapsed)
{
	const struct test_side *xdp = &test_shared->xdp, *user = &test_user->side;
	__u64 lost_flags = totals->lost_flags + xdp->lost_flags + user->lost_flags;
	__u64 lost_facts = xdp->lost_facts + user->lost_facts;
	__u64 foreign = totals->foreign + xdp->foreign + user->foreign;
	__u64 missed = totals->missed + xdp->missed + user->missed;
	__u64 went_back = xdp->went_back + user->went_back;
	__u64 stuck = totals->stuck + test_model->stuck;
	bool ok = !(lost_flags | lost_facts | foreign | missed | went_back | stuck |
		    totals->duplicates | totals->broken_rules | test_model->refused |
		    test_model->different);
	const struct {
		const char *name, *sentence;
		__u64 value;
	} rows[] = {
		{"operations", "operations", xdp->operations + user->operations},
		{"xdpOperations", "  of the XDP program", xdp->operations},
		{"userOperations", "  of the writer", user->operations},
		{"found", "keys found", xdp->found + user->found},
		{"missing", "keys not found", xdp->missing + user->missing},
		{"busy", "keys busy", xdp->busy + user->busy},
		{"created", "sessions created", xdp->created + user->created},
		{"refused", "creations refused", xdp->refused + user->refused},
		{"replaced", "entries replaced in place", xdp->replaced + user->replaced},
		{"removed", "entries removed", xdp->removed + user->removed},
		{"put", "sessions put", test_user->put},
		{"renewed", "steady sessions replaced in place", test_user->renewed},
		{"rehoused", "steady sessions removed and put", test_user->rehoused},
		{"merged", "records merged", test_model->records},
		{"mergedInserted", "  into a key without a session", test_model->inserted},
		{"mergedReplaced", "  in place of an older session", test_model->replaced},
		{"mergedAdvanced", "  with something new", test_model->advanced},
		{"mergedUnchanged", "  with nothing new", test_model->unchanged},
		{"mergedStale", "  of an older session", test_model->stale},
		{"mergesRetried", "merges that XDP was in the way of", test_model->retried},
		{"advanced", "advances of flags or state", xdp->advanced + user->advanced},
		{"learned", "facts learned", xdp->learned + user->learned},
		{"stale", "changes that came too late", xdp->stale + user->stale},
		{"moves", "moves", weir_writer_counters.moves},
		{"movesUndone", "moves undone", weir_writer_counters.moves_undone},
		{"sweeps", "sweeps", test_user->sweeps},
		{"expired", "sessions expired", test_user->expired},
		{"orphans", "orphans removed", test_user->orphans},
		{"emptied", "slots let out of quarantine", test_user->emptied},
		{"records", "records in snapshots", test_user->records},
		{"kills", "writers killed", totals->kills},
		{"recovered", "BUSY slots that they left", test_user->recovered},
		{"duplicatesRemoved", "duplicates that they left", test_user->duplicates_removed},
		{"inspections", "inspections at rest", totals->inspections},
		{"brokenRules", "broken rules", totals->broken_rules},
		{"lostFlags", "lost flags", lost_flags},
		{"lostFacts", "lost facts", lost_facts},
		{"foreignValues", "foreign values", foreign},
		{"duplicates", "duplicates", totals->duplicates},
		{"missedLiveKeys", "missed live keys", missed},
		{"stuckSlots", "stuck slots", stuck},
		{"refusedRecords", "records refused, or found to lie", test_model->refused},
		{"wentBack", "keys that went back to an older session", went_back},
		{"differences", "differences from the model of merges", test_model->different},
	};

	if (options->json)
		printf("{\"ok\":%s,\"seed\":%" PRIu64 ",\"seconds\":%.1f", ok ? "true" : "false",
		       (uint64_t)options->seed, elapsed);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (options->json)
			printf(",\"%s\":%" PRIu64, rows[i].name, (uint64_t)rows[i].value);
		else
			printf("%-36s%14" PRIu64 "\n", rows[i].sentence, (uint64_t)rows[i].value);
	}
	if (options->json)
		printf("}\n");
	else
		printf("%s after %.1f s, seed %" PRIu64 "\n", ok ? "passed" : "FAILED", elapsed,
		       (uint64_t)options->seed);
	return ok;
}

#endif
