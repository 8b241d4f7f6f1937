/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes sent to the HTTP port in two pieces: the first byte says where they part, and its highest bit whether the sender shuts
 * down its side. Calls are taken; there are no pools, so each one ends with an error. */
#include "daemon/supervisor/http/http.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { TURNS = 50 };

static const struct core_ops ops = {0}; /* there are no pools */
static struct daemon the_daemon;
static struct sockaddr_un place = {.sun_family = AF_UNIX};

static void finish(void)
{
	the_daemon.http = http_close(the_daemon.http);
	core_free(&the_daemon.core);
	config_free(&the_daemon.config);
	event_base_free(the_daemon.base);
}

static void begin(void)
{
	const struct core_limits limits = {
		.max_message = 1 << 20, .max_inflight = 100, .max_pending = 1 << 20, .max_unsent = 1 << 20};
	struct http *http;
	char fault[512];

	if (the_daemon.base)
		return;
	core_init(&the_daemon.core, &ops, &limits);
	TAILQ_INIT(&the_daemon.listeners);
	TAILQ_INIT(&the_daemon.sessions);
	TAILQ_INIT(&the_daemon.loans);
	the_daemon.base = event_base_new();
	snprintf(place.sun_path, sizeof place.sun_path, "/tmp/objpool-fuzz-%d", (int)getpid());
	the_daemon.config.http.text = malloc(sizeof place.sun_path + 5);
	the_daemon.config.http.place = strdup("here");
	the_daemon.config.http_calls = true;
	the_daemon.config.http_max_body = 1 << 14;
	sprintf(the_daemon.config.http.text, "unix:%s", place.sun_path);
	if (http_open(&the_daemon, &the_daemon.config, &http, fault, sizeof fault) < 0)
		abort();
	the_daemon.http = http;
	atexit(finish);
}

static void turn(void)
{
	(void)event_base_loop(the_daemon.base, EVLOOP_NONBLOCK);
	timers_run(&the_daemon.core.timers, the_daemon.core.now, UINT32_MAX);
	core_end_event(&the_daemon.core);
	http_end_turn(the_daemon.http);
	http_flush(the_daemon.http);
	core_end_event(&the_daemon.core);
}

/* Reads what has come. False: the connection has ended. */
static bool listen_to(int fd, char *answer, size_t *have, size_t room)
{
	const ssize_t n = recv(fd, answer + *have, room - *have, MSG_DONTWAIT);

	*have += n > 0 ? (size_t)n : 0;
	return n < 0 || (n > 0 && *have < room);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static char answer[1 << 20];
	size_t have = 0;

	begin();
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (size < 2 || size > 50000 || fd < 0 || connect(fd, (struct sockaddr *)&place, sizeof place) < 0) {
		(void)close(fd);
		return 0;
	}
	const bool ends = bytes[0] & 0x80;
	const size_t first = (size_t)(bytes[0] & 0x7f) * (size - 1) / 127;
	(void)!send(fd, bytes + 1, first, MSG_NOSIGNAL);
	turn();
	(void)!send(fd, bytes + 1 + first, size - 1 - first, MSG_NOSIGNAL);
	if (ends)
		(void)shutdown(fd, SHUT_WR);
	for (int i = 0; i < TURNS && listen_to(fd, answer, &have, sizeof answer); i++)
		turn();
	if (have > 0 && (have < 12 || memcmp(answer, "HTTP/", 5) != 0))
		abort(); /* no answer of HTTP's */
	(void)close(fd);
	the_daemon.core.now += 20 * SECOND; /* a connection that sent too little is closed */
	for (int i = 0; i < 3; i++)
		turn();
	return 0;
}
