// SPDX-License-Identifier: Apache-2.0
// Thousands of connections, or flows of datagrams, that prove themselves.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "client.h"
#include "flow.h"
#include "stream.h"
#include "transport.h"

int main(int argc, char **argv)
{
	bool is_udp = argc > 2 && !strcmp(argv[2], "udp");

	if (argc == 4 && !strcmp(argv[1], "serve"))
		return (is_udp ? serve_flows : serve_streams)(atoi(argv[3]));
	if (argc == 7 && !strcmp(argv[1], "connect"))
		return run_client(is_udp ? &udp : &tcp, argv[3], atoi(argv[4]), atoi(argv[5]),
				  atoi(argv[6]));
	fprintf(stderr, "usage: streams serve tcp|udp PORT\n"
			"       streams connect tcp|udp ADDRESS PORT INTERVAL_MS FIRST_PORT\n");
	return 2;
}
