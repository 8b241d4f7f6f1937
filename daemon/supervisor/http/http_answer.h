/* SPDX-License-Identifier: Apache-2.0 */
/* http_answer: the one answer that an HTTP connection has. */
#ifndef SUPERVISOR_HTTP_ANSWER_H
#define SUPERVISOR_HTTP_ANSWER_H

#include "daemon/core/base/error.h"

#include <event2/http.h>
#include <stddef.h>

/* Statuses for which libevent has no name. */
enum {
	HTTP_UNAUTHORIZED = 401,
	HTTP_FORBIDDEN = 403,
	HTTP_BAD_TYPE = 415,
	HTTP_TOO_MANY = 429,
	HTTP_BAD_GATEWAY = 502,
	HTTP_TOO_LATE = 504,
};

/* Sends the answer. evhttp frees the request, and closes the connection when all is sent. */
void http_answer(struct evhttp_request *request, int code, const char *type, const void *text, size_t size);

/* The same for plain text. */
void http_answer_text(struct evhttp_request *request, int code, const char *text);

/* The same for a refusal, "CODE: message". */
void http_answer_error(struct evhttp_request *request, int code, const struct error *error);

/* Headers that go with answers of this kind: how to show who one is, when to try again. `retry_after` is in milliseconds; 0: it
 * is not known. */
void http_answer_add_hints(struct evhttp_request *request, int code, uint64_t retry_after);

#endif
