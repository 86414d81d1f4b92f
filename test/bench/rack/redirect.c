// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Hands all frames of one interface to another one.
 *
 *   redirect OBJECT FROM TO TARGET SOURCE
 *
 * OBJECT is redirect.bpf.o; TARGET and SOURCE the MAC addresses that frames get. Says "ready", and
 * goes on until its standard input ends.
 */
#define _GNU_SOURCE
#include "common.h"
#include "redirect.h"

static void parse_mac(const char *text, __u8 *mac)
{
	int read = sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", mac, mac + 1, mac + 2,
			  mac + 3, mac + 4, mac + 5);

	check(read == 6 ? 0 : -EINVAL, text);
}

int main(int argc, char **argv)
{
	struct redirect_macs macs;
	struct bpf_object *object;
	__u32 to;

	if (argc != 6) {
		fprintf(stderr, "redirect: wrong arguments\n");
		return 2;
	}
	parse_mac(argv[4], macs.target);
	parse_mac(argv[5], macs.source);
	to = interface_index(argv[3]);
	object = load_object(argv[1]);
	put(map_fd(object, "macs"), &macs);
	put(map_fd(object, "arm"), &to);
	attach(program_fd(object, "redirect"), interface_index(argv[2]));
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
