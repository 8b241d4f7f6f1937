/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/view/systemd.h"

#include "daemon/supervisor/connections/listener.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/view/status.h"
#include "proto/plural.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* The protocols are those of sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3), part of systemd's interface promise. */

enum { FIRST_PASSED = 3 }; /* descriptor */

/* The number that a variable of the environment has; 0: none. */
static uint64_t number_of(const char *variable)
{
	const char *text = getenv(variable);
	char *end;

	if (!text || text[strspn(text, "0123456789")] != '\0')
		return 0;
	errno = 0;
	const unsigned long long value = strtoull(text, &end, 10);
	return errno ? 0 : value;
}

static bool is_own_pid(const char *variable)
{
	return number_of(variable) == (uint64_t)getpid();
}

/*
 * As sd_notify(3) does, but never blocking: a service manager that has stopped to read must not stop the daemon.
 */
__attribute__((format(printf, 1, 2))) static void notify(const char *format, ...)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char text[512];
	va_list list;

	if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof address.sun_path)
		return;
	va_start(list, format);
	const int n = vsnprintf(text, sizeof text, format, list);
	va_end(list);
	const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	memcpy(address.sun_path, path, strlen(path));
	const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	if (fd < 0 || sendto(fd, text, (size_t)n, MSG_NOSIGNAL, (const struct sockaddr *)&address, size) < 0)
		log_say(LOG_DEBUG, "could not notify %s: %s", path, strerror(errno));
	if (fd >= 0)
		(void)close(fd);
}

void systemd_ready(const struct daemon *daemon)
{
	const struct status_totals totals = status_totals(daemon);
	char line[sizeof daemon->status];

	status_line(&totals, line, sizeof line);
	notify("READY=1\nSTATUS=%s", line);
}

/* What a daemon that stops waits for. */
static void add_stopping(const struct daemon *daemon, char *line, size_t size)
{
	const size_t n = strlen(line);
	const uint32_t calls = status_calls(daemon);

	snprintf(line + n, size - n, ", %s: %u call%s left", daemon->state == DAEMON_DRAINING ? "draining" : "stopping", calls,
		 plural(calls));
}

void systemd_status(struct daemon *daemon)
{
	const struct status_totals totals = status_totals(daemon);
	char line[sizeof daemon->status];

	status_line(&totals, line, sizeof line);
	if (daemon->state != DAEMON_RUNNING)
		add_stopping(daemon, line, sizeof line);
	if (!strcmp(line, daemon->status))
		return;
	memcpy(daemon->status, line, sizeof line);
	notify("STATUS=%s", line);
}

void systemd_reloading(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	notify("RELOADING=1\nMONOTONIC_USEC=%llu",
	       (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
}

void systemd_stopping(void)
{
	notify("STOPPING=1");
}

static void on_watchdog(void *data)
{
	(void)data;
	notify("WATCHDOG=1");
}

void systemd_start_watchdog(struct daemon *daemon)
{
	const uint64_t usec = getenv("WATCHDOG_PID") && !is_own_pid("WATCHDOG_PID") ? 0 : number_of("WATCHDOG_USEC");

	if (usec == 0)
		return;
	if (ticker_start(&daemon->watchdog, daemon->base, usec / 2 * 1000, on_watchdog, NULL) < 0)
		log_say(LOG_ERR, "there is no timer for the watchdog: out of memory or descriptors");
	else
		on_watchdog(NULL);
}

static int adopt(struct daemon *daemon, int fd, const char *names, int length, char *reason, size_t reason_size)
{
	char name[256]; /* systemd's limit */

	snprintf(name, sizeof name, "%.*s", length > 0 ? length : (int)strlen("unknown"), length > 0 ? names : "unknown");
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC); /* fails where no socket was passed: listener_adopt says so */
	return listener_adopt(daemon, fd, name, reason, reason_size);
}

int systemd_adopt_sockets(struct daemon *daemon, char *reason, size_t reason_size)
{
	static const char *const variables[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}; /* not for workers */
	const uint64_t count = is_own_pid("LISTEN_PID") ? number_of("LISTEN_FDS") : 0;
	const char *names = getenv("LISTEN_FDNAMES");
	int r = 0;

	for (uint64_t i = 0; i < count && r == 0; i++) {
		const int length = names ? (int)strcspn(names, ":") : 0;
		r = adopt(daemon, FIRST_PASSED + (int)i, names ? names : "", length, reason, reason_size);
		names = names && names[length] == ':' ? names + length + 1 : NULL;
	}
	for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
		(void)unsetenv(variables[i]);
	return r;
}
