/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/view/systemd.h"

#include "daemon/supervisor/connections/listener.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/view/status.h"
#include "proto/plural.h"

#include <errno.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

/*
 * As sd_notify(3) does, but never blocking: a service manager that has stopped to read must not stop the daemon. The protocol is
 * part of systemd's interface promise.
 */
__attribute__((format(printf, 1, 2)))
static void notify(const char *format, ...)
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
	uint64_t usec;

	if (sd_watchdog_enabled(0, &usec) <= 0)
		return;
	if (ticker_start(&daemon->watchdog, daemon->base, usec / 2 * 1000, on_watchdog, NULL) < 0)
		log_say(LOG_ERR, "there is no timer for the watchdog: out of memory or descriptors");
	else
		on_watchdog(NULL);
}

int systemd_adopt_sockets(struct daemon *daemon, char *reason, size_t reason_size)
{
	char **names = NULL;
	const int n = sd_listen_fds_with_names(1, &names);
	int r = 0;

	for (int i = 0; i < n && r == 0; i++)
		r = listener_adopt(daemon, SD_LISTEN_FDS_START + i, names[i], reason, reason_size);
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return r;
}
