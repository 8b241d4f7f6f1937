/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/endpoint.h"

#include "objpool/client.h"
#include "proto/address_form.h"
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

static int connect_to_path(const char *path, int64_t deadline)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	memcpy(un.sun_path, path, strlen(path) + 1); /* parse_path has looked at its length */
	return connect_to((const struct sockaddr *)&un, (socklen_t)sizeof un, deadline);
}

static int connect_to_host(const char *host, const char *port, int64_t deadline)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	int rc = -EHOSTUNREACH;

	if (getaddrinfo(host, port, &hints, &found) != 0)
		return -EHOSTUNREACH;
	for (const struct addrinfo *a = found; a && rc < 0; a = a->ai_next)
		rc = connect_to(a->ai_addr, a->ai_addrlen, deadline);
	freeaddrinfo(found);
	return rc;
}

int endpoint_connect(const struct endpoint *endpoint, int64_t deadline)
{
	if (endpoint->kind == ENDPOINT_UNIX)
		return connect_to_path(endpoint->place, deadline);
	return connect_to_host(endpoint->place, endpoint->port, deadline);
}

/* ---- addresses as text ----------------------------------------------------------------------------------------------- */

static int parse_path(const char *path, struct endpoint *endpoint)
{
	const size_t n = strlen(path);

	if (n == 0 || n >= sizeof((struct sockaddr_un *)0)->sun_path)
		return -EINVAL;
	memcpy(endpoint->place, path, n + 1);
	return 0;
}

/* HOST:PORT or [HOST]:PORT. */
static int parse_host(const char *text, struct endpoint *endpoint)
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
	if (end <= text || (size_t)(end - text) >= sizeof endpoint->place)
		return -EINVAL;
	memcpy(endpoint->place, text, (size_t)(end - text));
	endpoint->place[end - text] = '\0';
	memcpy(endpoint->port, colon + 1, strlen(colon + 1) + 1);
	return 0;
}

int endpoint_parse(const char *address, struct endpoint *endpoint)
{
	char text[ADDRESS_FORM_MAX], form[ADDRESS_FORM_MAX];

	if (!address) {
		if (objpool_default_address(text, sizeof text) < 0)
			return -EINVAL;
		address = text;
	}
	address = address_form(address, form);
	endpoint->kind = ENDPOINT_UNIX;
	if (strncmp(address, "unix:", 5) == 0)
		return parse_path(address + 5, endpoint);
	endpoint->kind = ENDPOINT_TCP;
	if (strncmp(address, "tcp:", 4) == 0)
		return parse_host(address + 4, endpoint);
	endpoint->kind = ENDPOINT_TLS;
	return strncmp(address, "tls:", 4) == 0 ? parse_host(address + 4, endpoint) : -EINVAL;
}
