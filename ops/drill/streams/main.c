// SPDX-License-Identifier: Apache-2.0
// streams serve PORT | streams connect ADDRESS PORT INTERVAL_MS: thousands of connections that
// prove themselves.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "stream.h"

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve"))
		return run_server(atoi(argv[2]));
	if (argc == 5 && !strcmp(argv[1], "connect"))
		return run_client(argv[2], atoi(argv[3]), atoi(argv[4]));
	fprintf(stderr, "usage: streams serve PORT | streams connect ADDRESS PORT INTERVAL_MS\n");
	return 2;
}
