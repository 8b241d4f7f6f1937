/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin as it was written against the headers of ABI 1 (tests/abi/1). test_abi.py builds it with these headers, and loads it
 * into the daemon of today. It uses each hook of struct objpool_class and each function of struct objpool_host.
 */
#include <objpool/plugin.h>

#include <poll.h>
#include <time.h>
#include <unistd.h>

enum { PUT_OFF = 4 };

struct instance {
	int64_t value;
	uint64_t sessions_ended, leases, releases, wakes, gone, idles;
	struct objpool_call *put_off[PUT_OFF];
	struct objpool_kept *kept;
	const char *kept_bytes;
	size_t kept_size;
};

static pid_t preloaded_by;

static void pack_text(msgpack_packer *packer, const char *text)
{
	msgpack_pack_str_with_body(packer, text, strlen(text));
}

static void pack_count(msgpack_packer *packer, const char *key, uint64_t count)
{
	pack_text(packer, key);
	msgpack_pack_uint64(packer, count);
}

static bool is_text(const msgpack_object *object, const char *text)
{
	return object->type == MSGPACK_OBJECT_STR && object->via.str.size == strlen(text) &&
	       memcmp(object->via.str.ptr, text, strlen(text)) == 0;
}

/* ---- hooks ----------------------------------------------------------------------------------------------------------- */

static int preload(struct objpool_call *call, const struct objpool_args *args)
{
	const struct objpool_description description = {
		.size = sizeof description,
		.hooks = OBJPOOL_HOOK_SESSION_END | OBJPOOL_HOOK_LEASED | OBJPOOL_HOOK_SNAPSHOT,
		.doc = "described in preload",
		.signature = "(value: int)",
	};

	(void)args;
	objpool_describe(call, &description);
	preloaded_by = getpid();
	return 0;
}

static int create(struct objpool_call *call, const struct objpool_args *args, void **self)
{
	const msgpack_object *value = objpool_kwarg(args, "value");
	struct instance *instance = calloc(1, sizeof *instance);

	if (!instance)
		return objpool_fail(call, "MemoryError", "no memory for %s", "an instance");
	instance->value = value ? value->via.i64 : 0;
	*self = instance;
	return 0;
}

static void destroy(void *self)
{
	free(self);
}

static void session_end(void *self, struct objpool_call *call, uint64_t session)
{
	(void)call, (void)session;
	((struct instance *)self)->sessions_ended++;
}

static int snapshot(void *self, struct objpool_call *call, msgpack_packer *state)
{
	(void)call;
	return msgpack_pack_int64(state, ((struct instance *)self)->value);
}

static int restore(void *self, struct objpool_call *call, const msgpack_object *state)
{
	(void)call;
	((struct instance *)self)->value = state->via.i64;
	return 0;
}

static void deferred(void *self, struct objpool_call *call, enum objpool_event event)
{
	struct instance *instance = self;

	for (int i = 0; i < PUT_OFF; i++)
		if (instance->put_off[i] == call)
			instance->put_off[i] = NULL;
	if (event == OBJPOOL_GONE) {
		instance->gone++;
		return;
	}
	instance->wakes++;
	(void)objpool_answer(call,
			     "\xa5"
			     "woken",
			     6);
}

static int leased(void *self, struct objpool_call *call)
{
	(void)call;
	((struct instance *)self)->leases++;
	return 0;
}

static void released(void *self, struct objpool_call *call)
{
	(void)call;
	((struct instance *)self)->releases++;
}

static void idle(void *self)
{
	if (self)
		((struct instance *)self)->idles++;
}

/* ---- methods --------------------------------------------------------------------------------------------------------- */

static int echo(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	(void)self, (void)call;
	return msgpack_pack_object(result, args->values[0]);
}

static int add(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	static const char *const names[] = {"a", "b", NULL};
	const msgpack_object *values[2];

	(void)self;
	if (objpool_take(call, args, names, 2, values) < 0)
		return -1;
	if (!values[0] || !values[1])
		return objpool_bad_argument(call, "%s is missing", values[0] ? "b" : "a");
	return msgpack_pack_int64(result, values[0]->via.i64 + values[1]->via.i64);
}

static int set(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	(void)call, (void)result;
	((struct instance *)self)->value = args->values[0].via.i64;
	return 0;
}

static int get(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	(void)call, (void)args;
	return msgpack_pack_int64(result, ((struct instance *)self)->value);
}

/* What the instance is, and what the host has told it. */
static int about(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	const struct instance *instance = self;
	const msgpack_object *max_message = objpool_setting(call, "max_message");

	(void)args;
	msgpack_pack_map(result, 13);
	pack_count(result, "value", (uint64_t)instance->value);
	pack_count(result, "slot", call->place->slot);
	pack_count(result, "slots", call->place->slots);
	pack_count(result, "generation", call->place->generation);
	pack_count(result, "sessions_ended", instance->sessions_ended);
	pack_count(result, "leases", instance->leases);
	pack_count(result, "releases", instance->releases);
	pack_count(result, "wakes", instance->wakes);
	pack_count(result, "gone", instance->gone);
	pack_count(result, "max_message", max_message ? max_message->via.u64 : 0);
	pack_text(result, "class");
	pack_text(result, objpool_class_name(call));
	pack_text(result, "preloaded elsewhere");
	(preloaded_by != 0 && preloaded_by != getpid() ? msgpack_pack_true : msgpack_pack_false)(result);
	pack_text(result, "idle was called");
	return (instance->idles > 0 ? msgpack_pack_true : msgpack_pack_false)(result);
}

static int fail(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	const struct objpool_failure failure = {
		.type = "PrinterError",
		.message = "out of paper",
		.traceback = "line 7",
		.data = "A4",
		.data_size = 2,
	};

	(void)self, (void)result;
	if (is_text(&args->values[0], "plainly"))
		return objpool_fail(call, NULL, "it is %d", 7);
	if (is_text(&args->values[0], "with a code"))
		return objpool_fail_code(call, "NO_SUCH_METHOD", "none is called %s", "so");
	return objpool_fail_with(call, &failure);
}

static int count(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	struct objpool_buffer buffer = OBJPOOL_BUFFER_INIT;
	msgpack_packer packer;
	int rc = objpool_yield(call, NULL, 0);

	(void)self;
	if (rc == -ENOTSUP)
		return msgpack_pack_uint64(result, args->values[0].via.u64);
	msgpack_packer_init(&packer, &buffer, objpool_buffer_write);
	for (uint64_t i = 0; rc == 0 && i < args->values[0].via.u64; i++) {
		objpool_buffer_clear(&buffer);
		msgpack_pack_uint64(&packer, i);
		rc = buffer.failed ? -ENOMEM : objpool_yield(call, buffer.data, buffer.size);
	}
	objpool_buffer_free(&buffer);
	return rc == 0 ? 0 : objpool_fail(call, NULL, "yield: %d", rc);
}

/* Puts the call off: until objpool_answer by `answer`, or until it is woken after so many milliseconds. */
static int later(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	struct instance *instance = self;
	struct timespec now;
	uint64_t wake_at = 0;

	(void)result;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	if (args->count > 0)
		wake_at = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec + args->values[0].via.u64 * 1000000;
	for (int i = 0; i < PUT_OFF; i++)
		if (!instance->put_off[i]) {
			instance->put_off[i] = objpool_defer(call, wake_at);
			return instance->put_off[i] ? 0 : objpool_fail(call, NULL, "no more can be put off");
		}
	return objpool_fail(call, NULL, "too many are put off");
}

/* Answers all calls that are put off. */
static int answer(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	struct instance *instance = self;
	uint64_t answered = 0;

	(void)call, (void)args;
	for (int i = 0; i < PUT_OFF; i++) {
		if (instance->put_off[i] && objpool_answer(instance->put_off[i],
							   "\xa8"
							   "answered",
							   9) == 0)
			answered++;
		instance->put_off[i] = NULL;
	}
	return msgpack_pack_uint64(result, answered);
}

/* Calls `target` with no arguments, and returns its value. */
static int ask(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	struct objpool_outcome outcome;
	char target[100];

	(void)self;
	(void)snprintf(target, sizeof target, "%.*s", (int)args->values[0].via.str.size, args->values[0].via.str.ptr);
	const int rc = objpool_invoke(call, target, "\x90", 1, &outcome);
	if (rc == -EREMOTEIO)
		return objpool_fail_with(call, &outcome.error);
	return rc < 0 ? objpool_fail(call, NULL, "invoke: %d", rc) : msgpack_pack_object(result, outcome.value);
}

/* Keeps its argument's bytes beyond the call; returns whether the private view that it wrote to was its own. */
static int keep(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	const msgpack_object_bin *bytes = &args->values[0].via.bin;
	struct instance *instance = self;
	void *view = NULL;
	bool own = false;

	if (!objpool_can_keep(call, bytes->ptr, bytes->size))
		return objpool_fail(call, NULL, "they can't be kept");
	struct objpool_kept *private = objpool_private(call, bytes->ptr, bytes->size, &view);
	if (private) {
		const char before = bytes->ptr[0];
		((char *)view)[0] = '!';
		own = bytes->ptr[0] == before;
		objpool_let_go(call->host, private);
	}
	instance->kept = objpool_keep(call, bytes->ptr, bytes->size);
	instance->kept_bytes = bytes->ptr;
	instance->kept_size = bytes->size;
	return (own ? msgpack_pack_true : msgpack_pack_false)(result);
}

/* The first byte and the size of what `keep` has kept, and lets it go. */
static int kept(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	struct instance *instance = self;

	(void)args;
	if (!instance->kept)
		return objpool_fail(call, NULL, "nothing is kept");
	msgpack_pack_array(result, 2);
	msgpack_pack_uint64(result, (unsigned char)instance->kept_bytes[0]);
	msgpack_pack_uint64(result, instance->kept_size);
	objpool_let_go(call->host, instance->kept);
	instance->kept = NULL;
	return 0;
}

/* Runs until it is cancelled, and says how far it is meanwhile. */
static int wait_for_cancel(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	(void)self, (void)args, (void)result;
	while (!objpool_cancelled(call)) {
		(void)objpool_progress(call, 3, 10, "waiting");
		(void)poll(NULL, 0, 1);
	}
	return 0;
}

static int half(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	(void)self, (void)args;
	return msgpack_pack_int(result, objpool_progress(call, 1, 2, "half"));
}

static int commit(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	(void)self, (void)args;
	return msgpack_pack_int(result, objpool_commit(call));
}

static const struct objpool_method methods[] = {
	{.name = "echo",
	 .signature = "(x) -> any",
	 .doc = "Returns its argument.",
	 .flags = OBJPOOL_METHOD_READONLY,
	 .call = echo,
	 .min_args = 1,
	 .max_args = 1},
	{.name = "add", .signature = "(a: int, b: int) -> int", .flags = OBJPOOL_METHOD_KWARGS, .call = add, .max_args = -1},
	{.name = "set", .call = set, .min_args = 1, .max_args = 1},
	{.name = "get", .call = get},
	{.name = "about", .call = about},
	{.name = "half", .call = half},
	{.name = "fail", .call = fail, .min_args = 1, .max_args = 1},
	{.name = "count", .call = count, .min_args = 1, .max_args = 1},
	{.name = "later", .call = later, .max_args = 1},
	{.name = "answer", .call = answer},
	{.name = "ask", .call = ask, .min_args = 1, .max_args = 1},
	{.name = "keep", .call = keep, .min_args = 1, .max_args = 1},
	{.name = "kept", .call = kept},
	{.name = "wait", .call = wait_for_cancel},
	{.name = "commit", .call = commit},
	{.name = NULL},
};

/* Methods that the table lacks. */
static int dispatch(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	(void)self, (void)args;
	if (strcmp(call->method, "caught") != 0)
		return objpool_fail_code(call, "NO_SUCH_METHOD", "there is no method %s", call->method);
	pack_text(result, "caught");
	return 0;
}

static int list_methods(struct objpool_call *call, msgpack_packer *result)
{
	(void)call;
	msgpack_pack_array(result, 1);
	msgpack_pack_map(result, 1);
	pack_text(result, "name");
	pack_text(result, "caught");
	return 0;
}

static const struct objpool_class class = {
	OBJPOOL_CLASS_HEAD,
	.name = "Old",
	.doc = "of ABI 1",
	.preload = preload,
	.create = create,
	.destroy = destroy,
	.methods = methods,
	.dispatch = dispatch,
	.list_methods = list_methods,
	.session_end = session_end,
	.snapshot = snapshot,
	.restore = restore,
	.deferred = deferred,
	.leased = leased,
	.released = released,
	.idle = idle,
};
static const struct objpool_class *const classes[] = {&class, NULL};
const struct objpool_plugin objpool_plugin = {OBJPOOL_PLUGIN_HEAD, .name = "old", .version = "1", .classes = classes};
