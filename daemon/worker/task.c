/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/task.h"

#include "daemon/worker/deferred.h"
#include "daemon/worker/files.h"
#include "daemon/worker/invoke.h"
#include "daemon/worker/values.h"
#include "daemon/worker/yield.h"
#include "proto/pack.h"
#include "proto/scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PROGRESS_EVERY 50000000u /* nanoseconds */
enum { PROGRESS_TEXT = 1024 };

static const char no_memory_text[] = "out of memory in the worker";

/* ---- errors ---- */

void task_forget_error(struct task_error *error)
{
	free(error->message);
	free(error->type);
	free(error->traceback);
	free(error->data);
	*error = (struct task_error){0};
}

static char *copy_text(const char *text)
{
	return text && text[0] ? strdup(text) : NULL;
}

/* As copy_text; without memory it sets error->no_memory. */
static char *keep_text(struct task_error *error, const char *text)
{
	char *copy = copy_text(text);
	error->no_memory |= text && text[0] && !copy;
	return copy;
}

static void keep_data(struct task_error *error, const void *data, size_t size)
{
	if (!data)
		return;
	error->data = malloc(size ? size : 1);
	error->no_memory |= !error->data;
	if (error->data)
		error->data_size = (size_t)((char *)mempcpy(error->data, data, size) - (char *)error->data);
}

/* Only these are a plugin's to give; any other would be a lie about the daemon. */
static const char *allowed_code(const char *code)
{
	static const char *const codes[] = {"FAILED", "BAD_ARGUMENT", "NO_SUCH_METHOD"};
	for (size_t i = 0; code && i < sizeof codes / sizeof *codes; i++)
		if (strcmp(code, codes[i]) == 0)
			return codes[i];
	return "FAILED";
}

/* objpool_host.fail */
static void host_fail(struct objpool_call *call, const struct objpool_failure *said)
{
	struct task_error *error = &((struct task_handle *)call)->error;

	task_forget_error(error);
	error->code = allowed_code(said->code);
	error->ran = "yes";
	error->message = keep_text(error, said->message);
	error->type = keep_text(error, said->type);
	error->traceback = keep_text(error, said->traceback);
	keep_data(error, said->data, said->data_size);
}

__attribute__((format(printf, 4, 0)))
static void set_error(struct task_error *error, const char *code, const char *ran, const char *format, va_list list)
{
	char text[512];

	(void)vsnprintf(text, sizeof text, format, list);
	task_forget_error(error);
	error->code = code;
	error->ran = ran;
	error->message = keep_text(error, text);
}

void task_set_error(struct task_error *error, const char *code, const char *ran, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	set_error(error, code, ran, format, list);
	va_end(list);
}

int task_fail(struct task *task, const char *code, const char *ran, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	set_error(&task->handle.error, code, ran, format, list);
	va_end(list);
	return -1;
}

static void pack_text(msgpack_packer *packer, const char *text)
{
	if (!text) {
		msgpack_pack_nil(packer);
		return;
	}
	msgpack_pack_str(packer, strlen(text));
	msgpack_pack_str_body(packer, text, strlen(text));
}

const char *task_message(const struct task_error *error)
{
	if (error->no_memory)
		return no_memory_text;
	return error->message ? error->message : "the plugin gave an error without a message";
}

void task_pack_short_error(const struct task_error *error, msgpack_packer *packer)
{
	msgpack_pack_array(packer, 6);
	pack_text(packer, "FAILED");
	pack_text(packer, no_memory_text);
	pack_text(packer, NULL);
	pack_text(packer, NULL);
	pack_text(packer, NULL);
	pack_text(packer, error->ran ? error->ran : "yes");
}

void task_pack_error(const struct task_error *error, msgpack_packer *packer)
{
	if (error->no_memory) {
		task_pack_short_error(error, packer);
		return;
	}
	msgpack_pack_array(packer, 6);
	pack_text(packer, error->code ? error->code : "FAILED");
	pack_text(packer, task_message(error));
	pack_text(packer, error->type);
	pack_text(packer, error->traceback);
	if (error->data) {
		msgpack_pack_bin(packer, error->data_size);
		msgpack_pack_bin_body(packer, error->data, error->data_size);
	} else {
		msgpack_pack_nil(packer);
	}
	pack_text(packer, error->ran ? error->ran : "yes");
}

void task_put_error(struct task *task)
{
	reply_mark(task->reply);
	task_pack_error(&task->handle.error, &task->packer);
	if (task->reply->failed) {
		reply_rewind(task->reply);
		task_pack_short_error(&task->handle.error, &task->packer);
	}
	task_forget_error(&task->handle.error);
}

/* ---- the host's other functions ---- */

static bool host_cancelled(const struct objpool_call *call)
{
	const struct task *task = task_of(call);
	return task && call->method && board_state(task->board, task->id) == BOARD_CANCELLED;
}

/* Told at most every PROGRESS_EVERY; and, once, the end of it, which nothing follows that would tell. */
static bool progress_is_due(struct task *task, bool end)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	const uint64_t now = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	if (now - task->progress_at < PROGRESS_EVERY && (!end || task->progress_ended))
		return false;
	task->progress_at = now;
	task->progress_ended = task->progress_ended || end;
	return true;
}

/* It goes out at once, past the answer that is being written. */
static int host_progress(struct objpool_call *call, uint64_t done, uint64_t total, const char *text)
{
	struct task *task = task_of(call);
	uint8_t room[2 + 3 * PACK_UINT + PACK_HEAD + PROGRESS_TEXT], *p = room;

	if (!task || !task->wants_progress || !call->method || !progress_is_due(task, total && done == total))
		return 0;
	p = pack_array(p, 5);
	p = pack_uint(p, FROM_PROGRESS);
	p = pack_uint(pack_uint(p, task->id), done);
	p = total ? pack_uint(p, total) : pack_nil(p);
	p = text ? pack_str(p, text, strnlen(text, PROGRESS_TEXT)) : pack_nil(p);
	return reply_aside(task->reply, room, (size_t)(p - room));
}

static struct objpool_kept *host_keep(struct objpool_call *call, const void *bytes, size_t size)
{
	struct task *task = task_of(call);
	return task && task->mappings ? (struct objpool_kept *)files_keep(task->mappings, bytes, size) : NULL;
}

static void host_let_go(struct objpool_kept *kept)
{
	files_unkeep((struct mapping *)kept);
}

static bool host_can_keep(struct objpool_call *call, const void *bytes, size_t size)
{
	const struct task *task = task_of(call);
	return task && task->mappings && files_can_keep(task->mappings, bytes, size);
}

static struct objpool_kept *host_private(struct objpool_call *call, const void *bytes, size_t size, void **view)
{
	const struct task *task = task_of(call);
	return task ? (struct objpool_kept *)files_private(task->files, bytes, size, view) : NULL;
}

static const msgpack_object *host_setting(const struct objpool_call *call, const char *name)
{
	const struct task *task = task_of(call);
	const msgpack_object *settings = task ? &task->plugin->settings : NULL;

	for (uint32_t i = 0; settings && settings->type == MSGPACK_OBJECT_MAP && i < settings->via.map.size; i++) {
		const msgpack_object_kv *kv = &settings->via.map.ptr[i];
		if (kv->key.via.str.size == strlen(name) && memcmp(kv->key.via.str.ptr, name, strlen(name)) == 0)
			return kv->val.type == MSGPACK_OBJECT_NIL ? NULL : &kv->val;
	}
	return NULL;
}

static const char *host_class_name(const struct objpool_call *call)
{
	const struct task *task = task_of(call);
	return task ? task->plugin->class.name : NULL;
}

static void host_describe(struct objpool_call *call, const struct objpool_description *description)
{
	struct task *task = task_of(call);

	if (!task)
		return;
	free(task->described.doc);
	free(task->described.signature);
	task->described = (struct task_described){.given = true, .hooks = description->hooks, .doc = copy_text(description->doc),
						  .signature = copy_text(description->signature)};
}

static int host_commit(struct objpool_call *call)
{
	const struct task *task = task_of(call);

	if (!task || !call->method || !task->single)
		return 0; /* its caller waits for others too, or there is none */
	return board_move(task->board, task->id, BOARD_STARTED, BOARD_COMMITTED) ||
	       board_state(task->board, task->id) == BOARD_COMMITTED ? 0 : -ECANCELED;
}

static const struct objpool_host host = {
	.size = sizeof host,
	.fail = host_fail,
	.cancelled = host_cancelled,
	.progress = host_progress,
	.defer = deferred_new,
	.answer = deferred_answer,
	.invoke = invoke,
	.keep = host_keep,
	.let_go = host_let_go,
	.yield = yield_value,
	.commit = host_commit,
	.setting = host_setting,
	.class_name = host_class_name,
	.describe = host_describe,
	.can_keep = host_can_keep,
	.private_view = host_private,
};

/* ---- arguments ---- */

static int grow(void **array, uint32_t *room, size_t each)
{
	const uint32_t more = *room ? 2 * *room : 16;
	void *grown = realloc(*array, more * each);
	if (!grown)
		return -1;
	*array = grown;
	*room = more;
	return 0;
}

int task_init(struct task *task, const struct plugin *plugin, struct reply *reply, struct board *board)
{
	*task = (struct task){.plugin = plugin, .reply = reply, .board = board};
	task->handle.task = task;
	task->handle.call = (struct objpool_call){.host = &host, .place = &task->place};
	task->max_result = UINT64_MAX;
	msgpack_packer_init(&task->packer, reply, reply_append);
	if (!msgpack_zone_init(&task->zone, 8192))
		return -1;
	return grow((void **)&task->args.values, &task->args.room, sizeof *task->args.values) < 0 ||
			       grow((void **)&task->args.kwargs, &task->args.kwroom, sizeof *task->args.kwargs) < 0
		       ? -1
		       : 0;
}

void task_free(struct task *task)
{
	task_forget_error(&task->handle.error);
	free(task->args.values);
	free(task->args.kwargs);
	free((char *)task->place.pool);
	free(task->described.doc);
	free(task->described.signature);
	msgpack_zone_destroy(&task->zone);
}

void task_clear(struct task *task)
{
	task->files = NULL;
	task->args.count = 0;
	task->args.kwcount = 0;
	msgpack_zone_clear(&task->zone);
}

static int no_memory(struct task *task, const char *ran)
{
	return task_fail(task, "FAILED", ran, "%s", no_memory_text);
}

int task_no_map(struct task *task)
{
	return task_fail(task, "FAILED", "no", "the worker could not map what came beside the call: out of memory");
}

/* Fails the call: an argument can't become an object. `why` is what values_next returned. */
static int no_value(struct task *task, int why)
{
	if (why == -ENOMEM)
		return no_memory(task, "no");
	return task_fail(task, "BAD_REQUEST", "no", "an argument is nested deeper than %d levels", SCAN_LEVELS);
}

int task_add_value(struct task *task, struct reader *reader)
{
	struct task_args *args = &task->args;
	int r;

	if (args->count == args->room && grow((void **)&args->values, &args->room, sizeof *args->values) < 0)
		return no_memory(task, "no");
	if ((r = values_next(reader, &task->zone, &args->values[args->count])) < 0)
		return no_value(task, r);
	if (task->files && files_bytes(task->files, &args->values[args->count]) < 0)
		return task_no_map(task);
	args->count++;
	return 0;
}

int task_add_array(struct task *task, struct span array)
{
	struct reader reader = reader_of(array);
	uint32_t n;

	if (read_nil(&reader) == 0)
		return 0;
	if (read_array(&reader, &n) < 0)
		return task_fail(task, "BAD_ARGUMENT", "no", "positional arguments must come as an array");
	for (; n > 0; n--)
		if (task_add_value(task, &reader) < 0)
			return -1;
	return 0;
}

/* The place for a keyword: a later one of the same name takes the place of the earlier. */
static msgpack_object_kv *keyword_place(struct task_args *args, struct span key)
{
	for (uint32_t i = 0; i < args->kwcount; i++) {
		const msgpack_object_str *known = &args->kwargs[i].key.via.str;
		if (known->size == key.size && memcmp(known->ptr, key.bytes, key.size) == 0)
			return &args->kwargs[i];
	}
	if (args->kwcount == args->kwroom && grow((void **)&args->kwargs, &args->kwroom, sizeof *args->kwargs) < 0)
		return NULL;
	return &args->kwargs[args->kwcount++];
}

int task_add_keyword(struct task *task, struct span key, struct reader *reader)
{
	msgpack_object_kv *kv = keyword_place(&task->args, key);
	int r;

	if (!kv)
		return no_memory(task, "no");
	kv->key.type = MSGPACK_OBJECT_STR;
	kv->key.via.str = (msgpack_object_str){.ptr = (const char *)key.bytes, .size = (uint32_t)key.size};
	if ((r = values_next(reader, &task->zone, &kv->val)) < 0)
		return no_value(task, r);
	return task->files && files_bytes(task->files, &kv->val) < 0 ? task_no_map(task) : 0;
}

int task_add_map(struct task *task, struct span map)
{
	struct reader reader = reader_of(map);
	struct span key;
	uint32_t n;

	if (map.size == 0 || read_nil(&reader) == 0)
		return 0;
	if (read_map(&reader, &n) < 0)
		return task_fail(task, "BAD_ARGUMENT", "no", "keyword arguments must come as a map");
	for (; n > 0; n--) {
		if (read_text(&reader, &key) < 0)
			return task_fail(task, "BAD_ARGUMENT", "no", "the names of keyword arguments must be strings");
		if (task_add_keyword(task, key, &reader) < 0)
			return -1;
	}
	return 0;
}

/* ---- running ---- */

void task_find(const struct task *task, const char *name, struct task_method *found)
{
	*found = (struct task_method){0};
	for (uint32_t i = 0; i < task->plugin->methods_count; i++) {
		found->method = plugin_method(task->plugin, i);
		if (strcmp(found->method.name, name) == 0) {
			found->method.name = name;
			return;
		}
	}
	found->method = (struct objpool_method){.name = name, .call = task->plugin->class.dispatch,
						.flags = OBJPOOL_METHOD_KWARGS, .max_args = -1};
	found->dispatched = true;
}

static int check_arguments(struct task *task, const struct objpool_method *method)
{
	const uint32_t n = task->args.count;

	if (!method->call)
		return task_fail(task, "NO_SUCH_METHOD", "no", "class %s has no method \"%.80s\"", task->plugin->class.name,
				 method->name);
	if (task->args.kwcount > 0 && !(method->flags & OBJPOOL_METHOD_KWARGS))
		return task_fail(task, "BAD_ARGUMENT", "no", "%s takes no keyword arguments", method->name);
	if (n < (uint32_t)(method->min_args > 0 ? method->min_args : 0))
		return task_fail(task, "BAD_ARGUMENT", "no", "%s takes at least %d arguments, not %u", method->name,
				 method->min_args, n);
	if (method->max_args >= 0 && n > (uint32_t)method->max_args)
		return task_fail(task, "BAD_ARGUMENT", "no", "%s takes at most %d arguments, not %u", method->name,
				 method->max_args, n);
	return 0;
}

/* What the method has written must be one value, not nested too deeply, not too large. */
static int check_result(struct task *task)
{
	const struct span value = reply_value(task->reply);
	const size_t size = value.size;
	struct scan scan;

	if (size == 0)
		return msgpack_pack_nil(&task->packer) < 0 ? no_memory(task, "yes") : 0;
	if (size == scan_fixed(value.bytes[0]) && size <= task->max_result)
		return 0;
	scan_begin(&scan, INT64_MAX);
	const int r = scan_run(&scan, value.bytes, size);
	if (r != 1 || scan.pos != size)
		return task_fail(task, "FAILED", "yes", "%s wrote %s to its result",
				 task->handle.call.method ? task->handle.call.method : "snapshot",
				 r == 1 ? "more than one value" : r == 0 ? "less than one whole value" : "what is no msgpack");
	if (size > task->max_result)
		return task_fail(task, "TOO_LARGE", "yes", "the result is %zu bytes, over max_message = %llu", size,
				 (unsigned long long)task->max_result);
	if (scan.deep || scan.deepest > SCAN_LEVELS)
		return task_fail(task, "FAILED", "yes", "the result is nested deeper than %d levels", SCAN_LEVELS);
	return 0;
}

int task_outcome(struct task *task, const char *what, int r)
{
	if (task->handle.error.code)
		return -1;
	if (task->reply->failed)
		return no_memory(task, "yes");
	if (r == 0)
		return 0;
	return task_fail(
		task, "FAILED", "yes",
		"%s failed and did not say why: it returned %d without objpool_fail. What it printed is in the daemon's log",
		what, r);
}

int task_run(struct task *task, const struct task_method *found)
{
	const struct objpool_args args = {.count = task->args.count, .values = task->args.values,
					  .kwcount = task->args.kwcount, .kwargs = task->args.kwargs};

	if (check_arguments(task, &found->method) < 0)
		return -1;
	task->handle.call.method = found->method.name;
	reply_mark(task->reply);
	const int r = found->method.call(task->self, &task->handle.call, &args, &task->packer);
	if (task->deferred_tag && r == 0 && !task->handle.error.code) {
		reply_rewind(task->reply);
		return 1;
	}
	if (task->deferred_tag)
		deferred_undo(task->deferrals, deferred_take(task));
	if (task_outcome(task, found->method.name, r) == 0 && check_result(task) == 0)
		return 0;
	reply_rewind(task->reply);
	return -1;
}

int task_write(struct task *task, int (*write)(void *self, struct objpool_call *call, msgpack_packer *packer))
{
	reply_mark(task->reply);
	const int r = write(task->self, &task->handle.call, &task->packer);
	if (task_outcome(task, "snapshot", r) == 0 && check_result(task) == 0)
		return 0;
	reply_rewind(task->reply);
	return -1;
}

int task_create(struct task *task)
{
	const struct objpool_args args = {.count = task->args.count, .values = task->args.values,
					  .kwcount = task->args.kwcount, .kwargs = task->args.kwargs};
	return task_outcome(task, "the constructor", task->plugin->class.create(&task->handle.call, &args, &task->self));
}

int task_preload(struct task *task)
{
	const struct objpool_args args = {.count = task->args.count, .values = task->args.values,
					  .kwcount = task->args.kwcount, .kwargs = task->args.kwargs};
	if (!task->plugin->class.preload)
		return 0;
	return task_outcome(task, "preload", task->plugin->class.preload(&task->handle.call, &args));
}
