/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/task.h"

#include "daemon/worker/worker_files.h"
#include "daemon/worker/values.h"
#include "proto/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- its error ---- */

int task_fail(struct task *task, const char *code, const char *ran, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	method_error_vset(&task->handle.error, code, ran, format, list);
	va_end(list);
	return -1;
}

int task_no_memory(struct task *task, const char *ran)
{
	return task_fail(task, "FAILED", ran, "out of memory in the worker");
}

int task_no_map(struct task *task)
{
	return task_fail(task, "FAILED", "no", "the worker could not map what came beside the call: out of memory");
}

void task_put_error(struct task *task)
{
	reply_mark(task->reply, task->max_result);
	method_error_pack(&task->handle.error, &task->packer);
	if (task->reply->too_large) { /* the supervisor takes no longer message */
		const unsigned long long size = task->reply->too_large;
		reply_rewind(task->reply);
		method_error_set(&task->handle.error, "FAILED", task->handle.error.ran,
				 "the method failed; its error is %llu bytes, over max_message", size);
		reply_mark(task->reply, UINT64_MAX);
		method_error_pack(&task->handle.error, &task->packer);
	}
	if (task->reply->failed) {
		reply_rewind(task->reply);
		method_error_pack_short(&task->handle.error, &task->packer);
	}
	method_error_forget(&task->handle.error);
}

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

int task_init(struct task *task, const struct plugin *plugin, const struct objpool_host *host, struct reply *reply,
	      struct board *board)
{
	*task = (struct task){.plugin = plugin, .reply = reply, .board = board};
	task->handle.task = task;
	task->handle.call = (struct objpool_call){.host = host, .place = &task->place};
	task->max_result = UINT64_MAX;
	msgpack_packer_init(&task->packer, reply, reply_append);
	if (!msgpack_zone_init(&task->zone, 8192))
		return -1;
	return grow((void **)&task->args.values, &task->args.room, sizeof *task->args.values) < 0 ||
			       grow((void **)&task->args.kwargs, &task->args.kwroom, sizeof *task->args.kwargs) < 0
		       ? -1
		       : 0;
}

static void free_list(char **texts)
{
	for (size_t i = 0; texts && texts[i]; i++)
		free(texts[i]);
	free(texts);
}

char **task_copy_list(const char *const *texts)
{
	size_t n = 0;

	while (texts && texts[n])
		n++;
	char **copy = n > 0 ? calloc(n + 1, sizeof *copy) : NULL;
	for (size_t i = 0; copy && i < n; i++) {
		copy[i] = strdup(texts[i]);
		if (!copy[i]) {
			free_list(copy);
			return NULL;
		}
	}
	return copy;
}

void task_forget_description(struct task *task)
{
	free(task->described.doc);
	free(task->described.signature);
	free_list(task->described.types);
	task->described = (struct task_described){0};
}

void task_free(struct task *task)
{
	method_error_forget(&task->handle.error);
	free(task->args.values);
	free(task->args.kwargs);
	free((char *)task->place.pool);
	task_forget_description(task);
	msgpack_zone_destroy(&task->zone);
}

void task_begin(struct task *task, bool single)
{
	task->single = single;
	task->progress = (struct task_progress){0};
	task->wants_values = false;
	task->yielded = 0;
	task->traceparent[0] = '\0';
}

int task_trace_by(struct task *task, struct span text)
{
	if (!traceparent_is_one(text.bytes, text.size))
		return -1;
	memcpy(task->traceparent, text.bytes, text.size);
	task->traceparent[text.size] = '\0';
	return 0;
}

void task_clear(struct task *task)
{
	task->files = NULL;
	task->args.count = 0;
	task->args.kwcount = 0;
	if (task->uses_zone)
		msgpack_zone_clear(&task->zone);
	task->uses_zone = false;
}

/* Fails the call: an argument can't become an object. `error` is what values_next returned. */
static int no_value(struct task *task, int error)
{
	if (error == -ENOMEM)
		return task_no_memory(task, "no");
	return task_fail(task, "BAD_REQUEST", "no", "an argument is nested deeper than %d levels", SCAN_LEVELS);
}

/* The next value as an object. 0, or -1 with the error set. */
static int read_object(struct task *task, struct reader *reader, msgpack_object *object)
{
	const int r = values_next(reader, &task->zone, object);

	task->uses_zone = task->uses_zone || r != 0;
	if (r < 0)
		return no_value(task, r);
	return task->files && worker_files_bytes(task->files, object) < 0 ? task_no_map(task) : 0;
}

int task_add_value(struct task *task, struct reader *reader)
{
	struct task_args *args = &task->args;

	if (args->count == args->room && grow((void **)&args->values, &args->room, sizeof *args->values) < 0)
		return task_no_memory(task, "no");
	if (read_object(task, reader, &args->values[args->count]) < 0)
		return -1;
	args->count++;
	return 0;
}

int task_add_values(struct task *task, struct reader *reader)
{
	uint32_t n;

	if (read_array(reader, &n) < 0)
		return task_fail(task, "BAD_ARGUMENT", "no", "positional arguments must come as an array");
	for (; n > 0; n--)
		if (task_add_value(task, reader) < 0)
			return -1;
	return 0;
}

int task_add_array(struct task *task, struct span array)
{
	struct reader reader = reader_of(array);

	return read_nil(&reader) == 0 ? 0 : task_add_values(task, &reader);
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

	if (!kv)
		return task_no_memory(task, "no");
	kv->key.type = MSGPACK_OBJECT_STR;
	kv->key.via.str = (msgpack_object_str){.ptr = (const char *)key.bytes, .size = (uint32_t)key.size};
	return read_object(task, reader, &kv->val);
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
