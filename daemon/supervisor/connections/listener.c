/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/connections/listener.h"

#include "daemon/supervisor/base/closer.h"
#include "daemon/supervisor/connections/handshake.h"
#include "daemon/supervisor/log/happened.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/connections/session_life.h"
#include "daemon/supervisor/transport/socket.h"
#include "proto/pack.h"
#include "proto/plural.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ACCEPTS_A_TURN = 64, BACKLOG = 1024 };

static const struct timeval a_moment = {.tv_usec = 100000};

/* ---- accepting ---- */

/* Tells a connection over max_connections that it is one too many. Never waits. */
static void say_too_many(int fd, uint64_t most)
{
	struct error error;
	struct sendq out = {0};

	error_say(&error, ERROR_OVERLOADED, RAN_NO, "the daemon has %llu connection%s, which is all that max_connections allows",
		  (unsigned long long)most, plural(most));
	sendq_copy(&out, "\x94\x01\x00", 3);
	error_pack(&error, ERRORS_AS_STRING, &out);
	sendq_copy(&out, "\xc0", 1);
	if (out.head && send(fd, out.head->bytes, out.head->len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_say(LOG_DEBUG, "could not tell a connection that it is one too many");
	sendq_clear(&out);
}

/* Closes a connection over max_connections. One with TLS is not told why: that would take the whole handshake. */
static void turn_away(const struct listener *listener, int fd)
{
	struct daemon *daemon = listener->daemon;

	happened(HAPPENED_CLIENT_REFUSED, NULL, "the daemon has all the connections that max_connections = %llu allows",
		 (unsigned long long)daemon->config.max_connections);
	if (!listener->bound.tls)
		say_too_many(fd, daemon->config.max_connections);
	closer_put_connection(&daemon->core.memory, fd);
}

static void look_away(struct listener *listener, const char *reason)
{
	if (!listener->complained)
		log_say(LOG_WARNING, "can't accept connections for a moment: %s", reason);
	listener->complained = true;
	(void)event_del(listener->event);
	(void)evtimer_add(listener->again, &a_moment);
}

static void on_again(evutil_socket_t fd, short what, void *data)
{
	struct listener *listener = data;
	(void)fd, (void)what;
	(void)event_add(listener->event, NULL);
}

/* Is there room for one more connection? The oldest handshake of TLS gives way if need be. */
static bool make_room(struct daemon *daemon)
{
	const uint32_t own = daemon->session_count - daemon->behalf_count;

	if (own + handshakes_count(daemon->handshakes) < daemon->config.max_connections)
		return true;
	return handshakes_give_way(daemon->handshakes);
}

static void take(struct listener *listener, int fd, const struct address *peer)
{
	struct daemon *daemon = listener->daemon;
	const bool is_unix = address_is_unix(&listener->bound);
	const int one = 1;

	listener->complained = false;
	if (!make_room(daemon)) {
		turn_away(listener, fd);
		return;
	}
	if (!is_unix) {
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one,
				 sizeof one); /* a peer that has vanished must not stay for ever */
	}
	if (listener->bound.tls) {
		handshakes_add(daemon->handshakes, fd, peer);
		return;
	}
	struct transport transport = transport_of(is_unix ? &socket_transport_unix : &socket_transport, fd);
	if (!session_new(daemon, &transport, is_unix))
		log_say(LOG_ERR, "out of memory for a new connection");
}

static void on_acceptable(evutil_socket_t fd, short what, void *data)
{
	struct listener *listener = data;

	(void)what;
	daemon_tick(listener->daemon);
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		if (!account_has_room_for_file(&listener->daemon->core.memory)) {
			look_away(listener, "clients hold all the descriptors that they may (see LimitNOFILE=)");
			break;
		}
		struct address peer = {.size = sizeof peer.sa};
		const int got = accept4(fd, (struct sockaddr *)&peer.sa, &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (got >= 0) {
			take(listener, got, &peer);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			look_away(listener, strerror(errno));
		if (errno != ECONNABORTED && errno != EINTR)
			break;
	}
}

/* ---- opening ---- */

__attribute__((format(printf, 3, 4))) static int fail(char *reason, size_t size, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	(void)vsnprintf(reason, size, format, list);
	va_end(list);
	return -1;
}

/* Does anyone answer on that socket file? */
static bool is_answered(const struct address *address)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return true; /* not known: better not remove the file */
	const int r = connect(fd, (const struct sockaddr *)&address->sa, address->size);
	const bool dead = r < 0 && (errno == ECONNREFUSED || errno == ENOENT);
	(void)close(fd);
	return !dead;
}

/* Removes a file at the address's path if it is a socket on which nobody answers. */
static int clear_path(const struct address *address, char *reason, size_t size)
{
	const char *path = address_path(address);
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : fail(reason, size, "unix:%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return fail(reason, size, "unix:%s: there is a file in the way that is no socket", path);
	if (is_answered(address))
		return fail(reason, size, "unix:%s: another daemon answers there", path);
	if (unlink(path) < 0)
		return fail(reason, size, "unix:%s: can't remove the stale socket: %s", path, strerror(errno));
	log_say(LOG_INFO, "removed the stale socket %s", path);
	return 0;
}

/* Why an address can't be bound. */
static const char *why_not(int error)
{
	return error == EADDRINUSE      ? "the address is in use"
	       : error == EADDRNOTAVAIL ? "this machine has no such address"
	       : error == ENOENT        ? "the folder of the socket does not exist"
					: strerror(error);
}

static int bind_and_listen(const struct config *config, int fd, const struct address *address, char *reason, size_t size)
{
	const int one = 1;
	char text[ADDRESS_TEXT];

	address_format(address, text, sizeof text);
	if (address_is_unix(address)) {
		if (clear_path(address, reason, size) < 0)
			return -1;
	} else {
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	}
	/* Nobody may connect before the file has its mode. */
	const mode_t mask = umask(0177);
	const int r = bind(fd, (const struct sockaddr *)&address->sa, address->size);
	(void)umask(mask);
	if (r < 0)
		return fail(reason, size, "%s: %s", text, why_not(errno));
	if (address_is_unix(address) && socketfile_set_rights(config, address, reason, size) < 0) {
		(void)unlink(address_path(address));
		return -1;
	}
	return listen(fd, BACKLOG) < 0 ? fail(reason, size, "%s: %s", text, why_not(errno)) : 0;
}

int listener_bind(const struct config *config, const struct address *address, char *reason, size_t reason_size)
{
	char text[ADDRESS_TEXT];
	const int fd = socket(address->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && bind_and_listen(config, fd, address, reason, reason_size) == 0)
		return fd;
	if (fd >= 0) {
		(void)close(fd);
		return -1;
	}
	address_format(address, text, sizeof text);
	return fail(reason, reason_size, "%s: %s", text, why_not(errno));
}

static struct listener *listener_new(struct daemon *daemon, int fd, const struct address *address)
{
	struct listener *listener = calloc(1, sizeof *listener);

	if (!listener)
		return NULL;
	listener->daemon = daemon;
	listener->fd = fd;
	listener->address = *address;
	listener->bound.size = sizeof listener->bound.sa;
	listener->wanted = true;
	if (getsockname(fd, (struct sockaddr *)&listener->bound.sa, &listener->bound.size) < 0)
		listener->bound = *address;
	listener->wants_tls = address->tls;
	listener->event = event_new(daemon->base, fd, EV_READ | EV_PERSIST, on_acceptable, listener);
	listener->again = evtimer_new(daemon->base, on_again, listener);
	TAILQ_INSERT_TAIL(&daemon->listeners, listener, link);
	return listener;
}

/* The listener of this address: an existing or a new one. NULL with a sentence in `reason`. */
static struct listener *open_one(struct daemon *daemon, const struct config *config, const struct address *address, char *reason,
				 size_t reason_size)
{
	struct listener *listener;

	TAILQ_FOREACH(listener, &daemon->listeners, link)
		if (!listener->wanted && !socketfile_is_lost(&listener->file, &listener->bound) &&
		    (address_same_socket(&listener->address, address) || address_same_socket(&listener->bound, address))) {
			listener->wanted = true;
			listener->wants_tls = address->tls;
			return listener;
		}
	const int fd = listener_bind(config, address, reason, reason_size);
	if (fd < 0)
		return NULL;
	listener = listener_new(daemon, fd, address);
	if (!listener) {
		(void)close(fd);
		(void)fail(reason, reason_size, "out of memory");
		return NULL;
	}
	listener->file = socketfile_of(address);
	return listener;
}

int listener_open(struct daemon *daemon, const struct config *config, const char *text, char *reason, size_t reason_size)
{
	struct address address, second;
	const struct listener *first;

	if (address_parse(&address, text, reason, reason_size) < 0 ||
	    !(first = open_one(daemon, config, &address, reason, reason_size)))
		return -1;
	if (!address_second(text, &second))
		return 0;
	address_set_port(&second, address_port(&first->bound));
	return open_one(daemon, config, &second, reason, reason_size) ? 0 : -1;
}

/* An option of a socket; -1: the descriptor is none. */
static int socket_option(int fd, int option)
{
	socklen_t size = sizeof(int);
	int value;

	return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

int listener_adopt(struct daemon *daemon, int fd, const char *name, char *reason, size_t reason_size)
{
	struct address address = {.size = sizeof address.sa};
	struct listener *listener;

	if (socket_option(fd, SO_TYPE) != SOCK_STREAM || socket_option(fd, SO_ACCEPTCONN) != 1 ||
	    getsockname(fd, (struct sockaddr *)&address.sa, &address.size) < 0 || evutil_make_socket_nonblocking(fd) < 0)
		return fail(reason, reason_size, "the passed descriptor %d (%s) is no listening stream socket", fd, name);
	listener = listener_new(daemon, fd, &address);
	if (!listener)
		return fail(reason, reason_size, "out of memory");
	listener->passed = true;
	listener->wanted = false; /* so that a `listen` of the same address finds it; it is kept in any case */
	return 0;
}

void listener_start(struct listener *listener)
{
	char text[ADDRESS_TEXT];

	const bool changes = listener->bound.tls != listener->wants_tls;

	listener->address.tls = listener->bound.tls = listener->wants_tls;
	if (event_pending(listener->event, EV_READ, NULL) ? !changes : event_add(listener->event, NULL) < 0)
		return;
	address_format(&listener->bound, text, sizeof text);
	log_say(LOG_INFO, "listening on %s", text);
}

void listener_close(struct listener *listener)
{
	socketfile_remove(&listener->file, &listener->bound);
	event_free(listener->event);
	event_free(listener->again);
	closer_put(NULL, listener->fd); /* descriptors may wait in connections that were not accepted */
	TAILQ_REMOVE(&listener->daemon->listeners, listener, link);
	free(listener);
}
