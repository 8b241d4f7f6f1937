/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/http_answer.h"

#include <event2/buffer.h>
#include <stdio.h>
#include <string.h>

void http_answer(struct evhttp_request *request, int code, const char *type, const void *text, size_t size)
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

void http_answer_text(struct evhttp_request *request, int code, const char *text)
{
	http_answer(request, code, "text/plain; charset=utf-8", text, strlen(text));
}

void http_answer_add_hints(struct evhttp_request *request, int code, uint64_t retry_after)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	char seconds[24];

	if (code == HTTP_UNAUTHORIZED)
		(void)evhttp_add_header(headers, "WWW-Authenticate", "Bearer");
	if (code != HTTP_TOO_MANY)
		return;
	snprintf(seconds, sizeof seconds, "%llu", retry_after ? ((unsigned long long)retry_after + 999) / 1000 : 1);
	(void)evhttp_add_header(headers, "Retry-After", seconds);
}

void http_answer_error(struct evhttp_request *request, int code, const struct error *error)
{
	char text[sizeof error->text + 32];

	snprintf(text, sizeof text, "%s: %.*s\n", error_code_name(error->code), SPAN_TEXT(error->message, sizeof error->text));
	http_answer_add_hints(request, code, error->retry_after);
	http_answer_text(request, code, text);
}
