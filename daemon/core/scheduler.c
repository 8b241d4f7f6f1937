/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/scheduler.h"

#include "daemon/core/call_answer.h"
#include "daemon/core/lease.h"
#include "daemon/core/successor.h"
#include "daemon/core/to_worker.h"

#include <assert.h>
#include <errno.h>

#define RECALL_PAUSE_MOST (64 * MILLISECOND)

/* ---- lists: who is idle, who may be handed more ---- */

static bool may_be_ahead(const struct slot *slot)
{
	return !slot->closed && slot->pool->leases_waiting == 0 && slot->ahead < SCHEDULER_AHEAD &&
	       slot->handed_count < SCHEDULER_MOST && slot->out.bytes < SCHEDULER_UNSENT && !successor_is_awaited(slot);
}

static struct slot_list *list_for(struct slot *slot)
{
	if (slot->state != SLOT_READY || slot->plan != PLAN_STAY || slot->killed || slot->silent || slot->predecessor ||
	    slot->leased || replay_is_due(&slot->replay) || successor_is_awaited(slot))
		return NULL;
	if (slot->handed_count == 0)
		return &slot->pool->idle;
	return may_be_ahead(slot) ? &slot->pool->open : NULL;
}

/* Has scheduler_on_recall look, `after` nanoseconds from now, for tasks that wait in one slot and could run in another. */
static void watch(struct pool *pool, uint64_t after)
{
	const uint64_t at = pool->core->now + after;

	pool->recall_pause = MILLISECOND;
	if (!timer_is_set(&pool->recall) || pool->recall.at > at)
		timer_set(&pool->core->timers, &pool->recall, at);
}

void scheduler_relist(struct slot *slot)
{
	struct slot_list *list = list_for(slot);
	if (list == slot->listed || slot->cut_off)
		return;
	if (slot->listed)
		TAILQ_REMOVE(slot->listed, slot, link);
	if (list)
		TAILQ_INSERT_HEAD(list, slot, link); /* the one used last is the warmest */
	slot->listed = list;
	if (list == &slot->pool->idle && slot->pool->recall_pause > MILLISECOND)
		watch(slot->pool, MILLISECOND); /* tasks that wait in another slot may be for this one */
}

/* ---- how long it takes ---- */

/* Of `count` tasks; what has never been measured is thought to be long. */
static uint64_t estimate(const struct call *call, uint32_t count)
{
	const struct method *method = call->method;
	if (!method || !method->estimate)
		return SCHEDULER_AHEAD;
	return method->estimate * count;
}

/* How many tasks of a waiting batch go out at once. */
static uint32_t chunk_of(const struct batch *batch)
{
	const struct call *call = batch->call;
	if (batch->count == 1 || batch->returned > 0) /* together they may be what killed a worker */
		return 1;
	if (call->chunk)
		return call->chunk < batch->count ? call->chunk : batch->count;
	/* Towards the end in smaller pieces, so that all slots finish together. */
	const uint32_t slots = call->pool->size ? call->pool->size : 1;
	const uint32_t pace = method_pace(call->method), share = batch->count / (2 * slots) + 1;
	return pace < share ? pace : share;
}

static bool has_room(const struct slot *slot, uint64_t more)
{
	if (slot->handed_count == 0)
		return slot->listed || slot->leased || slot->plan != PLAN_STAY;
	return may_be_ahead(slot) && slot->ahead + more <= SCHEDULER_AHEAD;
}

/* ---- handing out ---- */

static uint32_t new_id(struct slot *slot)
{
	/* Batches are answered in order, so that the newest SCHEDULER_MOST ids are all that can be in use; but one that
	 * runs for long may be overtaken when those behind it are taken back again and again. */
	uint32_t id;
	do {
		id = slot->next_id++;
	} while (slot->by_id[id % BOARD_ENTRIES]);
	return id;
}

static void give(struct slot *slot, struct batch *batch)
{
	const uint32_t id = new_id(slot);

	batch->slot = slot;
	batch->id = id;
	batch->estimate = estimate(batch->call, batch->count);
	slot->by_id[id % BOARD_ENTRIES] = batch;
	TAILQ_INSERT_TAIL(&slot->handed, batch, link);
	slot->ahead += batch->estimate;
	slot->tasks += batch->count;
	if (slot->handed_count++ == 0)
		slot->heard = slot->pool->core->now;
	board_set_items(slot->board, id, batch->count);
	atomic_store_explicit(&board_entry(slot->board, id)->word, board_word(id, BOARD_HANDED), memory_order_release);
	call_trace(batch->call, slot, "handed over as batch %u: %u task%s from %llu on; %u batch%s in hand", id, batch->count,
		   batch->count == 1 ? "" : "s", (unsigned long long)batch->first, slot->handed_count,
		   slot->handed_count == 1 ? "" : "es");
	to_worker_batch(batch);
	scheduler_relist(slot);
	successor_consider(slot);
	watch(slot->pool, slot->handed_count > 1 || batch->count > 1 ? MILLISECOND : SCHEDULER_SILENCE);
}

void scheduler_release(struct batch *batch)
{
	struct slot *slot = batch->slot;

	TAILQ_REMOVE(&slot->handed, batch, link);
	slot->by_id[batch->id % BOARD_ENTRIES] = NULL;
	slot->ahead -= batch->estimate;
	if (--slot->handed_count == 0)
		slot->idle_since = slot->pool->core->now;
	if (!batch->addressed)
		batch->slot = NULL;
	scheduler_relist(slot);
}

/* Takes the batch whose turn it is, or as much of it as goes out at once, from the queue. */
static struct batch *take(struct queue *queue, struct batch *batch, const struct slot *slot)
{
	const uint32_t chunk = successor_allows(slot, chunk_of(batch));
	if (chunk < batch->count) {
		struct batch *part = batch_cut(batch, chunk);
		queue_turn(queue);
		return part;
	}
	if (TAILQ_NEXT(batch, link)) /* the last one takes its flow with it */
		queue_turn(queue);
	queue_remove(batch);
	return batch;
}

/* Hands the slot one batch of the queue, if there is one for which it has room. */
static bool pull_from(struct slot *slot, struct queue *queue)
{
	const bool own = queue == &slot->queue;
	struct batch *batch = own && slot->leased ? queue_next_of(queue, slot->leased->session) : queue_next(queue);
	if (!batch || !has_room(slot, estimate(batch->call, chunk_of(batch))))
		return false;
	batch = take(queue, batch, slot);
	if (!batch) { /* no memory to cut the batch */
		pool_wake_later(slot->pool);
		return false;
	}
	give(slot, batch);
	return true;
}

static bool pull_one(struct slot *slot)
{
	struct queue *own = &slot->queue, *shared = &slot->pool->queue;
	const bool takes_shared = slot->plan == PLAN_STAY && !slot->leased;

	slot->own_turn = !slot->own_turn;
	if (slot->own_turn)
		return (own->count && pull_from(slot, own)) || (takes_shared && shared->count && pull_from(slot, shared));
	return (takes_shared && shared->count && pull_from(slot, shared)) || (own->count && pull_from(slot, own));
}

void scheduler_pull(struct slot *slot)
{
	if (slot->state != SLOT_READY || slot->killed || slot->plan == PLAN_RETIRE || slot->predecessor ||
	    replay_is_due(&slot->replay))
		return;
	lease_serve(slot);
	if (slot->leased && slot->leased->state != LEASE_HELD)
		return;
	while (pull_one(slot))
		;
}

/* The shared queue goes to whoever is idle, then to those that may be handed more, each in turn. */
static void run_shared(struct pool *pool)
{
	struct slot *slot;

	while (pool->queue.count && (slot = TAILQ_FIRST(&pool->idle)))
		if (!pull_from(slot, &pool->queue))
			break;
	for (uint32_t turns = 0; pool->queue.count && turns < pool->size && (slot = TAILQ_FIRST(&pool->open)); turns++) {
		TAILQ_REMOVE(&pool->open, slot, link);
		TAILQ_INSERT_TAIL(&pool->open, slot, link);
		while (pool->queue.count && pull_from(slot, &pool->queue))
			;
	}
}

void scheduler_run(struct pool *pool)
{
	for (uint32_t i = 0; i < pool->size; i++)
		if (pool->slots[i]->queue.count)
			scheduler_pull(pool->slots[i]);
	run_shared(pool);
}

/* A new batch that any slot may have, and nothing waits before it: hand it out without a queue. */
static bool give_at_once(struct batch *batch)
{
	struct pool *pool = batch->call->pool;
	struct slot *slot = TAILQ_FIRST(&pool->idle);

	if (pool->queue.count || batch->count != 1 || batch->call->ticket.client->stalled)
		return false;
	if (!slot) {
		slot = TAILQ_FIRST(&pool->open);
		if (!slot || !has_room(slot, estimate(batch->call, 1)))
			return false;
		if (slot->handed_count % 16 == 0) { /* share a burst out, but not one by one: each wakes a process */
			TAILQ_REMOVE(&pool->open, slot, link);
			TAILQ_INSERT_TAIL(&pool->open, slot, link);
		}
	}
	give(slot, batch);
	return true;
}

int scheduler_add(struct batch *batch)
{
	struct pool *pool = batch->call->pool;
	struct slot *slot = batch->slot;

	if (batch->call->answered && !batch->call->sticky) { /* its siblings have failed it already */
		batch_end(batch);
		return 0;
	}
	if (!batch->addressed && give_at_once(batch))
		return 0;
	/* What is sticky waits when the worker that starts has been told already what to replay. */
	if (batch->addressed && slot->broken && !(batch->call->sticky && slot->state == SLOT_STARTING))
		return -EHOSTDOWN;
	if (queue_push(batch->addressed ? &slot->queue : &pool->queue, batch, pool_flow_client(pool, batch->call)) < 0) {
		batch_end(batch);
		return -ENOMEM;
	}
	call_trace(batch->call, batch->addressed ? slot : NULL, "waits: %u batch%s in the pool's queues", pool->waiting,
		   pool->waiting == 1 ? "" : "es");
	if (batch->addressed) {
		scheduler_pull(slot);
		return 0;
	}
	run_shared(pool);
	if (pool->queue.count > 0)
		sizing_on_waiting(pool);
	return 0;
}

/* Queues a batch again. If its call has been answered meanwhile, the batch ends instead (a sticky call runs all the same). */
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
	error_say(&error, ERROR_OVERLOADED, RAN_NO, "the daemon is out of memory");
	batch_fail(batch, &error);
}

void scheduler_put_back(struct batch *batch)
{
	struct pool *pool = batch->call->pool;
	const struct client *client = batch->call->ticket.client;

	if (client && client->internal) /* its slot may have been the last one that could do what a method waits for */
		timer_set(&pool->core->timers, &pool->circles, pool->core->now);
	requeue(batch, queue_push_front, batch->addressed ? &batch->slot->queue : &pool->queue);
}

void scheduler_move_to(struct batch *batch, struct slot *slot)
{
	batch->slot = slot;
	requeue(batch, queue_push, &slot->queue);
}

/* ---- taking back ---- */

#define LATE     (MILLISECOND / 2) /* a task that takes longer is stuck */
#define TOO_LATE (4 * MILLISECOND) /* so is a batch, though its items go on */

/* How long the worker has been at the running batch; 0: it runs none. */
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

/* Has the worker not begun what it was given, although nothing runs? Then its process is stopped, or at something that is no
 * task. A worker that still reads a message (`unsent` changes) reacts. */
static bool is_silent(struct slot *slot, uint64_t now)
{
	const struct batch *first = TAILQ_FIRST(&slot->handed);

	if (slot->unsent != slot->out.bytes)
		slot->heard = now;
	slot->unsent = slot->out.bytes;
	return board_state(slot->board, first->id) == BOARD_HANDED && now - slot->heard >= SCHEDULER_SILENCE &&
	       !atomic_load_explicit(&slot->board->since, memory_order_relaxed);
}

/* Takes back the items that the worker has not begun of a batch that it has. NULL: there are none, or no memory. */
static struct batch *take_rest(struct slot *slot, struct batch *batch)
{
	struct batch *rest;

	if (batch->addressed || batch->count == 1 || batch->call->answered)
		return NULL;
	rest = batch_new(batch->call, batch->first, batch->count, batch->at);
	if (!rest)
		return NULL;
	const uint32_t kept = board_cut(slot->board, batch->id, batch->done);
	if (kept <= batch->done || kept >= batch->count) { /* all have begun; or the worker has written nonsense to the board */
		batch_free(rest);
		return NULL;
	}
	batch_split(batch, kept, rest);
	slot->tasks -= rest->count;
	return rest;
}

/* Takes the tasks that the slot has not begun, and another slot may do, out of its hands; the last one first. */
static void take_back(struct slot *slot, struct batch_list *taken)
{
	struct batch *batch, *before, *rest;

	TAILQ_INIT(taken);
	for (batch = TAILQ_LAST(&slot->handed, batch_list); batch; batch = before) {
		before = TAILQ_PREV(batch, batch_list, link);
		if (batch->addressed)
			continue;
		if (!board_move(slot->board, batch->id, BOARD_HANDED, BOARD_REVOKED)) {
			if ((rest = take_rest(slot, batch)))
				TAILQ_INSERT_TAIL(taken, rest, link);
			continue;
		}
		slot->tasks -= batch->count;
		scheduler_release(batch);
		TAILQ_INSERT_TAIL(taken, batch, link);
	}
}

void scheduler_recall(struct slot *slot)
{
	struct batch_list taken;
	struct batch *batch;

	core_trace(slot->pool->core, slot->pool, slot, "what it has not begun is taken back: %s",
		   slot->silent ? "the worker does not react" : "it is at something slow");
	take_back(slot, &taken);
	while ((batch = TAILQ_FIRST(&taken))) { /* each goes to the front, before the later tasks that are back already */
		TAILQ_REMOVE(&taken, batch, link);
		scheduler_put_back(batch);
	}
	slot->closed = true;
	scheduler_relist(slot);
}

/* May something in the slot's hands, a task or a finished answer, have to wait for the task that runs? */
static bool holds_back(const struct slot *slot, const struct batch *first)
{
	if (slot->handed_count > 1 || board_state(slot->board, first->id) == BOARD_HANDED)
		return true;
	const uint32_t begun = board_begun(slot->board, first->id);
	return first->count > 1 && (begun < first->count || begun > first->done + 1);
}

/* Is the worker at a task for longer than LATE, or, of a longer batch, still at the same item as at the last look? */
static bool is_stuck(struct slot *slot, const struct batch *first, uint64_t now)
{
	const uint64_t before = slot->position;

	slot->position = position_of(slot, first);
	return time_at_work(slot, now) > LATE && (first->count == 1 || slot->position == before);
}

/* Nudges the worker once for each task or item that is stuck. */
static void nudge(struct slot *slot)
{
	if (slot->nudged == slot->position)
		return;
	slot->nudged = slot->position;
	slot->pool->core->ops->slot_nudge(slot);
}

/* Takes back what waits behind a stuck task, or in a worker that does not react. False: nothing can wait in the slot. */
static bool look_at(struct slot *slot, uint64_t now)
{
	const struct batch *first = TAILQ_FIRST(&slot->handed);

	if (!first || slot->state != SLOT_READY || slot->killed || !holds_back(slot, first))
		return false;
	const bool stuck = is_stuck(slot, first, now);
	if (stuck)
		nudge(slot);
	if (TAILQ_EMPTY(&slot->pool->idle))
		return true;
	slot->silent = is_silent(slot, now);
	if (stuck || slot->silent || time_at_work(slot, now) > TOO_LATE)
		scheduler_recall(slot);
	return true;
}

void scheduler_on_recall(struct timer *timer)
{
	struct pool *pool = container_of(timer, struct pool, recall);
	const uint64_t now = pool->core->now;
	struct slot *slot;
	bool waits = false;

	pool->recall_pause = pool->recall_pause < RECALL_PAUSE_MOST ? 2 * pool->recall_pause : RECALL_PAUSE_MOST;
	for (uint32_t i = 0; i < pool->size; i++)
		waits = look_at(pool->slots[i], now) || waits;
	TAILQ_FOREACH(slot, &pool->others, link)
	waits = look_at(slot, now) || waits;
	if (waits)
		timer_set(&pool->core->timers, timer, now + pool->recall_pause);
	else
		pool->recall_pause = 0;
	scheduler_run(pool);
}
