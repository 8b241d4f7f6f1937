/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/http_call.h"

#include "daemon/core/base/error_status.h"
#include "daemon/core/calls/client_end.h"
#include "daemon/core/entry/request.h"
#include "daemon/supervisor/connections/peer.h"
#include "daemon/supervisor/http/http_answer.h"
#include "daemon/supervisor/http/http_hold.h"
#include "daemon/supervisor/http/http_identity.h"
#include "daemon/supervisor/log/log.h"

#include <stdlib.h>

enum {
	PIECE = 32 << 10, /* bytes of text that are written in one go: the loop must not be held */
	ENVELOPE = 256,   /* bytes of a message around a result */
};

static const char json_type[] = "application/json", lines_type[] = "application/x-ndjson";

/* ---- beginning and end ---- */

static void mark_dirty(struct http_call *call)
{
	if (call->dirty)
		return;
	call->dirty = true;
	TAILQ_INSERT_TAIL(&call->calls->dirty, call, dirty_link);
}

/* The client's. */
static void on_wrote(struct client *client)
{
	mark_dirty(container_of(client, struct http_call, client));
}

/* Reading a body takes long, so each call has its turn for that. */
static void wait_for_turn(struct http_call *call)
{
	call->coming = true;
	call->body = evbuffer_get_length(evhttp_request_get_input_buffer(call->request));
	account_charge(call->client.account, call->body);
	TAILQ_INSERT_TAIL(&call->calls->coming, call, coming_link);
}

void http_call_stop_waiting(struct http_call *call)
{
	if (!call->coming)
		return;
	call->coming = false;
	account_credit(call->client.account, call->body);
	TAILQ_REMOVE(&call->calls->coming, call, coming_link);
}

static void end(struct http_call *call)
{
	struct http_calls *calls = call->calls;

	http_call_stop_waiting(call);
	if (call->dirty)
		TAILQ_REMOVE(&calls->dirty, call, dirty_link);
	TAILQ_REMOVE(&calls->list, call, link);
	calls->count--;
	calls->daemon->http_counts.running--;
	http_reply_close(&call->reply);
	account_remove_file(call->client.account);
	client_gone(&call->client);
	free(call);
}

/* evhttp's: the connection ends before the answer does. */
static void on_closed(struct evhttp_connection *connection, void *data)
{
	struct http_call *call = data;

	(void)connection;
	daemon_tick(call->calls->daemon);
	http_hold_on_closed(call->request);
	end(call);
}

/* The answer is evhttp's now. */
static void let_go(struct http_call *call)
{
	http_hold_end(call->calls->connections, call->request);
}

/* The client's name is what the program says of itself. */
static void set_name(struct http_call *call)
{
	const char *agent = evhttp_find_header(evhttp_request_get_input_headers(call->request), "User-Agent");

	snprintf(call->client.name, sizeof call->client.name, "%s", agent ? agent : "");
}

struct http_call *http_call_new(struct http_calls *calls, struct evhttp_request *request, const struct known *known, bool stream)
{
	struct daemon *daemon = calls->daemon;
	struct http_call *call = calloc(1, sizeof *call);

	if (!call)
		return NULL;
	client_init(&call->client, &daemon->core);
	if (http_reply_open(&call->reply, stream, call->client.account, daemon->config.http_max_body + ENVELOPE) < 0) {
		client_gone(&call->client);
		free(call);
		return NULL;
	}
	call->calls = calls;
	call->request = request;
	call->client.wrote = on_wrote;
	call->client.error_form = ERRORS_AS_MAP;
	call->client.is_one_call = true;
	call->since = daemon->core.now;
	call->known_by = known->identity ? known->by : KNOWN_AS_ANYONE;
	set_name(call);
	client_set_rights(&call->client, known->identity ? known->identity->rights : NULL);
	account_add_file(call->client.account);
	TAILQ_INSERT_TAIL(&calls->list, call, link);
	calls->count++;
	daemon->http_counts.running++;
	daemon->http_counts.calls++;
	http_hold_begin(calls->connections, request, on_closed, call);
	wait_for_turn(call);
	return call;
}

void http_call_peer(const struct http_call *call, char *text, size_t size)
{
	struct bufferevent *stream = evhttp_connection_get_bufferevent(evhttp_request_get_connection(call->request));

	peer_describe(bufferevent_getfd(stream), http_is_encrypted(call->request), text, size);
}

void http_call_begin(struct http_call *call, const struct http_body *body)
{
	struct block *block;
	struct error error;
	struct rpc rpc;
	bool full;

	if (client_enter(&call->client, &error) < 0 ||
	    http_body_pack(body, call->client.account, &block, &rpc, &full, &error) < 0) {
		client_answer_error(&call->client, 0, &error);
		return;
	}
	log_say(LOG_DEBUG, "session %llu: calls %.*s by HTTP", (unsigned long long)call->client.id, SPAN_TEXT(body->method, 100));
	(void)(full ? request_full_call : request_call)(&call->client, &rpc, block); /* its msgid is in no other use */
	block_unref(block);
}

/* ---- answering ---- */

static void add_headers(struct evhttp_request *request, int status, bool stream, uint64_t retry_after)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);

	(void)evhttp_add_header(headers, "Content-Type", stream ? lines_type : json_type);
	(void)evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
	(void)evhttp_add_header(headers, "Cache-Control", "no-store");
	(void)evhttp_add_header(headers, "Connection", "close");
	http_answer_add_hints(request, status, retry_after);
}

static void answer_whole(struct evhttp_request *request, int status, uint64_t retry_after, struct evbuffer *text)
{
	char length[24];

	add_headers(request, status, false, retry_after);
	snprintf(length, sizeof length, "%zu", evbuffer_get_length(text));
	(void)evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Length", length);
	if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD)
		(void)evbuffer_drain(text, SIZE_MAX);
	evhttp_send_reply(request, status, NULL, text);
}

void http_call_refuse(struct evhttp_request *request, int status, const struct error *error)
{
	struct evbuffer *text = evbuffer_new();

	if (!text) {
		http_answer_error(request, status, error);
		return;
	}
	http_reply_put_error(text, error);
	answer_whole(request, status, error->retry_after, text);
	evbuffer_free(text);
}

/* Who has shown nothing of itself may try again with a token. */
static int status_of(const struct http_call *call)
{
	const bool unknown = call->known_by == KNOWN_AS_ANYONE || call->known_by == KNOWN_BY_NOTHING;

	return call->reply.status == HTTP_FORBIDDEN && unknown ? HTTP_UNAUTHORIZED : call->reply.status;
}

/* An error in the place of a stream is no stream. */
static bool is_of_lines(const struct http_call *call)
{
	return call->reply.stream && call->reply.status == HTTP_OK;
}

/* evhttp's: the connection has taken all that was given to it. */
static void on_taken(struct evhttp_connection *connection, void *data)
{
	struct http_call *call = data;

	(void)connection;
	daemon_tick(call->calls->daemon);
	call->sending = false;
	mark_dirty(call);
}

static void send_piece(struct http_call *call)
{
	if (!call->started) {
		add_headers(call->request, status_of(call), is_of_lines(call), call->reply.retry_after);
		evhttp_send_reply_start(call->request, status_of(call), NULL);
	}
	call->started = call->sending = true;
	evhttp_send_reply_chunk_with_cb(call->request, call->reply.text, on_taken, call);
	http_hold_watch(call->request);
}

static void finish(struct http_call *call)
{
	struct evhttp_request *request = call->request;

	let_go(call);
	if (call->started)
		evhttp_send_reply_end(request);
	else
		answer_whole(request, status_of(call), call->reply.retry_after, call->reply.text);
	end(call);
}

/* Each line of a stream is; any other answer that is short waits for its end, and is sent with its length. */
static bool is_worth_sending(const struct http_call *call)
{
	const size_t size = evbuffer_get_length(call->reply.text);

	return size >= PIECE || (size > 0 && (call->started || is_of_lines(call)));
}

void http_call_go_on(struct http_call *call)
{
	struct http_reply *reply = &call->reply;

	if (call->sending)
		return;
	http_reply_go_on(reply, &call->client.out, PIECE);
	client_on_sent(&call->client);
	if (reply->failed) {
		struct error error;
		error_no_memory(&error, RAN_MAYBE);
		http_call_break_off(call, &error);
		return;
	}
	if (is_worth_sending(call))
		send_piece(call);
	if (reply->over)
		finish(call);
}

void http_call_break_off(struct http_call *call, const struct error *error)
{
	struct evhttp_request *request = call->request;

	if (call->started) {
		evhttp_connection_free(evhttp_request_get_connection(request)); /* on_closed ends the call */
		return;
	}
	let_go(call);
	http_call_refuse(request, error_status_of(error->code), error);
	end(call);
}
