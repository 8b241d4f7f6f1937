/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/http_calls.h"

#include "daemon/supervisor/http/accept.h"
#include "daemon/supervisor/http/http_answer.h"
#include "daemon/supervisor/http/http_guard.h"
#include "daemon/supervisor/http/http_identity.h"
#include "daemon/supervisor/log/log.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

#define TURN MILLISECOND /* of a turn of the loop, to read bodies, and again to write results; one takes as long as it takes */

enum { CALLS_MAX = 256 /* in progress */ };

static const char prefix[] = "/call/";

void http_calls_open(struct http_calls *calls, struct daemon *daemon, struct http_connections *connections)
{
	*calls = (struct http_calls){.daemon = daemon, .connections = connections};
	TAILQ_INIT(&calls->list);
	TAILQ_INIT(&calls->coming);
	TAILQ_INIT(&calls->dirty);
}

static const char *path_of(struct evhttp_request *request)
{
	return evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
}

bool http_calls_have(const char *path)
{
	return !strncmp(path, prefix, sizeof prefix - 1);
}

/* ---- may it call? ---- */

static int refuse(struct error *error, enum error_code code, int status, const char *text)
{
	error_say(error, code, RAN_NO, "%s", text);
	return status;
}

/* 0, or the status of the refusal. */
static int check_room(const struct http_calls *calls, struct error *error)
{
	if (calls->count < CALLS_MAX && account_has_room_for_file(&calls->daemon->core.memory))
		return 0;
	return refuse(error, ERROR_OVERLOADED, HTTP_TOO_MANY, "too many calls by HTTP are in progress");
}

static int check(const struct http_calls *calls, struct evhttp_request *request, struct known *known, struct error *error)
{
	int status = http_guard_check_type(request, error);

	if (status == 0)
		status = http_identify(calls->daemon, request, known, error);
	return status ? status : check_room(calls, error);
}

static void refuse_request(const struct http_calls *calls, struct evhttp_request *request, int status, const struct error *error)
{
	calls->daemon->http_counts.refused++;
	http_note_denied(calls->daemon, request, error);
	http_call_refuse(request, status, error);
}

/* ---- calling ---- */

/* The body, with a '\0' behind it. To be freed. NULL: out of memory. */
static char *copy_body(struct evhttp_request *request, size_t *size)
{
	struct evbuffer *body = evhttp_request_get_input_buffer(request);

	*size = evbuffer_get_length(body);
	char *text = malloc(*size + 1);
	if (!text)
		return NULL;
	(void)evbuffer_remove(body, text, *size);
	text[*size] = '\0';
	return text;
}

static bool wants_lines(struct evhttp_request *request)
{
	return accept_names(evhttp_find_header(evhttp_request_get_input_headers(request), "Accept"), "application/x-ndjson");
}

static void make(struct http_calls *calls, struct evhttp_request *request, const struct known *known, struct error *error)
{
	if (http_call_new(calls, request, known, wants_lines(request)))
		return;
	error_no_memory(error, RAN_NO);
	refuse_request(calls, request, HTTP_SERVUNAVAIL, error);
}

static void begin(struct http_call *call)
{
	struct evhttp_request *request = call->request;
	size_t size, method_size;
	char *text = copy_body(request, &size), *method = evhttp_uridecode(path_of(request) + sizeof prefix - 1, 0, &method_size);
	struct error error;

	http_call_stop_waiting(call);
	if (text && method) {
		const struct http_body body = {
			.method = {.bytes = (const uint8_t *)method, .size = method_size},
			.text = {.bytes = (const uint8_t *)text, .size = size},
			.stream = call->reply.stream,
			.traceparent = evhttp_find_header(evhttp_request_get_input_headers(request), "traceparent")};
		http_call_begin(call, &body);
	} else {
		error_no_memory(&error, RAN_NO);
		http_call_break_off(call, &error);
	}
	free(method);
	free(text);
}

void http_calls_end_turn(struct http_calls *calls)
{
	const uint64_t until = calls->daemon->core.now + TURN;
	struct http_call *call;

	while ((call = TAILQ_FIRST(&calls->coming)) && calls->daemon->core.now < until) {
		begin(call);
		daemon_tick(calls->daemon);
	}
}

void http_calls_answer(struct http_calls *calls, struct evhttp_request *request)
{
	const enum evhttp_cmd_type command = evhttp_request_get_command(request);
	struct known known;
	struct error error;
	int status = http_guard_check(&calls->daemon->config, request, &error);

	if (status == 0 && command == EVHTTP_REQ_OPTIONS) {
		http_guard_answer_options(request);
		return;
	}
	if (status == 0 && command != EVHTTP_REQ_POST) {
		(void)evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", "POST, OPTIONS");
		status = refuse(&error, ERROR_BAD_REQUEST, HTTP_BADMETHOD, "a call is a POST");
	}
	if (status == 0)
		status = check(calls, request, &known, &error);
	if (status)
		refuse_request(calls, request, status, &error);
	else
		make(calls, request, &known, &error);
}

/* ---- in progress ---- */

void http_calls_flush(struct http_calls *calls)
{
	const uint64_t until = calls->daemon->core.now + TURN;
	struct http_call *call;

	while ((call = TAILQ_FIRST(&calls->dirty)) && calls->daemon->core.now < until) {
		TAILQ_REMOVE(&calls->dirty, call, dirty_link);
		call->dirty = false;
		http_call_go_on(call);
		daemon_tick(calls->daemon);
	}
}

bool http_calls_break_off_greediest(struct http_calls *calls, const struct account *over, uint64_t least)
{
	struct http_call *call, *most = NULL;
	struct error error;

	TAILQ_FOREACH(call, &calls->list, link)
		if (account_pressed_by(call->client.account) == over && call->client.account->used > least) {
			most = call;
			least = call->client.account->used;
		}
	if (!most)
		return false;
	client_say_greedy(&most->client, RAN_MAYBE, &error);
	log_say(LOG_WARNING, "session %llu, a call by HTTP: %.*s: ending it", (unsigned long long)most->client.id,
		SPAN_TEXT(error.message, sizeof error.text));
	http_call_break_off(most, &error);
	return true;
}

void http_calls_close(struct http_calls *calls)
{
	struct http_call *call;
	struct error error;

	error_say(&error, ERROR_UNAVAILABLE, RAN_MAYBE, "this address is being closed");
	while ((call = TAILQ_FIRST(&calls->list)))
		http_call_break_off(call, &error);
}
