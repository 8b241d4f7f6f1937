/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/base/parent_watch.h"

#include "daemon/supervisor/base/daemon.h"
#include "daemon/supervisor/log/log.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct parent_watch {
	struct daemon *daemon;
	struct event *event;
};

/* What comes is passed over: its end is what counts, also that of an owner who was killed. */
static void on_input(evutil_socket_t fd, short what, void *data)
{
	struct parent_watch *watch = data;
	char bytes[512];

	(void)what;
	const ssize_t n = read(fd, bytes, sizeof bytes);
	if (n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN)))
		return;
	(void)event_del(watch->event);
	daemon_tick(watch->daemon);
	log_say(LOG_NOTICE, "standard input has ended: stopping now");
	watch->daemon->ops->stop(watch->daemon, true);
}

struct parent_watch *parent_watch_new(struct daemon *daemon)
{
	struct parent_watch *watch = calloc(1, sizeof *watch);

	if (watch) {
		watch->daemon = daemon;
		watch->event = event_new(daemon->base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, watch);
	}
	if (watch && watch->event && event_add(watch->event, NULL) == 0)
		return watch;
	log_say(LOG_ERR, "--until-eof: standard input must be a pipe or a socket");
	return parent_watch_free(watch);
}

struct parent_watch *parent_watch_free(struct parent_watch *watch)
{
	if (watch && watch->event)
		event_free(watch->event);
	free(watch);
	return NULL;
}
