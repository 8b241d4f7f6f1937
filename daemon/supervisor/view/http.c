/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/view/http.h"

#include "daemon/core/records/pool.h"
#include "daemon/core/entry/probe.h"
#include "daemon/core/records/slot.h"
#include "daemon/supervisor/view/accept.h"
#include "daemon/supervisor/connections/listener.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/view/metrics.h"
#include "daemon/supervisor/connections/socketfile.h"
#include "proto/escape.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

#define READY_WITHIN (1 * SECOND)
#define LIFE         (10 * SECOND) /* a connection is closed after this time, even in the middle of a request or answer */

/* LEFT_MAX bounds all connections, with those that were cut and that evhttp has not freed yet. */
enum { CONNECTIONS_MAX = 64, LEFT_MAX = 4 * CONNECTIONS_MAX, ACCEPTS_A_TURN = 16, HEADERS_MAX = 8192, BODY_MAX = 4096 };

static const struct timeval a_moment = {.tv_usec = 100000};

/* evhttp owns a connection, and does not tell when it lets go: then its bufferevent has no callbacks left. Ours is a reference
 * that keeps the descriptor from being another's meanwhile. */
struct connection {
	TAILQ_ENTRY(connection) link;
	struct bufferevent *stream;
	uint64_t ends; /* is cut then */
	bool asked;    /* a whole request has come on it */
	bool cut;
};

/* A listening socket. */
struct place {
	struct evconnlistener *listener;
	struct address bound; /* with the real port */
	struct socketfile file;
};

struct http {
	struct daemon *daemon;
	struct evhttp *server;
	struct address address;               /* as configured */
	struct place places[2];               /* localhost has two addresses */
	uint32_t place_count;
	TAILQ_HEAD(, connection) connections; /* the oldest first */
	uint32_t connection_count, cut_count;
	uint32_t accepted; /* connections, in this turn of the loop */
	TAILQ_HEAD(, check) checks;
	struct text {
		char *bytes; /* for all who ask in this turn; NULL: nobody has asked */
		size_t size;
	} metrics[METRICS_FORMATS];
	struct timer cut;    /* fires when the oldest connection is over its LIFE */
	struct event *again; /* accepts again after a failure */
	bool complained;
};

/* A /readyz under way. */
struct check {
	TAILQ_ENTRY(check) link; /* in http->checks */
	struct http *http;
	struct evhttp_request *request;
	uint32_t count;
	struct part {
		char *pool; /* its name: the pool may go */
		struct probe probe;
	} parts[];
};

/* ---- answering ---- */

static void answer(struct evhttp_request *request, int code, const char *type, const void *text, size_t size)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	struct evbuffer *body = evhttp_request_get_output_buffer(request);
	char length[24];

	snprintf(length, sizeof length, "%zu", size);
	(void)evhttp_add_header(headers, "Content-Type", type);
	(void)evhttp_add_header(headers, "Content-Length", length);
	(void)evhttp_add_header(headers, "Cache-Control", "no-store");
	(void)evhttp_add_header(headers, "Connection", "close");
	if (evhttp_request_get_command(request) != EVHTTP_REQ_HEAD && evbuffer_add(body, text, size) < 0)
		code = HTTP_INTERNAL;
	evhttp_send_reply(request, code, NULL, NULL);
}

static void answer_text(struct evhttp_request *request, int code, const char *text)
{
	answer(request, code, "text/plain; charset=utf-8", text, strlen(text));
}

static void answer_livez(struct http *http, struct evhttp_request *request)
{
	(void)http;
	answer_text(request, HTTP_OK, "ok\n");
}

static void answer_metrics(struct http *http, struct evhttp_request *request)
{
	const char *accept = evhttp_find_header(evhttp_request_get_input_headers(request), "Accept");
	const enum metrics_format format = accept_prefers_openmetrics(accept) ? METRICS_OPENMETRICS : METRICS_CLASSIC;
	struct text *text = &http->metrics[format];

	(void)evhttp_add_header(evhttp_request_get_output_headers(request), "Vary", "Accept");
	if (!text->bytes)
		text->bytes = metrics_text(http->daemon, format, &text->size);
	if (text->bytes)
		answer(request, HTTP_OK, metrics_type(format), text->bytes, text->size);
	else
		answer_text(request, HTTP_INTERNAL, "out of memory\n");
}

static void forget_metrics(struct http *http)
{
	for (int i = 0; i < METRICS_FORMATS; i++) {
		free(http->metrics[i].bytes);
		http->metrics[i].bytes = NULL;
	}
}

/* ---- /readyz ---- */

static void check_free(struct check *check)
{
	TAILQ_REMOVE(&check->http->checks, check, link);
	for (uint32_t i = 0; i < check->count; i++) {
		probe_end(&check->parts[i].probe);
		free(check->parts[i].pool);
	}
	free(check);
}

static uint32_t count_pools(const struct core *core)
{
	const struct pool *pool;
	uint32_t n = 0;

	TAILQ_FOREACH(pool, &core->pools, link)
	n += !pool->leaving;
	return n;
}

static struct check *check_new(struct http *http, struct evhttp_request *request)
{
	struct core *core = &http->daemon->core;
	struct check *check = calloc(1, sizeof *check + count_pools(core) * sizeof *check->parts);
	struct pool *pool;

	if (!check)
		return NULL;
	check->http = http;
	check->request = request;
	TAILQ_INSERT_TAIL(&http->checks, check, link);
	TAILQ_FOREACH(pool, &core->pools, link)
	{
		if (pool->leaving)
			continue;
		struct part *part = &check->parts[check->count++];
		part->pool = strdup(pool->name);
		probe_begin(&part->probe, pool, core->now + READY_WITHIN);
	}
	return check;
}

static void answer_readyz(struct http *http, struct evhttp_request *request)
{
	if (http->daemon->state != DAEMON_RUNNING)
		answer_text(request, HTTP_SERVUNAVAIL,
			    "draining: the daemon finishes the calls that it has, and takes no new ones\n");
	else if (!check_new(http, request)) /* answered by http_end_turn */
		answer_text(request, HTTP_SERVUNAVAIL, "out of memory\n");
}

static uint32_t count_ready(const struct pool *pool)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < pool->size; i++)
		n += pool->slots[i]->state == SLOT_READY;
	return n;
}

/* A pool whose probe ran out of time. */
static bool judge_late(const struct core *core, const char *name, char *text, size_t size)
{
	const struct pool *pool = pool_find(core, (struct span){.bytes = (const uint8_t *)name, .size = strlen(name)});
	const uint32_t ready = pool ? count_ready(pool) : 0;

	if (pool && probe_finds_busy(pool)) {
		snprintf(text, size, "busy: no instance was free within a second");
		return true;
	}
	if (ready > 0)
		snprintf(text, size, "failed: no instance has answered within a second");
	else
		snprintf(text, size, "failed: no instance is ready%s%s", pool && pool->fault[0] ? ": " : "",
			 pool ? pool->fault : "");
	return false;
}

static bool judge(const struct core *core, const struct part *part, char *text, size_t size)
{
	char reason[512];

	snprintf(text, size, "ok");
	if (probe_succeeded(&part->probe, reason, sizeof reason))
		return true;
	if (strncmp(reason, "TIMEOUT: ", 9) == 0)
		return judge_late(core, part->pool, text, size);
	snprintf(text, size, "failed: %s", reason);
	return false;
}

static void finish_check(struct check *check)
{
	const struct core *core = &check->http->daemon->core;
	struct evbuffer *body = evbuffer_new();
	bool good = true;
	char text[768], line[sizeof text];

	for (uint32_t i = 0; i < check->count; i++) {
		const struct part *part = &check->parts[i];
		good = judge(core, part, text, sizeof text) && good;
		(void)escape_text(line, sizeof line, text, strlen(text));
		if (body)
			(void)evbuffer_add_printf(body, "%s %s\n", part->pool ? part->pool : "?", line);
	}
	if (check->count == 0 && body)
		(void)evbuffer_add_printf(body, "there are no pools\n");
	if (body)
		answer(check->request, good ? HTTP_OK : HTTP_SERVUNAVAIL, "text/plain; charset=utf-8", evbuffer_pullup(body, -1),
		       evbuffer_get_length(body));
	else
		answer_text(check->request, HTTP_SERVUNAVAIL, "out of memory\n");
	if (body)
		evbuffer_free(body);
	check_free(check);
}

static bool is_done(const struct check *check)
{
	for (uint32_t i = 0; i < check->count; i++)
		if (!probe_is_answered(&check->parts[i].probe))
			return false;
	return true;
}

/* ---- requests ---- */

static const struct {
	const char *path;
	void (*answer)(struct http *http, struct evhttp_request *request);
} pages[] = {{"/livez", answer_livez}, {"/readyz", answer_readyz}, {"/metrics", answer_metrics}};

/* Marks the connection that the request came on. */
static void mark_asked(struct http *http, struct evhttp_request *request)
{
	const struct bufferevent *stream = evhttp_connection_get_bufferevent(evhttp_request_get_connection(request));
	struct connection *connection;

	TAILQ_FOREACH(connection, &http->connections, link)
	if (connection->stream == stream)
		connection->asked = true;
}

/* evhttp's, for each whole request. */
static void on_request(struct evhttp_request *request, void *data)
{
	const enum evhttp_cmd_type command = evhttp_request_get_command(request);
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
	struct http *http = data;

	daemon_tick(http->daemon);
	mark_asked(http, request);
	if (command != EVHTTP_REQ_GET && command != EVHTTP_REQ_HEAD) {
		(void)evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", "GET, HEAD");
		answer_text(request, HTTP_BADMETHOD, "only GET and HEAD\n");
		return;
	}
	for (size_t i = 0; path && i < sizeof pages / sizeof *pages; i++)
		if (strcmp(path, pages[i].path) == 0) {
			pages[i].answer(http, request);
			return;
		}
	answer_text(request, HTTP_NOTFOUND, "there are /livez, /readyz and /metrics\n");
}

/* ---- connections ---- */

static void set_cut(struct http *http)
{
	const struct connection *oldest = TAILQ_FIRST(&http->connections);
	struct timers *timers = &http->daemon->core.timers;

	while (oldest && oldest->cut)
		oldest = TAILQ_NEXT(oldest, link);
	if (oldest)
		timer_set(timers, &http->cut, oldest->ends);
	else
		timer_clear(timers, &http->cut);
}

/* Only wakes the loop: http_end_turn closes what is overdue. */
static void on_cut(struct timer *timer)
{
	(void)timer;
}

static void cut(struct http *http, struct connection *connection)
{
	connection->cut = true;
	http->cut_count++;
	(void)shutdown(bufferevent_getfd(connection->stream), SHUT_RDWR); /* evhttp sees end of file, and frees it */
}

/*
 * Closes a connection to make room for the newest. A probe asks as soon as it is connected, and is answered within a few turns.
 * So the oldest connection that has not asked is closed; when all have asked, the oldest of all.
 */
static void cut_one(struct http *http, const struct connection *newest)
{
	struct connection *connection, *oldest = NULL;

	TAILQ_FOREACH(connection, &http->connections, link)
	{
		if (connection->cut || connection == newest)
			continue;
		if (!connection->asked) {
			cut(http, connection);
			return;
		}
		if (!oldest)
			oldest = connection;
	}
	if (oldest)
		cut(http, oldest);
}

/* Disables or enables the listeners: while one is enabled, its callback accepts until nobody waits. */
static void settle_listeners(struct http *http)
{
	const bool stops = http->accepted >= ACCEPTS_A_TURN || http->connection_count >= LEFT_MAX;

	for (uint32_t i = 0; i < http->place_count; i++)
		if (stops)
			(void)evconnlistener_disable(http->places[i].listener);
		else if (!event_pending(http->again, EV_TIMEOUT, NULL))
			(void)evconnlistener_enable(http->places[i].listener);
}

/* evhttp's, for each connection that it accepts. */
static struct bufferevent *on_connection(struct event_base *base, void *data)
{
	struct http *http = data;
	struct connection *connection = calloc(1, sizeof *connection);

	daemon_tick(http->daemon);
	http->complained = false;
	http->accepted++;
	if (!connection || !(connection->stream = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE))) {
		free(connection);
		return NULL; /* evhttp tries for itself */
	}
	bufferevent_incref(connection->stream);
	connection->ends = http->daemon->core.now + LIFE;
	TAILQ_INSERT_TAIL(&http->connections, connection, link);
	if (++http->connection_count - http->cut_count > CONNECTIONS_MAX)
		cut_one(http, connection);
	settle_listeners(http);
	set_cut(http);
	return connection->stream;
}

static void connection_free(struct http *http, struct connection *connection)
{
	TAILQ_REMOVE(&http->connections, connection, link);
	(void)bufferevent_decref(connection->stream);
	http->connection_count--;
	http->cut_count -= connection->cut;
	free(connection);
}

static bool is_over(const struct connection *connection)
{
	bufferevent_event_cb on_event;

	bufferevent_getcb(connection->stream, NULL, NULL, &on_event, NULL);
	return !on_event;
}

static void look_at_connections(struct http *http)
{
	struct connection *connection, *next;

	for (connection = TAILQ_FIRST(&http->connections); connection; connection = next) {
		next = TAILQ_NEXT(connection, link);
		if (is_over(connection))
			connection_free(http, connection);
		else if (!connection->cut && http->daemon->core.now >= connection->ends)
			cut(http, connection);
	}
	set_cut(http);
}

static void on_again(evutil_socket_t fd, short what, void *data)
{
	struct http *http = data;
	(void)fd, (void)what;
	settle_listeners(http);
}

/* The listener's, when it can't accept (no descriptors): it would try again at once, for ever. */
static void on_accept_error(struct evconnlistener *listener, void *data)
{
	struct http *http = data;

	if (!http->complained)
		log_say(LOG_WARNING, "http: can't accept connections for a moment: %s", strerror(errno));
	http->complained = true;
	(void)evconnlistener_disable(listener);
	(void)evtimer_add(http->again, &a_moment);
}

void http_end_turn(struct http *http)
{
	struct check *check, *next;

	if (!http)
		return;
	forget_metrics(http);
	for (check = TAILQ_FIRST(&http->checks); check; check = next) {
		next = TAILQ_NEXT(check, link);
		if (is_done(check))
			finish_check(check);
	}
	if (!TAILQ_EMPTY(&http->connections))
		look_at_connections(http);
	http->accepted = 0;
	settle_listeners(http);
}

/* ---- opening and closing ---- */

static void set_limits(struct http *http)
{
	/* Those that are refused must get as far as on_request, too. */
	evhttp_set_allowed_methods(http->server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
							 EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE |
							 EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH);
	evhttp_set_max_headers_size(http->server, HEADERS_MAX);
	evhttp_set_max_body_size(http->server, BODY_MAX);
	evhttp_set_timeout(http->server, (int)(LIFE / SECOND));
}

static struct http *http_new(struct daemon *daemon, const struct address *address)
{
	struct http *http = calloc(1, sizeof *http);

	if (!http)
		return NULL;
	http->daemon = daemon;
	http->address = *address;
	TAILQ_INIT(&http->connections);
	TAILQ_INIT(&http->checks);
	http->server = evhttp_new(daemon->base);
	http->again = evtimer_new(daemon->base, on_again, http);
	const bool has_cut = timer_open(&daemon->core.timers, &http->cut, on_cut) == 0;
	if (!http->server || !http->again || !has_cut)
		return http_close(http);
	set_limits(http);
	evhttp_set_gencb(http->server, on_request, http);
	evhttp_set_bevcb(http->server, on_connection, http);
	return http;
}

/* Takes over the listening socket. */
static int serve(struct http *http, int fd, const struct address *address)
{
	struct place *place = &http->places[http->place_count];
	struct evhttp_bound_socket *socket = evhttp_accept_socket_with_handle(http->server, fd);

	if (!socket)
		return -1;
	*place = (struct place){.listener = evhttp_bound_socket_get_listener(socket), .file = socketfile_of(address)};
	place->bound.size = sizeof place->bound.sa;
	if (getsockname(fd, (struct sockaddr *)&place->bound.sa, &place->bound.size) < 0)
		place->bound = *address;
	evconnlistener_set_error_cb(place->listener, on_accept_error);
	http->place_count++;
	return 0;
}

/* libevent reads without room for descriptors, and the kernel then closes those that come, which may take as long as their sender likes
 * (closer.h). Since Linux 6.16 a listener and the connections to it can refuse them. */
static void refuse_descriptors(int fd)
{
	const int no = 0;

	if (setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &no, sizeof no) < 0)
		log_say(LOG_WARNING, "http: before Linux 6.16 descriptors that are sent to a Unix socket can hold up the daemon: "
				     "let no stranger connect to it");
}

static int open_address(struct http *http, const struct config *config, const struct address *address, char *fault, size_t size)
{
	const int fd = listener_bind(config, address, fault, size);

	if (fd < 0)
		return -1;
	if (address_is_unix(address))
		refuse_descriptors(fd);
	if (serve(http, fd, address) == 0)
		return 0;
	const struct socketfile file = socketfile_of(address);
	socketfile_remove(&file, address);
	(void)close(fd);
	snprintf(fault, size, "out of memory");
	return -1;
}

/* The address, and the second one that `text` stands for. */
static int open_addresses(struct http *http, const struct config *config, char *fault, size_t size)
{
	struct address second;

	if (open_address(http, config, &http->address, fault, size) < 0)
		return -1;
	if (!address_second(config->http.text, &second))
		return 0;
	address_set_port(&second, address_port(&http->places[0].bound));
	return open_address(http, config, &second, fault, size);
}

/* Is there one at the address that the configuration wants? */
static bool is_open(const struct http *http, const struct config *config, const struct address *address)
{
	struct address second;

	return http && address_equal(&http->address, address) &&
	       (http->place_count == 2) == address_second(config->http.text, &second) &&
	       !socketfile_is_lost(&http->places[0].file, address);
}

int http_open(struct daemon *daemon, const struct config *config, struct http **http, char *fault, size_t fault_size)
{
	struct address address;
	char why[384];

	*http = NULL;
	if (!config->http.text)
		return 0;
	if (address_parse(&address, config->http.text, why, sizeof why) == 0) {
		if (is_open(daemon->http, config, &address)) {
			*http = daemon->http;
			return 0;
		}
		*http = http_new(daemon, &address);
		if (*http && open_addresses(*http, config, why, sizeof why) == 0)
			return 0;
		if (!*http)
			snprintf(why, sizeof why, "out of memory");
		*http = http_close(*http);
	}
	snprintf(fault, fault_size, "%s: http = %s: %s", config->http.place, config->http.text, why);
	return -1;
}

void http_use(struct daemon *daemon, struct http *http)
{
	char text[ADDRESS_TEXT];

	if (http == daemon->http)
		return;
	(void)http_close(daemon->http);
	daemon->http = http;
	if (!http)
		return;
	for (uint32_t i = 0; i < http->place_count; i++) {
		address_format(&http->places[i].bound, text, sizeof text);
		log_say(LOG_INFO, "probes and metrics by HTTP on %s", text);
	}
}

void http_settle_rights(const struct http *http)
{
	for (uint32_t i = 0; i < http->place_count; i++)
		socketfile_settle_rights(&http->places[i].file, &http->daemon->config, &http->places[i].bound);
}

struct http *http_close(struct http *http)
{
	struct check *check;
	struct connection *connection;

	if (!http)
		return NULL;
	while ((check = TAILQ_FIRST(&http->checks))) {
		answer_text(check->request, HTTP_SERVUNAVAIL, "this address is being closed\n");
		check_free(check);
	}
	for (uint32_t i = 0; i < http->place_count; i++)
		socketfile_remove(&http->places[i].file, &http->places[i].bound);
	http->place_count = 0;
	if (http->server)
		evhttp_free(http->server); /* with the listeners, and its half of the connections */
	while ((connection = TAILQ_FIRST(&http->connections))) {
		TAILQ_REMOVE(&http->connections, connection, link);
		(void)bufferevent_decref(connection->stream);
		free(connection);
	}
	timer_close(&http->daemon->core.timers, &http->cut);
	forget_metrics(http);
	if (http->again)
		event_free(http->again);
	free(http);
	return NULL;
}
