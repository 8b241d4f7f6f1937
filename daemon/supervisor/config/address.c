/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/config/address.h"

#include "proto/address_form.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Does another address follow in the same text? A path may hold blanks, but hardly one and then an address. */
static bool holds_another(const char *path)
{
	for (const char *blank = path; (blank = strpbrk(blank, " \t,")); blank++)
		if (strncmp(blank + 1, "unix:", 5) == 0 || strncmp(blank + 1, "tcp:", 4) == 0 ||
		    strncmp(blank + 1, "tls:", 4) == 0)
			return true;
	return false;
}

static int parse_unix(struct address *address, const char *path, char *reason, size_t size)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&address->sa;
	const size_t n = strlen(path);

	if (n == 0 || path[0] != '/') {
		snprintf(reason, size, "unix:%.200s: the path must begin with /", path);
		return -1;
	}
	if (n >= sizeof un->sun_path) {
		snprintf(reason, size, "unix:%s: the path is longer than %zu characters", path, sizeof un->sun_path - 1);
		return -1;
	}
	if (holds_another(path)) {
		snprintf(reason, size, "unix:%s: there are several addresses: give each by itself", path);
		return -1;
	}
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, n + 1);
	address->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	return 0;
}

/* HOST:PORT or [HOST]:PORT. */
static int split(const char *text, char *host, size_t host_size, const char **port)
{
	const char *end = strrchr(text, ':');
	const char *begin = text;

	if (!end || end == text || !end[1])
		return -1;
	*port = end + 1;
	if (*begin == '[') {
		begin++;
		if (*--end != ']')
			return -1;
	} else if (memchr(text, ':', (size_t)(end - text))) {
		return -1; /* IPv6 wants brackets */
	}
	const size_t n = (size_t)(end - begin);
	if (n == 0 || n >= host_size)
		return -1;
	memcpy(host, begin, n);
	host[n] = '\0';
	return 0;
}

/* `scheme` is tcp or tls. */
static int parse_tcp(struct address *address, const char *scheme, const char *text, char *reason, size_t size)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_NUMERICHOST | AI_PASSIVE};
	struct addrinfo *found = NULL;
	char host[64];
	const char *port;

	if (split(text, host, sizeof host, &port) < 0) {
		snprintf(reason, size, "%s:%s: write %s:HOST:PORT or %s:[IPV6]:PORT", scheme, text, scheme, scheme);
		return -1;
	}
	const char *number = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
	if (strspn(port, "0123456789") != strlen(port) || strlen(port) > 5 || strtoul(port, NULL, 10) > UINT16_MAX ||
	    getaddrinfo(number, port, &hints, &found) != 0) {
		snprintf(reason, size, "%s:%s: HOST must be an IP address (or localhost) and PORT a number from 0 to 65535",
			 scheme, text);
		return -1;
	}
	memcpy(&address->sa, found->ai_addr, found->ai_addrlen);
	address->size = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

int address_parse(struct address *address, const char *given, char *reason, size_t reason_size)
{
	char room[ADDRESS_FORM_MAX];
	const char *const text = address_form(given, room);

	memset(address, 0, sizeof *address);
	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(address, text + 5, reason, reason_size);
	if (strncmp(text, "tcp:", 4) == 0)
		return parse_tcp(address, "tcp", text + 4, reason, reason_size);
	address->tls = strncmp(text, "tls:", 4) == 0;
	if (address->tls)
		return parse_tcp(address, "tls", text + 4, reason, reason_size);
	snprintf(reason, reason_size, "\"%s\" is no address: write unix:PATH, tcp:HOST:PORT or tls:HOST:PORT", text);
	return -1;
}

bool address_is_loopback(const struct address *address)
{
	if (address->sa.ss_family == AF_INET)
		return (ntohl(((const struct sockaddr_in *)&address->sa)->sin_addr.s_addr) >> 24) == 127;
	if (address->sa.ss_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&address->sa)->sin6_addr);
	return true;
}

bool address_equal(const struct address *a, const struct address *b)
{
	char x[ADDRESS_TEXT], y[ADDRESS_TEXT];
	address_format(a, x, sizeof x);
	address_format(b, y, sizeof y);
	return strcmp(x, y) == 0;
}

bool address_same_socket(const struct address *a, const struct address *b)
{
	struct address as_b = *a;

	as_b.tls = b->tls;
	return address_equal(&as_b, b);
}

static bool is_any(const struct address *address)
{
	if (address->sa.ss_family == AF_INET)
		return ((const struct sockaddr_in *)&address->sa)->sin_addr.s_addr == htonl(INADDR_ANY);
	return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)&address->sa)->sin6_addr);
}

bool address_overlaps(const struct address *a, const struct address *b)
{
	if (a->sa.ss_family != b->sa.ss_family || (!address_is_unix(a) && address_port(a) == 0))
		return false;
	if (address_is_unix(a) || (!is_any(a) && !is_any(b)))
		return address_same_socket(a, b);
	return address_port(a) == address_port(b);
}

const char *address_cause(const char *text, const char *reason)
{
	const size_t n = strlen(text);
	return strncmp(reason, text, n) == 0 && strncmp(reason + n, ": ", 2) == 0 ? reason + n + 2 : reason;
}

void address_format(const struct address *address, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "?", port[8] = "?";

	if (address_is_unix(address)) {
		snprintf(text, size, "unix:%s", address_path(address));
		return;
	}
	(void)getnameinfo((const struct sockaddr *)&address->sa, address->size, host, sizeof host, port, sizeof port,
			  NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(text, size, address->sa.ss_family == AF_INET6 ? "%s:[%s]:%s" : "%s:%s:%s", address->tls ? "tls" : "tcp", host,
		 port);
}

/* Can the address be bound? A machine may have no IPv6, or none on its loopback device. */
static bool is_available(struct address address)
{
	const int fd = socket(address.sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	address_set_port(&address, 0);
	const int r = bind(fd, (const struct sockaddr *)&address.sa, address.size);
	(void)close(fd);
	return r == 0;
}

bool address_second(const char *given, struct address *address)
{
	char room[ADDRESS_FORM_MAX];
	const char *const text = address_form(given, room);
	const bool tls = strncmp(text, "tls:localhost:", 14) == 0;

	if (!tls && strncmp(text, "tcp:localhost:", 14) != 0)
		return false;
	memset(address, 0, sizeof *address);
	address->tls = tls;
	address->sa.ss_family = AF_INET6;
	((struct sockaddr_in6 *)&address->sa)->sin6_addr = in6addr_loopback;
	address->size = sizeof(struct sockaddr_in6);
	return is_available(*address);
}

uint16_t address_port(const struct address *address)
{
	return ntohs(address->sa.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&address->sa)->sin6_port
						       : ((const struct sockaddr_in *)&address->sa)->sin_port);
}

void address_set_port(struct address *address, uint16_t port)
{
	if (address->sa.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&address->sa)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)&address->sa)->sin_port = htons(port);
}
