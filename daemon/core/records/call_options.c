/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/records/call_options.h"

#include "daemon/core/records/input.h"
#include "proto/traceparent.h"

#include <errno.h>

/* Reads the value of an option into the call. 0, or -EINVAL with *error made. */
typedef int option_fn(struct call *call, struct reader *value, struct error *error);

static int refuse_option(struct error *error, const char *option, const char *must_be)
{
	error_say(error, ERROR_BAD_REQUEST, RAN_NO, "option %s must be %s", option, must_be);
	return -EINVAL;
}

static int whole_map(struct reader *value, struct span *map)
{
	struct reader look = *value;
	uint32_t n;
	return read_map(&look, &n) < 0 ? -EINVAL : read_value(value, map);
}

static int option_kwargs(struct call *call, struct reader *value, struct error *error)
{
	return whole_map(value, &call->kwargs) < 0 ? refuse_option(error, "kwargs", "a map") : 0;
}

static int option_bind(struct call *call, struct reader *value, struct error *error)
{
	struct reader look = *value;
	uint32_t n;
	if (read_array(&look, &n) < 0 || read_value(value, &call->bind) < 0)
		return refuse_option(error, "bind", "an array");
	return 0;
}

static int option_bind_kwargs(struct call *call, struct reader *value, struct error *error)
{
	return whole_map(value, &call->bind_kwargs) < 0 ? refuse_option(error, "bind_kwargs", "a map") : 0;
}

static int option_word(struct reader *value, const char *const *words, int *choice)
{
	struct span text;
	if (read_text(value, &text) < 0)
		return -EINVAL;
	for (int i = 0; words[i]; i++)
		if (span_is(text, words[i])) {
			*choice = i;
			return 0;
		}
	return -EINVAL;
}

static int option_args_as(struct call *call, struct reader *value, struct error *error)
{
	static const char *const words[] = {"zip", "single", "positional", "keyword", "both", NULL}; /* as enum shape */
	int choice;
	if (option_word(value, words, &choice) < 0)
		return refuse_option(error, "args_as", "\"zip\", \"single\", \"positional\", \"keyword\" or \"both\"");
	call->shape = (enum shape)choice;
	return 0;
}

static int option_errors(struct call *call, struct reader *value, struct error *error)
{
	static const char *const words[] = {"wait", "first", "collect", NULL}; /* as enum errors */
	int choice;
	if (option_word(value, words, &choice) < 0)
		return refuse_option(error, "errors", "\"wait\", \"first\" or \"collect\"");
	call->errors = (enum errors)choice;
	return 0;
}

static int option_timeout(struct call *call, struct reader *value, struct error *error)
{
	uint64_t ms;
	if (read_whole(value, &ms) < 0 || ms > UINT32_MAX)
		return refuse_option(error, "timeout_ms", "a whole number of milliseconds");
	call->deadline = call->core->now + ms * MILLISECOND;
	return 0;
}

static int option_chunk(struct call *call, struct reader *value, struct error *error)
{
	uint64_t n;
	if (read_whole(value, &n) < 0 || n > UINT32_MAX)
		return refuse_option(error, "chunk", "a whole number of items, 0 to adapt");
	call->chunk = (uint32_t)n;
	return 0;
}

static int option_idempotent(struct call *call, struct reader *value, struct error *error)
{
	return read_bool(value, &call->idempotent) < 0 ? refuse_option(error, "idempotent", "true or false") : 0;
}

static int option_labels(struct call *call, struct reader *value, struct error *error)
{
	return read_bool(value, &call->labels) < 0 ? refuse_option(error, "labels", "true or false") : 0;
}

static int option_stream(struct call *call, struct reader *value, struct error *error)
{
	struct reader look = *value;
	struct span how;

	if (read_text(&look, &how) == 0 && span_is(how, "runs")) {
		*value = look;
		call->stream.on = call->stream.runs = true;
		return 0;
	}
	return read_bool(value, &call->stream.on) < 0 ? refuse_option(error, "stream", "true, false or \"runs\"") : 0;
}

static int option_ordered(struct call *call, struct reader *value, struct error *error)
{
	return read_bool(value, &call->stream.ordered) < 0 ? refuse_option(error, "ordered", "true or false") : 0;
}

static int option_window(struct call *call, struct reader *value, struct error *error)
{
	uint64_t n;
	if (read_whole(value, &n) < 0 || n < 1 || n > INPUT_WINDOW_MAX)
		return refuse_option(error, "window", "a number of items from 1 to 16777216");
	call->input.window = (uint32_t)n;
	return 0;
}

static int option_sync(struct call *call, struct reader *value, struct error *error)
{
	return read_bool(value, &call->input.sync) < 0 ? refuse_option(error, "sync", "true or false") : 0;
}

static int option_progress(struct call *call, struct reader *value, struct error *error)
{
	return read_bool(value, &call->progress) < 0 ? refuse_option(error, "progress", "true or false") : 0;
}

static int option_sticky(struct call *call, struct reader *value, struct error *error)
{
	static const char *const words[] = {"no", "replace", "append", NULL}; /* as enum sticky_mode */
	bool on = false;
	int choice;

	if (read_bool(value, &on) == 0 && !on)
		return 0;
	if (on || option_word(value, words, &choice) < 0)
		return refuse_option(error, "sticky", "\"replace\" or \"append\"");
	call->sticky = (enum sticky_mode)choice;
	return 0;
}

static int option_traceparent(struct call *call, struct reader *value, struct error *error)
{
	struct span text;

	if (read_text(value, &text) < 0 || !traceparent_is_one(text.bytes, text.size))
		return refuse_option(error, "traceparent",
				     "as in W3C Trace Context: 00-TRACE-SPAN-FLAGS, in lower-case hexadecimal digits");
	if (call_trace_by(call, text.bytes) == 0)
		return 0;
	error_no_memory(error, RAN_NO);
	return -EINVAL;
}

static int option_priority(struct call *call, struct reader *value, struct error *error)
{
	double priority; /* as read_whole has it, it may be a float */

	if (read_number(value, &priority) < 0 || !(priority >= CALL_PRIORITY_MIN && priority <= CALL_PRIORITY_MAX) ||
	    (double)(int8_t)priority < priority || (double)(int8_t)priority > priority)
		return refuse_option(error, "priority", "a whole number from -10 to 10");
	call->priority = (int8_t)priority;
	call->prioritized = true;
	return 0;
}

static const struct {
	const char *name;
	option_fn *read;
} options[] = {
	{"kwargs", option_kwargs},
	{"bind", option_bind},
	{"bind_kwargs", option_bind_kwargs},
	{"args_as", option_args_as},
	{"errors", option_errors},
	{"timeout_ms", option_timeout},
	{"chunk", option_chunk},
	{"idempotent", option_idempotent},
	{"stream", option_stream},
	{"ordered", option_ordered},
	{"window", option_window},
	{"sync", option_sync},
	{"labels", option_labels},
	{"progress", option_progress},
	{"sticky", option_sticky},
	{"traceparent", option_traceparent},
	{"priority", option_priority},
};

static int read_option(struct call *call, struct reader *reader, struct error *error)
{
	struct span key;

	if (read_text(reader, &key) < 0) {
		error_say(error, ERROR_BAD_REQUEST, RAN_NO, "the keys of options must be strings");
		return -EINVAL;
	}
	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		if (span_is(key, options[i].name)) /* an option that is nil counts as not given */
			return read_nil(reader) == 0 ? 0 : options[i].read(call, reader, error);
	error_say(error, ERROR_BAD_REQUEST, RAN_NO, "there is no option \"%.*s\"", SPAN_TEXT(key, 64));
	return -EINVAL;
}

int call_read_options(struct call *call, struct reader *reader, struct error *error)
{
	uint32_t n;

	if (read_nil(reader) == 0)
		return 0;
	if (read_map(reader, &n) < 0) {
		error_say(error, ERROR_BAD_REQUEST, RAN_NO, "the options of objpool.call must be a map");
		return -EINVAL;
	}
	for (; n > 0; n--)
		if (read_option(call, reader, error) < 0)
			return -EINVAL;
	return 0;
}
