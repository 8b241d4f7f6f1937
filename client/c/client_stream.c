/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/client_stream.h"

#include "client/c/failure.h"
#include "client/c/feed.h"
#include "client/c/start.h"

#include <errno.h>
#include <stdlib.h>

struct objpool_stream {
	struct objpool_client *client;
	struct objpool_stream *next_stream;
	uint32_t msgid;
	struct client_stream_callbacks callbacks;
	struct feed feed;
	bool has_failures; /* some result was one */
	bool over;         /* nothing is delivered any more */
	bool told;         /* done() has been called */
	bool answered;     /* the call is not in flight any more */
	int status;        /* for done(), with the error */
	const struct objpool_error *error;
};

/* ---- the beginning --------------------------------------------------------------------------------------------------- */

static void stream_free(struct objpool_stream *stream)
{
	feed_free(&stream->feed);
	(void)failure_unref(stream->error);
	free(stream);
}

static void finish(struct objpool_stream *stream, int status, const struct objpool_error *error)
{
	if (stream->over)
		return;
	stream->over = stream->feed.stopped = true;
	stream->status = status;
	stream->error = failure_ref(error);
	if (!stream->answered)
		(void)objpool_cancel(stream->client, stream->msgid);
}

/* The callback of the pending call. */
static void stream_on_answer(void *context, const struct objpool_result *result)
{
	struct objpool_stream *stream = context;

	stream->answered = true;
	feed_release_all(&stream->feed, stream->client);
	finish(stream, result->error ? -EREMOTEIO : 0, result->error);
}

static struct objpool_stream *stream_new(struct objpool_client *client, const struct client_stream_callbacks *callbacks)
{
	struct objpool_stream *stream = calloc(1, sizeof *stream);

	if (!stream)
		return NULL;
	stream->client = client;
	stream->callbacks = *callbacks;
	stream->feed.next = callbacks->next;
	stream->feed.next_context = callbacks->next_context;
	return stream;
}

int client_stream_start(struct objpool_client *client, struct client_request *request, const struct objpool_call_options *options,
			const struct client_stream_callbacks *callbacks, struct objpool_stream **out)
{
	struct objpool_stream *stream = stream_new(client, callbacks);
	struct pending_call call = {.callback = stream_on_answer, .context = stream, .stream = stream};

	if (!stream)
		return -ENOMEM;
	request->streamed = true;
	request->fed = callbacks->next != NULL;
	const int rc = start_call(client, request, options, &call);
	if (rc < 0) {
		stream_free(stream);
		return rc;
	}
	stream->msgid = call.msgid;
	*client->streams_end = stream;
	client->streams_end = &stream->next_stream;
	if (out)
		*out = stream;
	return 0;
}

/* ---- messages of the daemon ------------------------------------------------------------------------------------------ */

/* index, error, value */
int client_stream_on_result(struct objpool_stream *stream, struct objpool_reader *params)
{
	struct objpool_bytes bytes, value = {NULL, 0};
	uint64_t index;

	if (objpool_read_uint(params, &index) < 0)
		return -EBADMSG;
	const bool failed = objpool_read_nil(params) < 0;
	if ((failed && objpool_read_value(params, &bytes) < 0) || params->next == params->end)
		return -EBADMSG;
	stream->has_failures = stream->has_failures || failed;
	feed_release_item(&stream->feed, stream->client, index, failed);
	if (stream->over)
		return 0;
	if (!failed)
		value = (struct objpool_bytes){params->next, (size_t)(params->end - params->next)};
	const int known = failed ? 0 : received_payloads_value(&stream->client->received, &value);
	if (known < 0)
		return known;
	const struct objpool_error *error = failed ? failure_parse(bytes) : NULL;
	const int rc = stream->callbacks.each(stream->callbacks.each_context, index, value, error);
	(void)failure_unref(error);
	if (rc != 0)
		finish(stream, rc, NULL);
	return 0;
}

int client_stream_on_credit(struct objpool_stream *stream, struct objpool_reader *params)
{
	uint64_t credit;

	if (objpool_read_uint(params, &credit) < 0)
		return -EBADMSG;
	stream->feed.credit += credit;
	return 0;
}

/* ---- the turn -------------------------------------------------------------------------------------------------------- */

bool client_streams_are_due(const struct objpool_client *client)
{
	for (const struct objpool_stream *stream = client->streams; stream; stream = stream->next_stream)
		if (feed_wants_items(&stream->feed, client) || (stream->over && !stream->told))
			return true;
	return false;
}

void client_streams_feed(struct objpool_client *client)
{
	for (struct objpool_stream *stream = client->streams; stream; stream = stream->next_stream) {
		const int rc = feed_turn(&stream->feed, client, stream->msgid);
		if (rc < 0)
			finish(stream, rc, NULL);
	}
}

static void tell(struct objpool_stream *stream)
{
	stream->told = true;
	stream->callbacks.done(stream->callbacks.done_context, stream->status, stream->error);
}

/* done() may add streams at the end of the list. */
void client_streams_settle(struct objpool_client *client)
{
	struct objpool_stream *stream;

	for (struct objpool_stream **link = &client->streams; (stream = *link);) {
		if (stream->over && !stream->told)
			tell(stream);
		if (!stream->told || !stream->answered) {
			link = &stream->next_stream;
			continue;
		}
		*link = stream->next_stream;
		if (client->streams_end == &stream->next_stream)
			client->streams_end = link;
		stream_free(stream);
	}
}

/* ---- what others may ask or say -------------------------------------------------------------------------------------- */

bool client_stream_has_failures(const struct objpool_stream *stream)
{
	return stream->has_failures;
}

bool client_stream_is_over(const struct objpool_stream *stream)
{
	return stream->over;
}

void client_stream_end(struct objpool_stream *stream, int status)
{
	finish(stream, status, NULL);
}

void client_stream_set_blocking(struct objpool_stream *stream)
{
	stream->feed.blocking = true;
}

void objpool_stream_more(struct objpool_stream *stream)
{
	stream->feed.paused = false;
}

void objpool_stream_stop(struct objpool_stream *stream, int status)
{
	finish(stream, status < 0 ? status : -ECANCELED, NULL);
}
