/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/connections/peer.h"

#include "daemon/supervisor/config/address.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static int describe_process(int fd, char *text, size_t size)
{
	struct ucred peer;
	socklen_t length = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		return -1;
	snprintf(text, size, "process %d, user %u, group %u", peer.pid, peer.uid, peer.gid);
	return 0;
}

static int describe_address(int fd, bool tls, char *text, size_t size)
{
	struct address address = {.size = sizeof address.sa, .tls = tls};

	if (getpeername(fd, (struct sockaddr *)&address.sa, &address.size) < 0)
		return -1;
	address_format(&address, text, size);
	return 0;
}

void peer_describe(int fd, bool tls, char *text, size_t size)
{
	int domain = AF_UNSPEC;
	socklen_t length = sizeof domain;

	int r = getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length);
	if (r == 0)
		r = domain == AF_UNIX ? describe_process(fd, text, size) : describe_address(fd, tls, text, size);
	if (r < 0)
		snprintf(text, size, "%s", strerror(errno));
}
