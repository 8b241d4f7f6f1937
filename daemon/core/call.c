/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/call.h"

#include "daemon/core/pool.h"
#include "daemon/core/scheduler.h"
#include "proto/pack.h"
#include "proto/scan.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define PROGRESS_EVERY (100 * MILLISECOND)

enum { RERUNS_MOST = 3 }; /* of an idempotent call: a poisonous one must not kill every worker in turn */

/* ---- being made ---- */

/* Where a span lies once what it was part of has moved. */
static struct span moved(struct span span, const uint8_t *from, const uint8_t *to)
{
	return (struct span){.bytes = to + (span.bytes - from), .size = span.size};
}

/* Pipelined small calls come and go by the million: the memory of those that have ended is used again. */
struct spare_call {
	struct spare_call *next;
};

static void *take_spare(struct core *core)
{
	struct spare_call *spare = core->spare_calls;
	core->spare_calls = spare->next;
	core->spare_count--;
	return spare;
}

void call_free_spare(struct core *core)
{
	while (core->spare_calls)
		free(take_spare(core));
}

struct call *call_new(struct client *client, struct rpc *rpc, struct block *block)
{
	const uint8_t *begin = rpc->method.bytes;
	const size_t size = (size_t)(rpc->params.bytes + rpc->params.size - begin);
	struct block *shared = block && (size >= SENDQ_SHARE || block->files) ? client_claim(client, block, size) : NULL;
	const bool small = size <= CALL_SMALL && !shared; /* a call that shares the block keeps no bytes of its own */
	const size_t room = sizeof(struct call) + (shared ? 0 : small ? CALL_SMALL : size);
	struct call *call = small && client->core->spare_calls ? take_spare(client->core) : malloc(room);
	if (!call)
		return NULL;
	account_charge(client->account, room);
	*call = (struct call){.session = client->id, .size = size, .small = small, .account = client->account, .memory = room};
	TAILQ_INIT(&call->parts);
	gather_init(&call->gather, client->account);
	input_init(&call->input);
	stream_init(&call->stream, client->account);
	if (shared) {
		call->block = block_ref(shared);
		call->size += block->files ? block->files->count * (uint64_t)CALL_FILE : 0;
		return call;
	}
	uint8_t *copy = (uint8_t *)(call + 1);
	memcpy(copy, begin, size);
	rpc->method = moved(rpc->method, begin, copy);
	rpc->params = moved(rpc->params, begin, copy);
	return call;
}

void call_free(struct call *call, struct core *core)
{
	assert(call->batches == 0);
	gather_free(&call->gather);
	stream_free(&call->stream);
	block_unref(call->block);
	block_unref(call->merged);
	if (call->keys) {
		account_credit(call->account, call->kwcolumns * sizeof *call->keys);
		free(call->keys);
	}
	account_credit(call->account, call->memory);
	if (!call->small || core->spare_count == CALL_SPARE) {
		free(call);
		return;
	}
	struct spare_call *spare = (struct spare_call *)call;
	spare->next = core->spare_calls;
	core->spare_calls = spare;
	core->spare_count++;
}

/* Frees the call if it has ended: it has been answered, no batch of it is left, and its input is closed. */
static void call_reap(struct ending *ending)
{
	struct call *call = container_of(ending, struct call, ending);
	struct pool *pool = call->pool;

	if (call->batches > 0 || call->input.open)
		return;
	assert(call->answered);
	timer_close(&pool->core->timers, &call->timer);
	if (call->binding)
		for (uint32_t i = 0; i < pool->size; i++)
			slot_unbind(pool->slots[i], call->binding);
	TAILQ_REMOVE(&pool->calls, call, link);
	pool->calls_count--;
	sticky_on_call_end(pool, call, call->refused == call->total && call->total > 0);
	call_free(call, pool->core);
	pool_on_ended(pool);
}

/* ---- batches ---- */

static size_t batch_memory(const struct call *call)
{
	return sizeof(struct batch) + call->columns * sizeof(const uint8_t *);
}

struct batch *batch_new(struct call *call, uint64_t first, uint32_t count, const uint8_t *const *at)
{
	struct batch *batch = malloc(batch_memory(call));
	if (!batch)
		return NULL;
	*batch = (struct batch){.call = call, .first = first, .count = count};
	account_charge(call->account, batch_memory(call));
	if (call->columns)
		memcpy(batch->at, at, call->columns * sizeof *at);
	TAILQ_INSERT_TAIL(&call->parts, batch, of_call);
	call->batches++;
	return batch;
}

const uint8_t *items_skip(const uint8_t *at, uint32_t count)
{
	/* They were scanned when they came: there is an end. */
	struct scan scan;
	scan_begin_many(&scan, count, INT64_MAX);
	(void)scan_run(&scan, at, INT64_MAX);
	return at + scan.pos;
}

struct batch *batch_cut(struct batch *waiting, uint32_t count)
{
	assert(count > 0 && count < waiting->count);
	struct batch *part = batch_new(waiting->call, waiting->first, count, waiting->at);
	if (!part)
		return NULL;
	part->returned = waiting->returned;
	for (uint32_t c = 0; c < waiting->call->columns; c++)
		waiting->at[c] = items_skip(waiting->at[c], count);
	waiting->first += count;
	waiting->count -= count;
	if (waiting->block) {
		part->block = block_ref(waiting->block);
		part->bytes = (uint64_t)(waiting->at[0] - part->at[0]);
		waiting->bytes -= part->bytes;
	}
	return part;
}

void batch_split(struct batch *batch, uint32_t kept, struct batch *rest)
{
	assert(kept > 0 && kept < batch->count && rest->count == batch->count);
	for (uint32_t c = 0; c < batch->call->columns; c++)
		rest->at[c] = items_skip(rest->at[c], kept);
	rest->first += kept;
	rest->count -= kept;
	batch->count = kept;
	if (batch->block) {
		const uint64_t bytes = (uint64_t)(rest->at[0] - batch->at[0]);
		rest->block = block_ref(batch->block);
		rest->bytes = batch->bytes - bytes;
		batch->bytes = bytes;
	}
}

struct batch *batch_defer(struct batch *batch)
{
	struct call *call = batch->call;

	if (batch->count == 1) {
		batch->done = 0;
		return batch;
	}
	struct batch *one = batch_new(call, batch->first + batch->done, 1, batch->at); /* its items are not looked at again */
	if (one)
		batch->done++;
	return one;
}

void batch_undefer(struct batch *batch, struct batch *one)
{
	if (one == batch)
		return;
	batch->done--;
	batch_free(one);
}

static void batch_reap(struct ending *ending)
{
	free(container_of(ending, struct batch, ending));
}

void batch_free(struct batch *batch)
{
	struct call *call = batch->call;

	assert(!batch->flow);
	if (batch->block) {
		block_unref(batch->block);
		call->size -= batch->bytes;
		if (!call->answered && call->ticket.client)
			call->ticket.client->pending -= batch->bytes;
	}
	if (!batch->embedded) {
		TAILQ_REMOVE(&call->parts, batch, of_call);
		account_credit(call->account, batch_memory(call));
		core_reap_later(call->pool->core, &batch->ending, batch_reap);
	}
	call->batches--;
}

void batch_end(struct batch *batch)
{
	struct call *call = batch->call;

	yield_end(batch);
	batch_free(batch);
	if (call->batches == 0)
		core_reap_later(call->pool->core, &call->ending, call_reap);
}

/* ---- being answered ---- */

static void close_books(struct call *call, bool failed)
{
	struct pool *pool = call->pool;

	call->answered = true;
	core_reap_later(pool->core, &call->ending, call_reap);
	if (call->ticket.client && !call_is_probe(call))
		measure_add_call(pool, call->method, pool->core->now - call->began, failed);
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

/* All tasks have a result: the answer goes out. */
static void answer(struct call *call)
{
	close_books(call, call->gather.failed >= 0);
	if (call->gather.failed >= 0)
		ticket_answer_packed_error(&call->ticket, &call->gather.failure);
	else if (call->stream.on)
		stream_close(&call->stream, &call->ticket, call->method ? call->method->estimate : 0);
	else
		answer_gathered(call);
	gather_free(&call->gather);
	stream_free(&call->stream);
}

static void fail_for_memory(struct call *call)
{
	struct error error;
	error_say(&error, ERROR_OVERLOADED, RAN_MAYBE, "the daemon is out of memory");
	call_fail(call, &error);
}

/* A gathering call tells by itself how far it is, when it wasn't long ago that it did. */
static void tell_progress(struct call *call)
{
	const uint64_t now = call->pool->core->now;
	uint8_t room[3 * PACK_UINT], *p = room;

	if (!call->progress || !call_gathers(call) || (call->left > 0 && now - call->progress_at < PROGRESS_EVERY))
		return;
	call->progress_at = now;
	p = pack_uint(p, call->total - call->left);
	p = call->input.open ? pack_nil(p) : pack_uint(p, call->total);
	p = pack_nil(p);
	stream_progress(&call->ticket, (struct span){.bytes = room, .size = (size_t)(p - room)});
}

static void answer_if_done(struct call *call)
{
	if (call->left == 0 && !call->input.open && !call->input.busy && !call->answered)
		answer(call);
}

/*
 * Results that can't leave yet are counted as they come. The call fails when its gathered results are over max_message, or when
 * the daemon's memory is taken up and its client holds more than its share. Then the results are freed, and no more tasks are
 * begun.
 */
static void fail_if_over(struct call *call)
{
	const uint64_t limit = call->pool->core->limits.max_message;
	const uint64_t held = call->stream.on ? call->stream.early_bytes : call->gather.size;
	struct error error;

	if (held == 0 || call->answered)
		return;
	if (held > limit && !call->stream.on)
		error_say(&error, ERROR_TOO_LARGE, call->left > 0 ? RAN_MAYBE : RAN_YES,
			  "the gathered results are more than max_message = %llu bytes: use a stream", (unsigned long long)limit);
	else if (call->ticket.client && client_is_greedy(call->ticket.client))
		client_refuse(call->ticket.client, RAN_MAYBE, &error);
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
	tell_progress(call);
	if (call->input.on) {
		call->input.round -= call->input.sync ? count : 0;
		if (input_pump(call) < 0)
			fail_for_memory(call);
	}
	answer_if_done(call);
}

void call_on_values(struct batch *batch, uint32_t count, struct span values, struct block *block)
{
	struct call *call = batch->call;
	const uint64_t first = batch->first + batch->done;
	int r;

	batch->done += count;
	if (call->answered) {
		call->pool->core->late += count;
		return;
	}
	if (block)
		block = client_claim(call->ticket.client, block, values.size);
	if (call->yield.on) {
		r = 0; /* what it returns is nobody's */
	} else if (call->stream.on) {
		r = stream_values(&call->stream, &call->ticket, first, count, values, block);
	} else if (call_gathers(call)) {
		r = gather_values(&call->gather, first, count, values, block, call->errors == ERRORS_COLLECT, call->ticket.client);
	} else {
		call->left = 0;
		close_books(call, false);
		ticket_answer_span(&call->ticket, block, values);
		return;
	}
	if (r < 0)
		fail_for_memory(call);
	else
		task_answered(call, count);
}

/* Keeps the failure in its place, and, unless failures are collected, the first of them as the answer. */
static int keep_failure(struct call *call, uint64_t index, const struct error *error)
{
	const bool as_map = call->ticket.client && call->ticket.client->error_maps;
	const bool collect = call->errors == ERRORS_COLLECT;

	if (call->stream.on && stream_failure(&call->stream, &call->ticket, index, error) < 0)
		return -ENOMEM;
	if (call->stream.on && collect)
		return 0;
	return gather_failure(&call->gather, index, error, as_map, collect);
}

void call_on_failure(struct batch *batch, uint64_t index, struct error *error)
{
	struct call *call = batch->call;

	batch->done++;
	if (call->sticky)
		call->refused += error->code == ERROR_FAILED || error->code == ERROR_BAD_ARGUMENT || error->code == ERROR_NO_SUCH_METHOD;
	if (call->answered) {
		call->pool->core->late++;
		return;
	}
	if (call->reruns > 0 && error->ran == RAN_NO)
		error->ran = RAN_MAYBE; /* an earlier worker may have got to it */
	call->pool->counts.failures += !call_is_probe(call);
	if (!call_gathers(call) && !call->stream.on) {
		call->left = 0;
		close_books(call, true);
		ticket_answer_error(&call->ticket, error);
		return;
	}
	if (call_gathers(call))
		error->index = (int64_t)index;
	if (call->errors == ERRORS_FIRST)
		call_fail(call, error);
	else if (keep_failure(call, call->yield.on ? call->stream.sent : index, error) < 0)
		fail_for_memory(call);
	else
		task_answered(call, 1);
}

void batch_fail(struct batch *batch, const struct error *why)
{
	while (batch->done < batch->count && !batch->call->answered) {
		struct error error;
		error_copy(&error, why);
		call_on_failure(batch, batch->first + batch->done, &error);
	}
	batch_end(batch);
}

void call_on_progress(const struct call *call, struct span values)
{
	if (!call->answered && call->progress && !call_gathers(call))
		stream_progress(&call->ticket, values);
}

/* Lets go of the tasks of an answered call: drops those that wait, and tells the methods that run. The call lives on until its
 * last batch has come back. */
static void let_go(struct call *call)
{
	gather_free(&call->gather);
	stream_free(&call->stream);
	input_drop(call);
	pool_drop_batches(call);
}

/* May a task of the call have run, whatever has become of it? */
static bool has_run(const struct call *call)
{
	return call->reruns > 0 || call->put_off || call->left < call->total;
}

void call_fail(struct call *call, const struct error *why)
{
	struct error error;

	if (call->answered)
		return;
	error_copy(&error, why);
	if (error.index < 0 && error.ran == RAN_NO && has_run(call))
		error.ran = RAN_MAYBE;
	close_books(call, true);
	ticket_answer_error(&call->ticket, &error);
	let_go(call);
}

/* The ticket's: its client has gone, or has cancelled it. */
static void on_abandoned(struct ticket *ticket, const struct error *why)
{
	struct call *call = container_of(ticket, struct call, ticket);
	if (why) {
		struct error error;
		error_copy(&error, why);
		const enum revoked revoked = call_revoke(call);
		error.ran = revoked == REVOKED ? RAN_NO : RAN_MAYBE;
		error.pool = call->pool->name;
		if (revoked != REVOKED_TOO_LATE)
			call_fail(call, &error);
		return;
	}
	if (call->answered)
		return;
	close_books(call, true);
	let_go(call);
}

static void on_deadline(struct timer *timer)
{
	struct call *call = container_of(timer, struct call, timer);
	struct error error;
	const enum revoked revoked = call_revoke(call);

	if (revoked == REVOKED_TOO_LATE)
		return;
	error_say(&error, ERROR_TIMEOUT, revoked == REVOKED ? RAN_NO : RAN_MAYBE, "the call's time is over");
	error.pool = call->pool->name;
	call_fail(call, &error);
}

/* ---- beginning ---- */

static int add_single(struct call *call)
{
	struct batch *batch = &call->only;
	batch->call = call;
	batch->embedded = true;
	batch->count = 1;
	call->batches++;
	return scheduler_add(batch);
}

static int add_one_per_slot(struct call *call, const uint8_t *const *at)
{
	const uint8_t *next[CALL_COLUMNS];

	for (uint32_t c = 0; c < call->columns; c++)
		next[c] = at[c];
	for (uint32_t i = 0; i < call->total; i++) {
		struct batch *batch = batch_new(call, i, 1, next);
		if (!batch)
			return -ENOMEM;
		batch->slot = call->pool->slots[i];
		batch->addressed = true;
		for (uint32_t c = 0; c < call->columns; c++)
			next[c] = items_skip(next[c], 1);
		if (scheduler_add(batch) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_map(struct call *call, const uint8_t *const *at)
{
	if (call->input.fed)
		return input_pump(call); /* credit for the first items */
	if (call->total == 0)
		return 0;
	struct batch *batch = batch_new(call, 0, (uint32_t)call->total, at);
	if (!batch)
		return -ENOMEM;
	if (!call->input.on)
		return scheduler_add(batch);
	input_add(call, batch);
	return input_pump(call);
}

static int add_batches(struct call *call, const uint8_t *const *at)
{
	switch (call->select) {
	case SELECT_ALL:
	case SELECT_SCATTER:
		return add_one_per_slot(call, at);
	case SELECT_MAP:
		return add_map(call, at);
	case SELECT_ANY:
	case SELECT_SLOT:
	case SELECT_KEY:
		return add_single(call);
	}
	return -EINVAL;
}

static int set_deadline(struct call *call)
{
	struct timers *timers = &call->pool->core->timers;

	if (!call->deadline)
		return 0;
	if (timer_open(timers, &call->timer, on_deadline) < 0)
		return -ENOMEM;
	timer_set(timers, &call->timer, call->deadline);
	return 0;
}

int call_begin(struct call *call, struct client *client, const struct rpc *rpc, const uint8_t *const *at)
{
	struct pool *pool = call->pool;
	struct error error;
	const int r = ticket_open(&call->ticket, client, rpc, on_abandoned);
	if (r < 0) {
		call_free(call, pool->core);
		return r;
	}
	client->pending += call->size;
	TAILQ_INSERT_TAIL(&pool->calls, call, link);
	pool->calls_count++;
	pool->counts.calls += !call_is_probe(call);
	call->began = pool->core->now;
	call->left = call->total;
	call->ticket.fed = call->input.open;
	if (call->bind.size + call->bind_kwargs.size > 0 && call->columns > 0)
		call->binding = ++pool->core->last_binding;
	if (call->sticky && sticky_remember(pool, call, call->sticky, &error) < 0) {
		call_fail(call, &error);
	} else if (pool_note_session(pool, client) < 0 || set_deadline(call) < 0 || add_batches(call, at) < 0) {
		sticky_on_call_end(pool, call, true); /* some instances lack it: new ones must not get it either */
		fail_for_memory(call);
	}
	answer_if_done(call);
	return 0;
}

/* ---- being fed ---- */

struct call *call_of_ticket(struct ticket *ticket)
{
	return ticket->abandoned == on_abandoned ? container_of(ticket, struct call, ticket) : NULL;
}

/* The items in a block of their own, unless they are large and lie in one. */
static struct block *keep_items(struct span *items, struct block *block, struct account *account)
{
	if (block && (items->size >= SENDQ_SHARE || block->files))
		return block_ref(block);
	struct block *copy = block_new(account, items->size);
	if (!copy)
		return NULL;
	memcpy(copy->bytes, items->bytes, items->size);
	items->bytes = copy->bytes;
	return copy;
}

static int add_fed(struct call *call, uint32_t count, struct span items, struct block *block)
{
	struct block *kept = keep_items(&items, block, call->account);
	struct batch *batch = kept ? batch_new(call, call->total, count, &items.bytes) : NULL;

	if (!batch) {
		block_unref(kept);
		return -ENOMEM;
	}
	batch->block = kept;
	batch->bytes = items.size;
	call->size += items.size;
	call->ticket.client->pending += items.size;
	call->total += count;
	call->left += count;
	input_add(call, batch);
	return input_pump(call);
}

void call_feed(struct call *call, uint32_t count, struct span items, struct block *block)
{
	const struct input *input = &call->input;
	struct error error;

	if (call->answered || !input->open || count == 0)
		return;
	if (call->total + count > input->granted) {
		error_say(&error, ERROR_OVERLOADED, call->total > 0 ? RAN_MAYBE : RAN_NO,
			  "fed %llu items against credit for %llu", (unsigned long long)(call->total + count),
			  (unsigned long long)input->granted);
		error.pool = call->pool->name;
		call_fail(call, &error);
	} else if (add_fed(call, count, items, block) < 0) {
		fail_for_memory(call);
	}
}

void call_feed_end(struct call *call, struct error *why)
{
	if (call->answered || !call->input.open)
		return;
	call->input.open = false;
	call->ticket.fed = false;
	if (why) { /* one more item, which has failed already */
		why->pool = call->pool->name;
		why->index = (int64_t)call->total;
		call->left++;
		if (keep_failure(call, call->total++, why) < 0)
			fail_for_memory(call);
		else
			call->left--;
	}
	if (input_pump(call) < 0)
		fail_for_memory(call);
	answer_if_done(call);
}

bool call_rerun(struct call *call)
{
	if (call->answered || !call->idempotent || call->yield.on || call->reruns == RERUNS_MOST)
		return false;
	call->reruns++;
	return true;
}

static enum revoked revoke_all(const struct call *call)
{
	const struct batch *batch;
	bool begun = call->left < call->total;

	TAILQ_FOREACH(batch, &call->parts, of_call)
		if (slot_has_in_hand(batch) && !board_revoke(batch->slot->board, batch->id))
			begun = true;
	return begun ? REVOKED_RUNNING : REVOKED;
}

static enum revoked revoke_one(const struct batch *batch)
{
	struct board *board = slot_has_in_hand(batch) ? batch->slot->board : NULL;

	if (!board || board_revoke(board, batch->id))
		return REVOKED;
	(void)board_move(board, batch->id, BOARD_STARTED, BOARD_CANCELLED);
	return board_state(board, batch->id) == BOARD_COMMITTED ? REVOKED_TOO_LATE : REVOKED_RUNNING;
}

enum revoked call_revoke(const struct call *call)
{
	if (call->reruns > 0 || call->put_off || call->sticky)
		return REVOKED_RUNNING; /* or will run */
	return call_gathers(call) ? revoke_all(call) : revoke_one(&call->only);
}
