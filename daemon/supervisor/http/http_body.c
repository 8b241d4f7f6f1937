/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/http_body.h"

#include "json/from_json.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "proto/traceparent.h"

#include <errno.h>

/* An object has a level more than its kwargs, of which each value may have SCAN_LEVELS. */
enum { BODY_LEVELS = SCAN_LEVELS + 2, ROOM = 160 /* for heads, a trace and names of the wire */ };

/* What the body has, packed. */
struct parts {
	struct span args;    /* size 0: none */
	struct span kwargs;  /* a map; size 0: none */
	struct span options; /* the pairs of a map, without its head */
	uint32_t option_count;
};

static int refuse(struct error *error, const char *text)
{
	error_say(error, ERROR_BAD_REQUEST, RAN_NO, "%s", text);
	return -1;
}

/* ---- reading ---- */

static int check_option(struct span key, struct error *error)
{
	if (span_is(key, "stream"))
		return refuse(error, "results come one by one for those who accept application/x-ndjson, not by option stream");
	if (span_is(key, "sticky"))
		return refuse(error, "calls by HTTP can't be sticky");
	if (span_is(key, "kwargs"))
		return refuse(error, "\"kwargs\" stands beside \"options\", not in it");
	return 0;
}

static int read_options(struct reader *reader, struct parts *parts, struct error *error)
{
	struct span key, value;

	if (read_map(reader, &parts->option_count) < 0)
		return refuse(error, "\"options\" must be an object");
	const uint8_t *begin = reader->p;
	for (uint32_t i = 0; i < parts->option_count; i++)
		if ((read_str(reader, &key) == 0 && check_option(key, error) < 0) || read_value(reader, &value) < 0)
			return -1;
	parts->options = (struct span){.bytes = begin, .size = (size_t)(reader->p - begin)};
	return 0;
}

static int read_part(struct reader *reader, struct parts *parts, struct error *error)
{
	struct reader look;
	struct span key;
	uint32_t n;

	if (read_str(reader, &key) < 0)
		return refuse(error, "the body has a key that is no string");
	look = *reader;
	if (span_is(key, "options"))
		return read_options(reader, parts, error);
	if (span_is(key, "args"))
		return read_array(&look, &n) < 0 ? refuse(error, "\"args\" must be an array") : read_value(reader, &parts->args);
	if (span_is(key, "kwargs"))
		return read_map(&look, &n) < 0 ? refuse(error, "\"kwargs\" must be an object")
					       : read_value(reader, &parts->kwargs);
	error_say(error, ERROR_BAD_REQUEST, RAN_NO, "the body has a key \"%.*s\"; there are args, kwargs and options",
		  SPAN_TEXT(key, 64));
	return -1;
}

static int read_parts(struct span value, struct parts *parts, struct error *error)
{
	struct reader reader = reader_of(value), look = reader;
	uint32_t n;

	*parts = (struct parts){.args = {.size = 0}};
	if (read_array(&look, &n) == 0) {
		parts->args = value;
		return 0;
	}
	if (read_map(&reader, &n) < 0)
		return refuse(error, "the body must be an array of arguments, or an object with args, kwargs and options");
	for (; n > 0; n--)
		if (read_part(&reader, parts, error) < 0)
			return -1;
	return 0;
}

/* ---- packing ---- */

static uint8_t *pack_text(uint8_t *p, struct span text)
{
	return pack_str(p, (const char *)text.bytes, text.size);
}

static uint8_t *pack_raw(uint8_t *p, struct span bytes)
{
	return bytes.size ? mempcpy(p, bytes.bytes, bytes.size) : p;
}

static uint8_t *pack_args(uint8_t *p, const struct parts *parts)
{
	return parts->args.size ? pack_raw(p, parts->args) : pack_array(p, 0);
}

/* [0, 0, with what follows. */
static uint8_t *pack_begin(uint8_t *p)
{
	return pack_uint(pack_uint(pack_array(p, 4), RPC_REQUEST), 0);
}

static uint8_t *pack_plain(uint8_t *p, struct span method, const struct parts *parts)
{
	return pack_args(pack_text(pack_begin(p), method), parts);
}

/* A header that is no trace is ignored, as W3C Trace Context wants it. */
static bool has_trace(const struct http_body *body)
{
	const char *text = body->traceparent;
	return text && traceparent_is_one((const uint8_t *)text, strlen(text));
}

/* Of options that come twice the last counts. */
static uint8_t *pack_options(uint8_t *p, const struct http_body *body, const struct parts *parts)
{
	const bool trace = has_trace(body);

	p = pack_map(p, parts->option_count + trace + (parts->kwargs.size > 0) + body->stream);
	if (trace)
		p = pack_str(pack_str(p, "traceparent", 11), body->traceparent, strlen(body->traceparent));
	p = pack_raw(p, parts->options);
	if (parts->kwargs.size > 0)
		p = pack_raw(pack_str(p, "kwargs", 6), parts->kwargs);
	return body->stream ? pack_bool(pack_str(p, "stream", 6), true) : p;
}

static uint8_t *pack_full(uint8_t *p, const struct http_body *body, size_t dot, const struct parts *parts)
{
	const struct span method = body->method;
	const struct span target = {.bytes = method.bytes, .size = dot};
	const struct span name = {.bytes = method.bytes + dot + 1, .size = method.size - dot - 1};

	p = pack_str(pack_begin(p), "objpool.call", 12);
	p = pack_args(pack_text(pack_text(pack_array(p, 4), target), name), parts);
	return pack_options(p, body, parts);
}

static int pack(const struct http_body *body, struct account *account, const struct parts *parts, struct block **block,
		struct rpc *rpc, bool *full)
{
	const struct span method = body->method;
	const uint8_t *dot = method.size ? memchr(method.bytes, '.', method.size) : NULL; /* none: request_call says so */

	*full = dot && (body->stream || parts->kwargs.size > 0 || parts->option_count > 0 || has_trace(body));
	*block = block_new(account, ROOM + method.size + parts->args.size + parts->kwargs.size + parts->options.size);
	if (!*block)
		return -ENOMEM;
	uint8_t *begin = (*block)->bytes;
	const uint8_t *end =
		*full ? pack_full(begin, body, (size_t)(dot - method.bytes), parts) : pack_plain(begin, method, parts);
	return rpc_parse((struct span){.bytes = begin, .size = (size_t)(end - begin)}, rpc);
}

int http_body_pack(const struct http_body *body, struct account *account, struct block **block, struct rpc *rpc, bool *full,
		   struct error *error)
{
	struct block *packed;
	struct parts parts;
	struct span value;
	char reason[256];

	*block = NULL;
	int r = from_json(account, (const char *)body->text.bytes, body->text.size, BODY_LEVELS, &packed, &value, reason,
			  sizeof reason);
	if (r == -EINVAL)
		error_say(error, ERROR_BAD_REQUEST, RAN_NO, "the body is no JSON that can be packed: %s", reason);
	if (r == -ENOMEM)
		error_no_memory(error, RAN_NO);
	if (r < 0)
		return -1;
	r = read_parts(value, &parts, error);
	if (r == 0 && (r = pack(body, account, &parts, block, rpc, full)) < 0) {
		error_no_memory(error, RAN_NO);
		*block = block_unref(*block);
	}
	block_unref(packed);
	return r < 0 ? -1 : 0;
}
