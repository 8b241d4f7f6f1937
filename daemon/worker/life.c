/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/life.h"

#include "daemon/worker/quit.h"
#include "proto/pack.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static void put_ready(struct host *host, bool failed)
{
	(void)reply_begin(&host->reply);
	reply_put_type(&host->reply, failed ? 2 : 1, FROM_READY);
	if (failed)
		task_put_error(&host->task);
	reply_seal(&host->reply);
	reply_flush(&host->reply);
}

/* Has this process end with its parent. (The supervisor adopts the template's child before it sends START.) */
static void follow(pid_t parent, pid_t supervisor)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		quit_cut_off();
	/* For objpool-backtrace, a sibling of this process: without this, Yama may let only ancestors trace. */
	(void)prctl(PR_SET_PTRACER, (unsigned long)supervisor, 0, 0, 0);
}

/* Runs one remembered call. A failure is only logged: the instances that got the call first have failed in the same way. */
static void replay(struct host *host, struct reader *reader)
{
	struct task *task = &host->task;
	struct run_method method;
	struct span name, args, kwargs;
	char text[HOST_NAME];
	uint32_t n;

	if (read_array(reader, &n) < 0 || n != 3 || read_text(reader, &name) < 0 || read_value(reader, &args) < 0 ||
	    read_value(reader, &kwargs) < 0)
		quit_protocol();
	snprintf(text, sizeof text, "%.*s", (int)(name.size < sizeof text ? name.size : sizeof text - 1),
		 (const char *)name.bytes);
	run_find(task, text, &method);
	task_clear(task);
	task->handle.call.session = task->handle.call.deadline = task->handle.call.index = 0;
	task->traceparent[0] = '\0';
	const size_t start = reply_begin(&host->reply);
	const bool given = task_add_array(task, args) == 0 && task_add_map(task, kwargs) == 0;
	task->single = false;
	task->deferrals = NULL; /* there is nobody to answer later, */
	task->invoker = NULL;   /* and no batch to call from */
	const int r = given ? run_method(task, &method) : -1;
	task->deferrals = &host->deferrals;
	task->invoker = &host->invoker;
	if (r < 0)
		(void)fprintf(stderr, "the sticky call of %s failed when it was replayed: %s\n", text,
			      method_error_message(&task->handle.error));
	method_error_forget(&task->handle.error);
	host->reply.size = start;
	host_put_answers(host);
}

/* Writes [REPLAYING, method], so that the supervisor gives each replayed call a time of its own. */
static void announce_replay(struct host *host, struct reader reader)
{
	uint8_t head[PACK_HEAD];
	struct span name;
	uint32_t n;

	if (read_array(&reader, &n) < 0 || read_text(&reader, &name) < 0)
		quit_protocol();
	name.size = name.size < HOST_NAME ? name.size : HOST_NAME;
	(void)reply_begin(&host->reply);
	reply_put_type(&host->reply, 2, FROM_REPLAYING);
	reply_put(&host->reply, head, (size_t)(pack_str_head(head, (uint32_t)name.size) - head));
	if (reply_append(&host->reply, (const char *)name.bytes, name.size) < 0)
		quit_memory();
	reply_seal(&host->reply);
	reply_flush(&host->reply);
}

void life_on_replay(struct host *host, struct reader *reader)
{
	bool more;
	uint32_t n;

	if (read_array(reader, &n) < 0)
		quit_protocol();
	for (; n > 0; n--) {
		announce_replay(host, *reader);
		replay(host, reader);
	}
	if (read_bool(reader, &more) < 0)
		quit_protocol();
	if (more || !host->starting)
		return;
	host->starting = false;
	put_ready(host, false);
	host->now = host->flushed = host_clock();
}

void life_on_start(struct host *host, struct reader *reader)
{
	struct objpool_place *place = &host->task.place;
	struct span pool, args, kwargs, slot_kwargs;
	uint64_t supervisor, slot, slots;

	if (read_uint(reader, &supervisor) < 0 || read_text(reader, &pool) < 0 || read_uint(reader, &slot) < 0 ||
	    read_uint(reader, &slots) < 0 || read_uint(reader, &place->generation) < 0 || read_value(reader, &args) < 0 ||
	    read_value(reader, &kwargs) < 0 || read_value(reader, &slot_kwargs) < 0 ||
	    read_uint(reader, &host->task.max_result) < 0)
		quit_protocol();
	follow(host->parent ? host->parent : (pid_t)supervisor, (pid_t)supervisor);
	if (!(place->pool = strndup((const char *)pool.bytes, pool.size)))
		quit_memory();
	place->slot = (uint32_t)slot;
	place->slots = (uint32_t)slots;
	task_clear(&host->task);
	if (task_add_array(&host->task, args) < 0 || task_add_map(&host->task, kwargs) < 0 ||
	    task_add_map(&host->task, slot_kwargs) < 0 || run_constructor(&host->task) < 0) {
		put_ready(host, true);
		host->ended = true;
		host->end = HOST_FAILED;
		return;
	}
	host->starting = true;
	life_on_replay(host, reader);
}

void life_on_session_end(struct host *host, struct reader *reader)
{
	struct task *task = &host->task;

	if (read_uint(reader, &task->handle.call.session) < 0)
		quit_protocol();
	task->handle.call.method = NULL;
	if (task->plugin->class.session_end)
		task->plugin->class.session_end(task->self, &task->handle.call, task->handle.call.session);
	method_error_forget(&task->handle.error); /* there is nobody to tell */
	host_put_answers(host);
}

void life_on_lease(struct host *host, struct reader *reader)
{
	struct task *task = &host->task;
	const struct objpool_class *class = &task->plugin->class;

	if (read_uint(reader, &task->handle.call.session) < 0)
		quit_protocol();
	task->handle.call.method = NULL;
	const bool agreed = !class->leased || run_outcome(task, "leased", class->leased(task->self, &task->handle.call)) == 0;
	(void)reply_begin(&host->reply);
	reply_put_type(&host->reply, agreed ? 1 : 2, FROM_LEASED);
	if (!agreed)
		task_put_error(task);
	reply_seal(&host->reply);
	host_put_answers(host);
}

void life_on_release(struct host *host, struct reader *reader)
{
	struct task *task = &host->task;

	if (read_uint(reader, &task->handle.call.session) < 0)
		quit_protocol();
	task->handle.call.method = NULL;
	if (task->plugin->class.released)
		task->plugin->class.released(task->self, &task->handle.call);
	method_error_forget(&task->handle.error);
	host_put_answers(host);
}

/* Writes the task's error to the log. */
static void complain(const struct task *task, const char *failure)
{
	(void)fprintf(stderr, "%s: %s\n", failure, method_error_message(&task->handle.error));
}

static void put_state(struct host *host)
{
	struct task *task = &host->task;
	const size_t start = reply_begin(&host->reply);

	task->handle.call.method = NULL;
	reply_put_type(&host->reply, 2, FROM_STATE);
	if (run_snapshot(task) < 0) {
		complain(task, "its state could not be saved");
		host->reply.size = start;
		reply_put_type(&host->reply, 3, FROM_STATE);
		host_put_nil(host);
		task_put_error(task);
	}
	reply_seal(&host->reply);
}

void life_on_restore(struct host *host, struct reader *reader)
{
	struct task *task = &host->task;

	task_clear(task);
	task->handle.call.method = NULL;
	const bool done =
		task_add_value(task, reader) == 0 &&
		run_outcome(task, "restore", task->plugin->class.restore(task->self, &task->handle.call, task->args.values)) == 0;
	if (!done)
		complain(task, "its predecessor's state could not be restored");
	(void)reply_begin(&host->reply);
	reply_put_type(&host->reply, done ? 1 : 2, FROM_RESTORED);
	if (!done)
		task_put_error(task);
	reply_seal(&host->reply);
}

void life_on_stop(struct host *host, struct reader *reader)
{
	uint64_t want_state;

	if (read_uint(reader, &want_state) == 0 && want_state)
		put_state(host);
	reply_flush(&host->reply);
	if (host->task.plugin->class.destroy)
		host->task.plugin->class.destroy(host->task.self);
	host->ended = true;
	host->end = HOST_STOPPED;
}
