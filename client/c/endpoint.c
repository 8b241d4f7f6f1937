/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/endpoint.h"

#include "objpool/client.h"
#include "proto/clock.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int objpool_default_address(char *text, size_t size)
{
	const char *address = getenv("OBJPOOL_ADDRESS");
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	int n;

	if (address && *address) {
		n = snprintf(text, size, "%s", address);
		return n >= 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
	}
	if (runtime && *runtime) {
		n = snprintf(text, size, "unix:%s/objpool.sock", runtime);
		if (n >= 0 && (size_t)n < size && access(text + strlen("unix:"), F_OK) == 0)
			return 0;
	}
	n = snprintf(text, size, "unix:/run/objpool/objpool.sock");
	return n >= 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

/* Waits until a connect(2) has ended that a signal has interrupted, or that did not wait: it goes on by itself. */
static int await_connect(int fd, int64_t deadline)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLOUT};
	int error = 0, n;
	socklen_t size = sizeof error;

	do
		n = poll(&pollfd, 1, clock_ms_until(deadline));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ETIMEDOUT;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? -errno : -error;
}

/*
 * connect(2) of a non-blocking Unix socket fails with EAGAIN if the listener's queue is full, and poll(2) can't wait for room
 * there. So the socket is a blocking one, with a send timeout.
 */
static int connect_unix(int fd, const struct sockaddr *address, socklen_t size, int64_t deadline)
{
	const int ms = clock_ms_until(deadline);
	const struct timeval limit = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 + 1};
	const struct timeval none = {0};

	if (ms >= 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	int rc;
	do
		rc = connect(fd, address, size) < 0 ? -errno : 0;
	while (rc == -EINTR);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof none);
	return rc == -EAGAIN ? -ETIMEDOUT : rc;
}

static int connect_tcp(int fd, const struct sockaddr *address, socklen_t size, int64_t deadline)
{
	const int one = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (connect(fd, address, size) == 0)
		return 0;
	return errno == EINPROGRESS || errno == EINTR ? await_connect(fd, deadline) : -errno;
}

static int connect_to(const struct sockaddr *address, socklen_t size, int64_t deadline)
{
	const bool local = address->sa_family == AF_UNIX;
	const int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | (local ? 0 : SOCK_NONBLOCK), 0);

	if (fd < 0)
		return -errno;
	const int rc = (local ? connect_unix : connect_tcp)(fd, address, size, deadline);
	if (rc < 0) {
		(void)close(fd);
		return rc;
	}
	return fd;
}

static int path_connect(const char *path, int64_t deadline)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	const size_t n = strlen(path);

	if (n == 0 || n >= sizeof un.sun_path)
		return -EINVAL;
	memcpy(un.sun_path, path, n + 1);
	return connect_to((const struct sockaddr *)&un, (socklen_t)sizeof un, deadline);
}

/* HOST:PORT or [HOST]:PORT. */
static int split(const char *text, char *host, size_t host_size, const char **port)
{
	const char *colon = strrchr(text, ':');
	const char *end = colon;

	if (!colon || strspn(colon + 1, "0123456789") != strlen(colon + 1) || strlen(colon + 1) - 1 > 4)
		return -EINVAL;
	if (*text == '[') {
		text++;
		if (end[-1] != ']')
			return -EINVAL;
		end--;
	} else if (memchr(text, ':', (size_t)(end - text))) {
		return -EINVAL; /* an IPv6 address needs brackets */
	}
	if (end <= text || (size_t)(end - text) >= host_size)
		return -EINVAL;
	memcpy(host, text, (size_t)(end - text));
	host[end - text] = '\0';
	*port = colon + 1;
	return 0;
}

static int host_connect(const char *text, int64_t deadline)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	char host[256];
	const char *port;
	int rc = -EHOSTUNREACH;

	if (split(text, host, sizeof host, &port) < 0)
		return -EINVAL;
	if (getaddrinfo(host, port, &hints, &found) != 0)
		return -EHOSTUNREACH;
	for (const struct addrinfo *a = found; a && rc < 0; a = a->ai_next)
		rc = connect_to(a->ai_addr, a->ai_addrlen, deadline);
	freeaddrinfo(found);
	return rc;
}

int endpoint_connect(const char *address, int64_t deadline)
{
	char text[512];

	if (!address) {
		if (objpool_default_address(text, sizeof text) < 0)
			return -EINVAL;
		address = text;
	}
	if (strncmp(address, "unix:", 5) == 0)
		return path_connect(address + 5, deadline);
	if (strncmp(address, "tcp:", 4) == 0)
		return host_connect(address + 4, deadline);
	return -EINVAL;
}
