// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "witness.h"

int listen_on(int type, __u16 port)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(AF_INET6, type | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		return -1;
	}
	return fd;
}

struct witness witness_of(const struct sockaddr_in6 *peer)
{
	struct witness witness = {.address = peer->sin6_addr, .port = ntohs(peer->sin6_port)};

	gethostname(witness.server, sizeof(witness.server) - 1);
	return witness;
}

const char *witness_address(const struct witness *witness, char *text)
{
	const struct in6_addr *address = &witness->address;

	*text = 0;
	if (IN6_IS_ADDR_V4MAPPED(address))
		inet_ntop(AF_INET, &address->s6_addr32[3], text, INET6_ADDRSTRLEN);
	else if (!IN6_IS_ADDR_UNSPECIFIED(address))
		inet_ntop(AF_INET6, address, text, INET6_ADDRSTRLEN);
	return text;
}
