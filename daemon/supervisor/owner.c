/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/owner.h"

#include "daemon/supervisor/daemon.h"
#include "daemon/supervisor/log.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct owner {
	struct daemon *daemon;
	struct event *event;
};

/* What comes is passed over: its end is what counts, also that of an owner who was killed. */
static void on_input(evutil_socket_t fd, short what, void *data)
{
	struct owner *owner = data;
	char bytes[512];

	(void)what;
	const ssize_t n = read(fd, bytes, sizeof bytes);
	if (n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN)))
		return;
	(void)event_del(owner->event);
	daemon_tick(owner->daemon);
	log_say(LOG_NOTICE, "standard input has ended: stopping now");
	owner->daemon->ops->stop(owner->daemon, true);
}

struct owner *owner_watch(struct daemon *daemon)
{
	struct owner *owner = calloc(1, sizeof *owner);

	if (owner) {
		owner->daemon = daemon;
		owner->event = event_new(daemon->base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, owner);
	}
	if (owner && owner->event && event_add(owner->event, NULL) == 0)
		return owner;
	log_say(LOG_ERR, "--until-eof: standard input must be a pipe or a socket");
	return owner_free(owner);
}

struct owner *owner_free(struct owner *owner)
{
	if (owner && owner->event)
		event_free(owner->event);
	free(owner);
	return NULL;
}
