/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/http_pages.h"

#include "daemon/core/calls/direct.h"
#include "daemon/supervisor/http/accept.h"
#include "daemon/supervisor/config/address.h"
#include "daemon/supervisor/http/http_answer.h"
#include "daemon/supervisor/transport/tls_peer.h"
#include "daemon/supervisor/users/users.h"

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { HTTP_UNAUTHORIZED = 401, HTTP_FORBIDDEN = 403, HTTP_TOO_MANY = 429 };

void http_pages_open(struct http_pages *pages, struct daemon *daemon)
{
	*pages = (struct http_pages){.daemon = daemon};
	readyz_open(&pages->readyz, daemon);
}

static void answer_livez(struct http_pages *pages, struct evhttp_request *request)
{
	(void)pages;
	http_answer_text(request, HTTP_OK, "ok\n");
}

static void drop_metrics(struct http_pages *pages)
{
	for (int i = 0; i < METRICS_FORMATS; i++) {
		free(pages->metrics[i].bytes);
		pages->metrics[i].bytes = NULL;
	}
	rights_set(&pages->rights, NULL);
}

static void refuse(struct evhttp_request *request, int code, const char *text)
{
	if (code == HTTP_UNAUTHORIZED)
		(void)evhttp_add_header(evhttp_request_get_output_headers(request), "WWW-Authenticate", "Bearer");
	http_answer_text(request, code, text);
}

static struct bufferevent *stream_of(struct evhttp_request *request)
{
	return evhttp_connection_get_bufferevent(evhttp_request_get_connection(request));
}

/* Does the request come by a way on which nobody can read a token? */
static bool is_private(struct evhttp_request *request)
{
	struct address address = {.size = sizeof address.sa};
	struct bufferevent *stream = stream_of(request);

	if (bufferevent_openssl_get_ssl(stream))
		return true;
	if (getpeername(bufferevent_getfd(stream), (struct sockaddr *)&address.sa, &address.size) < 0)
		return false;
	return address_is_unix(&address) || address_is_loopback(&address);
}

/* The hash of the token that the request has. 1; 0: it has none; -1: the request is refused. */
static int read_token(const struct users *users, struct evhttp_request *request, uint8_t hash[TOKEN_HASH])
{
	const char *text = evhttp_find_header(evhttp_request_get_input_headers(request), "Authorization");

	if (!text)
		return 0;
	if (strncasecmp(text, "Bearer ", 7) != 0 || !is_private(request)) {
		refuse(request, HTTP_UNAUTHORIZED,
		       "DENIED: a token comes as \"Bearer TOKEN\", and not over a network in plain text\n");
		return -1;
	}
	text += 7 + strspn(text + 7, " ");
	users_hash_token((struct span){.bytes = (const uint8_t *)text, .size = strlen(text)}, hash);
	if (users_know_token(users, hash))
		return 1;
	refuse(request, HTTP_UNAUTHORIZED, "DENIED: the token is no user's\n");
	return -1;
}

/* Who asks, by the certificate of its connection or by its token. 0, or -1: the request is refused. */
static int identify(struct users *users, struct evhttp_request *request, const uint8_t *token, struct known *known)
{
	SSL *ssl = bufferevent_openssl_get_ssl(stream_of(request));
	struct certificate *certificate = NULL;
	char reason[320];
	int r = ssl ? tls_peer_certificate(ssl, &certificate) : 0;

	if (r == 0) {
		const struct credentials credentials = {.token = token, .certificate = certificate};
		r = users_identify(users, &credentials, &known->identity, &known->by, reason, sizeof reason);
	}
	certificate_free(certificate);
	if (r == -EEXIST)
		refuse(request, HTTP_FORBIDDEN, "DENIED: the certificate is that of two users\n");
	else if (r < 0)
		http_answer_text(request, HTTP_INTERNAL, "out of memory\n");
	return r < 0 ? -1 : 0;
}

/* The rights of who asks: of the user of a certificate or a token, or of [user *]. -1: the request is refused. */
static int find_rights(const struct daemon *daemon, struct evhttp_request *request, struct rights **rights)
{
	uint8_t hash[TOKEN_HASH];
	struct known known;

	*rights = NULL;
	if (!daemon->users)
		return 0;
	const int token = read_token(daemon->users, request, hash);
	if (token < 0 || identify(daemon->users, request, token ? hash : NULL, &known) < 0)
		return -1;
	*rights = known.identity->rights;
	return 0;
}

/* A page that costs something counts in the rate of who asks. 0; -1: the request is refused. */
static int check_rate(struct evhttp_request *request, const struct rights *rights)
{
	struct error error;
	char text[sizeof error.text + 16], seconds[24];

	if (!rights || !rights->quota || quota_take_request(rights->quota, &error) == 0)
		return 0;
	snprintf(text, sizeof text, "OVERLOADED: %s\n", error.text);
	snprintf(seconds, sizeof seconds, "%llu", (unsigned long long)(error.retry_after + 999) / 1000);
	(void)evhttp_add_header(evhttp_request_get_output_headers(request), "Retry-After", seconds);
	refuse(request, HTTP_TOO_MANY, text);
	return -1;
}

static void answer_readyz(struct http_pages *pages, struct evhttp_request *request)
{
	struct rights *rights = NULL;

	if (find_rights(pages->daemon, request, &rights) == 0)
		readyz_ask(&pages->readyz, request, rights);
}

static void answer_metrics(struct http_pages *pages, struct evhttp_request *request)
{
	const char *accept = evhttp_find_header(evhttp_request_get_input_headers(request), "Accept");
	const enum metrics_format format = accept_prefers_openmetrics(accept) ? METRICS_OPENMETRICS : METRICS_CLASSIC;
	struct rights *rights = NULL;
	size_t *size = &pages->metrics[format].size;
	char **bytes = &pages->metrics[format].bytes;

	(void)evhttp_add_header(evhttp_request_get_output_headers(request), "Vary", "Accept");
	if (find_rights(pages->daemon, request, &rights) < 0)
		return;
	if (!rights_have_any(rights, RIGHT_DESCRIBE) && !rights_have_any(rights, RIGHT_WATCH)) {
		refuse(request, HTTP_FORBIDDEN, "DENIED: metrics need the right describe or watch\n");
		return;
	}
	if (check_rate(request, rights) < 0)
		return;
	if (pages->rights != rights)
		drop_metrics(pages);
	if (!*bytes) {
		direct_take_all_counts(&pages->daemon->core);
		*bytes = metrics_text(pages->daemon, rights, format, size);
		rights_set(&pages->rights, rights);
	}
	if (*bytes)
		http_answer(request, HTTP_OK, metrics_type(format), *bytes, *size);
	else
		http_answer_text(request, HTTP_INTERNAL, "out of memory\n");
}

static const struct {
	const char *path;
	void (*answer)(struct http_pages *pages, struct evhttp_request *request);
} paths[] = {{"/livez", answer_livez}, {"/readyz", answer_readyz}, {"/metrics", answer_metrics}};

void http_pages_answer(struct http_pages *pages, struct evhttp_request *request)
{
	const enum evhttp_cmd_type command = evhttp_request_get_command(request);
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;

	if (command != EVHTTP_REQ_GET && command != EVHTTP_REQ_HEAD) {
		(void)evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", "GET, HEAD");
		http_answer_text(request, HTTP_BADMETHOD, "only GET and HEAD\n");
		return;
	}
	for (size_t i = 0; path && i < sizeof paths / sizeof *paths; i++)
		if (strcmp(path, paths[i].path) == 0) {
			paths[i].answer(pages, request);
			return;
		}
	http_answer_text(request, HTTP_NOTFOUND, "there are /livez, /readyz and /metrics\n");
}

void http_pages_end_turn(struct http_pages *pages)
{
	drop_metrics(pages);
	readyz_end_turn(&pages->readyz);
}

void http_pages_close(struct http_pages *pages)
{
	readyz_close(&pages->readyz);
	drop_metrics(pages);
}
