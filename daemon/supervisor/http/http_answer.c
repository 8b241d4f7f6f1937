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
