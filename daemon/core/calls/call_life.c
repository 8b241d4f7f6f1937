/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/calls/call_life.h"

#include "daemon/core/calls/call_answer.h"
#include "daemon/core/calls/passengers.h"
#include "daemon/core/records/input.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/dispatch/sticky.h"
#include "daemon/core/dispatch/to_worker.h"
#include "daemon/core/calls/withdraw.h"
#include "proto/plural.h"

#include <assert.h>
#include <errno.h>

/* ---- ending ---- */

static void unbind(const struct call *call)
{
	for (uint32_t i = 0; i < call->pool->size; i++)
		to_worker_unbind(call->pool->slots[i], call->binding);
}

/* Frees the call if it has ended: it has been answered, it has no batch any more, and its input is closed. */
static void reap(struct ending *ending)
{
	struct call *call = container_of(ending, struct call, ending);
	struct pool *pool = call->pool;

	if (call->batches > 0 || call->input.open)
		return;
	assert(call->answered);
	timer_close(&pool->core->timers, &call->timer);
	if (call->binding)
		unbind(call);
	TAILQ_REMOVE(&pool->calls, call, link);
	pool->calls_count--;
	if (call->sticky)
		sticky_on_call_end(pool, call, call->refused == call->total && call->total > 0);
	call_free(call);
	pool_reap_later(pool);
}

/* The `abandoned` of a call's ticket: the client has gone, or has cancelled the call. */
static void on_abandoned(struct ticket *ticket, const struct error *cause)
{
	struct call *call = container_of(ticket, struct call, ticket);
	struct error error;

	if (!cause) {
		call_abandon(call);
		return;
	}
	error_copy(&error, cause);
	call_give_up(call, &error);
}

static void on_deadline(struct timer *timer)
{
	struct call *call = container_of(timer, struct call, timer);
	struct error error;

	error_say(&error, ERROR_TIMEOUT, RAN_MAYBE, "the call's time is over");
	call_give_up(call, &error);
}

/* ---- beginning ---- */

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
		if (call_queue(batch) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_map(struct call *call, const uint8_t *const *at)
{
	if (call->total == 0)
		return 0;
	struct batch *batch = batch_new(call, 0, (uint32_t)call->total, at);
	if (!batch)
		return -ENOMEM;
	if (!call->input.on)
		return call_queue(batch);
	input_add(call, batch);
	return 0;
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
		return call_queue(batch_of_single(call));
	}
	return -EINVAL;
}

static int set_deadline(struct call *call)
{
	struct timers *timers = &call->core->timers;

	if (!call->deadline)
		return 0;
	if (timer_open(timers, &call->timer, on_deadline) < 0)
		return -ENOMEM;
	timer_set(timers, &call->timer, call->deadline);
	return 0;
}

/* The priority that the call has: no higher than its user's calls may have. */
static int8_t priority_of(const struct call *call)
{
	if (call->sticky)
		return CALL_PRIORITY_STICKY;
	return call->rights ? rights_bound_priority(call->rights, call->priority) : call->priority;
}

/* Makes the call one of its pool's calls. */
static void enter(struct call *call, struct client *client)
{
	struct pool *pool = call->pool;

	call->priority = priority_of(call);
	call->ending.reap = reap;
	client->pending += call->size;
	TAILQ_INSERT_TAIL(&pool->calls, call, link);
	pool->calls_count++;
	call->began = pool->core->now;
	call->left = call->total;
}

int call_begin(struct call *call, struct client *client, const struct rpc *rpc, const uint8_t *const *at)
{
	struct pool *pool = call->pool;
	struct error error;
	const int r = ticket_open(&call->ticket, client, rpc, on_abandoned);
	if (r < 0) {
		call_free(call);
		return r;
	}
	enter(call, client);
	if (call_collects(call))
		call_collect(call);
	pool->counts.calls += !call_is_probe(call);
	client_count_calls(client, 1);
	call_trace(call, NULL, "comes, with %llu task%s%s%s", (unsigned long long)call->total, plural(call->total),
		   call->traceparent ? ", traceparent " : "", call->traceparent ? call->traceparent : "");
	call->ticket.fed = call->input.open;
	if (call->bind.size + call->bind_kwargs.size > 0 && call->columns > 0)
		call->binding = ++pool->core->last_binding;
	if (call->sticky && sticky_remember(pool, call, call->sticky, &error) < 0) {
		call_fail(call, &error);
	} else if (pool_note_session(pool, client) < 0 || set_deadline(call) < 0 || add_batches(call, at) < 0) {
		sticky_on_call_end(pool, call, true); /* new instances must not replay a call that old ones never got */
		call_fail_for_memory(call);
	}
	if (call->input.on || call->total == 0)
		call_go_on(call);
	return 0;
}

uint32_t call_begin_train(struct call *call, struct client *client)
{
	struct pool *pool = call->pool;
	const uint32_t count = passengers_open(call, client);

	if (count == 0) {
		call_free(call);
		return 0;
	}
	call->total = count;
	enter(call, client);
	pool->counts.calls += count;
	client_count_calls(client, count);
	call_trace(call, NULL, "comes, with %u calls of the same method behind it", count - 1);
	struct batch *batch = pool_note_session(pool, client) < 0 ? NULL : batch_new(call, 0, count, &call->train->bytes);
	if (!batch || call_queue(batch) < 0)
		call_fail_for_memory(call);
	return count;
}

/* ---- being fed ---- */

struct call *call_of_ticket(struct ticket *ticket)
{
	return ticket->abandoned == on_abandoned ? container_of(ticket, struct call, ticket) : NULL;
}

/* Keeps fed items: in `block` if they are large and lie there, else in a block of their own, to which *items points then. */
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
	call->input.bytes += items.size;
	call->size += items.size;
	call->ticket.client->pending += items.size;
	call->total += count;
	call->left += count;
	input_add(call, batch);
	return 0;
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
		return;
	}
	if (add_fed(call, count, items, block) < 0)
		call_fail_for_memory(call);
	call_go_on(call);
}

void call_feed_end(struct call *call, struct error *error)
{
	if (call->answered || !call->input.open)
		return;
	call->input.open = false;
	call->ticket.fed = false;
	if (error)
		call_on_input_failed(call, error);
	call_go_on(call);
}
