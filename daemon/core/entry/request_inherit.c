/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/entry/request_inherit.h"

#include "daemon/core/calls/nested.h"
#include "proto/pack.h"
#include "proto/traceparent.h"

enum {
	LARGE = 1 << 20, /* bytes of arguments that are not copied for this */
	ADDED = 128,     /* at most, beside what the request has */
};

/* What a full call has, and a method string stands for. */
struct parts {
	struct span target, method, args, options; /* the pairs of options, without a header */
	uint32_t count;                            /* of options */
};

static const uint8_t nil[] = {BYTE_NIL};

static bool read_full(const struct rpc *rpc, struct parts *parts)
{
	struct reader reader = reader_of(rpc->params);
	uint32_t n;

	*parts = (struct parts){.args = {.bytes = nil, .size = sizeof nil}};
	if (read_array(&reader, &n) < 0 || n < 2 || read_text(&reader, &parts->target) < 0 ||
	    read_text(&reader, &parts->method) < 0 || (n > 2 && read_value(&reader, &parts->args) < 0))
		return false;
	if (n > 3 && read_map(&reader, &parts->count) == 0)
		parts->options = reader_rest(&reader);
	return true;
}

/* "sim@h2:3.step" is split at the first dot. */
static bool read_plain(const struct rpc *rpc, struct parts *parts)
{
	const uint8_t *dot = memchr(rpc->method.bytes, '.', rpc->method.size);

	if (!dot)
		return false;
	const size_t before = (size_t)(dot - rpc->method.bytes);
	*parts = (struct parts){.target = {.bytes = rpc->method.bytes, .size = before},
				.method = {.bytes = dot + 1, .size = rpc->method.size - before - 1},
				.args = rpc->params};
	return true;
}

static uint8_t *put_bytes(uint8_t *p, struct span bytes)
{
	return bytes.size ? mempcpy(p, bytes.bytes, bytes.size) : p;
}

static uint8_t *put_text(uint8_t *p, struct span text)
{
	return pack_str(p, (const char *)text.bytes, text.size);
}

struct block *request_inherit(const struct call *call, const struct client *client, const struct rpc *rpc, struct rpc *made)
{
	static const char full[] = "objpool.call";
	const struct span trace = call->traceparent ? (struct span){0} : nested_traceparent(client);
	const int8_t priority = call->prioritized ? 0 : nested_priority(client);
	struct parts parts;

	if ((trace.size == 0 && priority == 0) || rpc->params.size > LARGE || (call->block && call->block->files) ||
	    !(span_is(rpc->method, full) ? read_full(rpc, &parts) : read_plain(rpc, &parts)))
		return NULL;
	struct block *block = block_new(call->account, rpc->method.size + rpc->params.size + ADDED + sizeof full);
	if (!block)
		return NULL;
	uint8_t *const params = put_bytes(block->bytes, (struct span){.bytes = (const uint8_t *)full, .size = sizeof full - 1});
	uint8_t *p = put_text(put_text(pack_array(params, 4), parts.target), parts.method);
	p = put_bytes(p, parts.args);
	p = put_bytes(pack_map(p, parts.count + (trace.size > 0) + (priority != 0)), parts.options);
	if (trace.size)
		p = put_text(pack_str(p, "traceparent", 11), trace);
	if (priority)
		p = pack_int(pack_str(p, "priority", 8), priority);
	*made = *rpc;
	made->method = (struct span){.bytes = block->bytes, .size = sizeof full - 1};
	made->params = (struct span){.bytes = params, .size = (size_t)(p - params)};
	made->levels = 0; /* they are counted again */
	return block;
}
