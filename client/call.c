/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call: requests and their results. A call without options is what it looks like on the wire; one with options goes through
 * objpool.call. Calls of the daemon's own methods have none but the timeout, which is kept on this side then.
 */
#include "client/call.h"

#include "client/clock.h"
#include "client/connection.h"
#include "client/failure.h"
#include "client/holding.h"
#include "client/options.h"
#include "client/pack.h"
#include "objpool/client.h"
#include "proto/scan.h"

#include <errno.h>
#include <string.h>

enum {
	CALL_GRACE_MS = 1000,  /* for the daemon to say TIMEOUT itself, and whether the method ran */
	CALL_LARGE = 64 << 10, /* from here on, arguments and results are not copied where their owner waits */
};

/* ---- results ---------------------------------------------------------------------------------------------------------- */

void objpool_result_free(struct objpool_result *result)
{
	if (!result->owned)
		return;
	if (result->error)
		(void)failure_unref(result->error);
	else
		(void)holding_drop(result->owned);
	*result = (struct objpool_result){{NULL, 0}, NULL, NULL};
}

int objpool_result_copy(struct objpool_result *copy, const struct objpool_result *result)
{
	*copy = (struct objpool_result){{NULL, 0}, NULL, NULL};
	if (result->error) {
		copy->error = failure_ref(result->error);
		copy->owned = (void *)(uintptr_t)copy->error;
		return 0;
	}
	unsigned char *bytes;
	copy->owned = holding_new(result->value.size, &bytes);
	if (!copy->owned)
		return -ENOMEM;
	memcpy(bytes, result->value.data, result->value.size);
	copy->value = (struct objpool_bytes){bytes, result->value.size};
	return 0;
}

/* ---- what may be sent --------------------------------------------------------------------------------------------------- */

static const struct objpool_bytes no_arguments = {"\x90", 1};

/* Known by their address, which a string literal would share with others like it. */
static const unsigned char nil[] = {0xc0};
const struct objpool_bytes call_fed_arguments = {nil, sizeof nil};

/* Bytes that are not exactly one value would put the whole connection out of step. */
static bool is_one(struct objpool_bytes bytes, enum objpool_type type)
{
	struct objpool_reader reader = objpool_reader(bytes);

	return objpool_read_type(&reader) == type && scan_length(bytes.data, bytes.size) == (int64_t)bytes.size;
}

static bool is_one_or_none(struct objpool_bytes bytes, enum objpool_type type)
{
	return !bytes.data || is_one(bytes, type);
}

static bool are_sound(const struct objpool_call_options *options)
{
	return is_one_or_none(options->kwargs, OBJPOOL_MAP) && is_one_or_none(options->bind, OBJPOOL_ARRAY) &&
	       is_one_or_none(options->bind_kwargs, OBJPOOL_MAP);
}

/* Has packing the arguments or options failed? Then they must not be taken for "none". */
static bool have_failed(struct objpool_bytes args, const struct objpool_call_options *options)
{
	return pack_has_failed(args) || pack_has_failed(options->kwargs) || pack_has_failed(options->bind) ||
	       pack_has_failed(options->bind_kwargs);
}

static bool wants_full_call(const struct objpool_call_options *o)
{
	return o->target || o->kwargs.data || o->bind.data || o->bind_kwargs.data || o->args_as || o->errors || o->sticky ||
	       o->timeout_ms || o->chunk || o->idempotent || o->sync || o->progress || o->on_progress;
}

/* ---- packing ------------------------------------------------------------------------------------------------------------ */

/* What is being packed, and how its large values may go. */
struct request {
	struct objpool *pool;
	size_t mark;             /* where it begins */
	struct parcel **parcels; /* NULL: as bytes */
	unsigned found;          /* what parcels_find says of them */
	bool lend;
};

static void pack_given(struct request *request, struct objpool_bytes values)
{
	struct wire *wire = &request->pool->wire;

	if (request->found)
		parcels_pack(&request->pool->parcels, wire, request->mark, values, request->parcels);
	else
		objpool_pack_raw(&wire->output, values);
}

static void pack_text_option(struct objpool_packer *packer, uint32_t *count, const char *key, const char *text)
{
	if (!text)
		return;
	objpool_pack_cstr(packer, key);
	objpool_pack_cstr(packer, text);
	++*count;
}

static void pack_value_option(struct request *request, uint32_t *count, const char *key, struct objpool_bytes value)
{
	if (!value.data)
		return;
	objpool_pack_cstr(&request->pool->wire.output, key);
	pack_given(request, value);
	++*count;
}

static void pack_number_option(struct objpool_packer *packer, uint32_t *count, const char *key, uint32_t number)
{
	if (number == 0)
		return;
	objpool_pack_cstr(packer, key);
	objpool_pack_uint(packer, number);
	++*count;
}

static void pack_flag_option(struct objpool_packer *packer, uint32_t *count, const char *key, bool flag)
{
	if (!flag)
		return;
	objpool_pack_cstr(packer, key);
	objpool_pack_bool(packer, true);
	++*count;
}

static void pack_stream_options(struct objpool_packer *packer, uint32_t *count, const struct objpool_call_options *options)
{
	pack_flag_option(packer, count, "stream", true);
	pack_number_option(packer, count, "window", options->window);
	if (!options->unordered)
		return;
	objpool_pack_cstr(packer, "ordered");
	objpool_pack_bool(packer, false);
	++*count;
}

/* There are fewer than sixteen, so that the map's header is one byte, written when they have been counted. */
static void pack_options(struct request *request, const struct objpool_call_options *options, bool stream)
{
	struct objpool_packer *packer = &request->pool->wire.output;
	const size_t header = packer->size;
	uint32_t count = 0;

	objpool_pack_map(packer, 0);
	pack_value_option(request, &count, "kwargs", options->kwargs);
	pack_value_option(request, &count, "bind", options->bind);
	pack_value_option(request, &count, "bind_kwargs", options->bind_kwargs);
	pack_text_option(packer, &count, "args_as", options->args_as);
	pack_text_option(packer, &count, "errors", options->errors);
	pack_text_option(packer, &count, "sticky", options->sticky);
	pack_number_option(packer, &count, "timeout_ms", options->timeout_ms);
	pack_number_option(packer, &count, "chunk", options->chunk);
	pack_flag_option(packer, &count, "idempotent", options->idempotent);
	pack_flag_option(packer, &count, "sync", options->sync);
	pack_flag_option(packer, &count, "progress", options->progress || options->on_progress);
	if (stream)
		pack_stream_options(packer, &count, options);
	if (!packer->error)
		packer->data[header] = (unsigned char)(0x80 + count);
}

static void put_args(struct request *request, struct objpool_bytes args)
{
	struct wire *wire = &request->pool->wire;

	if (request->lend && args.size >= CALL_LARGE && wire->lent.size == 0 && !request->found)
		wire_lend(wire, args);
	else
		pack_given(request, args);
}

/* "objpool.call", [target, method, args, options] */
static void pack_full_call(struct request *request, const char *method, struct objpool_bytes args,
			   const struct objpool_call_options *options, bool stream)
{
	struct objpool_packer *packer = &request->pool->wire.output;
	const char *dot = strchr(method, '.');

	objpool_pack_cstr(packer, "objpool.call");
	objpool_pack_array(packer, 4);
	if (options->target) {
		objpool_pack_cstr(packer, options->target);
		objpool_pack_cstr(packer, method);
	} else {
		objpool_pack_str(packer, method, (size_t)(dot - method));
		objpool_pack_cstr(packer, dot + 1);
	}
	put_args(request, args);
	pack_options(request, options, stream);
}

static void find_parcels(struct request *request, struct objpool_bytes args, const struct objpool_call_options *options)
{
	const struct parcels *parcels = &request->pool->parcels;

	request->found = parcels_find(parcels, args) | parcels_find(parcels, options->kwargs) | parcels_find(parcels, options->bind) |
			 parcels_find(parcels, options->bind_kwargs);
}

/* Is it a method of the daemon's own? These take no options, so the timeout is kept here only. */
static bool is_daemons_own(const char *method)
{
	return strncmp(method, "objpool.", 8) == 0;
}

/* Methods of the daemon's own take no descriptors, and sticky calls' arguments are kept. */
static void pack_request(struct request *request, const struct pending_call *call, const char *method, struct objpool_bytes args,
			 const struct objpool_call_options *options)
{
	struct objpool_packer *packer = &request->pool->wire.output;
	const bool own = is_daemons_own(method);

	find_parcels(request, args, options);
	if (own || options->sticky || (request->found & PARCELS_ALIKE))
		request->parcels = NULL;

	objpool_pack_array(packer, 4);
	objpool_pack_uint(packer, 0);
	objpool_pack_uint(packer, call->msgid);
	if ((call->stream || wants_full_call(options)) && !own) {
		pack_full_call(request, method, args, options, call->stream != NULL);
		return;
	}
	objpool_pack_cstr(packer, method);
	put_args(request, args);
}

/* ---- calls -------------------------------------------------------------------------------------------------------------- */

static int64_t give_up_at(const char *method, uint32_t timeout_ms)
{
	const int64_t grace_ms = is_daemons_own(method) ? 0 : CALL_GRACE_MS;

	return timeout_ms ? clock_now() + ((int64_t)timeout_ms + grace_ms) * CLOCK_NS_PER_MS : 0;
}

static bool are_arguments(struct objpool_bytes args, const struct pending_call *call)
{
	return is_one(args, OBJPOOL_ARRAY) || (call->stream && args.data == call_fed_arguments.data);
}

int call_start(struct objpool *pool, const char *method, struct objpool_bytes args, const struct objpool_call_options *given,
	       struct pending_call *call, bool lend)
{
	struct objpool_call_options options;
	struct request request = {.pool = pool, .parcels = &call->parcels, .lend = lend};
	struct pending_call none;

	if (OPTIONS_TAKE(&options, given) < 0)
		return -EINVAL;
	if (have_failed(args, &options))
		return -ENOMEM;
	if (!args.data)
		args = no_arguments;
	if (!are_arguments(args, call) || !are_sound(&options) ||
	    (!options.target && !strchr(method, '.')))
		return -EINVAL;
	int rc = connection_begin(pool, &request.mark);
	call->collects = options.errors && strcmp(options.errors, "collect") == 0 && !call->stream;
	call->deadline = give_up_at(method, options.timeout_ms);
	call->on_progress = options.on_progress;
	call->progress_context = options.progress_context;
	if (rc == 0)
		rc = pending_add(&pool->pending, call);
	if (rc < 0)
		return rc;
	pack_request(&request, call, method, args, &options);
	rc = connection_commit(pool, request.mark);
	if (rc == 0) {
		pending_find(&pool->pending, call->msgid)->parcels = call->parcels;
		return 0;
	}
	parcels_done(&pool->parcels, &call->parcels, false);
	(void)pending_take(&pool->pending, call->msgid, &none);
	return rc;
}

int objpool_call_async(struct objpool *pool, const char *method, struct objpool_bytes args,
		       const struct objpool_call_options *options, objpool_callback *callback, void *context, uint32_t *id)
{
	struct pending_call call = {.callback = callback, .context = context};
	const int rc = call_start(pool, method, args, options, &call, false);

	if (rc == 0 && id)
		*id = call.msgid;
	return rc;
}

struct waiter {
	struct objpool *pool;
	struct objpool_result *result;
	int rc;
	bool done;
};

static struct holding *take_input(struct objpool *pool, struct objpool_bytes value)
{
	unsigned char *none;
	struct holding *holding = holding_new(0, &none);
	void *input = holding ? wire_take_input(&pool->wire, value) : NULL;

	if (!input)
		return holding_drop(holding);
	holding_keep(holding, input);
	return holding;
}

/* Takes the result over, with the memory it lies in if it is large. */
static void on_answer(void *context, const struct objpool_result *result)
{
	struct waiter *waiter = context;
	const bool large = !result->error && result->value.size >= CALL_LARGE;
	struct holding *owned = large ? receipts_take(&waiter->pool->receipts, result->value) : NULL;

	if (large && !owned)
		owned = take_input(waiter->pool, result->value);
	if (owned)
		*waiter->result = (struct objpool_result){result->value, NULL, owned};
	else
		waiter->rc = objpool_result_copy(waiter->result, result);
	if (waiter->rc == 0 && result->error)
		waiter->rc = -EREMOTEIO;
	waiter->done = true;
}

int objpool_call(struct objpool *pool, const char *method, struct objpool_bytes args,
		 const struct objpool_call_options *options, struct objpool_result *result)
{
	struct waiter waiter = {.pool = pool, .result = result};
	struct pending_call call = {.callback = on_answer, .context = &waiter};
	int state = 0;

	*result = (struct objpool_result){{NULL, 0}, NULL, NULL};
	if (pool->dispatching)
		return -EDEADLK;
	const int rc = call_start(pool, method, args, options, &call, true);
	if (rc < 0)
		return rc;
	while (!waiter.done)
		state = objpool_wait(pool, -1); /* when the connection is lost, that is the answer */
	if (state != -ESHUTDOWN)
		connection_keep_lent(pool);
	return waiter.rc;
}

int objpool_callf(struct objpool *pool, const char *method, struct objpool_result *result, const char *format, ...)
{
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	va_list arguments;

	*result = (struct objpool_result){{NULL, 0}, NULL, NULL};
	va_start(arguments, format);
	int rc = objpool_vpack(&args, format, arguments);
	va_end(arguments);
	if (rc == 0)
		rc = objpool_call(pool, method, objpool_packed(&args), NULL, result);
	objpool_packer_free(&args);
	return rc;
}

int objpool_notify(struct objpool *pool, const char *method, struct objpool_bytes args)
{
	struct objpool_packer *output = &pool->wire.output;
	size_t mark;

	if (pack_has_failed(args))
		return -ENOMEM;
	if (!args.data)
		args = no_arguments;
	if (!is_one(args, OBJPOOL_ARRAY) || !strchr(method, '.'))
		return -EINVAL;
	const int rc = connection_begin(pool, &mark);
	if (rc < 0)
		return rc;
	objpool_pack_array(output, 3);
	objpool_pack_uint(output, 2);
	objpool_pack_cstr(output, method);
	connection_pack_bytes(pool, mark, args); /* nobody would say when the memory is free again */
	return connection_commit(pool, mark);
}

int objpool_cancel(struct objpool *pool, uint32_t id)
{
	const unsigned char args[] = {0x91, 0xce, (unsigned char)(id >> 24), (unsigned char)(id >> 16), (unsigned char)(id >> 8),
				      (unsigned char)id};

	return objpool_notify(pool, "objpool.cancel", (struct objpool_bytes){args, sizeof args});
}
