/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/calls/call_answer.h"

#include "daemon/core/records/input.h"
#include "daemon/core/calls/passengers.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/dispatch/scheduler.h"
#include "daemon/core/records/slot.h"
#include "daemon/core/calls/withdraw.h"
#include "proto/pack.h"

#include <errno.h>

#define PROGRESS_EVERY (100 * MILLISECOND)

/* How often an idempotent call runs again. A call that kills its worker must not kill every worker in turn. */
enum { RERUNS_MAX = 3 };

/* The call is about to be answered, or its client has gone: ends its part in the counts, timers and lists. `outcome` is for
 * the log. */
static void close_books(struct call *call, bool failed, const char *outcome)
{
	struct pool *pool = call->pool;
	const uint64_t took = pool->core->now - call->began;

	call_trace(call, call_gathers(call) ? NULL : call->only.slot, "%s after %.6f s", outcome, (double)took / (double)SECOND);
	call->answered = true;
	core_reap_later(pool->core, &call->ending);
	if (call->ticket.client && !call_is_probe(call))
		methods_add_calls(&pool->methods, call->method, took, 1, failed);
	timer_clear(&pool->core->timers, &call->timer);
	if (call->ticket.client)
		call->ticket.client->pending -= call->size;
}

static void answer_gathered(struct call *call)
{
	struct sendq *out = ticket_value(&call->ticket);
	if (out)
		gather_write(&call->gather, (uint32_t)call->total, out);
	ticket_close(&call->ticket);
}

/* How many fields the error of a call gets beside its own. */
static uint32_t more_fields(const struct call *call)
{
	return call->stream.on ? STREAM_COUNTS : 0;
}

/* Answers with an error; NULL: with the failure that was gathered. Of a stream it also says how many results there were. */
static void answer_failed(struct call *call, const struct error *error)
{
	struct sendq *out = ticket_error(&call->ticket);
	bool open = call->gather.open;

	if (out && error)
		open = error_pack_open(error, call->ticket.client->error_form, more_fields(call), out);
	else if (out)
		sendq_move(out, &call->gather.failure);
	if (out && open && call->stream.on)
		stream_put_counts(&call->stream, out);
	ticket_close_error(&call->ticket);
}

/* All tasks have a result: answers the call. */
static void answer(struct call *call)
{
	close_books(call, call->gather.failed >= 0, call->gather.failed >= 0 ? "failed, as a task of it did," : "answered");
	if (call->gather.failed >= 0)
		answer_failed(call, NULL);
	else if (call->stream.on)
		stream_close(&call->stream, &call->ticket, call->method ? call->method->estimate : 0);
	else
		answer_gathered(call);
	call_drop_results(call);
}

static void fail_as(struct call *call, enum revoked revoked, struct error *cause)
{
	cause->ran = revoked == REVOKED ? RAN_NO : RAN_MAYBE;
	cause->pool = call->pool->name;
	call_fail(call, cause);
}

void call_fail_withdrawn(struct call *call, struct error *cause)
{
	fail_as(call, withdraw_or_cancel(call), cause);
}

void call_give_up(struct call *call, struct error *cause)
{
	const enum revoked revoked = withdraw_or_cancel(call);

	if (revoked == REVOKED_TOO_LATE)
		call->idempotent = false; /* if the worker dies before it has answered, the call must not run again */
	else
		fail_as(call, revoked, cause);
}

void call_fail_for_memory(struct call *call)
{
	struct error error;
	error_no_memory(&error, RAN_MAYBE);
	call_fail(call, &error);
}

/* Sends the progress of a call that gathers, unless it did so recently. */
static void send_progress(struct call *call)
{
	const uint64_t now = call->core->now;
	uint8_t room[3 * PACK_UINT], *p = room;

	if (!call->progress || !call_gathers(call) || (call->left > 0 && now - call->progress_at < PROGRESS_EVERY))
		return;
	call->progress_at = now;
	p = pack_uint(p, call->total - call->left);
	p = call->input.open ? pack_nil(p) : pack_uint(p, call->total);
	p = pack_nil(p);
	stream_progress(&call->ticket, (struct span){.bytes = room, .size = (size_t)(p - room)});
}

/*
 * Counts the results that can't leave yet. The call fails when its gathered results are over max_message, or when
 * the daemon's memory is taken up and its client holds more than its share. Then the results are freed, and no more tasks are
 * begun.
 */
static void fail_if_over(struct call *call)
{
	const uint64_t limit = call->core->limits.max_message;
	const uint64_t held = call->stream.on ? call->stream.early_bytes : call->gather.size;
	struct error error;

	if (held == 0 || call->answered)
		return;
	if (held > limit && !call->stream.on)
		error_say(&error, ERROR_TOO_LARGE, call->left > 0 ? RAN_MAYBE : RAN_YES,
			  "the gathered results are more than max_message = %llu bytes: use a stream", (unsigned long long)limit);
	else if (call->ticket.client && client_is_greedy(call->ticket.client))
		client_say_greedy(call->ticket.client, RAN_MAYBE, &error);
	else
		return;
	error.pool = call->pool->name;
	call_fail(call, &error);
}

static void task_answered(struct call *call, uint32_t count)
{
	call->left -= count;
	fail_if_over(call);
	if (call->answered)
		return;
	send_progress(call);
	call->input.round -= call->input.sync ? count : 0;
	call_go_on(call);
}

void call_on_values(struct batch *batch, uint32_t count, struct span values, struct block *block)
{
	struct call *call = batch->call;
	const uint64_t first = batch->first + batch->done;
	int r;

	if (call->train) {
		passengers_on_value(batch, values, block);
		return;
	}
	batch->done += count;
	if (call->answered) {
		call->core->late += count;
		return;
	}
	if (block)
		block = client_claim(call->ticket.client, block, values.size);
	if (call->yield.on) {
		r = 0; /* the yielded values are the results: what the method returns is dropped */
	} else if (call->stream.on) {
		r = stream_values(&call->stream, &call->ticket, first, count, values, block);
	} else if (call_gathers(call)) {
		r = gather_values(&call->gather, first, count, values, block, call->errors == ERRORS_COLLECT,
				  call->ticket.client);
	} else {
		call->left = 0;
		close_books(call, false, "answered");
		ticket_answer_span(&call->ticket, block, values);
		return;
	}
	if (r < 0)
		call_fail_for_memory(call);
	else
		task_answered(call, count);
}

/* Keeps the failure in its place among the results. Unless failures are collected, the first failure becomes the answer. */
static int keep_failure(struct call *call, uint64_t index, const struct error *error)
{
	const enum error_form form = call->ticket.client ? call->ticket.client->error_form : ERRORS_AS_STRING;
	const bool collect = call->errors == ERRORS_COLLECT;

	if (call->stream.on && stream_failure(&call->stream, &call->ticket, index, error) < 0)
		return -ENOMEM;
	if (call->stream.on && collect)
		return 0;
	call->gather.more = more_fields(call);
	return gather_failure(&call->gather, index, error, form, collect);
}

void call_on_failure(struct batch *batch, uint64_t index, struct error *error)
{
	struct call *call = batch->call;

	if (call->train) {
		passengers_on_failure(batch, index, error);
		return;
	}
	batch->done++;
	if (call->sticky)
		call->refused +=
			error->code == ERROR_FAILED || error->code == ERROR_BAD_ARGUMENT || error->code == ERROR_NO_SUCH_METHOD;
	if (call->answered) {
		call->core->late++;
		return;
	}
	if (call->reruns > 0 && error->ran == RAN_NO)
		error->ran = RAN_MAYBE; /* an earlier worker may have run it */
	call->pool->counts.failures += !call_is_probe(call);
	if (!call_gathers(call) && !call->stream.on) {
		call->left = 0;
		close_books(call, true, error_code_name(error->code));
		ticket_answer_error(&call->ticket, error);
		return;
	}
	if (call_gathers(call))
		error->index = (int64_t)index;
	if (call->errors == ERRORS_FIRST)
		call_fail(call, error);
	else if (keep_failure(call, call->yield.on ? call->stream.sent : index, error) < 0)
		call_fail_for_memory(call);
	else
		task_answered(call, 1);
}

void call_on_input_failed(struct call *call, struct error *error)
{
	error->pool = call->pool->name;
	error->index = (int64_t)call->total;
	if (keep_failure(call, call->total++, error) < 0)
		call_fail_for_memory(call);
}

void batch_fail(struct batch *batch, const struct error *cause)
{
	while (batch->done < batch->count && !batch->call->answered) {
		struct error error;
		error_copy(&error, cause);
		call_on_failure(batch, batch->first + batch->done, &error);
	}
	batch_end(batch);
}

void call_on_progress(const struct call *call, struct span values)
{
	if (!call->answered && call->progress && !call_gathers(call))
		stream_progress(&call->ticket, values);
}

/* Withdraws the tasks of an answered call and drops its results. The call lives on until its last batch has come back. */
static void let_go(struct call *call)
{
	call_drop_results(call);
	input_drop(call);
	withdraw_batches(call);
}

/* May a task of the call have run? */
static bool has_run(const struct call *call)
{
	return call->reruns > 0 || call->put_off || call->left < call->total;
}

void call_fail(struct call *call, const struct error *cause)
{
	struct error error;

	if (call->answered)
		return;
	if (call->train) {
		passengers_fail(call, cause);
		return;
	}
	error_copy(&error, cause);
	if (error.index < 0 && error.ran == RAN_NO && has_run(call))
		error.ran = RAN_MAYBE;
	close_books(call, true, error_code_name(error.code));
	answer_failed(call, &error);
	let_go(call);
}

void call_abandon(struct call *call)
{
	if (call->answered)
		return;
	close_books(call, true, "dropped, as its client has gone,");
	let_go(call);
}

bool call_rerun(struct call *call)
{
	if (call->answered || !call->idempotent || call->yield.on || call->reruns == RERUNS_MAX)
		return false;
	call->reruns++;
	call_trace(call, NULL, "is idempotent, and runs again (%u of %d times): its worker died", call->reruns, RERUNS_MAX);
	return true;
}

/* ---- queueing ---- */

/* The batch is addressed to a slot whose last start has failed. */
static void refuse(struct batch *batch)
{
	struct error error;

	slot_say_unavailable(batch->slot, &error);
	call_on_failure(batch, batch->first, &error);
	batch_end(batch);
}

int call_queue(struct batch *batch)
{
	const int r = scheduler_add(batch);

	if (r != -EHOSTDOWN)
		return r;
	refuse(batch);
	return 0;
}

static int queue_input(struct call *call)
{
	struct input *input = &call->input;
	struct batch *batch = NULL;
	int r = 0;

	input->busy = true;
	while (!call->answered && (r = input_next(call, &batch)) == 0 && batch && (r = call_queue(batch)) == 0)
		;
	input->busy = false;
	input_grant(call);
	return r;
}

void call_go_on(struct call *call)
{
	if (call->input.busy)
		return; /* queue_input is on the stack: a batch that it queued has failed at once */
	if (call->input.on && queue_input(call) < 0)
		call_fail_for_memory(call);
	if (call->left == 0 && !call->input.open && !call->answered)
		answer(call);
}
