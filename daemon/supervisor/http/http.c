/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/http.h"

#include "daemon/supervisor/connections/socketfile.h"
#include "daemon/supervisor/http/http_answer.h"
#include "daemon/supervisor/http/http_calls.h"
#include "daemon/supervisor/http/http_connections.h"
#include "daemon/supervisor/http/http_listeners.h"
#include "daemon/supervisor/http/http_pages.h"
#include "daemon/supervisor/log/log.h"

#include <stdlib.h>
#include <string.h>

enum { ACCEPTS_A_TURN = 16, HEADERS_MAX = 8192, BODY_MAX = 4096 };

struct http {
	struct daemon *daemon;
	struct evhttp *server;
	struct address address; /* as configured */
	struct http_listeners listeners;
	struct http_connections connections;
	struct http_pages pages;
	struct http_calls calls;
	uint32_t accepted; /* connections, in this turn of the loop */
};

/* ---- a connection, and its request ---- */

static void settle(struct http *http)
{
	http_listeners_accept(&http->listeners,
			      http->accepted < ACCEPTS_A_TURN && http_connections_have_room(&http->connections));
}

/* evhttp's, for each connection that it accepts. */
static struct bufferevent *on_connection(struct event_base *base, void *data)
{
	struct http *http = data;

	(void)base;
	daemon_tick(http->daemon);
	http->listeners.complained = false;
	http->accepted++;
	struct bufferevent *stream = http_connections_add(&http->connections, http->address.tls);
	settle(http);
	return stream;
}

static bool wants_to_call(struct evhttp_request *request)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;

	return path && http_calls_have(path);
}

/* evhttp's, for each whole request. */
static void on_request(struct evhttp_request *request, void *data)
{
	struct http *http = data;

	daemon_tick(http->daemon);
	if (!http_connections_on_request(&http->connections, request, http->address.tls))
		http_answer_text(request, HTTP_SERVUNAVAIL, "there is no memory for TLS\n");
	else if (wants_to_call(request) && http->daemon->config.http_calls)
		http_calls_answer(&http->calls, request);
	else if (wants_to_call(request))
		http_answer_text(request, HTTP_NOTFOUND, "calls by HTTP need http_calls = yes in the daemon's configuration\n");
	else
		http_pages_answer(&http->pages, request);
}

void http_flush(struct http *http)
{
	if (http)
		http_calls_flush(&http->calls);
}

const struct http_calls *http_calls_in_progress(const struct http *http)
{
	return http ? &http->calls : NULL;
}

const struct viewers *http_viewers(const struct http *http)
{
	return http ? &http->pages.viewers : NULL;
}

bool http_break_off_greediest(struct daemon *daemon, const struct account *over, uint64_t least)
{
	struct http *http = daemon->http;

	return http && (viewers_break_off_greediest(&http->pages.viewers, over, least) ||
			http_calls_break_off_greediest(&http->calls, over, least));
}

bool http_is_busy(const struct http *http)
{
	return http && (http->calls.count > 0 || http_connections_have_unsent(&http->connections));
}

bool http_has_work(const struct http *http)
{
	return http && !(TAILQ_EMPTY(&http->calls.coming) && TAILQ_EMPTY(&http->calls.dirty));
}

void http_end_turn(struct http *http)
{
	if (!http)
		return;
	http_calls_end_turn(&http->calls);
	http_pages_end_turn(&http->pages);
	http_connections_end_turn(&http->connections);
	http->accepted = 0;
	settle(http);
}

/* ---- opening ---- */

/* A body that is too large is read all the same, in the time that a connection has, so that the sender reads the answer. */
static void set_limits(struct http *http, const struct config *config)
{
	const uint64_t body = config->http_calls ? config->http_max_body : BODY_MAX;

	/* Requests that are refused must get as far as on_request, too. */
	evhttp_set_allowed_methods(http->server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
							 EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE |
							 EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH);
	evhttp_set_max_headers_size(http->server, HEADERS_MAX);
	evhttp_set_max_body_size(http->server, (ev_ssize_t)body);
	(void)evhttp_set_flags(http->server, EVHTTP_SERVER_LINGERING_CLOSE);
	evhttp_set_timeout(http->server, (int)(HTTP_LIFE / SECOND));
}

static struct http *http_new(struct daemon *daemon, const struct config *config, const struct address *address)
{
	struct http *http = calloc(1, sizeof *http);

	if (!http)
		return NULL;
	http->daemon = daemon;
	http->address = *address;
	http_calls_open(&http->calls, daemon, &http->connections);
	const int pages = http_pages_open(&http->pages, daemon, &http->connections, &http->calls);
	const int timer = http_connections_open(&http->connections, daemon);
	const int again = http_listeners_open(&http->listeners, daemon->base);
	http->server = evhttp_new(daemon->base);
	if (pages < 0 || timer < 0 || again < 0 || !http->server)
		return http_close(http);
	set_limits(http, config);
	evhttp_set_gencb(http->server, on_request, http);
	evhttp_set_bevcb(http->server, on_connection, http);
	return http;
}

/* The HTTP server of the address: the present one, if that is its address, or a new one. NULL with a sentence in `reason`. */
static struct http *open_address(struct daemon *daemon, const struct config *config, char *reason, size_t size)
{
	struct http *present = daemon->http;
	struct address address;

	if (address_parse(&address, config->http.text, reason, size) < 0)
		return NULL;
	if (present && address_same_socket(&present->address, &address) &&
	    http_listeners_match(&present->listeners, config, &address))
		return present;
	struct http *http = http_new(daemon, config, &address);
	if (!http) {
		snprintf(reason, size, "out of memory");
		return NULL;
	}
	return http_listeners_bind(&http->listeners, http->server, config, &address, reason, size) == 0 ? http : http_close(http);
}

int http_open(struct daemon *daemon, const struct config *config, struct http **http, char *reason, size_t reason_size)
{
	char cause[384];

	*http = NULL;
	if (!config->http.text || (*http = open_address(daemon, config, cause, sizeof cause)))
		return 0;
	snprintf(reason, reason_size, "%s: http = %s: %s", config->http.place, config->http.text,
		 address_cause(config->http.text, cause));
	return -1;
}

/* New connections are with TLS, or without, as the configuration says. */
static bool settle_tls(struct http *http)
{
	const bool tls = strncmp(http->daemon->config.http.text, "tls:", 4) == 0, changes = tls != http->address.tls;

	http->address.tls = tls;
	for (uint32_t i = 0; i < http->listeners.count; i++)
		http->listeners.listener[i].bound.tls = tls;
	return changes;
}

void http_use(struct daemon *daemon, struct http *http)
{
	const bool same = http == daemon->http;
	char text[ADDRESS_TEXT];

	if (!same)
		(void)http_close(daemon->http);
	daemon->http = http;
	const bool changes = http && settle_tls(http);
	if (changes)
		viewers_end_all(&http->pages.viewers,
				http->address.tls ? "this address has TLS now" : "this address has no TLS now");
	if (http)
		set_limits(http, &daemon->config);
	if (!http || (same && !changes))
		return;
	for (uint32_t i = 0; i < http->listeners.count; i++) {
		address_format(&http->listeners.listener[i].bound, text, sizeof text);
		log_say(LOG_INFO, "probes%s metrics%s by HTTP on %s", daemon->config.http_calls ? "," : " and",
			daemon->config.http_calls ? " and calls" : "", text);
	}
}

void http_end_viewers(struct http *http)
{
	if (http)
		viewers_end_all(&http->pages.viewers, "the daemon stops");
}

void http_settle_viewers(struct http *http)
{
	if (http)
		viewers_settle(&http->pages.viewers);
}

void http_settle_rights(const struct http *http)
{
	http_listeners_settle_rights(&http->listeners, &http->daemon->config);
}

struct http *http_close(struct http *http)
{
	if (!http)
		return NULL;
	http_calls_close(&http->calls);
	http_pages_close(&http->pages);
	http_listeners_close(&http->listeners);
	if (http->server)
		evhttp_free(http->server); /* with the listening sockets, and its half of the connections */
	http_connections_close(&http->connections);
	free(http);
	return NULL;
}
