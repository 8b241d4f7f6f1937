/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/http_pages.h"

#include "daemon/core/calls/direct.h"
#include "daemon/supervisor/http/accept.h"
#include "daemon/supervisor/http/http_admission.h"
#include "daemon/supervisor/http/http_answer.h"
#include "daemon/supervisor/http/http_guard.h"
#include "daemon/supervisor/http/page.h"

#include <stdlib.h>
#include <string.h>

int http_pages_open(struct http_pages *pages, struct daemon *daemon, struct http_connections *connections,
		    const struct http_calls *calls)
{
	*pages = (struct http_pages){.daemon = daemon};
	readyz_open(&pages->readyz, daemon);
	return viewers_open(&pages->viewers, daemon, connections, calls);
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

static void answer_readyz(struct http_pages *pages, struct evhttp_request *request)
{
	struct rights *rights = NULL;

	if (http_admission_rights(pages->daemon, request, &rights) == 0)
		readyz_ask(&pages->readyz, request, rights);
}

static void answer_metrics(struct http_pages *pages, struct evhttp_request *request)
{
	const char *accept = evhttp_find_header(evhttp_request_get_input_headers(request), "Accept");
	const enum metrics_format format = accept_prefers_openmetrics(accept) ? METRICS_OPENMETRICS : METRICS_CLASSIC;
	struct rights *rights = NULL;
	size_t *size = &pages->metrics[format].size;
	char **bytes = &pages->metrics[format].bytes;
	struct error error;

	(void)evhttp_add_header(evhttp_request_get_output_headers(request), "Vary", "Accept");
	if (http_admission_rights(pages->daemon, request, &rights) < 0)
		return;
	if (!rights_have_any(rights, RIGHT_DESCRIBE) && !rights_have_any(rights, RIGHT_WATCH)) {
		error_say(&error, ERROR_DENIED, RAN_NO, "metrics need the right describe or watch");
		http_admission_refuse(pages->daemon, request, HTTP_FORBIDDEN, &error);
		return;
	}
	if (http_admission_rate(request, rights) < 0)
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

static void answer_page(struct http_pages *pages, struct evhttp_request *request)
{
	(void)pages;
	page_answer(request);
}

static void answer_events(struct http_pages *pages, struct evhttp_request *request)
{
	page_answer_events(&pages->viewers, request);
}

static void answer_history(struct http_pages *pages, struct evhttp_request *request)
{
	page_answer_history(&pages->viewers, request);
}

static void answer_description(struct http_pages *pages, struct evhttp_request *request)
{
	page_answer_description(&pages->viewers, request);
}

static const struct {
	const char *path;
	void (*answer)(struct http_pages *pages, struct evhttp_request *request);
} paths[] = {
	{"/livez", answer_livez},   {"/readyz", answer_readyz},   {"/metrics", answer_metrics},      {"/", answer_page},
	{"/events", answer_events}, {"/history", answer_history}, {"/describe", answer_description},
};

/* Has it come from a page of a stranger, or by a stranger's name for this host? -1: it is refused, and answered. */
static int check_stranger(struct daemon *daemon, struct evhttp_request *request)
{
	struct error error;
	const int status = http_guard_check(&daemon->config, request, &error);

	if (status)
		http_admission_refuse(daemon, request, status, &error);
	return status ? -1 : 0;
}

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
			if (check_stranger(pages->daemon, request) == 0)
				paths[i].answer(pages, request);
			return;
		}
	http_answer_text(request, HTTP_NOTFOUND, "there are /, /livez, /readyz and /metrics\n");
}

void http_pages_end_turn(struct http_pages *pages)
{
	drop_metrics(pages);
	readyz_end_turn(&pages->readyz);
}

void http_pages_close(struct http_pages *pages)
{
	viewers_close(&pages->viewers);
	readyz_close(&pages->readyz);
	drop_metrics(pages);
}
