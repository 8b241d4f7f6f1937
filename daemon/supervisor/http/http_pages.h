/* SPDX-License-Identifier: Apache-2.0 */
/* http_pages: which path has which answer. */
#ifndef SUPERVISOR_HTTP_PAGES_H
#define SUPERVISOR_HTTP_PAGES_H

#include "daemon/supervisor/http/readyz.h"
#include "daemon/supervisor/http/viewers.h"
#include "daemon/supervisor/view/metrics.h"

struct http_pages {
	struct daemon *daemon;
	struct readyz readyz;
	struct viewers viewers;
	struct {
		char *bytes; /* for all requests of this turn; NULL: there was none */
		size_t size;
	} metrics[METRICS_FORMATS];
	struct rights *rights; /* by which they were made; a reference */
};

/* 0, or -1: out of memory or descriptors. */
int http_pages_open(struct http_pages *pages, struct daemon *daemon, struct http_connections *connections,
		    const struct http_calls *calls);

/* Answers the request, now or when a later turn of the loop ends. */
void http_pages_answer(struct http_pages *pages, struct evhttp_request *request);

/* When a turn of the loop ends: answers what has become known, and drops the metrics of this turn. */
void http_pages_end_turn(struct http_pages *pages);

/* Answers the requests that are left. */
void http_pages_close(struct http_pages *pages);

#endif
