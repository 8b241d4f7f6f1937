/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/ask.h"

#include "proto/timers.h"

#include <errno.h>

static const struct {
	const char *name;
	enum ask_option bit;
	const char *must_be;
} options[] = {
	{"kwargs", OPTION_KWARGS, "a map"},
	{"bind", OPTION_BIND, "an array"},
	{"bind_kwargs", OPTION_BIND_KWARGS, "a map"},
	{"args_as", OPTION_ARGS_AS, "\"zip\", \"single\", \"positional\", \"keyword\" or \"both\""},
	{"errors", OPTION_ERRORS, "\"wait\", \"first\" or \"collect\""},
	{"timeout_ms", OPTION_TIMEOUT, "a whole number of milliseconds"},
	{"idempotent", OPTION_IDEMPOTENT, "true or false"},
	{"stream", OPTION_STREAM, "true, false or \"runs\""},
	{"ordered", OPTION_ORDERED, "true or false"},
	{"window", OPTION_WINDOW, "a number of items from 1 to 16777216"},
	{"sync", OPTION_SYNC, "true or false"},
	{"progress", OPTION_PROGRESS, "true or false"},
	{"sticky", OPTION_STICKY, "\"replace\" or \"append\""},
	{"labels", OPTION_LABELS, "true or false"},
	{"chunk", OPTION_CHUNK, "a whole number of items, 0 to adapt"},
};
enum { OPTION_NAMES = sizeof options / sizeof *options, WINDOW_MAX = 1 << 24 };

static const char *const args_names[] = {"zip", "single", "positional", "keyword", "both", NULL}; /* as enum ask_args */

const char *ask_args_name(enum ask_args args_as)
{
	return args_names[args_as];
}

/* ---- reading ---- */

static int read_word(struct reader *value, const char *const *words, unsigned *choice)
{
	struct span text;

	if (read_text(value, &text) < 0)
		return -EINVAL;
	for (unsigned i = 0; words[i]; i++)
		if (span_is(text, words[i])) {
			*choice = i;
			return 0;
		}
	return -EINVAL;
}

static int read_whole_map(struct reader *value, struct span *map)
{
	struct reader look = *value;
	uint32_t n;
	return read_map(&look, &n) < 0 ? -EINVAL : read_value(value, map);
}

static int read_whole_array(struct reader *value, struct span *array)
{
	struct reader look = *value;
	uint32_t n;
	return read_array(&look, &n) < 0 ? -EINVAL : read_value(value, array);
}

static int read_stream(struct ask *ask, struct reader *value)
{
	struct reader look = *value;
	struct span how;

	if (read_text(&look, &how) == 0 && span_is(how, "runs")) {
		*value = look;
		ask->stream = ask->runs = true;
		return 0;
	}
	return read_bool(value, &ask->stream);
}

static int read_sticky(struct ask *ask, struct reader *value)
{
	static const char *const words[] = {"no", "replace", "append", NULL}; /* as enum ask_sticky */
	unsigned choice;
	bool on = false;

	if (read_bool(value, &on) == 0)
		return on ? -EINVAL : 0;
	if (read_word(value, words, &choice) < 0)
		return -EINVAL;
	ask->sticky = (enum ask_sticky)choice;
	return 0;
}

static int read_option_value(struct ask *ask, enum ask_option bit, struct reader *value)
{
	static const char *const errors[] = {"wait", "first", "collect", NULL}; /* as enum ask_errors */
	uint64_t n = 0;
	unsigned choice = 0;
	int r = 0;

	switch (bit) {
	case OPTION_KWARGS:
		return read_whole_map(value, &ask->kwargs);
	case OPTION_BIND:
		return read_whole_array(value, &ask->bind);
	case OPTION_BIND_KWARGS:
		return read_whole_map(value, &ask->bind_kwargs);
	case OPTION_ARGS_AS:
		r = read_word(value, args_names, &choice);
		ask->args_as = (enum ask_args)choice;
		return r;
	case OPTION_ERRORS:
		r = read_word(value, errors, &choice);
		ask->errors = (enum ask_errors)choice;
		return r;
	case OPTION_TIMEOUT:
		r = read_whole(value, &n);
		ask->timeout = n * MILLISECOND;
		return r < 0 || n > UINT32_MAX ? -EINVAL : 0;
	case OPTION_CHUNK:
		r = read_whole(value, &n);
		return r < 0 || n > UINT32_MAX ? -EINVAL : 0;
	case OPTION_WINDOW:
		r = read_whole(value, &ask->window);
		return r < 0 || ask->window < 1 || ask->window > WINDOW_MAX ? -EINVAL : 0;
	case OPTION_IDEMPOTENT:
		return read_bool(value, &ask->idempotent);
	case OPTION_STREAM:
		return read_stream(ask, value);
	case OPTION_ORDERED:
		return read_bool(value, &ask->ordered);
	case OPTION_SYNC:
		return read_bool(value, &ask->sync);
	case OPTION_PROGRESS:
		return read_bool(value, &ask->progress);
	case OPTION_STICKY:
		return read_sticky(ask, value);
	case OPTION_LABELS:
		return read_bool(value, &ask->labels);
	}
	return -EINVAL;
}

static int read_option(struct ask *ask, struct reader *reader, struct error *error)
{
	struct span key, other;
	unsigned i = 0;

	if (read_text(reader, &key) < 0) {
		error_say(error, ERROR_BAD_REQUEST, RAN_NO, "the keys of options must be strings");
		return -EINVAL;
	}
	while (i < OPTION_NAMES && !span_is(key, options[i].name))
		i++;
	if (i == OPTION_NAMES)
		return read_value(reader, &other); /* the host's daemon knows it, or refuses it */
	if (read_nil(reader) == 0)
		return 0;
	ask->given |= options[i].bit;
	if (read_option_value(ask, options[i].bit, reader) == 0)
		return 0;
	error_say(error, ERROR_BAD_REQUEST, RAN_NO, "option %s must be %s", options[i].name, options[i].must_be);
	return -EINVAL;
}

static int read_options(struct ask *ask, struct reader *reader, struct error *error)
{
	uint32_t count;

	if (read_nil(reader) == 0)
		return 0;
	if (read_map(reader, &count) < 0) {
		error_say(error, ERROR_BAD_REQUEST, RAN_NO, "the options of objpool.call must be a map");
		return -EINVAL;
	}
	ask->option_count = count;
	ask->options = reader_rest(reader);
	for (; count > 0; count--)
		if (read_option(ask, reader, error) < 0)
			return -EINVAL;
	ask->options.size = (size_t)(reader->p - ask->options.bytes);
	return 0;
}

static int refuse_form(struct error *error, const char *form)
{
	error_say(error, ERROR_BAD_REQUEST, RAN_NO, "%s", form);
	return -EINVAL;
}

/* [target, method, args, options] */
static int read_full_call(struct ask *ask, struct reader *reader, uint32_t count, struct error *error)
{
	struct reader look;
	uint32_t n;

	if (count < 1 || count > 3 || read_text(reader, &ask->method) < 0 || ask->method.size == 0)
		return refuse_form(error, "objpool.call takes [target, method, args, options]");
	if (count >= 2 && read_nil(reader) < 0) {
		look = *reader;
		if (read_array(&look, &n) < 0 || read_value(reader, &ask->args) < 0)
			return refuse_form(error, "the arguments of objpool.call must be an array, or nil");
	}
	return count == 3 ? read_options(ask, reader, error) : 0;
}

/* The next pair of the options of objpool.lease; *is_time: it is timeout_ms, and *ms its value. 0 or -1: it is none. */
static int next_of_lease(struct reader *reader, bool *is_time, uint64_t *ms)
{
	struct span key, value;

	if (read_text(reader, &key) < 0 || read_value(reader, &value) < 0)
		return -1;
	struct reader inside = reader_of(value);
	*is_time = span_is(key, "timeout_ms") && read_whole(&inside, ms) == 0 && *ms <= UINT32_MAX;
	return 0;
}

/* Its host's daemon says what is wrong with the options; here only their time counts. */
static void read_time_of_lease(struct ask *ask)
{
	struct reader reader = reader_of(ask->rest);
	bool is_time;
	uint32_t count;
	uint64_t ms;

	if (ask->rest_count == 0 || read_map(&reader, &count) < 0)
		return;
	for (; count > 0 && next_of_lease(&reader, &is_time, &ms) == 0; count--) {
		ask->timeout = is_time ? ms * MILLISECOND : ask->timeout;
		ask->given |= is_time ? OPTION_TIMEOUT : 0u;
	}
}

static int read_daemon_method(struct ask *ask, struct span name, struct error *error)
{
	static const char *const names[] = {"call",     "lease",  "release", "forget",
					    "describe", "status", NULL}; /* as enum ask_kind */
	struct reader reader = reader_of(ask->rpc.params);
	struct span text;
	uint32_t count;
	unsigned kind = 0;

	while (names[kind] && !span_is(name, names[kind]))
		kind++;
	if (!names[kind])
		return refuse_form(error, "this method is not for other hosts");
	ask->kind = (enum ask_kind)kind;
	if (read_array(&reader, &count) < 0 || count < 1 || read_text(&reader, &text) < 0)
		return refuse_form(error, "the first argument must be a target");
	if (target_parse_bare(text, &ask->target, error) < 0)
		return -EINVAL;
	const uint8_t *colon = memchr(text.bytes, ':', text.size);
	if (colon)
		ask->selector = (struct span){.bytes = colon, .size = (size_t)(text.bytes + text.size - colon)};
	if (ask->kind == ASK_CALL) {
		ask->full = true;
		return read_full_call(ask, &reader, count - 1, error);
	}
	ask->rest = reader_rest(&reader);
	ask->rest_count = count - 1;
	if (ask->kind == ASK_LEASE)
		read_time_of_lease(ask);
	return 0;
}

static int read_plain_call(struct ask *ask, struct error *error)
{
	struct reader reader = reader_of(ask->rpc.params);
	uint32_t n;

	if (target_parse(ask->rpc.method, &ask->target, error) < 0)
		return -EINVAL;
	ask->method = ask->target.method;
	const size_t before = ask->rpc.method.size - ask->method.size - 1;
	const uint8_t *colon = memchr(ask->rpc.method.bytes, ':', before);
	if (colon)
		ask->selector = (struct span){.bytes = colon, .size = (size_t)(ask->rpc.method.bytes + before - colon)};
	if (read_array(&reader, &n) < 0)
		return refuse_form(error, "the params of a request must be an array");
	ask->args = ask->rpc.params;
	return 0;
}

int ask_read(struct ask *ask, const struct rpc *rpc, struct error *error)
{
	static const char prefix[] = "objpool.";
	const size_t size = sizeof prefix - 1;

	*ask = (struct ask){.rpc = *rpc, .timeout = UINT64_MAX, .ordered = true};
	if (rpc->method.size > size && memcmp(rpc->method.bytes, prefix, size) == 0)
		return read_daemon_method(ask, (struct span){.bytes = rpc->method.bytes + size, .size = rpc->method.size - size},
					  error);
	return read_plain_call(ask, error);
}

void ask_wait(struct ask *ask, uint64_t waited)
{
	if (ask->timeout == UINT64_MAX || waited == 0)
		return;
	ask->timeout -= waited < ask->timeout ? waited : ask->timeout;
	ask->has_waited = true;
}

/* ---- writing ---- */

static void put_message_head(const struct ask *ask, struct sendq *to, uint32_t number)
{
	const bool request = ask->rpc.type == RPC_REQUEST;

	put_array(to, request ? 4 : 3);
	put_uint(to, ask->rpc.type);
	if (request)
		put_uint(to, number);
}

/* pool@host:selector */
static void copy_target(const struct ask *ask, struct sendq *to, const char *host, struct span selector)
{
	sendq_copy(to, ask->target.pool.bytes, ask->target.pool.size);
	sendq_copy(to, "@", 1);
	sendq_copy(to, host, strlen(host));
	sendq_copy(to, selector.bytes, selector.size);
}

static size_t target_size(const struct ask *ask, const char *host, struct span selector)
{
	return ask->target.pool.size + 1 + strlen(host) + selector.size;
}

static void put_target(const struct ask *ask, struct sendq *to, const char *host, struct span selector)
{
	put_str_head(to, (uint32_t)target_size(ask, host, selector));
	copy_target(ask, to, host, selector);
}

/* A value that is small beside its block is copied: the queue must not keep so much more memory than it has bytes. */
static void put_value(const struct ask *ask, struct sendq *to, struct span value)
{
	sendq_span(to, ask->block && value.size >= ask->block->capacity / 4 ? ask->block : NULL, value.bytes, value.size);
}

void ask_put_args(const struct ask *ask, struct sendq *to)
{
	if (ask->args.size)
		put_value(ask, to, ask->args);
	else
		put_nil(to);
}

static enum ask_option option_bit(struct span key)
{
	for (unsigned i = 0; i < OPTION_NAMES; i++)
		if (span_is(key, options[i].name))
			return options[i].bit;
	return 0;
}

/* One pass counts, the next one writes. */
static uint32_t copy_options(const struct ask *ask, struct sendq *to, unsigned without)
{
	struct reader reader = reader_of(ask->options);
	struct span key, value;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < ask->option_count; i++) {
		const uint8_t *pair = reader.p;
		if (read_text(&reader, &key) < 0 || read_value(&reader, &value) < 0)
			break; /* ask_read has seen all of it */
		if (option_bit(key) & without)
			continue;
		kept++;
		if (to)
			sendq_copy(to, pair, (size_t)(reader.p - pair));
	}
	return kept;
}

void ask_put_options(const struct ask *ask, struct sendq *to, unsigned without, uint32_t more)
{
	put_map(to, copy_options(ask, NULL, without) + more);
	(void)copy_options(ask, to, without);
}

void ask_put_call(const struct ask *ask, struct sendq *to, uint32_t number, const char *host, const char *selector)
{
	put_message_head(ask, to, number);
	put_text(to, "objpool.call");
	put_array(to, 4);
	put_target(ask, to, host, (struct span){.bytes = (const uint8_t *)selector, .size = strlen(selector)});
	put_span(to, ask->method);
}

static void write_plain(const struct ask *ask, struct sendq *to, const char *host)
{
	put_str_head(to, (uint32_t)(target_size(ask, host, ask->selector) + 1 + ask->method.size));
	copy_target(ask, to, host, ask->selector);
	sendq_copy(to, ".", 1);
	sendq_copy(to, ask->method.bytes, ask->method.size);
	put_value(ask, to, ask->rpc.params);
}

static void write_full(const struct ask *ask, struct sendq *to, const char *host, uint64_t time_left)
{
	const bool left = time_left != UINT64_MAX && (ask->given & OPTION_TIMEOUT);

	put_text(to, "objpool.call");
	put_array(to, 4);
	put_target(ask, to, host, ask->selector);
	put_span(to, ask->method);
	ask_put_args(ask, to);
	ask_put_options(ask, to, OPTION_LABELS | (left ? OPTION_TIMEOUT : 0), left);
	if (left)
		put_pair(to, "timeout_ms", time_left);
}

/* What follows the target of objpool.lease, with the time that is left in the place of timeout_ms. */
static void put_rest_of_lease(const struct ask *ask, struct sendq *to, uint64_t time_left)
{
	struct reader reader = reader_of(ask->rest);
	uint32_t count = 0;
	bool is_time;
	uint64_t ms;

	(void)read_map(&reader, &count); /* read_time_of_lease has seen it */
	put_map(to, count);
	for (; count > 0; count--) {
		const uint8_t *pair = reader.p;
		if (next_of_lease(&reader, &is_time, &ms) < 0)
			break;
		if (is_time)
			put_pair(to, "timeout_ms", time_left);
		else
			sendq_copy(to, pair, (size_t)(reader.p - pair));
	}
	sendq_copy(to, reader.p, (size_t)(reader.end - reader.p));
}

void ask_write(const struct ask *ask, struct sendq *to, uint32_t number, const char *host, uint64_t time_left)
{
	put_message_head(ask, to, number);
	if (ask->kind == ASK_CALL && ask->full) {
		write_full(ask, to, host, time_left);
	} else if (ask->kind == ASK_CALL) {
		write_plain(ask, to, host);
	} else {
		put_span(to, ask->rpc.method);
		put_array(to, 1 + ask->rest_count);
		put_target(ask, to, host, ask->selector);
		if (ask->kind == ASK_LEASE && time_left != UINT64_MAX && (ask->given & OPTION_TIMEOUT))
			put_rest_of_lease(ask, to, time_left);
		else
			sendq_copy(to, ask->rest.bytes, ask->rest.size);
	}
}
