/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/http_reply.h"

#include "daemon/core/base/error_status.h"
#include "daemon/supervisor/http/http_answer.h"
#include "proto/rpc.h"

#include <errno.h>
#include <stdio.h>

int http_reply_open(struct http_reply *reply, bool stream, struct account *account, uint64_t limit)
{
	*reply = (struct http_reply){
		.stream = stream, .status = HTTP_OK, .text = evbuffer_new(), .messages = {.account = account, .limit = limit}};
	return reply->text ? 0 : -ENOMEM;
}

void http_reply_close(struct http_reply *reply)
{
	messages_free(&reply->messages);
	if (reply->text)
		evbuffer_free(reply->text);
	reply->text = NULL;
}

/* ---- errors ---- */

/* The error as a map: the message of the wire for clients that want maps. */
static void note_error(struct http_reply *reply, struct span error)
{
	struct reader reader = reader_of(error), look;
	struct span key, text, value;
	uint32_t n = 0;

	(void)read_map(&reader, &n);
	for (; n > 0 && read_text(&reader, &key) == 0; n--) {
		look = reader;
		if (read_value(&reader, &value) < 0)
			return;
		if (span_is(key, "code") && read_text(&look, &text) == 0)
			reply->status = error_status(text);
		else if (span_is(key, "retry_after_ms"))
			(void)read_uint(&look, &reply->retry_after);
	}
}

/* Errors of the daemon's own are short. */
void http_reply_put_error(struct evbuffer *text, const struct error *error)
{
	struct messages messages = {.limit = 1 << 16};
	struct sendq packed = {0};
	struct to_json json;
	struct span value;

	error_pack(error, ERRORS_AS_MAP, &packed);
	if (!packed.failed && messages_next(&messages, &packed, &value) == 1) {
		(void)evbuffer_add(text, "{\"error\": ", 10);
		to_json_begin(&json, value, TO_JSON_ALONE, text);
		(void)to_json_go_on(&json, SIZE_MAX);
		(void)evbuffer_add(text, "}\n", 2);
	}
	messages_free(&messages);
	sendq_clear(&packed);
}

static void end_with(struct http_reply *reply, const struct error *error)
{
	if (!reply->begun)
		reply->status = error_status_of(error->code);
	http_reply_put_error(reply->text, error);
	reply->over = true;
}

static void end_for(struct http_reply *reply, int cause)
{
	struct error error;

	if (cause == -EMSGSIZE)
		error_say(&error, ERROR_TOO_LARGE, RAN_MAYBE, "a result is over http_max_body");
	else if (cause == -ENOMEM)
		error_no_memory(&error, RAN_MAYBE);
	else
		error_say(&error, ERROR_INTERNAL, RAN_MAYBE, "the answer can't be read");
	end_with(reply, &error);
}

/* ---- messages ---- */

/* `before` is followed by the value, or by so many as an array, and then by the end of the object and of the line. */
static void begin_line(struct http_reply *reply, const char *before, struct span values, uint32_t count)
{
	if (evbuffer_add(reply->text, before, strlen(before)) < 0)
		reply->failed = true;
	to_json_begin(&reply->json, values, count, reply->text);
	reply->writing = reply->begun = true;
}

static bool is_nil(struct span value)
{
	struct reader reader = reader_of(value);
	return read_nil(&reader) == 0;
}

static void on_response(struct http_reply *reply, const struct rpc *rpc)
{
	const bool failed = !is_nil(rpc->error);

	reply->last = true;
	if (failed && !reply->begun)
		note_error(reply, rpc->error);
	begin_line(reply,
		   failed          ? "{\"error\": "
		   : reply->stream ? "{\"end\": "
				   : "{\"result\": ",
		   failed ? rpc->error : rpc->result, TO_JSON_ALONE);
}

/* objpool.result [msgid, index, error, value] */
static void on_result(struct http_reply *reply, struct reader *params)
{
	struct span error, value;
	uint64_t index;
	char before[64];

	if (read_uint(params, &index) < 0 || read_value(params, &error) < 0 || read_value(params, &value) < 0)
		return;
	const bool failed = !is_nil(error);
	snprintf(before, sizeof before, "{\"index\": %llu, \"%s\": ", (unsigned long long)index, failed ? "error" : "result");
	begin_line(reply, before, failed ? error : value, TO_JSON_ALONE);
}

static void on_notification(struct http_reply *reply, const struct rpc *rpc)
{
	struct reader params = reader_of(rpc->params);
	uint64_t msgid;
	uint32_t count;

	if (!reply->stream || read_array(&params, &count) < 0 || count != 4 || read_uint(&params, &msgid) < 0)
		return;
	if (span_is(rpc->method, "objpool.result"))
		on_result(reply, &params);
	else if (span_is(rpc->method, "objpool.progress"))
		begin_line(reply, "{\"progress\": ", reader_rest(&params), 3);
}

/* False: there is no whole message. */
static bool take_message(struct http_reply *reply, struct sendq *from)
{
	struct span message;
	struct rpc rpc;

	const int r = messages_next(&reply->messages, from, &message);
	if (r == 0)
		return false;
	if (r < 0 || rpc_parse(message, &rpc) < 0)
		end_for(reply, r < 0 ? r : -EBADMSG);
	else if (rpc.type == RPC_RESPONSE)
		on_response(reply, &rpc);
	else
		on_notification(reply, &rpc);
	return true;
}

static void write_more(struct http_reply *reply, size_t budget)
{
	if (!to_json_go_on(&reply->json, budget))
		return;
	reply->writing = false;
	reply->failed = reply->failed || reply->json.failed || evbuffer_add(reply->text, "}\n", 2) < 0;
	reply->over = reply->last;
}

void http_reply_go_on(struct http_reply *reply, struct sendq *from, size_t budget)
{
	while (!reply->over && !reply->failed && evbuffer_get_length(reply->text) < budget) {
		if (reply->writing)
			write_more(reply, budget);
		else if (!take_message(reply, from))
			break;
	}
	if (from->failed && !reply->over)
		reply->failed = true;
}
