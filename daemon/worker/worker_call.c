/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/worker_call.h"

#include "daemon/worker/quit.h"

static int read_call_args(struct host *host, struct reader *reader, uint32_t fields)
{
	struct task *task = &host->task;
	struct span args, kwargs = {0}, trace = {0};
	uint64_t flags = 0;

	task_begin(task, true);
	task->handle.call.deadline = 0;
	if (read_value(reader, &args) < 0 ||
	    (fields >= 8 && (read_uint(reader, &task->handle.call.deadline) < 0 || read_value(reader, &kwargs) < 0 ||
			     read_uint(reader, &flags) < 0)) ||
	    (fields == 9 && (read_text(reader, &trace) < 0 || task_trace_by(task, trace) < 0)))
		return task_fail(task, "INTERNAL", "no", "the worker did not understand the call");
	task->progress.wanted = flags & CALL_PROGRESS;
	task->wants_values = flags & CALL_YIELDS;
	task->files = host->inbox.files;
	if (worker_files_values(task->files, &args) < 0 || worker_files_values(task->files, &kwargs) < 0)
		return task_no_map(task);
	return task_add_array(task, args) < 0 || task_add_map(task, kwargs) < 0 ? -1 : 0;
}

/* Answers nil without calling the class: the supervisor asks only whether the worker reacts. */
static void on_probe(struct host *host, uint32_t id)
{
	if (!host_begin_batch(host, id))
		return;
	(void)reply_begin(&host->reply);
	host_put_head(host, FROM_REPLY, id, true);
	host_put_nil(host);
	reply_seal(&host->reply);
	host_end_batch(host, id, 1);
}

void worker_call_on_message(struct host *host, struct reader *reader, uint32_t fields)
{
	struct task *task = &host->task;
	struct span name;
	uint64_t id;

	if (read_uint(reader, &id) < 0 || read_uint(reader, &task->handle.call.session) < 0 || read_text(reader, &name) < 0)
		quit_protocol();
	if (name.size == 0) {
		on_probe(host, (uint32_t)id);
		return;
	}
	const bool found = host_find_method(host, name) == 0;
	if (!host_begin_batch(host, (uint32_t)id))
		return;
	task_clear(task);
	task->handle.call.index = 0;
	/* Always true for a single item: the supervisor takes back such a batch as a whole or not at all. */
	(void)board_begin_item(host->board, (uint32_t)id);
	/* The head of the answer comes first; the value is written right behind it. */
	const size_t start = reply_begin(&host->reply);
	host_put_head(host, FROM_REPLY, (uint32_t)id, true);
	host->reply.alone = true;
	host->reply.session = task->handle.call.session;
	const int r = found && read_call_args(host, reader, fields) == 0 ? run_method(task, &host->method) : -1;
	host->reply.alone = false;
	if (r > 0) {
		host->reply.size = start;
		host_put_deferred(host, id, 0);
	} else if (r < 0) {
		host->reply.size = start;
		host_put_head(host, FROM_REPLY, (uint32_t)id, false);
		task_put_error(task);
		host_put_nil(host);
	} else if (host->reply.large) {
		reply_lend(&host->reply, start, (uint32_t)id);
		host->reply_keeps = true;
	}
	reply_seal(&host->reply);
	host_put_answers(host);
	host_end_batch(host, (uint32_t)id, 1);
}
