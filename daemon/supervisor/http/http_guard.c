/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/http_guard.h"

#include "daemon/supervisor/http/http_answer.h"
#include "daemon/supervisor/http/http_identity.h"

#include <arpa/inet.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <string.h>

enum { HOST_MAX = 256 };

static const char *header_of(struct evhttp_request *request, const char *name)
{
	return evhttp_find_header(evhttp_request_get_input_headers(request), name);
}

/* ---- is it clear what is asked, and of whom? ---- */

/* Headers of which there is one at most: two would mean one thing to a proxy, and another to the daemon. */
static const char *const single[] = {"Host", "Origin", "Authorization", "Content-Type", "Content-Length"};

static bool comes_twice(struct evhttp_request *request, const char *name)
{
	const struct evkeyvalq *headers = evhttp_request_get_input_headers(request);
	const struct evkeyval *header;
	int n = 0;

	TAILQ_FOREACH(header, headers, next)
		n += strcasecmp(header->key, name) == 0;
	return n > 1;
}

static int check_headers(struct evhttp_request *request, struct error *error)
{
	for (size_t i = 0; i < sizeof single / sizeof *single; i++)
		if (comes_twice(request, single[i])) {
			error_say(error, ERROR_BAD_REQUEST, RAN_NO, "there is more than one header %s", single[i]);
			return HTTP_BADREQUEST;
		}
	if (header_of(request, "Host") || request->major < 1 || (request->major == 1 && request->minor < 1))
		return 0;
	error_say(error, ERROR_BAD_REQUEST, RAN_NO, "there is no header Host");
	return HTTP_BADREQUEST;
}

/* ---- hosts ---- */

/* Copies the name out of NAME, NAME:PORT, [ADDRESS] or [ADDRESS]:PORT. -1: it is none of these, or too long. */
static int host_name(const char *host, char name[HOST_MAX])
{
	const bool bracket = *host == '[';
	const char *begin = host + bracket;
	const size_t size = strcspn(begin, bracket ? "]" : ":");
	const char *rest = begin + size + (bracket && begin[size] == ']');

	if (size == 0 || size >= HOST_MAX || (bracket && begin[size] != ']') || (*rest && *rest != ':'))
		return -1;
	if (*rest == ':' && rest[1 + strspn(rest + 1, "0123456789")])
		return -1;
	memcpy(name, begin, size);
	name[size] = '\0';
	return 0;
}

static bool is_listed(const struct config_words *list, const char *text)
{
	for (uint32_t i = 0; i < list->count; i++)
		if (!strcasecmp(list->words[i].text, text))
			return true;
	return false;
}

static bool knows_host(const struct config *config, const char *host)
{
	struct in6_addr address;
	char name[HOST_MAX];

	if (host_name(host, name) < 0)
		return false;
	return inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1 ||
	       !strcasecmp(name, "localhost") || is_listed(&config->http_hosts, name);
}

static int check_host(const struct config *config, const char *host, struct error *error)
{
	if (!host || knows_host(config, host))
		return 0;
	error_say(error, ERROR_DENIED, RAN_NO, "host \"%.100s\" is not known: it must be an address, localhost or one of http_hosts",
		  host);
	return HTTP_FORBIDDEN;
}

/* The host in a request's line, as in POST http://HOST/call/…, goes before the header (RFC 9112). It must be known, too. */
static int check_hosts(const struct config *config, struct evhttp_request *request, struct error *error)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	const char *host = uri ? evhttp_uri_get_host(uri) : NULL;

	const int status = check_host(config, header_of(request, "Host"), error);
	return status ? status : check_host(config, host, error);
}

/* ---- origins ---- */

/* Is the origin, SCHEME://HOST, this host itself? */
static bool is_own(struct evhttp_request *request, const char *origin, const char *host)
{
	const char *scheme = http_is_encrypted(request) ? "https://" : "http://";

	return host && !strncasecmp(origin, scheme, strlen(scheme)) && !strcasecmp(origin + strlen(scheme), host);
}

static void let_origin_read(struct evhttp_request *request, const char *origin)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);

	(void)evhttp_add_header(headers, "Access-Control-Allow-Origin", origin);
	(void)evhttp_add_header(headers, "Access-Control-Expose-Headers", "Retry-After");
}

static bool is_of_stranger(const struct config *config, struct evhttp_request *request, const char *origin)
{
	return origin && !is_own(request, origin, header_of(request, "Host")) && !is_listed(&config->http_origins, origin);
}

int http_guard_judge(const struct config *config, struct evhttp_request *request, struct error *error)
{
	const char *origin = header_of(request, "Origin");
	int status = check_headers(request, error);

	if (status == 0)
		status = check_hosts(config, request, error);
	if (status || !is_of_stranger(config, request, origin))
		return status;
	error_say(error, ERROR_DENIED, RAN_NO, "pages of %.100s may not call: it is not one of http_origins", origin);
	return HTTP_FORBIDDEN;
}

int http_guard_check(const struct config *config, struct evhttp_request *request, struct error *error)
{
	const char *origin = header_of(request, "Origin");
	const int status = http_guard_judge(config, request, error);

	(void)evhttp_add_header(evhttp_request_get_output_headers(request), "Vary", "Origin");
	if (status == 0 && origin && !is_own(request, origin, header_of(request, "Host")))
		let_origin_read(request, origin);
	return status;
}

int http_guard_check_site(struct evhttp_request *request, struct error *error)
{
	const char *site = header_of(request, "Sec-Fetch-Site");

	if (!site || strcasecmp(site, "cross-site") != 0 || header_of(request, "Origin"))
		return 0;
	error_say(error, ERROR_DENIED, RAN_NO, "a page of another site may not load this");
	return HTTP_FORBIDDEN;
}

int http_guard_check_type(struct evhttp_request *request, struct error *error)
{
	static const char json[] = "application/json";
	const char *type = header_of(request, "Content-Type");

	if (type && !strncasecmp(type, json, sizeof json - 1) && strchr(" \t;", type[sizeof json - 1]))
		return 0;
	error_say(error, ERROR_BAD_REQUEST, RAN_NO, "Content-Type must be %s", json);
	return HTTP_BAD_TYPE;
}

void http_guard_answer_options(struct evhttp_request *request)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);

	(void)evhttp_add_header(headers, "Allow", "POST, OPTIONS");
	(void)evhttp_add_header(headers, "Access-Control-Allow-Methods", "POST");
	(void)evhttp_add_header(headers, "Access-Control-Allow-Headers", "Content-Type, Authorization, traceparent");
	(void)evhttp_add_header(headers, "Access-Control-Max-Age", "600");
	(void)evhttp_add_header(headers, "Connection", "close");
	evhttp_send_reply(request, HTTP_NOCONTENT, NULL, NULL);
}
