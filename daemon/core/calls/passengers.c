/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/calls/passengers.h"

#include "daemon/core/calls/withdraw.h"
#include "daemon/core/dispatch/deferral.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/records/slot.h"
#include "proto/scan.h"

#include <errno.h>

/* ---- their ends ---- */

static bool is_unfinished(const struct call *call)
{
	const struct batch *batch;

	TAILQ_FOREACH(batch, &call->parts, of_call)
		if (batch->done < batch->count)
			return true;
	return false;
}

/* `count` passengers have been answered, or their client has gone. The call that stands for the train ends with the last
 * passenger. */
static void leave(struct call *call, uint32_t count)
{
	call->left -= count;
	if (call->left > 0 || call->answered)
		return;
	call->answered = true;
	core_reap_later(call->core, &call->ending);
	if (is_unfinished(call)) /* tasks of plain calls that were given up */
		withdraw_batches(call);
	call->ticket.client = NULL;
}

/* The plain call is about to be answered: its request counts for its client no more. */
static void settle(struct passenger *passenger)
{
	struct call *call = passenger->call;

	call->size -= passenger->size;
	call->ticket.client->pending -= passenger->size;
}

static uint64_t took(const struct call *call)
{
	return call->core->now - call->began;
}

/* The same line for the log as call_answer.c has for a call. */
static void trace_end(const struct passenger *passenger, const char *outcome)
{
	const struct call *call = passenger->call;

	core_trace(call->core, call->pool, NULL, "session %llu call %u, %.*s: %s after %.6f s", (unsigned long long)call->session,
		   passenger->ticket.msgid, SPAN_TEXT(call->name, 100), outcome, (double)took(call) / (double)SECOND);
}

static void answer_error(struct passenger *passenger, const struct error *error)
{
	struct call *call = passenger->call;

	settle(passenger);
	trace_end(passenger, error_code_name(error->code));
	methods_add_calls(&call->pool->methods, call->method, took(call), 1, 1);
	ticket_answer_error(&passenger->ticket, error);
}

/* ---- results ---- */

/* Skips one packed value, whose bytes have been scanned. */
static const uint8_t *pass_value(const uint8_t *p, const uint8_t *end)
{
	const unsigned fixed = scan_fixed(*p);
	return p + (fixed ? (int64_t)fixed : scan_length(p, (size_t)(end - p)));
}

/* Skips the response [1, msgid, nil, value]. NULL: these bytes are no such response. */
static const uint8_t *pass_response(const uint8_t *p, const uint8_t *end, uint32_t msgid)
{
	struct reader reader = {.p = p + 2, .end = end};
	uint64_t id;

	if (end - p < 5 || p[0] != 0x94 || p[1] != RPC_RESPONSE || read_uint(&reader, &id) < 0 || id != msgid ||
	    read_nil(&reader) < 0 || reader.p == end)
		return NULL;
	return pass_value(reader.p, end);
}

int passengers_on_responses(struct batch *batch, uint32_t count, struct span responses, struct block *block)
{
	struct call *call = batch->call;
	struct client *client = call->ticket.client;
	const uint8_t *p = responses.bytes, *end = p + responses.size, *from = p, *next;
	uint32_t answered = 0;
	int r = 0;

	if (client && block)
		block = client_claim(client, block, responses.size);
	for (uint32_t i = 0; i < count; i++, p = next) {
		struct passenger *passenger = &call->train->passengers[batch->first + batch->done];
		next = pass_response(p, end, passenger->ticket.msgid);
		if (!next) {
			r = -EBADMSG;
			break;
		}
		batch->done++;
		if (passenger->ticket.client) {
			settle(passenger);
			trace_end(passenger, "answered");
			ticket_detach(&passenger->ticket);
			answered++;
			continue;
		}
		call->core->late++;
		if (p > from)
			sendq_span(&client->out, block, from, (size_t)(p - from));
		from = next;
	}
	if (answered == 0)
		return r;
	if (p > from)
		sendq_span(&client->out, block, from, (size_t)(p - from));
	client_wrote(client);
	methods_add_calls(&call->pool->methods, call->method, took(call), answered, 0);
	leave(call, answered);
	return r;
}

static struct passenger *next_of(struct batch *batch)
{
	struct passenger *passenger = &batch->call->train->passengers[batch->first + batch->done];

	batch->done++;
	if (passenger->ticket.client)
		return passenger;
	batch->call->core->late++;
	return NULL;
}

void passengers_on_value(struct batch *batch, struct span value, struct block *block)
{
	struct call *call = batch->call;
	struct passenger *passenger = next_of(batch);

	if (!passenger)
		return;
	if (block)
		block = client_claim(call->ticket.client, block, value.size);
	settle(passenger);
	trace_end(passenger, "answered");
	methods_add_calls(&call->pool->methods, call->method, took(call), 1, 0);
	ticket_answer_span(&passenger->ticket, block, value);
	leave(call, 1);
}

static void fail_one(struct passenger *passenger, const struct error *error)
{
	passenger->call->pool->counts.failures++;
	answer_error(passenger, error);
	leave(passenger->call, 1);
}

void passengers_on_failure(struct batch *batch, uint64_t index, struct error *error)
{
	struct passenger *passenger = next_of(batch);

	(void)index; /* it is always the next task */
	if (passenger)
		fail_one(passenger, error);
}

/* ---- one is given up ---- */

static struct batch *batch_of(const struct passenger *passenger)
{
	const uint32_t index = passenger_index(passenger);
	struct batch *batch;

	TAILQ_FOREACH(batch, &passenger->call->parts, of_call)
		if (index >= batch->first + batch->done && index < batch->first + batch->count)
			return batch;
	return NULL;
}

/* Fails the tasks of a batch that is in no queue and in no slot's hands. */
static void fail_all_of(struct batch *batch, const struct error *cause)
{
	const struct train *train = batch->call->train;

	for (uint32_t i = batch->done; i < batch->count; i++) {
		struct passenger *passenger = (struct passenger *)&train->passengers[batch->first + i];
		if (passenger->ticket.client)
			fail_one(passenger, cause);
	}
}

/* Puts a batch that no worker has begun back at the front of the queue. */
static void put_back(struct batch *batch)
{
	struct call *call = batch->call;
	struct error error;

	pool_wake(call->pool);
	if (queue_push_front(&call->pool->queue, batch, call->ticket.client) == 0)
		return;
	error_no_memory(&error, RAN_NO);
	fail_all_of(batch, &error);
	batch_end(batch);
}

/* Takes one task out of a batch that waits. 0 or -ENOMEM. */
static int take_out(struct batch *batch, uint32_t index)
{
	const uint32_t before = index - (uint32_t)batch->first;

	if (batch->count == 1) {
		queue_remove(batch);
		batch_end(batch);
		return 0;
	}
	if (before > 0 && before < batch->count - 1) {
		struct batch *part = batch_cut(batch, before);
		if (!part)
			return -ENOMEM;
		queue_shortened(batch, before);
		queue_put_before(part, batch);
	}
	if (index == batch->first) {
		batch->done = 1;
		batch_drop_done(batch);
	} else {
		batch->count--;
	}
	queue_shortened(batch, 1);
	return 0;
}

/* Takes the tasks that the worker has not begun out of its hands, and puts them back into the queue. */
static void take_back(struct slot *slot, struct batch *batch)
{
	struct batch *rest;

	if (board_revoke(slot->board, batch->id)) {
		slot->tasks -= batch->count;
		slot_release(batch);
		put_back(batch);
	} else if ((rest = withdraw_rest(slot, batch))) {
		put_back(rest);
	}
}

/* May the worker's word of the batch be cancelled for this task? It must be the last task of the batch, for those behind it
 * would be cancelled, too, and the one that runs or comes next. Otherwise there was no memory to take other tasks back. */
static bool is_current(const struct batch *batch, uint32_t index)
{
	const uint64_t begun = batch->first + board_begun(batch->slot->board, batch->id), next = batch->first + batch->done;

	return index + 1 == batch->first + batch->count && (index + 1 <= begun || index == next);
}

/* Cancels a task that a worker has begun, if it is the last begun task of its batch. The answers of earlier tasks are on their
 * way. */
static enum revoked cancel_begun(const struct batch *batch, uint32_t index)
{
	struct board *board = batch->slot->board;

	if (index + 1 < batch->first + board_begun(board, batch->id))
		return REVOKED_TOO_LATE;
	return !is_current(batch, index) || board_cancel_call(board, batch->id, index) ? REVOKED_RUNNING : REVOKED_TOO_LATE;
}

/* Takes the passenger's task back if no worker has begun it. Else cancels it. */
static enum revoked withdraw(struct passenger *passenger)
{
	const uint32_t index = passenger_index(passenger);
	struct batch *batch = batch_of(passenger);

	if (batch && slot_has_in_hand(batch)) {
		take_back(batch->slot, batch);
		if (!passenger->ticket.client)
			return REVOKED; /* there was no memory to put it back: it has failed */
		batch = batch_of(passenger);
	}
	if (batch && batch->flow)
		return take_out(batch, index) == 0 ? REVOKED : REVOKED_RUNNING; /* without memory it stays queued */
	return batch && slot_has_in_hand(batch) ? cancel_begun(batch, index) : REVOKED_RUNNING;
}

/* The passenger has been answered, and its task runs on or is put off: tells its worker. */
static void let_go(const struct passenger *passenger)
{
	struct batch *batch = batch_of(passenger);

	if (batch && batch->tag)
		deferral_give_up(batch->slot, batch);
	else if (batch && slot_has_in_hand(batch) && is_current(batch, passenger_index(passenger)))
		withdraw_running(batch->slot, batch);
}

static void give_up(struct passenger *passenger, const struct error *cause)
{
	struct error error;

	const enum revoked revoked = withdraw(passenger);
	if (revoked == REVOKED_TOO_LATE || !passenger->ticket.client)
		return;
	error_copy(&error, cause);
	error.ran = revoked == REVOKED ? RAN_NO : RAN_MAYBE;
	error.pool = passenger->call->pool->name;
	answer_error(passenger, &error);
	if (revoked == REVOKED_RUNNING)
		let_go(passenger);
	leave(passenger->call, 1);
}

/* The `abandoned` of a passenger's ticket: the client has gone, or has cancelled the plain call. */
static void on_abandoned(struct ticket *ticket, const struct error *cause)
{
	struct passenger *passenger = container_of(ticket, struct passenger, ticket);

	if (cause) {
		give_up(passenger, cause);
		return;
	}
	settle(passenger);
	trace_end(passenger, "dropped, as its client has gone,");
	leave(passenger->call, 1);
}

const struct passenger *passenger_of(const struct ticket *ticket)
{
	return ticket->abandoned == on_abandoned ? container_of(ticket, struct passenger, ticket) : NULL;
}

uint32_t passengers_open(struct call *call, struct client *client)
{
	struct train *train = call->train;
	uint32_t size = 0;

	for (uint32_t i = 0; i < train->count; i++) {
		struct passenger *passenger = &train->passengers[i];
		const struct rpc rpc = {.type = RPC_REQUEST, .msgid = passenger->ticket.msgid};
		if (ticket_open(&passenger->ticket, client, &rpc, on_abandoned) < 0) {
			train->count = i;
			call->size = size;
			break;
		}
		size += passenger->size;
	}
	call->ticket.client = train->count > 0 ? client : NULL;
	call->ticket.msgid = train->passengers[0].ticket.msgid; /* for the log */
	return train->count;
}

/* ---- all fail ---- */

/* May the next task of the batch have run? The tasks behind it, if the worker has not begun them, are taken out of its hands
 * and fail. */
static enum ran withdraw_batch(struct batch *batch, struct error *error)
{
	struct batch *rest;

	if (batch->flow)
		return RAN_NO;
	if (!slot_has_in_hand(batch))
		return RAN_MAYBE;
	if (board_revoke(batch->slot->board, batch->id))
		return RAN_NO;
	rest = withdraw_rest(batch->slot, batch);
	if (rest) {
		error->ran = RAN_NO;
		fail_all_of(rest, error);
		batch_end(rest);
	}
	return RAN_MAYBE;
}

void passengers_fail(struct call *call, const struct error *cause)
{
	struct train *train = call->train;
	struct batch *batch, *next;
	struct error error;

	error_copy(&error, cause);
	for (batch = TAILQ_FIRST(&call->parts); batch && !call->answered; batch = next) {
		next = TAILQ_NEXT(batch, of_call);
		const enum ran ran = withdraw_batch(batch, &error);
		error.ran = ran;
		fail_all_of(batch, &error);
	}
	error.ran = RAN_NO; /* passengers whose tasks never were in a batch */
	for (uint32_t i = 0; i < train->count; i++)
		if (train->passengers[i].ticket.client)
			fail_one(&train->passengers[i], &error);
}
