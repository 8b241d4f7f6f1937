/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/channel_end.h"

#include "client/c/answer.h"
#include "client/c/routing.h"
#include "client/c/failure.h"
#include "client/c/readiness.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The answer of objpool.detached. */
struct end {
	bool counted; /* the daemon knows the number of messages that had begun */
	uint64_t begun;
	struct objpool_bytes error; /* none: the worker did not die */
	struct objpool_bytes reason;
};

static bool is(const char *key, size_t size, const char *name)
{
	return size == strlen(name) && memcmp(key, name, size) == 0;
}

static bool parse_end(struct objpool_bytes answer, struct end *end)
{
	struct objpool_reader reader = objpool_reader(answer);
	struct objpool_bytes value;
	const char *key;
	size_t size;
	uint32_t count;

	*end = (struct end){0};
	if (objpool_read_map(&reader, &count) < 0)
		return false;
	for (; count > 0; count--) {
		if (objpool_read_str(&reader, &key, &size) < 0 || objpool_read_value(&reader, &value) < 0)
			return false;
		struct objpool_reader values = objpool_reader(value);
		if (is(key, size, "begun"))
			end->counted = objpool_read_uint(&values, &end->begun) == 0;
		else if (is(key, size, "error") && objpool_read_type(&values) != OBJPOOL_NIL)
			end->error = value;
		else if (is(key, size, "reason"))
			(void)objpool_read_str(&values, (const char **)&end->reason.data, &end->reason.size);
	}
	return end->counted;
}

/* ---- the calls ------------------------------------------------------------------------------------------------------- */

/* The message behind its msgid, with the target again that was left out on the channel. */
static void pack_with_target(struct objpool_packer *output, const struct channel_message *message, const struct route *route)
{
	struct objpool_reader reader = objpool_reader((struct objpool_bytes){message->bytes, message->size});
	char method[512];
	const char *name = NULL;
	size_t size = 0;
	uint32_t count;

	(void)objpool_read_array(&reader, &count);
	(void)objpool_read_value(&reader, NULL);
	(void)objpool_read_value(&reader, NULL);
	(void)objpool_read_str(&reader, &name, &size);
	if (is(name, size, "objpool.call")) {
		(void)objpool_read_array(&reader, &count);
		(void)objpool_read_value(&reader, NULL);
		objpool_pack(output, "s", "objpool.call");
		objpool_pack_array(output, 4);
		objpool_pack_str(output, route->target, route->size);
	} else if (snprintf(method, sizeof method, "%s.%.*s", route->target, (int)size, name) < (int)sizeof method) {
		objpool_pack_cstr(output, method);
	} else {
		output->error = -ENAMETOOLONG;
	}
	objpool_pack_raw(output, (struct objpool_bytes){reader.next, (size_t)(reader.end - reader.next)});
}

/* Sends the message of a call on the connection, with the same msgid. If there is no memory, the call has failed. */
static bool send_on_connection(struct objpool_client *client, struct pending_call *call)
{
	struct objpool_packer *output = &client->wire.output;
	size_t mark;

	if (connection_begin(client, &mark) < 0)
		return false;
	objpool_pack_array(output, 4);
	objpool_pack_uint(output, 0);
	objpool_pack_uint(output, call->msgid);
	pack_with_target(output, call->message, call->channel->route);
	if (connection_commit(client, mark) < 0)
		return false;
	routing_release(call);
	return true;
}

static void fail(struct objpool_client *client, uint32_t msgid, const struct objpool_error *error)
{
	struct pending_call call;

	if (pending_take(&client->pending, msgid, &call))
		answer_failure(client, &call, error);
	else
		(void)failure_unref(error);
}

static const struct objpool_error *error_of(const struct end *end, enum objpool_ran ran)
{
	char message[256];

	if (end->error.data)
		return failure_parse_as(end->error, ran);
	snprintf(message, sizeof message, "the direct channel to the instance has ended: %.*s", (int)end->reason.size,
		 end->reason.data ? (const char *)end->reason.data : "");
	return failure_make("DISCONNECTED", message, ran);
}

static enum objpool_ran has_run(const struct channel_message *message, const struct end *end)
{
	if (!end->counted || message->number + 1 == end->begun)
		return OBJPOOL_RAN_MAYBE;
	return message->number < end->begun ? OBJPOOL_RAN_YES : OBJPOOL_RAN_NO;
}

static void settle_call(struct objpool_client *client, struct pending_call *call, const struct end *end)
{
	const enum objpool_ran ran = has_run(call->message, end);

	if (ran != OBJPOOL_RAN_NO || call->channel->route->leased || !send_on_connection(client, call))
		fail(client, call->msgid, error_of(end, ran));
}

/* Callbacks may add calls: the table may double meanwhile. A call then stays where it is, or moves to a place behind. */
static void settle_calls(struct objpool_client *client, const struct channel *channel, const struct end *end)
{
	struct pending *pending = &client->pending;

	for (uint32_t place = 0; place < pending->size && channel->in_flight > 0; place++) {
		struct pending_call *call = &pending->table[place];
		if (call->msgid != 0 && call->channel == channel)
			settle_call(client, call, end);
	}
}

/* The daemon does not say what has run. */
static void fail_calls(struct objpool_client *client, const struct channel *channel)
{
	static const char reason[] = "the daemon does not say how";

	settle_calls(client, channel, &(struct end){.reason = {reason, sizeof reason - 1}});
}

/* ---- asking the daemon ----------------------------------------------------------------------------------------------- */

static void on_detached(void *context, const struct objpool_result *result)
{
	struct channel *channel = context;
	struct objpool_client *client = channel->route->client;
	struct end end;

	channel->asks = false;
	client->channels.own_calls--;
	if (!result->error && parse_end(result->value, &end))
		settle_calls(client, channel, &end);
	else if (!client->lost && !client->closing) /* else all calls fail for this reason */
		fail_calls(client, channel);
}

static int ask(struct objpool_client *client, struct channel *channel)
{
	struct pending_call call = {.callback = on_detached, .context = channel}, none;
	size_t mark;

	int rc = connection_begin(client, &mark);
	if (rc < 0)
		return rc;
	rc = pending_add(&client->pending, &call);
	if (rc < 0)
		return rc;
	objpool_pack(&client->wire.output, "[i u s [u]]", 0, (uint64_t)call.msgid, "objpool.detached", channel->id);
	rc = connection_commit(client, mark);
	if (rc < 0) {
		(void)pending_take(&client->pending, call.msgid, &none);
		return rc;
	}
	client->channels.own_calls++;
	channel->asks = true;
	return 0;
}

void channel_end(struct objpool_client *client, struct channel *channel)
{
	if (channel->state == CHANNEL_ENDED)
		return;
	channel->state = CHANNEL_ENDED;
	readiness_remove(client, channel);
	wire_close(&channel->wire);
	if (channel->in_flight > 0 && ask(client, channel) == -ENOMEM)
		fail_calls(client, channel);
}

void channel_end_reap(struct objpool_client *client)
{
	for (struct route *route = client->channels.routes; route; route = route->next)
		for (struct channel **at = &route->channels, *channel; (channel = *at);) {
			if (channel->state == CHANNEL_ENDED && channel->in_flight == 0 && !channel->asks) {
				*at = channel->next;
				(void)channel_free(channel);
			} else {
				at = &channel->next;
			}
		}
}
