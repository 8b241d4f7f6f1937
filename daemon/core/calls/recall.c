/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/calls/recall.h"

#include "daemon/core/calls/call_answer.h"
#include "daemon/core/records/input.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/dispatch/scheduler.h"
#include "daemon/core/records/slot.h"
#include "daemon/core/calls/withdraw.h"

#define PAUSE_MAX (64 * MILLISECOND)

/* ---- back into a queue ---- */

/* Queues a batch again. If its call has been answered, the batch ends instead, unless the call is sticky. */
static void requeue(struct batch *batch, int (*push)(struct queue *, struct batch *, struct client *), struct queue *queue)
{
	struct error error;

	if (batch->call->answered && !batch->call->sticky) {
		batch_end(batch);
		return;
	}
	call_trace(batch->call, NULL, "%u task%s from %llu on, not begun, go%s back into the queue", batch->count,
		   batch->count == 1 ? "" : "s", (unsigned long long)batch->first, batch->count == 1 ? "es" : "");
	if (push(queue, batch, pool_flow_client(queue->pool, batch->call)) == 0)
		return;
	error_no_memory(&error, RAN_NO);
	batch_fail(batch, &error);
}

void recall_put_back(struct batch *batch)
{
	struct pool *pool = batch->call->pool;
	const struct client *client = batch->call->ticket.client;

	if (client && client->internal) /* a method waits for this task, and this slot may have been the last that could run it */
		timer_set(&pool->core->timers, &pool->circles, pool->core->now);
	requeue(batch, queue_push_front, batch->addressed ? &batch->slot->queue : &pool->queue);
}

void recall_move_to(struct batch *batch, struct slot *slot)
{
	batch->slot = slot;
	requeue(batch, queue_push, &slot->queue);
}

/* ---- taking back ---- */

#define LATE     (MILLISECOND / 2) /* a task that takes longer is stuck */
#define TOO_LATE (4 * MILLISECOND) /* a batch that takes longer is stuck, too, also when its items go on */

/* How long the worker has been running its batch. 0: it runs none. */
static uint64_t time_at_work(const struct slot *slot, uint64_t now)
{
	const uint64_t since = atomic_load_explicit(&slot->board->since, memory_order_relaxed);
	return since && now > since ? now - since : 0;
}

/* A number that changes with each task and item that the worker begins. */
static uint64_t position_of(const struct slot *slot, const struct batch *first)
{
	return atomic_load_explicit(&slot->board->since, memory_order_relaxed) + board_begun(slot->board, first->id);
}

/* A worker that reads its messages (`unsent` changes) reacts. */
static void note_reading(struct slot *slot, uint64_t now)
{
	if (slot->unsent != slot->out.bytes)
		slot->heard = now;
	slot->unsent = slot->out.bytes;
}

/* Has the worker begun none of its tasks, although none runs? Then its process is stopped, or does something that is no task. */
static bool is_silent(const struct slot *slot, const struct batch *first, uint64_t now)
{
	return board_state(slot->board, first->id) == BOARD_HANDED && now - slot->heard >= SCHEDULER_SILENCE &&
	       !atomic_load_explicit(&slot->board->since, memory_order_relaxed);
}

/* The order in which the tasks of a client wait in its flow. */
static bool comes_before(const struct batch *a, const struct batch *b)
{
	if (a->call == b->call)
		return a->first < b->first;
	return a->call->began != b->call->began ? a->call->began < b->call->began : (uintptr_t)a->call < (uintptr_t)b->call;
}

/* Puts the batch in its place in the list. The search begins at `near`, a batch of the list, or NULL for its end. */
static void insert(struct batch_list *taken, struct batch *batch, struct batch *near)
{
	struct batch *before = near ? near : TAILQ_LAST(taken, batch_list), *next;

	while (before && (next = TAILQ_NEXT(before, link)) && comes_before(next, batch))
		before = next;
	while (before && comes_before(batch, before))
		before = TAILQ_PREV(before, batch_list, link);
	if (before)
		TAILQ_INSERT_AFTER(taken, before, batch, link);
	else
		TAILQ_INSERT_HEAD(taken, batch, link);
}

/* Takes what the worker has not begun of the batch, as a batch of its own. NULL: it has begun all of it. */
static struct batch *take(struct batch *batch)
{
	struct slot *slot = batch->slot;

	if (!board_move(slot->board, batch->id, BOARD_HANDED, BOARD_REVOKED))
		return withdraw_rest(slot, batch);
	slot->tasks -= batch->count;
	slot_release(batch);
	return batch;
}

/* Takes the tasks that the slot has not begun, and that another slot may do, out of its hands. `client`: only those that wait in
 * its flows; NULL: all. They come into `taken`, which is in order. */
static void take_back(struct slot *slot, const struct client *client, const char *why, struct batch_list *taken)
{
	struct batch *batch, *before, *not_begun, *near = NULL;

	core_trace(slot->pool->core, slot->pool, slot, "what it has not begun is taken back: %s", why);
	for (batch = TAILQ_LAST(&slot->handed, batch_list); batch; batch = before) {
		before = TAILQ_PREV(batch, batch_list, link);
		if (batch->addressed || (client && pool_flow_client(slot->pool, batch->call) != client) ||
		    !(not_begun = take(batch)))
			continue;
		insert(taken, not_begun, near);
		near = not_begun;
	}
}

/* Each goes to the front of its queue, before the later tasks that are there already: so the last one comes first. */
static void put_back_all(struct batch_list *taken)
{
	struct batch *batch;

	while ((batch = TAILQ_LAST(taken, batch_list))) {
		TAILQ_REMOVE(taken, batch, link);
		recall_put_back(batch);
	}
}

/* Do the batch's items come from its call's input, which could keep them? */
static bool is_of_input(const struct batch *batch)
{
	const struct call *call = batch->call;
	return call->input.on && !call->input.sync && !call->answered;
}

/* The items of the call with which the list begins wait in the call again, and the call goes on with the first of them. */
static void put_first_call_back(struct batch_list *taken)
{
	struct call *call = TAILQ_FIRST(taken)->call;
	struct batch *batch = TAILQ_FIRST(taken), *before;

	input_unqueue(call);
	while ((before = TAILQ_NEXT(batch, link)) && before->call == call)
		batch = before;
	for (; batch; batch = before) {
		before = TAILQ_PREV(batch, batch_list, link);
		TAILQ_REMOVE(taken, batch, link);
		input_put_back(call, batch);
	}
	call_go_on(call);
}

/* Items of streams wait in their calls again, so that what has come after them need not wait behind them. The rest goes back
 * into the queues. */
static void put_where_others_pass(struct batch_list *taken)
{
	struct batch_list of_inputs = TAILQ_HEAD_INITIALIZER(of_inputs);
	struct batch *batch, *next;

	for (batch = TAILQ_FIRST(taken); batch; batch = next) {
		next = TAILQ_NEXT(batch, link);
		if (!is_of_input(batch))
			continue;
		TAILQ_REMOVE(taken, batch, link);
		TAILQ_INSERT_TAIL(&of_inputs, batch, link);
	}
	put_back_all(taken);
	while (!TAILQ_EMPTY(&of_inputs))
		put_first_call_back(&of_inputs);
}

/* ---- behind something slow ---- */

static void take_from_slow(struct slot *slot, struct batch_list *taken)
{
	take_back(slot, NULL, slot->silent ? "the worker does not react" : "it is at something slow", taken);
	slot->runs_slow = true;
	slot_relist(slot);
}

void recall_tasks(struct slot *slot)
{
	struct batch_list taken = TAILQ_HEAD_INITIALIZER(taken);

	take_from_slow(slot, &taken);
	put_back_all(&taken);
}

/* May another task in the slot's hands, or a finished answer, have to wait for the task that runs? */
static bool holds_back(const struct slot *slot, const struct batch *first)
{
	if (slot->handed_count > 1 || board_state(slot->board, first->id) == BOARD_HANDED)
		return true;
	const uint32_t begun = board_begun(slot->board, first->id);
	return first->count > 1 && (begun < first->count || begun > first->done + 1);
}

/* Has the worker been at its task for longer than LATE? Of a batch of many items: is it at the same item as when looked at
 * last? */
static bool is_stuck(const struct slot *slot, const struct batch *first, uint64_t now)
{
	return time_at_work(slot, now) > LATE && (first->count == 1 || slot->position == position_of(slot, first));
}

/* Nudges the worker once for each task or item that is stuck. */
static void nudge(struct slot *slot)
{
	if (slot->nudged == slot->position)
		return;
	slot->nudged = slot->position;
	slot->pool->core->ops->slot_nudge(slot);
}

/* Takes tasks that wait behind a stuck task, or in a worker that does not react, if another instance is free to do them. False:
 * no task can wait in the slot. */
static bool take_if_stuck(struct slot *slot, uint64_t now, bool another_is_free, struct batch_list *taken)
{
	const struct batch *first = TAILQ_FIRST(&slot->handed);

	if (!first || slot->state != SLOT_READY || slot->killed || !holds_back(slot, first))
		return false;
	const bool stuck = is_stuck(slot, first, now);
	slot->position = position_of(slot, first);
	if (stuck)
		nudge(slot);
	if (!another_is_free)
		return true;
	note_reading(slot, now);
	slot->silent = is_silent(slot, first, now);
	if (stuck || slot->silent || time_at_work(slot, now) > TOO_LATE)
		take_from_slow(slot, taken);
	return true;
}

/* ---- what was handed far ahead ---- */

/* Others than one client's maps wait: they wait for what is in the workers' hands. */
static void recall_excess(struct pool *pool)
{
	struct batch_list taken = TAILQ_HEAD_INITIALIZER(taken);

	if (!pool->laden_deep || pool->core->now >= pool->shared_until)
		return;
	pool->laden_deep = false;
	for (uint32_t i = 0; i < pool->size; i++)
		if (pool->slots[i]->ahead > SLOT_AHEAD && pool->slots[i]->handed_count > 1)
			take_back(pool->slots[i], NULL, "others wait", &taken);
	put_where_others_pass(&taken);
}

/* ---- when ---- */

void recall_on_timer(struct timer *timer)
{
	struct pool *pool = container_of(timer, struct pool, recall);
	struct batch_list taken = TAILQ_HEAD_INITIALIZER(taken);
	const uint64_t now = pool->core->now;
	const bool free = scheduler_first_free(pool);
	struct slot *slot;
	bool waits = false;

	recall_excess(pool);
	pool->recall_pause = pool->recall_pause < PAUSE_MAX ? 2 * pool->recall_pause : PAUSE_MAX;
	SLOT_FOREACH(slot, pool)
		waits = take_if_stuck(slot, now, free, &taken) || waits;
	put_back_all(&taken);
	if (waits)
		timer_set(&pool->core->timers, timer, now + pool->recall_pause);
	else
		pool->recall_pause = 0;
	scheduler_run(pool);
}

static void take_from_all(struct pool *pool, const struct client *client, const char *why, struct batch_list *taken)
{
	struct slot *slot;

	SLOT_FOREACH(slot, pool)
		if (slot->state == SLOT_READY && !slot->killed && slot->handed_count > 0)
			take_back(slot, client, why, taken);
}

void recall_from_client(const struct client *client)
{
	struct batch_list taken = TAILQ_HEAD_INITIALIZER(taken);
	struct pool *pool;

	TAILQ_FOREACH(pool, &client->core->pools, link) {
		take_from_all(pool, client, "its client does not read", &taken);
		if (TAILQ_EMPTY(&taken))
			continue;
		put_where_others_pass(&taken);
		pool_wake(pool); /* the slots have room for others now */
	}
}

void recall_from_pool(struct pool *pool)
{
	struct batch_list taken = TAILQ_HEAD_INITIALIZER(taken);

	take_from_all(pool, NULL, "the pool is paused", &taken);
	put_back_all(&taken);
	pool_wake(pool); /* calls from inside the pool go on */
}
