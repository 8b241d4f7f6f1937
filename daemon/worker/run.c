/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/run.h"

#include "daemon/worker/deferred.h"
#include "proto/plural.h"
#include "proto/scan.h"

#include <string.h>

void run_find(const struct task *task, const char *name, struct run_method *found)
{
	*found = (struct run_method){0};
	for (uint32_t i = 0; i < task->plugin->methods_count; i++) {
		found->method = plugin_method(task->plugin, i);
		if (strcmp(found->method.name, name) == 0) {
			found->method.name = name;
			return;
		}
	}
	const struct objpool_class *class = &task->plugin->class;
	found->method = (struct objpool_method){.name = name, .call = class->dispatch,
						.many = class->dispatch ? class->dispatch_many : NULL,
						.flags = OBJPOOL_METHOD_KWARGS, .max_args = -1};
}

static int check_arguments(struct task *task, const struct objpool_method *method)
{
	const uint32_t n = task->args.count;

	if (!method->call && !method->many)
		return task_fail(task, "NO_SUCH_METHOD", "no", "class %s has no method \"%.80s\"", task->plugin->class.name,
				 method->name);
	if (task->args.kwcount > 0 && !(method->flags & OBJPOOL_METHOD_KWARGS))
		return task_fail(task, "BAD_ARGUMENT", "no", "%s takes no keyword arguments", method->name);
	if (n < (uint32_t)(method->min_args > 0 ? method->min_args : 0))
		return task_fail(task, "BAD_ARGUMENT", "no", "%s takes at least %d argument%s, not %u", method->name,
				 method->min_args, plural((uint64_t)method->min_args), n);
	if (method->max_args >= 0 && n > (uint32_t)method->max_args)
		return task_fail(task, "BAD_ARGUMENT", "no", "%s takes at most %d argument%s, not %u", method->name,
				 method->max_args, plural((uint64_t)method->max_args), n);
	return 0;
}

/* What the method has written must be one value, not nested too deeply. */
static int check_result(struct task *task)
{
	const struct span value = reply_value(task->reply);
	const size_t size = value.size;
	struct scan scan;

	if (size == 0)
		return msgpack_pack_nil(&task->packer) < 0 ? task_no_memory(task, "yes") : 0;
	if (size == scan_fixed(value.bytes[0]))
		return 0;
	scan_begin(&scan, INT64_MAX);
	const int r = scan_run(&scan, value.bytes, size);
	if (r != 1 || scan.pos != size)
		return task_fail(task, "FAILED", "yes", "%s wrote %s to its result",
				 task->handle.call.method ? task->handle.call.method : "snapshot",
				 r == 1 ? "more than one value" : r == 0 ? "less than one whole value" : "what is no msgpack");
	if (scan.deep || scan.deepest > SCAN_LEVELS)
		return task_fail(task, "FAILED", "yes", "the result is nested deeper than %d levels", SCAN_LEVELS);
	return 0;
}

int run_outcome(struct task *task, const char *name, int r)
{
	if (task->handle.error.code)
		return -1;
	if (task->reply->too_large)
		return task_fail(task, "TOO_LARGE", "yes", "the result is %llu bytes, over max_message = %llu bytes",
				 (unsigned long long)task->reply->too_large, (unsigned long long)task->max_result);
	if (task->reply->failed)
		return task_no_memory(task, "yes");
	if (r == 0)
		return 0;
	return task_fail(
		task, "FAILED", "yes",
		"%s failed and did not say why: it returned %d without objpool_fail. What it printed is in the daemon's log",
		name, r);
}

int run_prepare(struct task *task, const struct run_method *found)
{
	if (check_arguments(task, &found->method) < 0)
		return -1;
	task->handle.call.method = found->method.name;
	task->given = (struct objpool_args){.count = task->args.count, .values = task->args.values,
					    .kwcount = task->args.kwcount, .kwargs = task->args.kwargs};
	return 0;
}

int run_finish(struct task *task, const struct run_method *found, int r)
{
	if (task->deferred_tag && r == 0 && !task->handle.error.code) {
		reply_rewind(task->reply);
		return 1;
	}
	if (task->deferred_tag)
		deferred_undo(task->deferrals, deferred_take(task));
	if (run_outcome(task, found->method.name, r) == 0 && check_result(task) == 0)
		return 0;
	reply_rewind(task->reply);
	return -1;
}

int run_many(struct task *task, const struct run_method *found, task_next_fn *next)
{
	task->next = next;
	task->asked = false;
	const int r = found->method.many(task->self, &task->handle.call, &task->packer);
	task->next = NULL;
	if (task->asked || r != 0 || task->handle.error.code)
		return r;
	return task_fail(task, "FAILED", "no", "%s returned without asking for its item (objpool_next_item)", found->method.name);
}

void run_drop(struct task *task)
{
	if (task->deferred_tag)
		deferred_undo(task->deferrals, deferred_take(task));
	method_error_forget(&task->handle.error);
	reply_rewind(task->reply);
}

/* A call that comes alone is a run of one. */
static const struct objpool_args *no_next(struct task *task)
{
	(void)task;
	return NULL;
}

int run_one(struct task *task, const struct run_method *found)
{
	return found->method.call ? found->method.call(task->self, &task->handle.call, &task->given, &task->packer)
				  : run_many(task, found, no_next);
}

int run_method(struct task *task, const struct run_method *found)
{
	if (run_prepare(task, found) < 0)
		return -1;
	reply_mark(task->reply, task->max_result);
	return run_finish(task, found, run_one(task, found));
}

int run_snapshot(struct task *task)
{
	reply_mark(task->reply, task->max_result);
	const int r = task->plugin->class.snapshot(task->self, &task->handle.call, &task->packer);
	if (run_outcome(task, "snapshot", r) == 0 && check_result(task) == 0)
		return 0;
	reply_rewind(task->reply);
	return -1;
}

int run_constructor(struct task *task)
{
	const struct objpool_args args = {.count = task->args.count, .values = task->args.values,
					  .kwcount = task->args.kwcount, .kwargs = task->args.kwargs};
	return run_outcome(task, "the constructor", task->plugin->class.create(&task->handle.call, &args, &task->self));
}

static int run_before_create(struct task *task, const char *name, int (*hook)(struct objpool_call *, const struct objpool_args *))
{
	const struct objpool_args args = {.count = task->args.count, .values = task->args.values,
					  .kwcount = task->args.kwcount, .kwargs = task->args.kwargs};

	return hook ? run_outcome(task, name, hook(&task->handle.call, &args)) : 0;
}

int run_preload(struct task *task)
{
	return run_before_create(task, "preload", task->plugin->class.preload);
}

int run_check(struct task *task)
{
	return run_before_create(task, "check", task->plugin->class.check);
}
