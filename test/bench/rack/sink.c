// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Counts the datagrams that come to an interface, and drops them.
 *
 *   sink OBJECT DEVICE SOURCE LENGTH SPORT TARGET DPORT
 *
 * OBJECT is sink.bpf.o. Expected are datagrams from SOURCE/LENGTH to TARGET; a port of 0 is any.
 * Says "ready"; then each line on standard input is answered by {"expected", "others"}, as counted
 * so far: "read", "answer" (from now on what is expected goes back) and "drop" (no longer).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include "common.h"
#include "sink.h"

static __be32 parse_address(const char *text)
{
	struct in_addr address;

	check(inet_aton(text, &address) ? 0 : -EINVAL, text);
	return address.s_addr;
}

static __be32 mask_of(int length)
{
	return htonl(length ? ~0u << (32 - length) : 0);
}

static void print_counts(int map)
{
	struct sink_counts counts;

	get(map, &counts);
	printf("{\"expected\":%llu,\"others\":%llu}\n", counts.expected, counts.others);
}

int main(int argc, char **argv)
{
	struct bpf_object *object;
	struct sink_rule rule;
	int rules, counts;
	char line[16];

	if (argc != 8) {
		fprintf(stderr, "sink: wrong arguments\n");
		return 2;
	}
	rule = (struct sink_rule){
		.source_mask = mask_of(atoi(argv[4])),
		.sport = htons(atoi(argv[5])),
		.target = parse_address(argv[6]),
		.dport = htons(atoi(argv[7])),
	};
	rule.source = parse_address(argv[3]) & rule.source_mask;
	object = load_object(argv[1]);
	rules = map_fd(object, "rules");
	counts = map_fd(object, "counts");
	put(rules, &rule);
	attach(program_fd(object, "sink"), interface_index(argv[2]));
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	while (fgets(line, sizeof(line), stdin)) {
		if (strcmp(line, "read\n")) {
			rule.answers = !strcmp(line, "answer\n");
			put(rules, &rule);
		}
		print_counts(counts);
	}
	return 0;
}
