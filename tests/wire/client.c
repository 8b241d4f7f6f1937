/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays what a dialogue of this folder has a program do (README.md) with libobjpool: client FILE ADDRESS. Exit status 0:
 * everything came as it should; 1: not, and standard error says what; 77: the library can't express a step.
 */
#include <objpool/client.h>

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CANT = 77, BEGUN_MAX = 64, PACKED_MAX = 64, PATIENCE_S = 20 };

__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

static void need(bool condition, const char *what, const json_t *step)
{
	if (!condition)
		fail("%s: %s", what, json_dumps(step, 0));
}

/* ---- values ---- */

/* The word of {"$word": …}, and what stands behind it; NULL: the value is itself. */
static const char *special(const json_t *value, const json_t **argument)
{
	void *only = json_object_iter((json_t *)(uintptr_t)value);
	const char *key = only && json_object_size(value) == 1 ? json_object_iter_key(only) : "";

	if (key[0] != '$')
		return NULL;
	*argument = json_object_iter_value(only);
	return key + 1;
}

static size_t from_hex(const char *text, unsigned char *bytes)
{
	size_t n = 0;
	unsigned byte;

	for (int used; sscanf(text, " %2x%n", &byte, &used) == 1; text += used)
		bytes[n++] = (unsigned char)byte;
	return n;
}

static void pack(struct objpool_packer *packer, const json_t *value);

/* Bytes that count up from 0, and over. */
static void pack_counting(struct objpool_packer *packer, size_t size)
{
	unsigned char *room = objpool_pack_bin_room(packer, size);

	for (size_t i = 0; room && i < size; i++)
		room[i] = (unsigned char)i;
}

static void pack_special(struct objpool_packer *packer, const char *word, const json_t *argument)
{
	unsigned char bytes[4096];

	if (strcmp(word, "bin") == 0)
		objpool_pack_bin(packer, bytes, from_hex(json_string_value(argument), bytes));
	else if (strcmp(word, "ext") == 0)
		objpool_pack_ext(packer, (int8_t)json_integer_value(json_array_get(argument, 0)), bytes,
				 from_hex(json_string_value(json_array_get(argument, 1)), bytes));
	else if (strcmp(word, "counting") == 0)
		pack_counting(packer, (size_t)json_integer_value(argument));
	else
		exit(CANT);
}

static void pack_array(struct objpool_packer *packer, const json_t *array)
{
	objpool_pack_array(packer, (uint32_t)json_array_size(array));
	for (size_t i = 0; i < json_array_size(array); i++)
		pack(packer, json_array_get(array, i));
}

static void pack_map(struct objpool_packer *packer, const json_t *map)
{
	const char *key;
	json_t *value;

	objpool_pack_map(packer, (uint32_t)json_object_size(map));
	json_object_foreach((json_t *)(uintptr_t)map, key, value)
	{
		objpool_pack_cstr(packer, key);
		pack(packer, value);
	}
}

static void pack(struct objpool_packer *packer, const json_t *value)
{
	const json_t *argument;
	const char *word = special(value, &argument);

	if (word)
		pack_special(packer, word, argument);
	else if (json_is_array(value))
		pack_array(packer, value);
	else if (json_is_object(value))
		pack_map(packer, value);
	else if (json_is_string(value))
		objpool_pack_cstr(packer, json_string_value(value));
	else if (json_is_integer(value))
		objpool_pack_int(packer, json_integer_value(value));
	else if (json_is_real(value))
		objpool_pack_double(packer, json_real_value(value));
	else if (json_is_boolean(value))
		objpool_pack_bool(packer, json_is_true(value));
	else
		objpool_pack_nil(packer);
}

/* What has been packed for the step that is played. */
static struct objpool_packer of_step[PACKED_MAX];
static size_t of_step_count;

/* The bytes of a value, until the step ends. NULL packs nothing. */
static struct objpool_bytes packed(const json_t *value)
{
	if (!value)
		return (struct objpool_bytes){NULL, 0};
	if (of_step_count == PACKED_MAX)
		fail("more than %d values in a step", PACKED_MAX);
	struct objpool_packer *packer = &of_step[of_step_count++];
	pack(packer, value);
	return objpool_packed(packer);
}

/* The same of a value that is only made for this. */
static struct objpool_bytes packed_new(json_t *value)
{
	const struct objpool_bytes bytes = packed(value);

	json_decref(value);
	return bytes;
}

static void end_step(void)
{
	while (of_step_count > 0)
		objpool_packer_free(&of_step[--of_step_count]);
}

static bool is_kind(const char *kind, enum objpool_type type)
{
	static const char *const kinds[] = {[OBJPOOL_NIL] = "nil",      [OBJPOOL_BOOL] = "bool",   [OBJPOOL_INT] = "int",
					    [OBJPOOL_DOUBLE] = "float", [OBJPOOL_STR] = "str",     [OBJPOOL_BIN] = "bin",
					    [OBJPOOL_EXT] = "ext",      [OBJPOOL_ARRAY] = "array", [OBJPOOL_MAP] = "map"};

	return strcmp(kind, "value") == 0 || (kinds[type] && strcmp(kind, kinds[type]) == 0);
}

static bool is_like(const json_t *told, struct objpool_reader *got);

static bool is_like_special(const char *word, const json_t *argument, struct objpool_reader *got, struct objpool_bytes value)
{
	struct objpool_bytes same = {NULL, 0};

	if (strcmp(word, "any") == 0)
		return is_kind(json_string_value(argument), objpool_read_type(got));
	if (strcmp(word, "starts") == 0) {
		const char *text;
		size_t size, n = json_string_length(argument);
		return objpool_read_str(got, &text, &size) == 0 && size >= n && memcmp(text, json_string_value(argument), n) == 0;
	}
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;
	pack_special(&packer, word, argument);
	same = objpool_packed(&packer);
	const bool alike = same.size == value.size && memcmp(same.data, value.data, same.size) == 0;
	objpool_packer_free(&packer);
	return alike;
}

static bool is_like_array(const json_t *told, struct objpool_reader *got)
{
	uint32_t count;

	if (objpool_read_array(got, &count) < 0 || count != json_array_size(told))
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (!is_like(json_array_get(told, i), got))
			return false;
	return true;
}

static bool is_like_map(const json_t *told, struct objpool_reader *got)
{
	const char *key;
	uint32_t count;
	size_t size;

	if (objpool_read_map(got, &count) < 0 || count != json_object_size(told))
		return false;
	for (uint32_t i = 0; i < count; i++) {
		if (objpool_read_str(got, &key, &size) < 0)
			return false;
		const json_t *value = json_object_getn(told, key, size);
		if (!value || !is_like(value, got))
			return false;
	}
	return true;
}

static bool is_like_number(const json_t *told, struct objpool_reader *got)
{
	int64_t integer;
	double real;

	if (json_is_integer(told))
		return objpool_read_int(got, &integer) == 0 && integer == json_integer_value(told);
	return objpool_read_type(got) == OBJPOOL_DOUBLE && objpool_read_double(got, &real) == 0 && real == json_real_value(told);
}

static bool is_like_text(const json_t *told, struct objpool_reader *got)
{
	const char *text;
	size_t size;

	return objpool_read_str(got, &text, &size) == 0 && size == json_string_length(told) &&
	       memcmp(text, json_string_value(told), size) == 0;
}

/* Whether the next value is what the message says. Passes the value if it is. */
static bool is_like(const json_t *told, struct objpool_reader *got)
{
	struct objpool_reader look = *got;
	struct objpool_bytes value;
	const json_t *argument;
	bool truth;

	if (objpool_read_value(got, &value) < 0)
		return false;
	const char *word = special(told, &argument);
	if (word)
		return is_like_special(word, argument, &look, value);
	if (json_is_array(told))
		return is_like_array(told, &look);
	if (json_is_object(told))
		return is_like_map(told, &look);
	if (json_is_number(told))
		return is_like_number(told, &look);
	if (json_is_string(told))
		return is_like_text(told, &look);
	if (json_is_boolean(told))
		return objpool_read_bool(&look, &truth) == 0 && truth == json_is_true(told);
	return objpool_read_nil(&look) == 0;
}

static bool is_like_bytes(const json_t *told, struct objpool_bytes value)
{
	struct objpool_reader reader = objpool_reader(value);

	return is_like(told, &reader);
}

/* ---- errors ---- */

static void put_text(json_t *fields, const char *key, const char *text)
{
	if (text)
		json_object_set_new(fields, key, json_string(text));
}

static void put_number(json_t *fields, const char *key, int64_t number, int64_t none)
{
	if (number != none)
		json_object_set_new(fields, key, json_integer(number));
}

/* An error's fields as the wire has them, but for `data`. */
static json_t *fields_of(const struct objpool_error *error)
{
	static const char *const ran[] = {NULL, "no", "maybe", "yes"};
	json_t *fields = json_object();

	put_text(fields, "code", error->code);
	put_text(fields, "message", error->message);
	put_text(fields, "type", error->type);
	put_text(fields, "traceback", error->traceback);
	put_text(fields, "pool", error->pool);
	put_text(fields, "host", error->host);
	put_text(fields, "user", error->user);
	put_text(fields, "right", error->right);
	put_text(fields, "ran", ran[error->ran]);
	put_number(fields, "slot", error->slot, -1);
	put_number(fields, "generation", error->generation, -1);
	put_number(fields, "index", error->index, -1);
	put_number(fields, "signal", error->signal, 0);
	put_number(fields, "exit_status", error->exit_status, -1);
	put_number(fields, "retry_after_ms", error->retry_after_ms, 0);
	return fields;
}

static void check_error(const json_t *step, const json_t *told, const struct objpool_error *error)
{
	need(error && *error->message, "no error", step);
	json_t *fields = fields_of(error);
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)told, key, value)
	{
		const bool alike = strcmp(key, "data") == 0 ? is_like_bytes(value, error->data)
							    : is_like_bytes(value, packed(json_object_get(fields, key)));
		if (!alike)
			fail("%s is not so in %s: %s", key, json_dumps(fields, 0), json_dumps(step, 0));
	}
	json_decref(fields);
}

/* ---- what has been begun ---- */

struct begun {
	uint32_t id; /* for objpool_cancel */
	bool over;
	struct objpool_result result;
	const json_t *feed; /* of a stream: its input */
	size_t fed;
	struct objpool_result items[16];
	size_t came, taken;
	json_t *progress; /* [[done, total, text], …] */
	struct objpool_lease lease;
	char pool[32];
};

static struct begun begun[BEGUN_MAX];
static struct objpool_client *client;

static void end_all(void)
{
	for (struct begun *call = begun; call < begun + BEGUN_MAX; call++) {
		objpool_result_free(&call->result);
		while (call->came > 0)
			objpool_result_free(&call->items[--call->came]);
		json_decref(call->progress);
	}
}

static struct begun *named(const json_t *number)
{
	const json_int_t n = json_integer_value(number);

	if (n < 0 || n >= BEGUN_MAX)
		fail("more than %d calls", BEGUN_MAX);
	return &begun[n];
}

static void on_result(void *context, const struct objpool_result *result)
{
	struct begun *call = context;

	call->over = true;
	if (objpool_result_copy(&call->result, result) < 0)
		fail("no memory");
}

static int on_item(void *context, uint64_t index, struct objpool_bytes value, const struct objpool_error *error)
{
	struct begun *stream = context;
	const struct objpool_result item = {.value = value, .error = error};

	if (index != stream->came || stream->came == sizeof stream->items / sizeof *stream->items)
		fail("item %llu comes", (unsigned long long)index);
	return objpool_result_copy(&stream->items[stream->came++], &item);
}

static void on_done(void *context, int status, const struct objpool_error *error)
{
	struct begun *stream = context;
	const struct objpool_result result = {.error = error};

	stream->over = true;
	if ((status == 0) != (error == NULL) || objpool_result_copy(&stream->result, &result) < 0)
		fail("a stream has ended with %d", status);
}

static int on_next(void *context, struct objpool_packer *item)
{
	struct begun *stream = context;

	if (stream->fed == json_array_size(stream->feed))
		return OBJPOOL_NEXT_END;
	pack(item, json_array_get(stream->feed, stream->fed++));
	return OBJPOOL_NEXT_ITEM;
}

static int on_progress(void *context, int64_t done, int64_t total, const char *text)
{
	struct begun *call = context;

	if (!call->progress)
		call->progress = json_array();
	json_array_append_new(call->progress, json_pack("[I, I, s?]", (json_int_t)done, (json_int_t)total, text));
	return 0;
}

/* ---- what the program does ---- */

static const char *text_of(const json_t *step, const char *key)
{
	return json_string_value(json_object_get(step, key));
}

static uint32_t number_of(const json_t *options, const char *key)
{
	return (uint32_t)json_integer_value(json_object_get(options, key));
}

/* Reads the options of a call. False: the library has no word for one of them. */
static bool read_options(const json_t *told, struct objpool_call_options *options, struct begun *call)
{
	static const char *const known[] = {"kwargs",     "bind",     "bind_kwargs", "args_as", "errors",   "sticky",
					    "timeout_ms", "chunk",    "idempotent",  "sync",    "progress", "window",
					    "stream",     "priority", "traceparent", NULL};
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)told, key, value)
	{
		size_t i = 0;
		while (known[i] && strcmp(known[i], key) != 0)
			i++;
		if (!known[i] || (strcmp(key, "timeout_ms") == 0 && json_integer_value(value) == 0))
			return false;
	}
	options->kwargs = packed(json_object_get(told, "kwargs"));
	options->bind = packed(json_object_get(told, "bind"));
	options->bind_kwargs = packed(json_object_get(told, "bind_kwargs"));
	options->args_as = text_of(told, "args_as");
	options->errors = text_of(told, "errors");
	options->sticky = text_of(told, "sticky");
	options->traceparent = text_of(told, "traceparent");
	options->priority = (int)json_integer_value(json_object_get(told, "priority"));
	options->timeout_ms = number_of(told, "timeout_ms");
	options->chunk = number_of(told, "chunk");
	options->window = number_of(told, "window");
	options->idempotent = json_is_true(json_object_get(told, "idempotent"));
	options->sync = json_is_true(json_object_get(told, "sync"));
	if (json_is_true(json_object_get(told, "progress"))) {
		options->on_progress = on_progress;
		options->progress_context = call;
	}
	return true;
}

static void begin(const json_t *step, const char *method, struct objpool_bytes args, const struct objpool_call_options *options)
{
	struct begun *call = named(json_object_get(step, "as"));

	need(objpool_call_async(client, method, args, options, on_result, call, &call->id) == 0, "can't call", step);
	need(objpool_flush(client) == 0, "can't send", step);
}

static struct objpool_bytes as_wire(const json_t *step)
{
	return packed_new(json_pack("[O, O, O, O*]", json_object_get(step, "target"), json_object_get(step, "method"),
				    json_object_get(step, "args"), json_object_get(step, "options")));
}

static void do_call(const json_t *step)
{
	struct objpool_call_options options = OBJPOOL_CALL_OPTIONS_INIT;
	struct begun *call = named(json_object_get(step, "as"));

	if (!read_options(json_object_get(step, "options"), &options, call)) {
		begin(step, "objpool.call", as_wire(step), NULL);
		return;
	}
	options.target = text_of(step, "target");
	begin(step, text_of(step, "method"), packed(json_object_get(step, "args")), &options);
}

static void do_ask(const json_t *step)
{
	char method[64];

	snprintf(method, sizeof method, "objpool.%s", text_of(step, "method"));
	begin(step, method, packed(json_object_get(step, "params")), NULL);
}

static void do_notify(const json_t *step)
{
	need(objpool_notify(client, "objpool.call", as_wire(step)) == 0, "can't notify", step);
}

static int do_feed(const json_t *step, struct begun *stream, const struct objpool_call_options *options)
{
	struct objpool_map_options map = OBJPOOL_MAP_OPTIONS_INIT;
	char method[64];

	snprintf(method, sizeof method, "%.*s.%s", (int)strcspn(text_of(step, "target"), ":"), text_of(step, "target"),
		 text_of(step, "method"));
	map.bind = options->bind;
	map.bind_kwargs = options->bind_kwargs;
	map.errors = options->errors;
	map.window = options->window;
	stream->feed = json_object_get(step, "feed");
	return objpool_map_async(client, method, on_next, stream, on_item, stream, &map, on_done, stream, NULL);
}

static void do_stream(const json_t *step)
{
	struct objpool_call_options options = OBJPOOL_CALL_OPTIONS_INIT;
	struct begun *stream = named(json_object_get(step, "as"));
	int r;

	if (!read_options(json_object_get(step, "options"), &options, stream))
		exit(CANT);
	options.target = text_of(step, "target");
	if (json_object_get(step, "feed"))
		r = do_feed(step, stream, &options);
	else
		r = objpool_call_each_async(client, text_of(step, "method"), packed(json_object_get(step, "args")), &options,
					    on_item, stream, on_done, stream, NULL);
	need(r == 0, "can't stream", step);
}

static void do_cancel(const json_t *step)
{
	need(objpool_cancel(client, named(json_object_get(step, "call"))->id) == 0, "can't cancel", step);
}

static void put_value(struct begun *call, json_t *value)
{
	const struct objpool_result result = {.value = packed_new(value)};

	on_result(call, &result);
}

static void do_lease(const json_t *step)
{
	struct objpool_lease_options options = OBJPOOL_LEASE_OPTIONS_INIT;
	struct begun *call = named(json_object_get(step, "as"));
	const json_t *told = json_object_get(step, "options");

	if (json_object_get(told, "slot"))
		options.slot = number_of(told, "slot");
	options.timeout_ms = number_of(told, "timeout_ms");
	options.lease_ms = number_of(told, "lease_ms");
	snprintf(call->pool, sizeof call->pool, "%s", text_of(step, "pool"));
	const int r = objpool_lease(client, call->pool, &options, &call->lease, &call->result);
	need(r == 0 || r == -EREMOTEIO, "can't lease", step);
	call->over = true;
	if (r == 0)
		put_value(call, json_pack("{s: I, s: I}", "slot", (json_int_t)call->lease.slot, "generation",
					  (json_int_t)call->lease.generation));
}

static void do_release(const json_t *step)
{
	struct begun *call = named(json_object_get(step, "as"));
	const struct begun *lease = named(json_object_get(step, "lease"));
	const int r = objpool_release(client, lease->pool, lease->lease.slot, &call->result);

	need(r == 0 || r == 1, "can't release", step);
	put_value(call, json_boolean(r));
}

/* ---- what it gets ---- */

static bool has_come(const json_t *step, const struct begun *call)
{
	if (json_object_get(step, "item") || json_object_get(step, "failure"))
		return call->came > call->taken || call->over;
	if (json_object_get(step, "progress"))
		return call->progress != NULL || call->over;
	return call->over;
}

/* How long something may take to come: $OBJPOOL_TEST_DEADLINE seconds, if that is set. */
static int patience_ms(void)
{
	const char *seconds = getenv("OBJPOOL_TEST_DEADLINE");

	return 1000 * (seconds ? atoi(seconds) : PATIENCE_S);
}

static void check(const json_t *step)
{
	struct begun *call = named(json_object_get(step, "gives"));
	const json_t *item = json_object_get(step, "item"), *failure = json_object_get(step, "failure");

	while (!has_come(step, call))
		need(objpool_wait(client, patience_ms()) == 0, "nothing comes", step);
	if (item || failure) {
		need(call->came > call->taken, "no item comes", step);
		const struct objpool_result *got = &call->items[call->taken++];
		if (failure)
			check_error(step, failure, got->error);
		else
			need(!got->error && is_like_bytes(item, got->value), "another item", step);
	} else if (json_object_get(step, "progress")) {
		need(json_equal(json_array_get(call->progress, 0), json_object_get(step, "progress")), "another progress", step);
	} else if (json_object_get(step, "error")) {
		check_error(step, json_object_get(step, "error"), call->result.error);
	} else if (call->result.error) {
		fail("%s: %s", json_dumps(fields_of(call->result.error), 0), json_dumps(step, 0));
	} else if (json_object_get(step, "value")) {
		need(is_like_bytes(json_object_get(step, "value"), call->result.value), "another value", step);
	} else {
		need(call->came == call->taken, "more items", step);
	}
}

static void perform(const json_t *step)
{
	static const struct {
		const char *name;
		void (*function)(const json_t *step);
	} verbs[] = {{"call", do_call}, {"stream", do_stream}, {"notify", do_notify},  {"cancel", do_cancel},
		     {"ask", do_ask},   {"lease", do_lease},   {"release", do_release}};
	const char *verb = text_of(step, "do");

	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (strcmp(verb, verbs[i].name) == 0)
			verbs[i].function(step);
}

int main(int argc, char **argv)
{
	struct objpool_connect_options options = OBJPOOL_CONNECT_OPTIONS_INIT;
	json_error_t wrong;
	json_t *dialogue = argc == 3 ? json_load_file(argv[1], 0, &wrong) : NULL, *step;
	size_t i;

	if (!dialogue)
		fail("usage: client FILE ADDRESS");
	json_array_foreach(json_object_get(dialogue, "steps"), i, step)
	{
		if (json_is_true(json_object_get(step, "direct")))
			options.direct = OBJPOOL_DIRECT;
	}
	const int r = objpool_connect(&client, argv[2], &options);
	if (r < 0)
		fail("can't connect: %s", strerror(-r));
	json_array_foreach(json_object_get(dialogue, "steps"), i, step)
	{
		if (json_object_get(step, "do"))
			perform(step);
		else if (json_object_get(step, "gives"))
			check(step);
		end_step();
	}
	objpool_close(client);
	end_all();
	json_decref(dialogue);
	return 0;
}
