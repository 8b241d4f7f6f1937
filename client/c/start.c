/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/start.h"

#include "client/c/routing.h"
#include "client/c/options.h"
#include "client/c/packer.h"
#include "proto/clock.h"
#include "proto/pack.h"

#include <errno.h>
#include <string.h>

enum { START_GRACE_MS = 1000 }; /* after the timeout, the daemon has so long to say TIMEOUT, and whether the method ran */

/* When the call fails on this side, without an answer; 0: never. A worker can't say TIMEOUT while it runs another method. */
static int64_t deadline_of(const struct client_request *request, const struct channel *channel)
{
	const uint32_t timeout_ms = request->options->timeout_ms;
	const int64_t grace_ms = channel || client_request_is_to_daemon(request) ? 0 : START_GRACE_MS;

	return timeout_ms ? clock_now() + ((int64_t)timeout_ms + grace_ms) * CLOCK_NS_PER_MS : 0;
}

static void take_options(struct pending_call *call, const struct client_request *request)
{
	const struct objpool_call_options *options = request->options;

	call->collects = options->errors && strcmp(options->errors, "collect") == 0 && !call->stream;
	call->deadline = deadline_of(request, call->channel);
	call->on_progress = options->on_progress;
	call->progress_context = options->progress_context;
}

/* Packs the request of a call in flight. */
static int pack(struct objpool_client *client, const struct client_request *request, struct pending_call *call, size_t mark)
{
	if (call->channel)
		return routing_pack(call, request);
	client_request_pack(request, client, mark, call->msgid, &call->payloads);
	const int rc = connection_commit(client, mark);
	if (rc < 0)
		sent_payloads_release(&client->sent, &call->payloads, false);
	return rc;
}

int start_call(struct objpool_client *client, const struct client_request *given, const struct objpool_call_options *options,
	       struct pending_call *call)
{
	struct client_request request = *given;
	struct objpool_call_options own;
	struct pending_call none;
	size_t mark;

	if (OPTIONS_TAKE(&own, options) < 0)
		return -EINVAL;
	request.options = &own;
	int rc = client_request_check(&request);
	if (rc < 0)
		return rc;
	routing_choose(client, &request, call);
	take_options(call, &request);
	rc = connection_begin(client, &mark);
	if (rc < 0)
		return rc;
	rc = pending_add(&client->pending, call);
	if (rc < 0)
		return rc;
	rc = pack(client, &request, call, mark);
	if (rc == 0) {
		struct pending_call *added = pending_find(&client->pending, call->msgid);
		added->payloads = call->payloads;
		added->message = call->message;
		return 0;
	}
	(void)pending_take(&client->pending, call->msgid, &none);
	return rc;
}

int objpool_call_async(struct objpool_client *client, const char *method, struct objpool_bytes args,
		       const struct objpool_call_options *options, objpool_callback *callback, void *context, uint32_t *id)
{
	struct client_request request = {.method = method, .args = args};
	struct pending_call call = {.callback = callback, .context = context};
	const int rc = start_call(client, &request, options, &call);

	if (rc == 0 && id)
		*id = call.msgid;
	return rc;
}

int objpool_notify(struct objpool_client *client, const char *method, struct objpool_bytes args)
{
	const struct objpool_bytes no_arguments = {"\x90", 1};
	struct objpool_packer *output = &client->wire.output;
	size_t mark;

	if (packer_has_failed(args))
		return -ENOMEM;
	if (!args.data)
		args = no_arguments;
	if (!client_request_is_one(args, OBJPOOL_ARRAY) || !strchr(method, '.'))
		return -EINVAL;
	const int rc = connection_begin(client, &mark);
	if (rc < 0)
		return rc;
	objpool_pack_array(output, 3);
	objpool_pack_uint(output, 2);
	objpool_pack_cstr(output, method);
	connection_pack_values(client, mark, args); /* without descriptors: no answer would say when they can be used again */
	return connection_commit(client, mark);
}

int start_cancel(struct objpool_client *client, const struct pending_call *call)
{
	uint8_t args[PACK_HEAD + 2 * PACK_UINT];
	uint8_t *end = args;

	if (call->message)
		end = pack_uint(pack_uint(pack_array(end, 2), call->channel->id), call->message->number);
	else
		end = pack_uint(pack_array(end, 1), call->msgid);
	return objpool_notify(client, "objpool.cancel", (struct objpool_bytes){args, (size_t)(end - args)});
}

int objpool_cancel(struct objpool_client *client, uint32_t id)
{
	const struct pending_call *call = pending_find(&client->pending, id);

	return start_cancel(client, call ? call : &(struct pending_call){.msgid = id});
}
