/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/incoming.h"

#include "client/c/answer.h"
#include "client/c/channel_end.h"
#include "client/c/routing.h"
#include "client/c/failure.h"
#include "client/c/client_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { INCOMING_READS = 16 }; /* in one turn: the program's loop has other things to do */

/* ---- answers --------------------------------------------------------------------------------------------------------- */

/* No call has the msgid 0: an error with it says why the daemon will close the connection. */
static void keep_close_error(struct objpool_client *client, struct objpool_bytes bytes)
{
	(void)failure_unref(client->close_error);
	client->close_error = failure_parse(bytes);
}

/* Without memory for the value, the call fails, and so does the connection. */
static int answer_value(struct objpool_client *client, struct pending_call *call, struct objpool_bytes value)
{
	const int rc = received_payloads_value(&client->received, &value);

	if (rc < 0)
		answer_failure(client, call, failure_make("DISCONNECTED", "there is no memory for the result", OBJPOOL_RAN_YES));
	else
		answer_call(client, call, value, NULL);
	return rc;
}

/* The call that a message is about. NULL: there is none, or it was not sent where the message comes from. */
static struct pending_call *find_call(const struct objpool_client *client, uint64_t msgid)
{
	struct pending_call *call = msgid <= UINT32_MAX ? pending_find(&client->pending, (uint32_t)msgid) : NULL;

	return call && call->channel == client->channels.reads ? call : NULL;
}

/* msgid, error, value */
static int on_response(struct objpool_client *client, struct objpool_reader *reader)
{
	struct pending_call call;
	struct objpool_bytes error;
	uint64_t msgid;

	if (objpool_read_uint(reader, &msgid) < 0 || msgid > UINT32_MAX)
		return -EBADMSG;
	const bool failed = objpool_read_nil(reader) < 0;
	if (failed && objpool_read_value(reader, &error) < 0)
		return -EBADMSG;
	if (failed && msgid == 0 && !client->channels.reads)
		keep_close_error(client, error);
	if (!find_call(client, msgid) || !pending_take(&client->pending, (uint32_t)msgid, &call))
		return 0; /* its timeout was over before */
	if (!failed)
		return answer_value(client, &call, (struct objpool_bytes){reader->next, (size_t)(reader->end - reader->next)});
	answer_failure(client, &call, failure_parse(error));
	return 0;
}

/* ---- progress -------------------------------------------------------------------------------------------------------- */

/* A str, as a string that the caller frees. NULL: the value is nil, or there is no memory. */
static char *copy_text(struct objpool_reader *reader)
{
	const char *text;
	size_t size;

	return objpool_read_str(reader, &text, &size) == 0 ? strndup(text, size) : NULL;
}

/* An integer, or -1 for nil. */
static int read_number(struct objpool_reader *reader, int64_t *number)
{
	if (objpool_read_int(reader, number) == 0)
		return 0;
	*number = -1;
	return objpool_read_value(reader, NULL) < 0 ? -EBADMSG : 0;
}

/* done, total, text: each may be nil. The program's callback may add calls, which moves `call`. */
static int on_progress(struct objpool_client *client, const struct pending_call *call, struct objpool_reader *params)
{
	struct objpool_stream *stream = call->stream;
	const uint32_t msgid = call->msgid;
	int64_t done, total;

	if (stream && client_stream_is_over(stream))
		return 0;
	if (read_number(params, &done) < 0 || read_number(params, &total) < 0)
		return -EBADMSG;
	char *text = copy_text(params);
	const int rc = call->on_progress(call->progress_context, done, total, text);
	free(text);
	if (rc != 0 && stream)
		client_stream_end(stream, rc);
	else if (rc != 0)
		(void)objpool_cancel(client, msgid);
	return 0;
}

/* ---- notifications --------------------------------------------------------------------------------------------------- */

static bool is_named(struct objpool_bytes method, const char *name)
{
	return method.size == strlen(name) && memcmp(method.data, name, method.size) == 0;
}

/* Handles what a call in flight has asked for. 1; 0: the notification is about no such call; -EBADMSG. */
static int tell_call(struct objpool_client *client, struct objpool_bytes method, struct objpool_bytes params)
{
	struct objpool_reader reader = objpool_reader(params);
	uint32_t count;
	uint64_t msgid;

	if (objpool_read_array(&reader, &count) < 0 || objpool_read_uint(&reader, &msgid) < 0)
		return 0;
	const struct pending_call *call = find_call(client, msgid);
	int rc = 1;
	if (call && call->stream && is_named(method, "objpool.result"))
		rc = count == 4 ? client_stream_on_result(call->stream, &reader) : -EBADMSG;
	else if (call && call->stream && is_named(method, "objpool.credit"))
		rc = client_stream_on_credit(call->stream, &reader);
	else if (call && call->on_progress && is_named(method, "objpool.progress"))
		rc = on_progress(client, call, &reader);
	else
		return 0;
	return rc < 0 ? rc : 1;
}

/* Gives the program what no call of the library has asked for. */
static void tell_program(struct objpool_client *client, struct objpool_bytes method, struct objpool_bytes params)
{
	char name[128];

	if (!client->on_notification || method.size >= sizeof name)
		return;
	memcpy(name, method.data, method.size);
	name[method.size] = '\0';
	client->on_notification(client->notification_context, name, params);
}

static int on_notification(struct objpool_client *client, struct objpool_reader *reader)
{
	const char *text;
	size_t size;

	if (objpool_read_str(reader, &text, &size) < 0)
		return -EBADMSG;
	const struct objpool_bytes method = {text, size};
	const struct objpool_bytes params = {reader->next, (size_t)(reader->end - reader->next)};
	struct channel *channel = client->channels.reads;
	if (channel && is_named(method, "objpool.closing")) {
		channel->state = CHANNEL_CLOSING; /* the turn's flush shuts down the sending side */
		return 0;
	}
	if (channel && is_named(method, "objpool.rings"))
		return routing_on_rings(client, channel, params);
	const int rc = tell_call(client, method, params);
	if (rc == 0)
		tell_program(client, method, params);
	return rc < 0 ? rc : 0;
}

/* ---- messages -------------------------------------------------------------------------------------------------------- */

/* The message is whole: its last value ends where the message ends. */
static int on_message(struct objpool_client *client, struct objpool_bytes message)
{
	struct objpool_reader reader = objpool_reader(message);
	uint32_t count;
	uint64_t type;

	if (objpool_read_array(&reader, &count) < 0 || count == 0 || objpool_read_uint(&reader, &type) < 0)
		return -EBADMSG;
	if (type == 1 && count == 4)
		return on_response(client, &reader);
	if (type == 2 && count == 3)
		return on_notification(client, &reader);
	return -EBADMSG;
}

static int on_message_with_references(struct objpool_client *client, struct objpool_bytes message)
{
	int rc = received_payloads_open(&client->received, &client->wire.arrivals, message);

	if (rc == 0)
		rc = on_message(client, message);
	received_payloads_close(&client->received);
	return rc;
}

/* One read, and all messages that are whole after it. 0, or why the connection is lost. */
static int receive_once(struct objpool_client *client, struct wire *wire, bool wait, bool *more)
{
	struct objpool_bytes message;
	const int64_t n = wire_fill(wire, wait, more);
	int rc = 0;

	if (n < 0)
		return (int)n;
	while (!client->closing && rc == 0) {
		rc = wire_next(wire, &message);
		if (rc <= 0)
			break;
		rc = wire->has_references ? on_message_with_references(client, message) : on_message(client, message);
	}
	return rc;
}

void incoming_receive(struct objpool_client *client, bool wait)
{
	bool more = true;

	for (int i = 0; i < INCOMING_READS && more && !client->lost && !client->closing; i++)
		client->lost = receive_once(client, &client->wire, wait && i == 0, &more);
}

void incoming_receive_channel(struct objpool_client *client, struct channel *channel, bool wait)
{
	bool more = true;
	int rc = 0;

	client->channels.reads = channel;
	for (int i = 0; i < INCOMING_READS && more && rc == 0 && !client->closing; i++)
		rc = receive_once(client, &channel->wire, wait && i == 0, &more);
	client->channels.reads = NULL;
	if (rc < 0 && !client->closing)
		channel_end(client, channel);
}

void incoming_receive_rest(struct objpool_client *client)
{
	bool more = true;

	client->send_failed = false;
	while (more && !client->closing && receive_once(client, &client->wire, false, &more) == 0) {
	}
}
