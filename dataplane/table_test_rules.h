/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the session table does when nobody disturbs it: expiry, quarantine, recovery, replacement.
 * Checked before XDP starts, with a clock of the test's own. Included by table_test.c alone.
 */
#ifndef WEIR_TABLE_TEST_RULES_H
#define WEIR_TABLE_TEST_RULES_H

#include <stdio.h>
#include "table_test_user.h"

/* Ticks wrap around in the middle of each check. */
#define RULE_START ((__u32) - TEST_SECONDS(30))
#define RULE_PORT  TEST_STEADY /* of the session under test; its client has the same number */

enum {
	RULE_REAL = 1,
	RULE_HANDSHAKE = 10,
	RULE_ESTABLISHED = 100,
	RULE_CLOSED = 20,
	RULE_RESET = 4
};

static __u64 rules_broken;
static int rules_inbound_fd, rules_outbound_fd;
static const struct weir_layout *rules_layout;

static void expect(bool holds, const char *sentence, const char *detail)
{
	if (holds)
		return;
	rules_broken++;
	fprintf(stderr, "Rule broken: %s%s%s\n", sentence, *detail ? ": " : "", detail);
}

/* Empty tables, and a writer that remembers nothing. */
static void rule_begin(void)
{
	memset(test_inbound, 0, TEST_INBOUND_BUCKETS * sizeof(*test_inbound));
	memset(test_outbound, 0, TEST_OUTBOUND_BUCKETS * sizeof(*test_outbound));
	if (test_family.map(rules_inbound_fd, rules_outbound_fd, rules_layout))
		abort();
}

static struct weir_sweep_result rule_sweep(__u32 now)
{
	static const struct weir_timeouts timeouts[2] = {
		[RULE_REAL] = {TEST_SECONDS(RULE_HANDSHAKE), TEST_SECONDS(RULE_ESTABLISHED),
			       TEST_SECONDS(RULE_CLOSED), TEST_SECONDS(RULE_RESET), 0},
	};
	struct weir_sweep_result result;
	__u32 sessions[2] = {};

	if (weir_timeouts_use(timeouts, 2) ||
	    test_family.sweep(&(struct weir_sweep_order){.now = now}, sessions, NULL, 0, &result))
		abort();
	expect(sessions[RULE_REAL] + result.without_timeouts >= result.sessions,
	       "each session is counted for its real server", "");
	return result;
}

static int rule_put(__u64 generation, __u16 real, __u8 state, __u32 seen, __u32 reset)
{
	struct weir_record record = {.head = WEIR_HEAD(0, 0, test_mode_of(generation), state)};
	struct weir_entry index;

	test_fill_truth(&record.truth, generation, seen);
	test_fill_index(&index, generation, seen);
	record.truth.entry.real = index.real = real;
	record.truth.reset = reset;
	return weir_session_put(&record, &index);
}

static __u64 rule_generation(__u64 serial, __u32 port, __u32 client)
{
	return serial << 32 | (__u64)port << 16 | client;
}

/* 0 = no entry of this session, 1 = one, 2 = both. */
static int rule_entries(__u64 generation)
{
	struct weir_key inbound_key = test_inbound_key(test_client_of(generation));
	struct weir_key outbound_key = test_outbound_key(test_port_of(generation));
	struct inbound_ref index;
	struct outbound_ref truth;
	struct weir_entry held;
	int entries = 0;

	entries += !inbound_read(&inbound_key, &index, &held) && held.generation == generation;
	entries += !outbound_read(&outbound_key, &truth, &held) && held.generation == generation;
	return entries;
}

static void rule_hash(void)
{
	__u8 message[16];

	for (int i = 0; i < 16; i++)
		message[i] = i;
	/* Key and message 00 01 ... 0f, by an implementation that gives the published vectors of
	 * SipHash-2-4 and of Rust's SipHash-1-3. */
	expect(weir_sip_hash(message, 2, 0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL) ==
		       0xcc4fdd1a7d908b66ULL,
	       "the hash is SipHash-1-3", "");
}

/* A session goes a tick after its timeout, a quarter of it and five seconds, and not before. */
static void rule_expiry(void)
{
	static const struct {
		const char *name;
		__u8 state;
		__u16 real;
		int reset_after; /* seconds after the last packet; -100 = never */
		int seconds;     /* of the timeout that must apply, from the last activity */
	} cases[] = {
		{"SYN", WEIR_SYN, RULE_REAL, -100, RULE_HANDSHAKE},
		{"SYNACK", WEIR_SYNACK, RULE_REAL, -100, RULE_HANDSHAKE},
		{"ESTABLISHED", WEIR_ESTABLISHED, RULE_REAL, -100, RULE_ESTABLISHED},
		{"FIN_ONE", WEIR_FIN_ONE, RULE_REAL, -100, RULE_ESTABLISHED},
		{"FIN_BOTH", WEIR_FIN_BOTH, RULE_REAL, -100, RULE_CLOSED},
		{"RST with the last packet", WEIR_ESTABLISHED, RULE_REAL, 0, RULE_RESET},
		{"RST after the last packet", WEIR_ESTABLISHED, RULE_REAL, 3, RULE_RESET},
		{"RST, and data 2 s after it", WEIR_ESTABLISHED, RULE_REAL, -2, RULE_RESET},
		{"RST, and data 3 s after it", WEIR_ESTABLISHED, RULE_REAL, -3, RULE_ESTABLISHED},
		{"RST after both FINs", WEIR_FIN_BOTH, RULE_REAL, 0, RULE_RESET},
		{"half-open, no timeouts", WEIR_SYN, 77, -100, 60},
		{"established, no timeouts", WEIR_ESTABLISHED, 77, -100, 900},
	};
	__u64 generation = rule_generation(1, RULE_PORT, RULE_PORT);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		__u32 seen = RULE_START, last = seen, reset = 0;
		__u32 timeout = TEST_SECONDS(cases[i].seconds);
		__u32 limit = timeout + timeout / 4 + TEST_SECONDS(5);
		struct weir_sweep_result result;

		if (cases[i].reset_after != -100)
			reset = seen + TEST_SECONDS(cases[i].reset_after);
		if (cases[i].reset_after > 0)
			last = reset;
		rule_begin();
		expect(!rule_put(generation, cases[i].real, cases[i].state, seen, reset),
		       "a session can be put", cases[i].name);
		result = rule_sweep(last + limit);
		expect(rule_entries(generation) == 2 && result.sessions == 1 && !result.expired,
		       "a session stands until its time is over", cases[i].name);
		expect(result.without_timeouts == (cases[i].real != RULE_REAL),
		       "sessions without timeouts are counted", cases[i].name);
		result = rule_sweep(last + limit + 1);
		expect(rule_entries(generation) == 0 && result.sessions == 0 && result.expired == 1,
		       "a session goes when its time is over", cases[i].name);
	}
}

/* A clock that is a little behind the one that XDP read makes nothing old. */
static void rule_future(void)
{
	__u64 generation = rule_generation(1, RULE_PORT, RULE_PORT);

	rule_begin();
	rule_put(generation, RULE_REAL, WEIR_SYN, RULE_START + 50, 0);
	rule_sweep(RULE_START);
	expect(rule_entries(generation) == 2, "a packet of the future is of now", "");
}

static void rule_quarantine(void)
{
	__u64 generation = rule_generation(1, RULE_PORT, RULE_PORT);
	struct weir_key key = test_outbound_key(RULE_PORT);
	struct outbound_ref truth;
	struct weir_sweep_result result;

	rule_begin();
	rule_put(generation, RULE_REAL, WEIR_SYN, RULE_START, 0);
	expect(!outbound_find(&key, &truth) && !outbound_remove(&truth),
	       "a session that stands can be removed", "");
	expect(outbound_find(&key, &truth) == -ENOENT, "what is removed is not found", "");
	result = rule_sweep(RULE_START);
	expect(result.orphans == 1 && rule_entries(generation) == 0,
	       "an inbound entry goes with its session", "");
	result = rule_sweep(RULE_START + TEST_SECONDS(1));
	expect(!result.emptied && result.dead == 2, "quarantine lasts a second", "");
	result = rule_sweep(RULE_START + TEST_SECONDS(2) + TEST_SECONDS(1));
	expect(result.emptied == 2 && !result.dead, "quarantine ends in time", "");
}

static void rule_recovery(void)
{
	__u64 *head = &test_inbound[3].head[2];
	struct weir_sweep_result result;

	rule_begin();
	*head = WEIR_HEAD(0xabcd, 7, 0, WEIR_BUSY);
	result = rule_sweep(RULE_START);
	expect(result.busy == 1, "a BUSY slot is counted", "");
	rule_sweep(RULE_START + TEST_SECONDS(1) - 1);
	expect(WEIR_HEAD_STATE(*head) == WEIR_BUSY, "a BUSY slot has a second", "");
	*head = WEIR_HEAD(0xabcd, 8, 0, WEIR_BUSY);
	rule_sweep(RULE_START + TEST_SECONDS(1) + 1);
	rule_sweep(RULE_START + TEST_SECONDS(2));
	expect(WEIR_HEAD_STATE(*head) == WEIR_BUSY, "a BUSY slot that changed has a new second",
	       "");
	result = rule_sweep(RULE_START + TEST_SECONDS(2) + 1);
	expect(result.recovered == 1 && WEIR_HEAD_STATE(*head) == WEIR_EMPTY &&
		       WEIR_HEAD_VERSION(*head) == 9,
	       "a BUSY slot that stays so for a second is recovered", "");
}

static void rule_generations(void)
{
	__u64 first = rule_generation(5, RULE_PORT, RULE_PORT);
	__u64 older = rule_generation(4, RULE_PORT, RULE_PORT);
	__u64 newer = rule_generation(6, RULE_PORT, RULE_PORT);
	__u64 elsewhere = rule_generation(7, RULE_PORT + 1, RULE_PORT);
	struct weir_record record;
	__u64 cursor = 0;

	rule_begin();
	expect(!rule_put(first, RULE_REAL, WEIR_SYN, RULE_START, 0), "a session can be put", "");
	expect(rule_put(first, RULE_REAL, WEIR_SYN, RULE_START, 0) == -EEXIST &&
		       rule_put(older, RULE_REAL, WEIR_SYN, RULE_START, 0) == -EEXIST &&
		       rule_entries(first) == 2,
	       "an older or equal generation changes nothing", "");
	expect(!rule_put(newer, RULE_REAL, WEIR_ESTABLISHED, RULE_START, 0) &&
		       rule_entries(newer) == 2 && rule_entries(first) == 0,
	       "a newer generation replaces an older one", "");
	expect(test_family.snapshot(&cursor, ~0ULL, &record, 1) == 1 &&
		       record.truth.entry.generation == newer &&
		       WEIR_HEAD_STATE(record.head) == WEIR_ESTABLISHED,
	       "a snapshot has the session", "");
	expect(!test_family.snapshot(&cursor, ~0ULL, &record, 1) &&
		       cursor == test_family.positions(),
	       "a snapshot ends", "");

	/* Another session of the same client: the first one loses its index and goes later,
	 * alone. */
	expect(!rule_put(elsewhere, RULE_REAL, WEIR_SYN, RULE_START + TEST_SECONDS(1000), 0),
	       "a client's next session can be put", "");
	expect(rule_entries(newer) == 1, "a client has one session", "");
	expect(rule_sweep(RULE_START + TEST_SECONDS(1000)).expired == 1 &&
		       rule_entries(elsewhere) == 2,
	       "expiry leaves the client's next session alone", "");
}

/* Sessions of ever new clients and ports, until one is refused. */
static void rule_room(void)
{
	__u32 put = 0, found = 0;

	rule_begin();
	while (!rule_put(rule_generation(1, put, put), RULE_REAL, WEIR_SYN, RULE_START, 0))
		put++;
	for (__u32 client = 0; client < put; client++)
		found += rule_entries(rule_generation(1, client, client)) == 2;
	expect(found == put && rule_entries(rule_generation(1, put, put)) == 0,
	       "what was put is there, and what was refused is not", "");
	expect(put * 100 > TEST_INBOUND_BUCKETS * WEIR_SLOTS * 85,
	       "a table that is 85 % full has room", "");
	expect(weir_writer_counters.moves > 0, "room is made by moves", "");
}

static __u64 test_rules(int inbound_fd, int outbound_fd, const struct weir_layout *layout)
{
	rules_inbound_fd = inbound_fd;
	rules_outbound_fd = outbound_fd;
	rules_layout = layout;
	rule_hash();
	rule_expiry();
	rule_future();
	rule_quarantine();
	rule_recovery();
	rule_generations();
	rule_room();
	rule_begin();
	test_family.unmap();
	return rules_broken;
}

#endif
