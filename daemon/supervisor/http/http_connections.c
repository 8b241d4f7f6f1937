/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/http_connections.h"

#include "daemon/supervisor/connections/handshake.h"
#include "daemon/supervisor/transport/tls_context.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <stdlib.h>
#include <sys/socket.h>

/* LEFT_MAX bounds all connections but those that are held, with those that were cut and that evhttp has not freed yet. */
enum { CONNECTIONS_MAX = 64, LEFT_MAX = 4 * CONNECTIONS_MAX };
enum {
	RECORDS_MAX = 1024,   /* of a connection with TLS: requests are few and small */
	LINES_MAX = 64 << 10, /* bytes of lines and of what is read at once, behind the longest chunk */
};

struct http_connection {
	TAILQ_ENTRY(http_connection) link;
	struct http_connections *all;
	struct bufferevent *stream;
	struct tls_notes notes; /* if it has TLS */
	struct handshake_owner shaking;
	struct account *account; /* is charged the bytes of the request until it is whole */
	size_t charged;
	uint64_t ends; /* is cut then */
	bool fresh;    /* its handshake of TLS has not begun */
	bool asked;    /* a whole request has come on it */
	bool cut;      /* has been shut down; evhttp frees it */
	bool held;     /* a call of it is in progress */
};

static bool may_be_cut(const struct http_connection *connection)
{
	return !connection->cut && !connection->held;
}

static void set_cut(struct http_connections *connections)
{
	const struct http_connection *oldest = TAILQ_FIRST(&connections->list);
	struct timers *timers = &connections->daemon->core.timers;

	while (oldest && !may_be_cut(oldest))
		oldest = TAILQ_NEXT(oldest, link);
	if (oldest)
		timer_set(timers, &connections->cut, oldest->ends);
	else
		timer_clear(timers, &connections->cut);
}

/* Only wakes the loop: http_connections_end_turn cuts what is overdue. */
static void on_cut(struct timer *timer)
{
	(void)timer;
}

/* evhttp sees end of file, and frees it. */
static void cut(struct http_connection *connection)
{
	connection->cut = true;
	connection->all->cut_count++;
	handshake_forget(&connection->shaking);
	(void)shutdown(bufferevent_getfd(connection->stream), SHUT_RDWR);
	(void)bufferevent_enable(connection->stream, EV_READ);
}

/*
 * Closes a connection to make room for the newest. A probe asks as soon as it is connected, and is answered within a few turns.
 * So the oldest connection that has not asked is closed; when all have asked, the oldest of all.
 */
static void cut_one(struct http_connections *connections, const struct http_connection *newest)
{
	struct http_connection *connection, *oldest = NULL;

	TAILQ_FOREACH(connection, &connections->list, link) {
		if (!may_be_cut(connection) || connection == newest)
			continue;
		if (!connection->asked) {
			cut(connection);
			return;
		}
		if (!oldest)
			oldest = connection;
	}
	if (oldest)
		cut(oldest);
}

/* ---- what a request holds while it comes ---- */

/* libevent's. evhttp keeps all that it reads of a request, and gives it away when the request is whole. */
static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *data)
{
	struct http_connection *connection = data;

	(void)input;
	if (connection->asked)
		return;
	account_charge(connection->account, info->n_added);
	connection->charged += info->n_added;
}

static void credit(struct http_connection *connection)
{
	account_credit(connection->account, connection->charged);
	connection->charged = 0;
}

/* ---- TLS ---- */

/* The handshake's. libevent reads the connection from now on. */
static void on_shaken(struct handshake_owner *owner, bool done)
{
	struct http_connection *connection = container_of(owner, struct http_connection, shaking);

	if (done)
		(void)bufferevent_enable(connection->stream, EV_READ);
	else if (!connection->cut)
		cut(connection);
}

/*
 * A connection that evhttp has accepted in this turn of the loop: it knows its socket only now. libevent takes the handshake for
 * done, and would go on with it when it reads, without a bound for what many of them cost a turn. So it does not read meanwhile.
 */
static void shake_hands(struct http_connection *connection)
{
	const int fd = bufferevent_getfd(connection->stream);
	struct address peer = {.size = sizeof peer.sa};

	connection->fresh = false;
	(void)bufferevent_disable(connection->stream, EV_READ);
	if (getpeername(fd, (struct sockaddr *)&peer.sa, &peer.size) < 0)
		cut(connection);
	else
		handshakes_add_for(connection->all->daemon->handshakes, &connection->shaking, fd,
				   bufferevent_openssl_get_ssl(connection->stream), &peer);
}

/* A client of HTTP may end its connection without telling TLS. */
static struct bufferevent *open_tls(const struct daemon *daemon, struct tls_notes *notes)
{
	*notes = (struct tls_notes){.protocol = TLS_HTTP, .records = RECORDS_MAX};
	SSL *ssl = daemon->tls ? tls_context_connection(daemon->tls, notes) : NULL;
	struct bufferevent *stream =
		ssl ? bufferevent_openssl_socket_new(daemon->base, -1, ssl, BUFFEREVENT_SSL_OPEN, BEV_OPT_CLOSE_ON_FREE)
		    : NULL;

	if (stream)
		bufferevent_openssl_set_allow_dirty_shutdown(stream, 1);
	return stream;
}

static struct bufferevent *open_stream(const struct daemon *daemon, struct http_connection *connection, bool tls)
{
	return tls ? open_tls(daemon, &connection->notes) : bufferevent_socket_new(daemon->base, -1, BEV_OPT_CLOSE_ON_FREE);
}

struct bufferevent *http_connections_add(struct http_connections *connections, bool tls)
{
	struct http_connection *connection = calloc(1, sizeof *connection);

	if (!connection || !(connection->stream = open_stream(connections->daemon, connection, tls)) ||
	    !evbuffer_add_cb(bufferevent_get_input(connection->stream), on_input, connection)) {
		if (connection && connection->stream)
			bufferevent_free(connection->stream);
		free(connection);
		return NULL;
	}
	connection->account = account_new(&connections->daemon->core.memory);
	bufferevent_incref(connection->stream);
	connection->all = connections;
	connection->shaking.over = on_shaken;
	connection->fresh = tls;
	connection->ends = connections->daemon->core.now + HTTP_LIFE;
	TAILQ_INSERT_TAIL(&connections->list, connection, link);
	if (++connections->count - connections->cut_count - connections->held_count > CONNECTIONS_MAX)
		cut_one(connections, connection);
	set_cut(connections);
	return connection->stream;
}

static struct bufferevent *stream_of(struct evhttp_request *request)
{
	return evhttp_connection_get_bufferevent(evhttp_request_get_connection(request));
}

static struct http_connection *find(const struct http_connections *connections, struct evhttp_request *request)
{
	const struct bufferevent *stream = stream_of(request);
	struct http_connection *connection;

	TAILQ_FOREACH(connection, &connections->list, link)
		if (connection->stream == stream)
			return connection;
	return NULL;
}

bool http_connections_on_request(struct http_connections *connections, struct evhttp_request *request, bool tls)
{
	struct http_connection *connection = find(connections, request);

	if (connection) {
		connection->asked = true;
		credit(connection);
	}
	return !tls || bufferevent_openssl_get_ssl(stream_of(request));
}

void http_connections_hold(struct http_connections *connections, struct evhttp_request *request, bool held)
{
	struct http_connection *connection = find(connections, request);

	if (!connection || connection->held == held || connection->cut)
		return;
	connection->held = held;
	connections->held_count = held ? connections->held_count + 1 : connections->held_count - 1;
	if (!held) { /* the list is in the order in which they end */
		connection->ends = connections->daemon->core.now + HTTP_LIFE;
		TAILQ_REMOVE(&connections->list, connection, link);
		TAILQ_INSERT_TAIL(&connections->list, connection, link);
	}
	set_cut(connections);
}

bool http_connections_have_unsent(const struct http_connections *connections)
{
	const struct http_connection *connection;

	TAILQ_FOREACH(connection, &connections->list, link)
		if (!connection->cut && evbuffer_get_length(bufferevent_get_output(connection->stream)) > 0)
			return true;
	return false;
}

bool http_connections_have_room(const struct http_connections *connections)
{
	return connections->count - connections->held_count < LEFT_MAX;
}

static void release(struct http_connections *connections, struct http_connection *connection)
{
	SSL *ssl = bufferevent_openssl_get_ssl(connection->stream);

	handshake_forget(&connection->shaking);
	(void)evbuffer_remove_cb(bufferevent_get_input(connection->stream), on_input, connection);
	credit(connection);
	account_close(connection->account);
	if (ssl)
		(void)SSL_set_app_data(ssl, NULL); /* libevent frees it later than the notes */
	TAILQ_REMOVE(&connections->list, connection, link);
	(void)bufferevent_decref(connection->stream);
	connections->count--;
	connections->cut_count -= connection->cut;
	connections->held_count -= connection->held;
	free(connection);
}

/* Does its request hold more than evhttp needs to take it apart, or, when memory is short, more than its share? evhttp waits for
 * whole lines and chunks, however long they are, and looks at them from their beginning each time. */
static bool is_greedy(const struct http_connection *connection)
{
	const size_t waiting = evbuffer_get_length(bufferevent_get_input(connection->stream));

	return waiting > connection->all->daemon->config.http_max_body + LINES_MAX || account_is_greedy(connection->account);
}

/* The peer still sends: it is reset, or it would wait until the kernel
 * forgets the connection. */
static void cut_greedy(struct http_connection *connection)
{
	const struct linger at_once = {.l_onoff = 1};

	(void)setsockopt(bufferevent_getfd(connection->stream), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	cut(connection);
}

static bool is_over(const struct http_connection *connection)
{
	bufferevent_event_cb on_event;

	bufferevent_getcb(connection->stream, NULL, NULL, &on_event, NULL);
	return !on_event;
}

void http_connections_end_turn(struct http_connections *connections)
{
	struct http_connection *connection, *next;

	if (TAILQ_EMPTY(&connections->list))
		return;
	for (connection = TAILQ_FIRST(&connections->list); connection; connection = next) {
		next = TAILQ_NEXT(connection, link);
		if (is_over(connection))
			release(connections, connection);
		else if (may_be_cut(connection) && connections->daemon->core.now >= connection->ends)
			cut(connection);
		else if (may_be_cut(connection) && is_greedy(connection))
			cut_greedy(connection);
		else if (connection->fresh && !connection->cut)
			shake_hands(connection);
	}
	set_cut(connections);
}

int http_connections_open(struct http_connections *connections, struct daemon *daemon)
{
	*connections = (struct http_connections){.daemon = daemon};
	TAILQ_INIT(&connections->list);
	return timer_open(&daemon->core.timers, &connections->cut, on_cut);
}

void http_connections_close(struct http_connections *connections)
{
	struct http_connection *connection;

	while ((connection = TAILQ_FIRST(&connections->list)))
		release(connections, connection);
	timer_close(&connections->daemon->core.timers, &connections->cut);
}
