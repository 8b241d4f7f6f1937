/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/http_listeners.h"

#include "daemon/supervisor/connections/listener.h"
#include "daemon/supervisor/log/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

static const struct timeval a_moment = {.tv_usec = 100000};

/* The callback of a failure to accept gets evhttp's own pointer, which leads nowhere: so the listener is looked for here. */
static TAILQ_HEAD(, http_listeners) all = TAILQ_HEAD_INITIALIZER(all);

/* ---- accepting ---- */

static void settle(struct http_listeners *listeners)
{
	for (uint32_t i = 0; i < listeners->count; i++)
		if (!listeners->wanted)
			(void)evconnlistener_disable(listeners->listener[i].listener);
		else if (!event_pending(listeners->again, EV_TIMEOUT, NULL))
			(void)evconnlistener_enable(listeners->listener[i].listener);
}

void http_listeners_accept(struct http_listeners *listeners, bool wanted)
{
	listeners->wanted = wanted;
	settle(listeners);
}

static void on_again(evutil_socket_t fd, short what, void *data)
{
	(void)fd, (void)what;
	settle(data);
}

static struct http_listeners *owner_of(const struct evconnlistener *listener)
{
	struct http_listeners *listeners;

	TAILQ_FOREACH(listeners, &all, link)
		for (uint32_t i = 0; i < listeners->count; i++)
			if (listeners->listener[i].listener == listener)
				return listeners;
	return NULL;
}

/* libevent's, when it can't accept. The listener is disabled for a moment: libevent would try again at once, for ever. */
static void on_accept_error(struct evconnlistener *listener, void *server)
{
	struct http_listeners *listeners = owner_of(listener);

	(void)server;
	(void)evconnlistener_disable(listener);
	if (!listeners)
		return;
	if (!listeners->complained)
		log_say(LOG_WARNING, "http: can't accept connections for a moment: %s", strerror(errno));
	listeners->complained = true;
	(void)evtimer_add(listeners->again, &a_moment);
}

/* ---- opening ---- */

int http_listeners_open(struct http_listeners *listeners, struct event_base *base)
{
	listeners->again = evtimer_new(base, on_again, listeners);
	if (!listeners->again)
		return -1;
	TAILQ_INSERT_TAIL(&all, listeners, link);
	return 0;
}

/* Takes over the listening socket. */
static int serve(struct http_listeners *listeners, struct evhttp *server, int fd, const struct address *address)
{
	struct http_listener *listener = &listeners->listener[listeners->count];
	struct evhttp_bound_socket *socket = evhttp_accept_socket_with_handle(server, fd);

	if (!socket)
		return -1;
	*listener = (struct http_listener){.listener = evhttp_bound_socket_get_listener(socket), .file = socketfile_of(address)};
	listener->bound.size = sizeof listener->bound.sa;
	if (getsockname(fd, (struct sockaddr *)&listener->bound.sa, &listener->bound.size) < 0)
		listener->bound = *address;
	evconnlistener_set_error_cb(listener->listener, on_accept_error);
	listeners->count++;
	return 0;
}

/* libevent reads without room for descriptors. So the kernel closes the descriptors that come, and that may take as long as their
 * sender likes (closer.h). Since Linux 6.16 a listener and the connections to it can refuse descriptors. */
static void refuse_descriptors(int fd)
{
	const int no = 0;

	if (setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &no, sizeof no) < 0)
		log_say(LOG_WARNING, "http: before Linux 6.16 descriptors that are sent to a Unix socket can hold up the daemon: "
				     "let no stranger connect to it");
}

/* For the connections, which inherit it. An answer of TLS goes in several pieces: no piece may wait until the peer has confirmed
 * the one before. A peer that has vanished must not keep its call for ever. */
static void prepare_connections(int fd)
{
	const int one = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
}

static int bind_one(struct http_listeners *listeners, struct evhttp *server, const struct config *config,
		    const struct address *address, char *reason, size_t size)
{
	const int fd = listener_bind(config, address, reason, size);

	if (fd < 0)
		return -1;
	if (address_is_unix(address))
		refuse_descriptors(fd);
	else
		prepare_connections(fd);
	if (serve(listeners, server, fd, address) == 0)
		return 0;
	const struct socketfile file = socketfile_of(address);
	socketfile_remove(&file, address);
	(void)close(fd);
	snprintf(reason, size, "out of memory");
	return -1;
}

int http_listeners_bind(struct http_listeners *listeners, struct evhttp *server, const struct config *config,
			const struct address *address, char *reason, size_t reason_size)
{
	struct address second;

	if (bind_one(listeners, server, config, address, reason, reason_size) < 0)
		return -1;
	if (!address_second(config->http.text, &second))
		return 0;
	address_set_port(&second, address_port(&listeners->listener[0].bound));
	return bind_one(listeners, server, config, &second, reason, reason_size);
}

bool http_listeners_match(const struct http_listeners *listeners, const struct config *config, const struct address *address)
{
	struct address second;

	return (listeners->count == 2) == address_second(config->http.text, &second) &&
	       !socketfile_is_lost(&listeners->listener[0].file, address);
}

void http_listeners_settle_rights(const struct http_listeners *listeners, const struct config *config)
{
	for (uint32_t i = 0; i < listeners->count; i++)
		socketfile_settle_rights(&listeners->listener[i].file, config, &listeners->listener[i].bound);
}

/* ---- closing ---- */

void http_listeners_close(struct http_listeners *listeners)
{
	for (uint32_t i = 0; i < listeners->count; i++)
		socketfile_remove(&listeners->listener[i].file, &listeners->listener[i].bound);
	listeners->count = 0;
	if (!listeners->again)
		return;
	TAILQ_REMOVE(&all, listeners, link);
	event_free(listeners->again);
	listeners->again = NULL;
}
