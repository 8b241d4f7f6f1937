/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/admin/service_call.h"

static int bad_request(struct request *request, const char *what)
{
	error_say(&request->error, ERROR_BAD_REQUEST, RAN_NO, "%s", what);
	return -1;
}

/* True, or "runs". Events come one by one in both cases. */
static int read_stream(struct request *request, struct reader *value)
{
	struct span text;

	if (read_bool(value, &request->streams) == 0)
		return 0;
	request->streams = read_text(value, &text) == 0 && span_is(text, "runs");
	return request->streams ? 0 : bad_request(request, "option stream must be true, false or \"runs\"");
}

static int read_timeout(struct request *request, struct reader *value)
{
	uint64_t milliseconds;

	if (read_whole(value, &milliseconds) < 0 || milliseconds > UINT32_MAX)
		return bad_request(request, "option timeout_ms must be a whole number of milliseconds");
	request->timeout = milliseconds ? milliseconds * MILLISECOND : 1;
	return 0;
}

/* Does the option mean nothing to the daemon's own methods? */
static bool is_ignored(struct span key)
{
	static const char *const names[] = {"ordered",  "window",   "errors",      "chunk",
					    "progress", "priority", "traceparent", "idempotent"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (span_is(key, names[i]))
			return true;
	return false;
}

static int read_option(struct request *request, struct span key, struct reader *value)
{
	char room[ERROR_SHOWN];

	if (read_nil(value) == 0 || is_ignored(key))
		return 0;
	if (span_is(key, "stream"))
		return read_stream(request, value);
	if (span_is(key, "timeout_ms"))
		return read_timeout(request, value);
	error_say(&request->error, ERROR_BAD_REQUEST, RAN_NO, "a method of the daemon's own takes no option \"%s\"",
		  error_shown(key, room));
	return -1;
}

static int read_options(struct request *request, struct reader *reader)
{
	struct span key, value;
	uint32_t n;

	if (read_nil(reader) == 0)
		return 0;
	if (read_map(reader, &n) < 0)
		return bad_request(request, "the options of objpool.call must be a map");
	for (; n > 0; n--) {
		if (read_text(reader, &key) < 0)
			return bad_request(request, "the options of objpool.call must have string keys");
		struct reader look = *reader;
		if (read_value(reader, &value) < 0 || read_option(request, key, &look) < 0)
			return -1;
	}
	return 0;
}

int service_call_read(struct request *request, struct service_call *call)
{
	static const uint8_t none[] = {0x90};
	struct reader reader = reader_of(request->rpc->params), look;
	struct span target;
	uint32_t n, count;

	call->args = (struct span){.bytes = none, .size = 1};
	if (read_array(&reader, &n) < 0 || n < 2 || n > 4 || read_text(&reader, &target) < 0 ||
	    read_text(&reader, &call->method) < 0)
		return bad_request(request, "objpool.call takes [target, method, args, options]");
	if (n > 2 && read_nil(&reader) < 0) {
		look = reader;
		if (read_array(&look, &count) < 0 || read_value(&reader, &call->args) < 0)
			return bad_request(request, "the args of objpool.call must be an array");
	}
	return n > 3 ? read_options(request, &reader) : 0;
}
