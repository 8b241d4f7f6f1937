/* SPDX-License-Identifier: Apache-2.0 */
/* http_answer: the one answer that an HTTP connection has. */
#ifndef SUPERVISOR_HTTP_ANSWER_H
#define SUPERVISOR_HTTP_ANSWER_H

#include <event2/http.h>
#include <stddef.h>

/* Sends the answer. evhttp frees the request, and closes the connection when all is sent. */
void http_answer(struct evhttp_request *request, int code, const char *type, const void *text, size_t size);

/* The same for plain text. */
void http_answer_text(struct evhttp_request *request, int code, const char *text);

#endif
