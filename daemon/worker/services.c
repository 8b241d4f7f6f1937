/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/services.h"

#include "daemon/worker/deferred.h"
#include "daemon/worker/direct_deferred.h"
#include "daemon/worker/direct_service.h"
#include "daemon/worker/worker_files.h"
#include "daemon/worker/invoke.h"
#include "daemon/worker/task.h"
#include "daemon/worker/watch.h"
#include "daemon/worker/worker_yield.h"
#include "proto/clock.h"
#include "proto/pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PROGRESS_EVERY 50000000u /* nanoseconds */
enum { PROGRESS_TEXT = 1024 };

static void service_fail(struct objpool_call *call, const struct objpool_failure *said)
{
	method_error_keep(&container_of(call, struct task_handle, call)->error, said);
}

static bool service_cancelled(const struct objpool_call *call)
{
	const struct task *task = task_of(call);
	if (!task)
		return deferred_is_cancelled(deferred_of(call));
	if (task->direct)
		return call->method && direct_service_cancelled(task);
	return call->method && board_state(task->board, task->id) == BOARD_CANCELLED;
}

/* Returns true at most once in PROGRESS_EVERY: progress may be sent. Also once for the `end`, since no progress follows it. */
static bool claim_progress(struct task_progress *progress, bool end)
{
	const uint64_t now = (uint64_t)clock_now_coarse();
	if (!progress->wanted || (now - progress->at < PROGRESS_EVERY && (!end || progress->ended)))
		return false;
	progress->at = now;
	progress->ended = progress->ended || end;
	return true;
}

/* Sends the progress at once, before the answer that is being written. */
static int service_progress(struct objpool_call *call, uint64_t done, uint64_t total, const char *text)
{
	struct task *task = task_of(call);
	struct deferred *deferred = task ? NULL : deferred_of(call);
	uint8_t room[REPLY_TYPE + 3 * PACK_UINT + PACK_HEAD + PROGRESS_TEXT], *p;

	if (!call->method || !claim_progress(deferred ? &deferred->progress : &task->progress, total && done == total))
		return 0;
	if (task && task->direct)
		return direct_service_progress(task->direct->channel, task->direct->msgid, done, total, text);
	if (deferred && deferred->is_direct)
		return direct_service_progress(deferred->channel, deferred->msgid, done, total, text);
	p = reply_pack_type(room, 5, FROM_PROGRESS);
	p = pack_uint(pack_uint(p, deferred ? deferred_id(deferred) : task->id), done);
	p = total ? pack_uint(p, total) : pack_nil(p);
	p = text ? pack_str(p, text, strnlen(text, PROGRESS_TEXT)) : pack_nil(p);
	return reply_aside(task_behind(call)->reply, room, (size_t)(p - room));
}

static struct objpool_kept *service_keep(struct objpool_call *call, const void *bytes, size_t size)
{
	struct task *task = task_of(call);
	return task && task->mappings ? (struct objpool_kept *)worker_files_keep(task->mappings, bytes, size) : NULL;
}

static void service_let_go(struct objpool_kept *kept)
{
	worker_files_unkeep((struct mapping *)kept);
}

static bool service_can_keep(struct objpool_call *call, const void *bytes, size_t size)
{
	const struct task *task = task_of(call);
	return task && task->mappings && worker_files_can_keep(task->mappings, bytes, size);
}

static struct objpool_kept *service_private(struct objpool_call *call, const void *bytes, size_t size, void **view)
{
	const struct task *task = task_of(call);
	return task ? (struct objpool_kept *)worker_files_private(task->files, bytes, size, view) : NULL;
}

static const msgpack_object *service_setting(const struct objpool_call *call, const char *name)
{
	const msgpack_object *settings = &task_behind(call)->plugin->settings;

	for (uint32_t i = 0; settings->type == MSGPACK_OBJECT_MAP && i < settings->via.map.size; i++) {
		const msgpack_object_kv *kv = &settings->via.map.ptr[i];
		if (kv->key.via.str.size == strlen(name) && memcmp(kv->key.via.str.ptr, name, strlen(name)) == 0)
			return kv->val.type == MSGPACK_OBJECT_NIL ? NULL : &kv->val;
	}
	return NULL;
}

static const char *service_class_name(const struct objpool_call *call)
{
	return task_behind(call)->plugin->class.name;
}

static char *copy_text(const char *text)
{
	return text && text[0] ? strdup(text) : NULL;
}

static void service_describe(struct objpool_call *call, const struct objpool_description *description)
{
	const size_t with_types = offsetof(struct objpool_description, types) + sizeof description->types;
	struct task *task = task_of(call);

	if (!task)
		return;
	task_forget_description(task);
	task->described = (struct task_described){.given = true, .hooks = description->hooks, .doc = copy_text(description->doc),
						  .signature = copy_text(description->signature)};
	if (description->size >= with_types)
		task->described.types = task_copy_list(description->types);
}

static int service_commit(struct objpool_call *call)
{
	const struct task *task = task_of(call);

	if (!task || !call->method || !task->single)
		return 0; /* its caller waits for other tasks, too, or it has no caller */
	if (task->direct)
		return direct_service_commit(task);
	return board_move(task->board, task->id, BOARD_STARTED, BOARD_COMMITTED) ||
	       board_state(task->board, task->id) == BOARD_COMMITTED ? 0 : -ECANCELED;
}

static const struct objpool_args *service_next(struct objpool_call *call)
{
	struct task *task = task_of(call);

	if (!task || !task->next)
		return NULL;
	if (task->asked)
		return task->next(task);
	task->asked = true;
	return &task->given;
}

static int service_answer(struct objpool_call *call, const void *msgpack, size_t size)
{
	struct deferred *deferred = deferred_of(call);

	return deferred->is_direct ? direct_deferred_answer(deferred, msgpack, size) : deferred_answer(deferred, msgpack, size);
}

static int service_yield(struct objpool_call *call, const void *msgpack, size_t size)
{
	return task_of(call) ? worker_yield_value(call, msgpack, size) : worker_yield_later(deferred_of(call), msgpack, size);
}

static int service_watch(struct objpool_call *call, int fd, uint64_t wake_at)
{
	const struct task *task = task_behind(call);

	if (!task->watch || !task->plugin->class.ready)
		return -EINVAL;
	watch_set(task->watch, fd, wake_at);
	return 0;
}

static const char *service_traceparent(const struct objpool_call *call)
{
	const struct task *task = task_of(call);

	if (!task)
		return deferred_of(call)->traceparent;
	return task->traceparent[0] ? task->traceparent : NULL;
}

const struct objpool_host services = {
	.size = sizeof services,
	.minor = OBJPOOL_ABI_MINOR,
	.fail = service_fail,
	.cancelled = service_cancelled,
	.progress = service_progress,
	.defer = deferred_new,
	.answer = service_answer,
	.invoke = invoke,
	.keep = service_keep,
	.let_go = service_let_go,
	.yield = service_yield,
	.commit = service_commit,
	.setting = service_setting,
	.class_name = service_class_name,
	.describe = service_describe,
	.can_keep = service_can_keep,
	.private_view = service_private,
	.next = service_next,
	.watch = service_watch,
	.at_work = deferred_set_at_work,
	.traceparent = service_traceparent,
};
