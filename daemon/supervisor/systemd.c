/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/systemd.h"

#include "daemon/supervisor/listener.h"
#include "daemon/supervisor/log.h"
#include "daemon/supervisor/status.h"

#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <time.h>

void systemd_ready(const struct daemon *daemon)
{
	char line[128];
	status_line(daemon, line, sizeof line);
	(void)sd_notifyf(0, "READY=1\nSTATUS=%s", line);
}

void systemd_status(const struct daemon *daemon)
{
	char line[128];
	status_line(daemon, line, sizeof line);
	(void)sd_notifyf(0, "STATUS=%s%s", line, daemon->state == DAEMON_RUNNING ? "" : ", stopping");
}

void systemd_reloading(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
			 (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
}

void systemd_stopping(void)
{
	(void)sd_notify(0, "STOPPING=1");
}

static void on_watchdog(evutil_socket_t fd, short what, void *data)
{
	(void)fd, (void)what, (void)data;
	(void)sd_notify(0, "WATCHDOG=1");
}

void systemd_start_watchdog(struct daemon *daemon)
{
	uint64_t usec;

	if (sd_watchdog_enabled(0, &usec) <= 0)
		return;
	const struct timeval half = {.tv_sec = (time_t)(usec / 2 / 1000000), .tv_usec = (suseconds_t)(usec / 2 % 1000000)};
	daemon->watchdog = event_new(daemon->base, -1, EV_PERSIST, on_watchdog, NULL);
	if (!daemon->watchdog || event_add(daemon->watchdog, &half) < 0)
		log_say(LOG_ERR, "out of memory for the watchdog");
	else
		on_watchdog(-1, 0, NULL);
}

int systemd_adopt_sockets(struct daemon *daemon, char *fault, size_t fault_size)
{
	char **names = NULL;
	const int n = sd_listen_fds_with_names(1, &names);
	int r = 0;

	for (int i = 0; i < n && r == 0; i++)
		r = listener_adopt(daemon, SD_LISTEN_FDS_START + i, names[i], fault, fault_size);
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return r;
}
