/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/client_request.h"

#include "client/c/packer.h"
#include "proto/scan.h"

#include <errno.h>
#include <string.h>

enum { REQUEST_LEND = 64 << 10 }; /* from so many bytes on, arguments may be lent */

/* ---- checks ---------------------------------------------------------------------------------------------------------- */

bool client_request_is_one(struct objpool_bytes bytes, enum objpool_type type)
{
	struct objpool_reader reader = objpool_reader(bytes);

	return objpool_read_type(&reader) == type && scan_length(bytes.data, bytes.size) == (int64_t)bytes.size;
}

static bool is_one_or_none(struct objpool_bytes bytes, enum objpool_type type)
{
	return !bytes.data || client_request_is_one(bytes, type);
}

static bool are_well_formed(const struct objpool_call_options *options)
{
	return is_one_or_none(options->kwargs, OBJPOOL_MAP) && is_one_or_none(options->bind, OBJPOOL_ARRAY) &&
	       is_one_or_none(options->bind_kwargs, OBJPOOL_MAP);
}

/* Values of a packer that has failed have no data. They must not be taken for "none". */
static bool has_failed_values(const struct client_request *request)
{
	const struct objpool_call_options *options = request->options;

	return packer_has_failed(request->args) || packer_has_failed(options->kwargs) || packer_has_failed(options->bind) ||
	       packer_has_failed(options->bind_kwargs);
}

int client_request_check(const struct client_request *request)
{
	if (has_failed_values(request))
		return -ENOMEM;
	if (!is_one_or_none(request->args, OBJPOOL_ARRAY) || !are_well_formed(request->options) ||
	    (!request->options->target && !strchr(request->method, '.')))
		return -EINVAL;
	return 0;
}

/* ---- packing --------------------------------------------------------------------------------------------------------- */

/* The message that is being packed, and how its large values go. */
struct message {
	struct objpool_client *client;
	struct wire *wire; /* the connection's, or a channel's */
	size_t mark;
	struct sent_payload **payloads; /* NULL: as bytes */
	unsigned found;                 /* what sent_payloads_find says of all its values */
};

static void pack_values(const struct message *message, struct objpool_bytes values)
{
	struct wire *wire = message->wire;

	if (message->found)
		sent_payloads_pack(&message->client->sent, wire, message->mark, values, message->payloads);
	else
		objpool_pack_raw(&wire->output, values);
}

static void pack_text_option(struct objpool_packer *packer, const char *key, const char *text)
{
	if (!text)
		return;
	objpool_pack_cstr(packer, key);
	objpool_pack_cstr(packer, text);
}

static void pack_value_option(const struct message *message, const char *key, struct objpool_bytes value)
{
	if (!value.data)
		return;
	objpool_pack_cstr(&message->wire->output, key);
	pack_values(message, value);
}

static void pack_number_option(struct objpool_packer *packer, const char *key, int64_t number)
{
	if (number == 0)
		return;
	objpool_pack_cstr(packer, key);
	objpool_pack_int(packer, number);
}

static void pack_flag_option(struct objpool_packer *packer, const char *key, bool flag)
{
	if (!flag)
		return;
	objpool_pack_cstr(packer, key);
	objpool_pack_bool(packer, true);
}

static void pack_stream_options(struct objpool_packer *packer, const struct objpool_call_options *options)
{
	pack_flag_option(packer, "stream", true);
	pack_number_option(packer, "window", options->window);
	if (!options->unordered)
		return;
	objpool_pack_cstr(packer, "ordered");
	objpool_pack_bool(packer, false);
}

static uint32_t count_options(const struct client_request *request)
{
	const struct objpool_call_options *o = request->options;
	const uint32_t of_stream = request->streamed ? 1u + (o->window > 0) + o->unordered : 0;

	return of_stream + (o->kwargs.data != NULL) + (o->bind.data != NULL) + (o->bind_kwargs.data != NULL) +
	       (o->args_as != NULL) + (o->errors != NULL) + (o->sticky != NULL) + (o->traceparent != NULL) + (o->timeout_ms > 0) +
	       (o->chunk > 0) + (o->priority != 0) + o->idempotent + o->sync + o->labels + (o->progress || o->on_progress);
}

/* What count_options counts. */
static void pack_options(const struct message *message, const struct client_request *request)
{
	const struct objpool_call_options *options = request->options;
	struct objpool_packer *packer = &message->wire->output;

	objpool_pack_map(packer, count_options(request));
	pack_value_option(message, "kwargs", options->kwargs);
	pack_value_option(message, "bind", options->bind);
	pack_value_option(message, "bind_kwargs", options->bind_kwargs);
	pack_text_option(packer, "args_as", options->args_as);
	pack_text_option(packer, "errors", options->errors);
	pack_text_option(packer, "sticky", options->sticky);
	pack_text_option(packer, "traceparent", options->traceparent);
	pack_number_option(packer, "timeout_ms", options->timeout_ms);
	pack_number_option(packer, "chunk", options->chunk);
	pack_number_option(packer, "priority", options->priority);
	pack_flag_option(packer, "idempotent", options->idempotent);
	pack_flag_option(packer, "sync", options->sync);
	pack_flag_option(packer, "labels", options->labels);
	pack_flag_option(packer, "progress", options->progress || options->on_progress);
	if (request->streamed)
		pack_stream_options(packer, options);
}

static void pack_args(const struct message *message, const struct client_request *request)
{
	struct wire *wire = message->wire;
	const struct objpool_bytes args = request->args;

	if (request->fed)
		objpool_pack_nil(&wire->output);
	else if (!args.data)
		objpool_pack_array(&wire->output, 0);
	else if (request->lend && args.size >= REQUEST_LEND && wire->lent.size == 0 && !message->found)
		wire_lend(wire, args);
	else
		pack_values(message, args);
}

/* Packs the target. Returns the method without it. */
static const char *pack_target(struct objpool_packer *packer, const struct client_request *request)
{
	const char *dot = strchr(request->method, '.');

	if (request->options->target)
		objpool_pack_cstr(packer, request->options->target);
	else
		objpool_pack_str(packer, request->method, (size_t)(dot - request->method));
	return request->options->target ? request->method : dot + 1;
}

/* "objpool.call", [target, method, args, options] */
static void pack_full_call(const struct message *message, const struct client_request *request)
{
	struct objpool_packer *packer = &message->wire->output;

	objpool_pack_cstr(packer, "objpool.call");
	objpool_pack_array(packer, 4);
	const char *method = pack_target(packer, request);
	objpool_pack_cstr(packer, method);
	pack_args(message, request);
	pack_options(message, request);
}

/* Options that a direct channel has, too. */
static bool has_common_options(const struct objpool_call_options *o)
{
	return o->kwargs.data || o->timeout_ms || o->progress || o->on_progress || o->traceparent;
}

static bool needs_full_call(const struct client_request *request)
{
	const struct objpool_call_options *o = request->options;

	return request->streamed || o->target || has_common_options(o) || o->bind.data || o->bind_kwargs.data || o->args_as ||
	       o->errors || o->sticky || o->chunk || o->idempotent || o->sync || o->labels || o->priority;
}

bool client_request_suits_channel(const struct client_request *request)
{
	const struct objpool_call_options *o = request->options;

	return !request->streamed && !client_request_is_to_daemon(request) && !o->bind.data && !o->bind_kwargs.data &&
	       !o->args_as && !o->errors && !o->sticky && !o->chunk && !o->idempotent && !o->sync && !o->labels && !o->priority &&
	       !o->unordered && !o->window;
}

static unsigned find_payloads(const struct sent_payloads *sent, const struct client_request *request)
{
	const struct objpool_call_options *options = request->options;

	return sent_payloads_find(sent, request->args) | sent_payloads_find(sent, options->kwargs) |
	       sent_payloads_find(sent, options->bind) | sent_payloads_find(sent, options->bind_kwargs);
}

/* The daemon's own methods take no descriptors, and options only where they stream. Nor do sticky calls take descriptors: the
 * daemon keeps their arguments. */
void client_request_pack(const struct client_request *request, struct objpool_client *client, size_t mark, uint32_t msgid,
			 struct sent_payload **payloads)
{
	struct message message = {client, &client->wire, mark, payloads, find_payloads(&client->sent, request)};
	struct objpool_packer *packer = &client->wire.output;
	const bool to_daemon = client_request_is_to_daemon(request);

	if (to_daemon || request->options->sticky || (message.found & SENT_LOOKALIKE))
		message.payloads = NULL;
	objpool_pack_array(packer, 4);
	objpool_pack_uint(packer, 0);
	objpool_pack_uint(packer, msgid);
	if (needs_full_call(request) && (!to_daemon || request->streamed)) {
		pack_full_call(&message, request);
		return;
	}
	objpool_pack_cstr(packer, request->method);
	pack_args(&message, request);
}

/* [nil, method, args, options]: there is no target. */
static void pack_full_call_on_channel(const struct message *message, const struct client_request *request, const char *method)
{
	struct objpool_packer *packer = &message->wire->output;

	objpool_pack_cstr(packer, "objpool.call");
	objpool_pack_array(packer, 4);
	objpool_pack_nil(packer);
	objpool_pack_cstr(packer, method);
	pack_args(message, request);
	pack_options(message, request);
}

void client_request_pack_on_channel(const struct client_request *request, struct wire *wire, uint32_t msgid)
{
	const struct message message = {.wire = wire};
	struct objpool_packer *packer = &wire->output;
	const char *method = request->options->target ? request->method : strchr(request->method, '.') + 1;

	objpool_pack_array(packer, 4);
	objpool_pack_uint(packer, 0);
	objpool_pack_uint(packer, msgid);
	if (has_common_options(request->options)) {
		pack_full_call_on_channel(&message, request, method);
		return;
	}
	objpool_pack_cstr(packer, method);
	if (request->args.data)
		objpool_pack_raw(packer, request->args);
	else
		objpool_pack_array(packer, 0);
}
