/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/many.h"

enum { STRIDE_MAX = 16 /* tasks, at most, between two looks at the clock, unless they are short */ };

/* ---- between two tasks ---- */

static void flush_results(struct host *host)
{
	reply_end_results(&host->reply);
	host_flush(host);
}

static bool is_time_to_look(const struct many *many)
{
	return many->done % many->kind->look_every == many->kind->look_every - 1 ||
	       (many->host->method_cost >= HOST_SHORT_METHOD && many->done >= many->look_at);
}

/* Sends the finished answers if they have waited for long. */
static void look(struct many *many)
{
	const uint64_t now = host_clock(), spent = now - many->looked;

	many->stride = spent > HOST_SHORT_METHOD ? 1 : many->stride < STRIDE_MAX ? 2 * many->stride : STRIDE_MAX;
	many->look_at = (uint32_t)many->done + many->stride;
	many->looked = now;
	if (now - many->host->flushed <= many->kind->patience)
		return;
	flush_results(many->host);
	many->host->flushed = now;
}

/* Answers the rest of the batch with the error CANCELLED: nobody waits for it any more, but the supervisor counts an answer for
 * each task. */
static void skip(struct many *many)
{
	struct host *host = many->host;

	for (; many->done < many->count && board_begin_item(host->board, (uint32_t)many->id); many->done++) {
		task_fail(&host->task, "CANCELLED", "no", "the call was cancelled");
		host_put_item_error(host, (uint32_t)many->id, many_task(many));
	}
}

/* ---- one task ---- */

/* Makes the task ready to be run. 0, or -1 with the error set. */
static int prepare(struct many *many)
{
	struct host *host = many->host;
	struct task *task = &host->task;

	task_clear(task);
	const bool read = many->kind->read(many) == 0;
	if (!many->found)
		return task_fail(task, "NO_SUCH_METHOD", "no", "class %s has no such method", task->plugin->class.name);
	if (!read || run_prepare(task, &host->method) < 0)
		return -1;
	if (!reply_in_results(&host->reply))
		reply_begin_results(&host->reply, (uint32_t)many->id, many_task(many));
	if (many->kind->put_head)
		many->kind->put_head(many);
	reply_mark(&host->reply, task->max_result);
	return 0;
}

/* The value has become large: it goes beside the socket, and not among the results. */
static void lend(struct many *many)
{
	struct host *host = many->host;

	reply_end_results(&host->reply);
	reply_lend(&host->reply, host->reply.size, (uint32_t)many->id);
	reply_seal(&host->reply);
	host->reply_keeps = true;
}

static void put_error(struct many *many)
{
	host_put_item_error(many->host, (uint32_t)many->id, many_task(many));
	host_put_answers(many->host);
	many->done++;
}

/* The method has returned `r` for the task that runs. */
static void finish(struct many *many, int r)
{
	struct host *host = many->host;
	const int outcome = run_finish(&host->task, &host->method, r);

	if (outcome < 0) {
		put_error(many);
		return;
	}
	if (outcome > 0) {
		reply_end_results(&host->reply);
		host_put_deferred(host, many->id, many_task(many));
	} else if (host->reply.large) {
		lend(many);
	} else {
		reply_value_done(&host->reply);
	}
	host_put_answers(host);
	many->done++;
	if (reply_results_size(&host->reply) > RESULTS_AHEAD)
		flush_results(host);
}

/* Begins the next task that can be run. Answers those before it that can't. False: there are no more. */
static bool begin_next(struct many *many)
{
	while (!many->over && many->done < many->count) {
		if (many->done > 0 && board_state(many->host->board, (uint32_t)many->id) == BOARD_CANCELLED) {
			skip(many);
			break;
		}
		if (many->done > 0 && is_time_to_look(many))
			look(many);
		if (!board_begin_item(many->host->board, (uint32_t)many->id))
			break;
		if (prepare(many) == 0)
			return true;
		put_error(many);
	}
	many->over = true;
	return false;
}

/* ---- the hook ---- */

/* objpool_next_item, from the second time on. */
static const struct objpool_args *next(struct task *task)
{
	struct many *many = task->many;

	if (many->over)
		return NULL;
	finish(many, 0);
	if (begin_next(many))
		return &task->given;
	reply_mark(&many->host->reply, task->max_result); /* what the class may write now is dropped */
	return NULL;
}

static void run_hook(struct many *many)
{
	struct task *task = &many->host->task;

	task->many = many;
	const int r = run_many(task, &many->host->method, next);
	if (many->over) {
		run_drop(task);
		host_put_answers(many->host); /* those that the class has given since the last item */
	} else {
		finish(many, r);
	}
}

uint32_t many_run(struct many *many)
{
	struct host *host = many->host;

	many->stride = 1;
	many->looked = host->now;
	while (begin_next(many)) {
		if (host->method.method.many && many->kind->one_call)
			run_hook(many);
		else
			finish(many, run_one(&host->task, &host->method));
	}
	reply_end_results(&host->reply);
	return (uint32_t)many->done;
}
