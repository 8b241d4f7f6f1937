/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/entry/from_worker.h"

#include "daemon/core/calls/call_answer.h"
#include "daemon/core/calls/direct_life.h"
#include "daemon/core/dispatch/deferral.h"
#include "daemon/core/calls/lease.h"
#include "daemon/core/life/lost.h"
#include "daemon/core/calls/nested.h"
#include "daemon/core/calls/passengers.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/calls/recall.h"
#include "daemon/core/entry/request.h"
#include "daemon/core/life/slot_life.h"
#include "daemon/core/life/slot_state.h"
#include "daemon/core/dispatch/sticky.h"
#include "daemon/core/life/successor.h"
#include "daemon/core/calls/withdraw.h"
#include "daemon/core/dispatch/yield.h"
#include "proto/traceparent.h"

#include <errno.h>
#include <stdio.h>

enum { NESTED_MSGID = 1 };

static int read_ready(struct slot *slot, struct reader *reader, uint32_t count)
{
	struct error error;
	struct span value;

	if (slot->state != SLOT_STARTING)
		return slot->killed ? 0 : -EBADMSG;
	if (count == 1) {
		if (!slot->killed)
			slot_on_ready(slot);
		return 0;
	}
	if (read_value(reader, &value) < 0 || error_read(&error, value) < 0)
		return -EBADMSG;
	snprintf(slot->reason, sizeof slot->reason, "the constructor failed: %.*s%s%.*s", (int)error.type.size,
		 error.type.size > 0 ? (const char *)error.type.bytes : "", error.type.size > 0 ? ": " : "",
		 (int)error.message.size, (const char *)error.message.bytes);
	return 0; /* the worker ends by itself */
}

/* [REPLAYING, method] */
static int read_replaying(struct slot *slot, struct reader *reader)
{
	struct span method;

	if (read_text(reader, &method) < 0)
		return -EBADMSG;
	return slot_on_replaying(slot, method);
}

/* The worker has done the batch: learns from the time that it took, and takes it out of the slot's hands. */
static void finish(struct slot *slot, struct batch *batch)
{
	const uint32_t said = atomic_load_explicit(&board_entry(slot->board, batch->id)->spent, memory_order_relaxed);
	const uint64_t spent = board_nanoseconds(said);
	struct method *method = batch->call->method;

	if (!call_is_probe(batch->call)) {
		slot->calls += batch->count;
		methods_add_runs(&slot->pool->methods, method, spent, batch->count);
	}
	if (method) {
		method->calls += batch->count;
		if (!slot->refuses) /* a refused task took no time */
			method_learn(method, spent);
	}
	if (batch->call->remembered)
		sticky_on_run(batch->call->remembered, spent);
	slot_release(batch);
	if (slot->runs_slow) {
		slot->runs_slow = false;
		slot_relist(slot);
	}
}

static void end(struct slot *slot, struct batch *batch)
{
	finish(slot, batch);
	batch_end(batch);
}

/* A worker without memory for a task answers that the method failed, and did not run. */
static bool is_refusal(const struct error *error)
{
	return error->code == ERROR_FAILED && error->ran == RAN_NO;
}

static void on_task_failure(struct slot *slot, struct batch *batch, uint64_t index, struct error *error)
{
	if (is_refusal(error))
		slot_on_refusal(slot);
	else if (error->ran != RAN_NO)
		slot_on_work(slot);
	slot_fill_place(slot, error);
	slot->failed++;
	slot_note_failure(slot, "%.*s", (int)error->message.size, (const char *)error->message.bytes);
	call_on_failure(batch, index, error);
}

/* The instance has begun a task: it has memory. */
static void note_work(struct slot *slot)
{
	if (slot->refuses_for > 0)
		slot_on_work(slot);
}

static void on_values(struct slot *slot, struct batch *batch, uint32_t count, struct span values, struct block *block)
{
	note_work(slot);
	call_on_values(batch, count, values, block);
}

/* [REPLY, id, error, value]: value is the rest of the message. */
static int read_reply(struct slot *slot, struct reader *reader, struct block *block)
{
	struct error error;
	struct span value;
	uint64_t id;

	if (read_uint(reader, &id) < 0)
		return -EBADMSG;
	struct batch *batch = slot_batch(slot, id);
	if (!batch || batch->call->columns > 0)
		return -EBADMSG;
	if (read_nil(reader) == 0) {
		value = reader_rest(reader);
		on_values(slot, batch, 1, value, block);
	} else {
		if (read_value(reader, &value) < 0 || error_read(&error, value) < 0)
			return -EBADMSG;
		on_task_failure(slot, batch, batch->first, &error);
	}
	end(slot, batch);
	return 1;
}

static int after_items(struct slot *slot, struct batch *batch)
{
	if (batch->done < batch->count)
		return 0;
	end(slot, batch);
	return 1;
}

/* [PAYLOAD, id, place, offset, length, touched]: a REPLY whose value lies in `lent`, and has been scanned there. */
static int read_payload(struct slot *slot, struct reader *reader, struct block *lent)
{
	uint64_t id, place, offset, length;

	if (read_uint(reader, &id) < 0 || read_uint(reader, &place) < 0 || read_uint(reader, &offset) < 0 ||
	    read_uint(reader, &length) < 0)
		return -EBADMSG;
	struct batch *batch = slot_batch(slot, id);
	if (!batch || (batch->call->columns > 0 && !batch->call->train) || batch->done >= batch->count)
		return -EBADMSG;
	on_values(slot, batch, 1, (struct span){.bytes = lent->bytes + offset, .size = (size_t)length}, lent);
	return after_items(slot, batch);
}

/* Reads [.., id, item, ...]. Returns the batch of that id. NULL: there is none, or `item` is not its next task that has no
 * answer. */
static struct batch *read_item(struct slot *slot, struct reader *reader)
{
	uint64_t id, item;

	if (read_uint(reader, &id) < 0 || read_uint(reader, &item) < 0)
		return NULL;
	struct batch *batch = slot_batch(slot, id);
	if (!batch || batch->call->columns == 0 || item != batch->first + batch->done)
		return NULL;
	return batch;
}

static int read_results(struct slot *slot, struct reader *reader, struct block *block)
{
	struct batch *batch = read_item(slot, reader);
	struct span values;
	uint32_t count;

	if (!batch || read_array(reader, &count) < 0 || count == 0 || count > batch->count - batch->done)
		return -EBADMSG;
	values = reader_rest(reader);
	if (!batch->call->train) {
		on_values(slot, batch, count, values, block);
	} else {
		note_work(slot);
		if (passengers_on_responses(batch, count, values, block) < 0)
			return -EBADMSG;
	}
	return after_items(slot, batch);
}

static int read_item_error(struct slot *slot, struct reader *reader)
{
	struct batch *batch = read_item(slot, reader);
	struct error error;
	struct span value;

	if (!batch || read_value(reader, &value) < 0 || error_read(&error, value) < 0)
		return -EBADMSG;
	on_task_failure(slot, batch, batch->first + batch->done, &error);
	return after_items(slot, batch);
}

/* Adds the deferred task to the slot. It is given up if its call has been answered, and fails if the instance is to end. */
static void defer(struct slot *slot, struct batch *batch, uint64_t tag, bool at_work)
{
	if (at_work && batch->call->method)
		batch->call->method->at_work = true;
	deferral_add(slot, batch, tag, at_work);
	if (!batch_is_wanted(batch))
		deferral_give_up(slot, batch);
	else if (slot->pool->leaving || slot->pool->core->draining)
		lost_waiters(slot);
}

/* [DEFERRED, id, item, tag (, at work?)]. The item is the batch's next task that has no answer. */
static int read_deferred(struct slot *slot, struct reader *reader, uint32_t count)
{
	uint64_t id, item, tag;
	bool at_work = false;

	if (read_uint(reader, &id) < 0 || read_uint(reader, &item) < 0 || read_uint(reader, &tag) < 0 ||
	    (count == 5 && read_bool(reader, &at_work) < 0))
		return -EBADMSG;
	struct batch *batch = slot_batch(slot, id);
	if (!batch || batch->done >= batch->count || (batch->call->columns > 0 && item != batch->first + batch->done))
		return -EBADMSG;
	if (tag == 0 || idmap_get(&slot->by_tag, tag))
		return -EBADMSG;
	struct batch *one = batch_defer(batch);
	if (!one)
		return -ENOMEM;
	if (deferral_name(slot, one, tag) < 0) {
		batch_undefer(batch, one);
		return -ENOMEM;
	}
	if (one == batch)
		finish(slot, batch);
	defer(slot, one, tag, at_work);
	return one == batch ? 1 : after_items(slot, batch);
}

/* [ANSWER, tag, error, value] */
static int read_answer(struct slot *slot, struct reader *reader, struct block *block)
{
	struct error error;
	struct span value;
	uint64_t tag;

	if (read_uint(reader, &tag) < 0)
		return -EBADMSG;
	struct batch *batch = idmap_get(&slot->by_tag, tag);
	if (!batch)
		return -EBADMSG;
	if (read_nil(reader) == 0) {
		value = reader_rest(reader);
		deferral_remove(slot, batch);
		on_values(slot, batch, 1, value, block);
	} else {
		if (read_value(reader, &value) < 0 || error_read(&error, value) < 0)
			return -EBADMSG;
		deferral_remove(slot, batch);
		on_task_failure(slot, batch, batch->first, &error);
	}
	batch_end(batch);
	return 0;
}

/* The batch of a task that runs, or that was put off. */
static struct batch *task_batch(const struct slot *slot, uint64_t id)
{
	return id >= TASK_DEFERRED ? idmap_get(&slot->by_tag, id - TASK_DEFERRED) : slot_batch(slot, id);
}

/* There is no such task: was it put off and given up, and the worker does not know yet? 0; else -EBADMSG. */
static int excuse(const struct slot *slot, uint64_t id)
{
	return id >= TASK_DEFERRED && ledger_is(slot->board, id - TASK_DEFERRED, LEDGER_CANCELLED) ? 0 : -EBADMSG;
}

static int read_progress(struct slot *slot, struct reader *reader)
{
	uint64_t id;

	if (read_uint(reader, &id) < 0)
		return -EBADMSG;
	const struct batch *batch = task_batch(slot, id);
	if (!batch)
		return excuse(slot, id);
	call_on_progress(batch->call, reader_rest(reader));
	return 0;
}

/* [YIELD, id] or [YIELD, id, value] */
static int read_yield(struct slot *slot, struct reader *reader, struct block *block)
{
	uint64_t id;

	if (read_uint(reader, &id) < 0)
		return -EBADMSG;
	struct batch *batch = task_batch(slot, id);
	return batch ? yield_on_value(batch, reader_rest(reader), block) : excuse(slot, id);
}

/* [STATE, state] or [STATE, nil, error], from an instance that is being replaced. */
static int read_state(struct slot *slot, struct reader *reader, uint32_t count, struct block *block)
{
	struct span state = {0};
	struct error error;

	if (slot->state != SLOT_STOPPING || (count == 3 && read_nil(reader) < 0) || read_value(reader, &state) < 0)
		return -EBADMSG;
	if (count == 3) {
		if (error_read(&error, state) < 0)
			return -EBADMSG;
		slot_note_failure(slot, "its state could not be saved: %.*s", (int)error.message.size,
				  (const char *)error.message.bytes);
		state = (struct span){0};
	}
	if (slot->successor)
		successor_take_place(slot->successor, state, block);
	return 0;
}

/* [RESTORED], or [RESTORED, error]: the instance is as it was built, without its predecessor's state. */
static int read_restored(struct slot *slot, struct reader *reader, uint32_t count)
{
	struct error error;
	struct span value;

	if (!slot->replay.restoring)
		return -EBADMSG;
	if (count == 1) {
		slot_on_restored(slot, false);
		return 0;
	}
	if (read_value(reader, &value) < 0 || error_read(&error, value) < 0)
		return -EBADMSG;
	slot_note_failure(slot, "its predecessor's state could not be restored: %.*s", (int)error.message.size,
			  (const char *)error.message.bytes);
	slot_on_restored(slot, true);
	return 0;
}

/* Has the call whose method runs been given up? Of a train it is the last call that has begun. Such a call may have been given up
 * and run all the same: when there was no memory to take it out of its batch. */
static bool batch_is_in_vain(const struct slot *slot, const struct batch *batch)
{
	if (batch->tag)
		return ledger_is(slot->board, batch->tag, LEDGER_CANCELLED);
	const struct train *train = batch->call->train;
	const uint32_t begun = board_begun(slot->board, batch->id);

	if (train && begun > 0 && begun <= batch->count && !train->passengers[batch->first + begun - 1].ticket.client)
		return true;
	return board_state(slot->board, batch->id) == BOARD_CANCELLED;
}

static bool runs_in_vain(const struct slot *slot, const struct batch *batch)
{
	return batch ? batch_is_in_vain(slot, batch)
		     : board_direct_state_in(atomic_load(&slot->board->direct.word)) == DIRECT_CANCELLED;
}

static void answer_in_vain(struct slot *slot)
{
	struct error error;

	withdraw_say_in_vain(&error, RAN_NO);
	client_answer_error(&slot->nested.client, NESTED_MSGID, &error);
}

/* A method makes a nested call: that of the batch, or, if it is NULL, of the direct channel's message. The instance can have one
 * such call at a time. */
static int invoke(struct slot *slot, const struct batch *batch, struct direct *direct, struct span method, struct span args,
		  struct block *block)
{
	struct nested *nested = &slot->nested;
	struct rpc rpc = {.type = RPC_REQUEST, .msgid = NESTED_MSGID, .method = method, .params = args};

	nested->batch = batch && !batch->tag ? batch->id : 0;
	nested->tag = batch ? batch->tag : 0;
	nested->direct = direct;
	client_set_rights(&nested->client, batch ? batch->call->rights : direct->rights);
	if (runs_in_vain(slot, batch)) { /* nobody would cancel the nested call any more */
		answer_in_vain(slot);
		return 0;
	}
	const bool full = span_is(method, "objpool.call");
	const int r = (full ? request_full_call : request_call)(&nested->client, &rpc, block);
	nested->traceparent = (struct span){0};
	if (r < 0)
		return -EBADMSG;
	if (slot_awaited(slot)) { /* the call was not answered at once: the method waits */
		recall_tasks(slot);
		pool_wake(slot->pool);
	}
	return 0;
}

static int read_traceparent(struct reader *reader, struct span *text)
{
	return read_text(reader, text) < 0 || !traceparent_is_one(text->bytes, text->size) ? -EBADMSG : 0;
}

/* [INVOKE, id, method, args (, traceparent)] */
static int read_invoke(struct slot *slot, struct reader *reader, uint32_t count, struct block *block)
{
	struct span method, args, traceparent = {0};
	uint64_t id;

	if (read_uint(reader, &id) < 0 || read_text(reader, &method) < 0 || read_value(reader, &args) < 0)
		return -EBADMSG;
	if (count > 4 && read_traceparent(reader, &traceparent) < 0)
		return -EBADMSG;
	nested_begin(slot);
	if (slot_awaited(slot))
		return -EBADMSG; /* it has one under way */
	slot->nested.traceparent = traceparent;
	if (id >= INVOKE_DIRECT && id < TASK_DEFERRED) {
		struct direct *direct = direct_at(slot, id - INVOKE_DIRECT);
		return direct ? invoke(slot, NULL, direct, method, args, block) : -EBADMSG;
	}
	const struct batch *batch = task_batch(slot, id);
	if (batch)
		return invoke(slot, batch, NULL, method, args, block);
	if (excuse(slot, id) < 0)
		return -EBADMSG;
	answer_in_vain(slot);
	return 0;
}

/* [LEASED] or [LEASED, error] */
static int read_leased(struct slot *slot, struct reader *reader, uint32_t count)
{
	struct error error;
	struct span value;

	if (count > 1 && (read_value(reader, &value) < 0 || error_read(&error, value) < 0))
		return -EBADMSG;
	if (count > 1)
		slot_fill_place(slot, &error);
	if (slot->leases_asked == 0)
		return -EBADMSG;
	if (--slot->leases_asked == 0) /* else the answer belongs to a lease that has been given up */
		lease_on_answer(slot, count > 1 ? &error : NULL);
	return 0;
}

/* [PASSED, id]: the worker has skipped a batch that the board says was taken back. The slot must not have it in its hands any
 * more. */
static int read_passed(struct slot *slot, struct reader *reader)
{
	uint64_t id;

	return read_uint(reader, &id) < 0 || slot_batch(slot, id) ? -EBADMSG : 1;
}

/* [DETACHED, place, protocol error?] */
static int read_detached(struct slot *slot, struct reader *reader)
{
	uint64_t place;
	bool protocol_error;

	if (read_uint(reader, &place) < 0 || read_bool(reader, &protocol_error) < 0 ||
	    direct_on_closed(slot, place, protocol_error) < 0)
		return -EBADMSG;
	return 1;
}

static int read_message(struct slot *slot, struct span message, struct block *block)
{
	struct reader reader = reader_of(message);
	uint32_t count;
	uint64_t type;

	if (read_array(&reader, &count) < 0 || count < 1 || read_uint(&reader, &type) < 0)
		return -EBADMSG;
	switch (type) {
	case FROM_READY:
		return read_ready(slot, &reader, count);
	case FROM_REPLY:
		return count == 4 ? read_reply(slot, &reader, block) : -EBADMSG;
	case FROM_PAYLOAD:
		return count == 6 && block && block->fd >= 0 ? read_payload(slot, &reader, block) : -EBADMSG;
	case FROM_RESULTS:
		return count == 4 ? read_results(slot, &reader, block) : -EBADMSG;
	case FROM_ITEM_ERROR:
		return count == 4 ? read_item_error(slot, &reader) : -EBADMSG;
	case FROM_DEFERRED:
		return count == 4 || count == 5 ? read_deferred(slot, &reader, count) : -EBADMSG;
	case FROM_ANSWER:
		return count == 4 ? read_answer(slot, &reader, block) : -EBADMSG;
	case FROM_YIELD:
		return count == 2 || count == 3 ? read_yield(slot, &reader, block) : -EBADMSG;
	case FROM_INVOKE:
		return count == 4 || count == 5 ? read_invoke(slot, &reader, count, block) : -EBADMSG;
	case FROM_LEASED:
		return read_leased(slot, &reader, count);
	case FROM_STATE:
		return count == 2 || count == 3 ? read_state(slot, &reader, count, block) : -EBADMSG;
	case FROM_RESTORED:
		return count == 1 || count == 2 ? read_restored(slot, &reader, count) : -EBADMSG;
	case FROM_REPLAYING:
		return count == 2 ? read_replaying(slot, &reader) : -EBADMSG;
	case FROM_PASSED:
		return count == 2 ? read_passed(slot, &reader) : -EBADMSG;
	case FROM_DETACHED:
		return count == 3 ? read_detached(slot, &reader) : -EBADMSG;
	case FROM_COUNTED:
		direct_take_counts(slot);
		return 0;
	case FROM_PROGRESS:
		return count == 5 ? read_progress(slot, &reader) : -EBADMSG;
	default:
		return -EBADMSG;
	}
}

int slot_on_message(struct slot *slot, struct span message, struct block *block)
{
	const bool was_silent = slot->silent;

	slot->heard = slot->pool->core->now;
	slot->silent = false;
	if (was_silent)
		slot_relist(slot);
	const int r = read_message(slot, message, block);
	if (r < 0) {
		if (!slot->killed)
			slot_kill(slot, r == -ENOMEM ? NO_MEMORY : "it sent something that is no message of a worker");
		return r;
	}
	if (r > 0 || was_silent)
		slot_step(slot);
	return 0;
}
