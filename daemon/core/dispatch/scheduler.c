/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/dispatch/scheduler.h"

#include "daemon/core/records/pool.h"
#include "daemon/core/records/slot.h"
#include "daemon/core/dispatch/to_worker.h"
#include "proto/plural.h"

#include <errno.h>

#define CHUNK_WORK_MAX (MILLISECOND)      /* of work in one batch of a map */
#define TRAIN_WORTH    (MILLISECOND / 20) /* of work: to do less costs less than to wake another worker */

/* ---- how long it takes ---- */

/* How long `count` tasks of the call take. A method that has not been measured counts as slow. */
static uint64_t estimate(const struct call *call, uint32_t count)
{
	const struct method *method = call->method;
	if (!method || !method->estimate)
		return SLOT_AHEAD;
	return method->estimate * count;
}

/* How many tasks wait: those of the batch's call from the batch on, and those of the other batches in the pool's queue. Each of
 * these is thought to have as many tasks as the batch. */
static uint64_t rest_from(const struct batch *batch)
{
	const struct call *call = batch->call;
	const uint32_t others = call->pool->queue.count - call->queued;

	return call->total - batch->first + (uint64_t)others * batch->count;
}

/* How much work of a stream a worker may have in its hands while other calls come, too: they wait for it. Two items, or
 * chunks that the caller wants, may always be there, so that no worker waits for the daemon after each of them. */
static uint64_t reach_of_stream(const struct call *call)
{
	const uint64_t least = SLOT_AHEAD / 2, two = 2 * call->method->estimate * (call->chunk ? call->chunk : 1);
	return two < least ? least : two < SLOT_AHEAD ? two : SLOT_AHEAD;
}

/* How much work a worker may have in its hands when the batch is a part of it. More than SLOT_AHEAD, so that it goes on while the
 * daemon waits for a CPU: only while nothing waits but one client's maps, and as long as there is as much for all others, too. */
static uint64_t reach_of(const struct batch *batch)
{
	const struct call *call = batch->call;
	const struct pool *pool = call->pool;
	const uint64_t slots = pool->size ? pool->size : 1;
	const bool shared = pool->core->now < pool->shared_until;

	if (shared && call->input.on && call->method)
		return reach_of_stream(call);
	if (shared || call->select != SELECT_MAP || !call->method || !queue_is_of_maps(&pool->queue))
		return SLOT_AHEAD;
	const uint64_t work = call->method->estimate * rest_from(batch) / (2 * slots);
	return work < SLOT_AHEAD ? SLOT_AHEAD : work < SLOT_AHEAD_MAX ? work : SLOT_AHEAD_MAX;
}

/* How much work goes into one batch: several batches make up a worker's reach. */
static uint64_t work_of_chunk(const struct batch *batch)
{
	const uint64_t part = reach_of(batch) / 3;
	return part < CHUNK_WORK_MAX ? part : CHUNK_WORK_MAX;
}

/* A train is not divided into parts that are shorter than it takes to wake another worker. */
static uint32_t part_of_train(const struct batch *batch, uint32_t slots)
{
	const struct method *method = batch->call->method;

	if (!method || !method->estimate)
		return 1;
	const uint64_t enough = TRAIN_WORTH / method->estimate;
	if (enough >= batch->count)
		return batch->count;
	const uint32_t share = batch->count / slots + 1, pace = method_pace(method, SLOT_AHEAD / 3);
	const uint32_t part = pace < share ? pace : share;
	return part < enough ? (uint32_t)enough : part;
}

/* How many tasks of a waiting batch go out as one batch. */
static uint32_t chunk_of(const struct batch *batch)
{
	const struct call *call = batch->call;
	if (batch->count == 1 || batch->returned > 0) /* one of them may have killed a worker */
		return 1;
	if (call->chunk)
		return call->chunk < batch->count ? call->chunk : batch->count;
	/* Towards the end of the call the batches are smaller, so that all slots finish together. */
	const uint32_t slots = call->pool->size ? call->pool->size : 1;
	if (call->train)
		return part_of_train(batch, slots);
	const uint64_t pace = method_pace(call->method, work_of_chunk(batch));
	const uint64_t share = (call->total - batch->first) / (2 * slots) + 1;
	const uint64_t chunk = pace < share ? pace : share;
	return chunk < batch->count ? (uint32_t)chunk : batch->count;
}

static bool has_room(const struct slot *slot, uint64_t more, uint64_t most)
{
	if (slot->pool->leases_waiting > 0 && slot_is_at_work(slot))
		return false; /* it can be leased when it has done this */
	if (slot->handed_count == 0)
		return slot->out.bytes < SLOT_UNSENT && (slot->listed || slot->leased || slot->plan != PLAN_STAY);
	return slot_may_be_ahead(slot, most) && slot->ahead + more <= most;
}

/* ---- handing out ---- */

/* In the last tenth of its calls (max_calls) an instance gets a successor; after the last one, the successor takes its place. */
static bool nears_its_end(const struct slot *slot)
{
	const uint64_t left = slot_calls_left(slot);

	return left <= slot->pool->settings.max_calls / 10 && (left == 0 || !slot->successor);
}

static void give(struct slot *slot, struct batch *batch)
{
	struct pool *pool = slot->pool;

	slot_take(slot, batch, estimate(batch->call, batch->count));
	call_trace(batch->call, slot, "handed over as batch %u: %u task%s from %llu on; %u batch%s in hand", batch->id,
		   batch->count, plural(batch->count), (unsigned long long)batch->first, slot->handed_count,
		   slot->handed_count == 1 ? "" : "es");
	to_worker_batch(batch);
	pool->laden_deep = pool->laden_deep || (slot->ahead > SLOT_AHEAD && slot->handed_count > 1);
	slot_relist(slot);
	if (nears_its_end(slot))
		pool_wake(pool);
	const bool may_wait = slot->handed_count > 1 || batch->count > 1 || slot->directs_count > 0;
	pool_watch(pool, may_wait ? MILLISECOND : SCHEDULER_SILENCE);
}

/* How many tasks of a waiting batch the slot may be handed. Of what is addressed to it any number may be at work. */
static uint32_t part_for(const struct slot *slot, const struct batch *batch)
{
	const uint32_t chunk = chunk_of(batch), most = chunk < BOARD_ITEMS_MAX ? chunk : BOARD_ITEMS_MAX;
	const uint32_t room = batch->addressed ? UINT32_MAX : slot_room(slot, batch), part = room < most ? room : most;
	const uint64_t left = slot_calls_left(slot);

	return left < part ? (uint32_t)left : part;
}

/* Takes the batch whose turn it is, or its first part, from the queue. NULL: there is no memory to cut it. */
static struct batch *take(struct batch *batch, struct slot *slot)
{
	const uint32_t chunk = part_for(slot, batch);

	slot->turns++;
	slot->pool->turns++;
	if (chunk < batch->count) {
		struct batch *part = batch_cut(batch, chunk);
		if (part)
			queue_shortened(batch, chunk);
		queue_turn(batch);
		return part;
	}
	queue_turn(batch);
	queue_remove(batch);
	return batch;
}

/* The batch whose turn it is in the pool's queue, and that may go to the slot. What would be at work there beyond max_concurrent
 * goes to the pool's other queue, so that nothing waits behind it. NULL: there is none, or no memory. */
static struct batch *next_with_room(struct slot *slot, struct queue *queue)
{
	struct pool *pool = slot->pool;
	struct batch *batch;

	while ((batch = queue_next(queue)) && slot_room(slot, batch) == 0) {
		if (queue == &pool->later)
			return NULL;
		if (queue_move(batch, &pool->later) < 0) {
			pool_wake_later(pool);
			return NULL;
		}
	}
	return batch;
}

static struct batch *next_for(struct slot *slot, struct queue *queue)
{
	if (queue != &slot->queue)
		return next_with_room(slot, queue);
	return slot->leased ? queue_next_of(queue, slot->holder) : queue_next(queue);
}

/* What has become of an attempt to hand a slot a batch. */
enum pull {
	PULL_NOTHING, /* nothing waits that may go to the slot */
	PULL_NO_ROOM, /* the slot has no room yet for what is next: it does its work, and nothing else overtakes meanwhile */
	PULL_GAVE,
};

/* Hands the slot one batch of the queue. */
static enum pull pull_from(struct slot *slot, struct queue *queue)
{
	const bool own = queue == &slot->queue;
	struct batch *batch = queue->count > 0 ? next_for(slot, queue) : NULL;
	if (!batch)
		return PULL_NOTHING;
	const uint64_t most = own || slot->queue.count > 0 ? SLOT_AHEAD : reach_of(batch);
	if (!has_room(slot, estimate(batch->call, chunk_of(batch)), most))
		return PULL_NO_ROOM;
	batch = take(batch, slot);
	if (!batch) { /* there is no memory to cut the batch */
		pool_wake_later(slot->pool);
		return PULL_NO_ROOM;
	}
	give(slot, batch);
	return PULL_GAVE;
}

/* Which of the pool's queues is first: `later`, unless the other has something of higher priority. */
static struct queue *first_shared(struct pool *pool)
{
	if (pool->later.count == 0)
		return &pool->queue;
	return pool->queue.count > 0 && queue_compare(&pool->queue, &pool->later) > 0 ? &pool->queue : &pool->later;
}

/* Hands the slot one batch that any slot may do. */
static enum pull pull_shared(struct slot *slot)
{
	struct pool *pool = slot->pool;
	struct queue *first = first_shared(pool);
	const enum pull pulled = pull_from(slot, first);

	if (pulled != PULL_NOTHING || pool->later.count == 0)
		return pulled;
	return pull_from(slot, first == &pool->later ? &pool->queue : &pool->later);
}

/* Is the slot's own queue, in which something waits, next? Else the pool's are. */
static bool is_own_turn(struct slot *slot)
{
	struct pool *pool = slot->pool;
	const int first = pool_shared_count(pool) > 0 ? queue_compare(&slot->queue, first_shared(pool)) : 0;

	return first != 0 ? first > 0 : !slot->shared_turn;
}

/* Hands the slot one batch. */
static enum pull pull_one(struct slot *slot)
{
	if (slot->queue.count == 0 && pool_shared_count(slot->pool) == 0)
		return PULL_NOTHING;
	/* run_shared serves slots that refuse. */
	const bool takes_shared = slot->plan == PLAN_STAY && !slot->leased && !slot->refuses;
	bool own = !takes_shared || (slot->queue.count > 0 && is_own_turn(slot));
	enum pull pulled = own ? pull_from(slot, &slot->queue) : pull_shared(slot);

	if (pulled == PULL_NOTHING && takes_shared) {
		own = !own;
		pulled = own ? pull_from(slot, &slot->queue) : pull_shared(slot);
	}
	if (pulled == PULL_GAVE)
		slot->shared_turn = own;
	return pulled;
}

void scheduler_pull(struct slot *slot)
{
	if (slot->state != SLOT_READY || slot->killed || slot->plan == PLAN_RETIRE || slot->predecessor ||
	    replay_is_due(&slot->replay))
		return;
	if (slot->leased && !slot->holder)
		return;
	while (pull_one(slot) == PULL_GAVE)
		;
}

/* Has the pool an instance that does not refuse tasks, and that has or will have room? */
static bool has_willing(const struct pool *pool)
{
	for (uint32_t i = 0; i < pool->size; i++) {
		const struct slot *slot = pool->slots[i];
		if (slot->state == SLOT_READY && !slot->refuses && !slot->killed && !slot->silent && !slot->leased)
			return true;
	}
	return false;
}

/* Those that have enough already get more of what nothing else waits beside. */
static void run_laden(struct pool *pool)
{
	struct slot *slot;

	for (uint32_t turns = 0; pool_shared_count(pool) && turns < pool->size && (slot = TAILQ_FIRST(&pool->laden)); turns++) {
		if (pull_shared(slot) != PULL_GAVE)
			break;
		if (slot->listed == &pool->laden) {
			TAILQ_REMOVE(&pool->laden, slot, link);
			TAILQ_INSERT_TAIL(&pool->laden, slot, link);
		}
	}
}

/* Those with direct channels come last in the list. */
struct slot *scheduler_first_free(const struct pool *pool)
{
	struct slot *slot = TAILQ_FIRST(&pool->idle);

	while (slot && slot->directs_count > 0 && atomic_load_explicit(&slot->board->since, memory_order_relaxed))
		slot = TAILQ_NEXT(slot, link);
	return slot;
}

/* An instance that has nothing of the daemon's, rather one that runs nothing at the moment. NULL: there is none. */
static struct slot *first_idle(const struct pool *pool)
{
	struct slot *slot = scheduler_first_free(pool);

	return slot ? slot : TAILQ_FIRST(&pool->idle);
}

/* Hands out the tasks of the pool's queue: to idle slots, then to slots that may be handed more, in turn. Instances that have
 * refused their last task get tasks only when there are no others. */
static void run_shared(struct pool *pool)
{
	struct slot *slot;

	while (pool_shared_count(pool) && (slot = first_idle(pool)))
		if (pull_shared(slot) != PULL_GAVE)
			break;
	for (uint32_t turns = 0; pool_shared_count(pool) && turns < pool->size && (slot = TAILQ_FIRST(&pool->open)); turns++) {
		TAILQ_REMOVE(&pool->open, slot, link);
		TAILQ_INSERT_TAIL(&pool->open, slot, link);
		scheduler_pull(slot); /* what is addressed to it may wait, too */
	}
	run_laden(pool);
	if (TAILQ_EMPTY(&pool->refusing) || pool_shared_count(pool) == 0 || has_willing(pool))
		return;
	while (pool_shared_count(pool) && (slot = TAILQ_FIRST(&pool->refusing)))
		if (pull_shared(slot) != PULL_GAVE)
			break;
}

void scheduler_run(struct pool *pool)
{
	for (uint32_t i = 0; i < pool->size; i++)
		if (pool->slots[i]->queue.count)
			scheduler_pull(pool->slots[i]);
	run_shared(pool);
	if (pool->size == 0 && pool_shared_count(pool) > 0) /* the tasks have come back from a removed slot */
		pool_wake_later(pool);
}

/* Does something wait before a new batch? Those in `later` wait for room among the calls at work (slot_room): only a batch that
 * needs such room, too, comes after them. */
static bool must_wait(const struct batch *batch, const struct slot *idle)
{
	const struct call *call = batch->call;
	const struct pool *pool = call->pool;

	if (pool->queue.count > 0 || (pool->paused && !call->inside) || call->ticket.client->stalled ||
	    (batch->count != 1 && !call->train))
		return true;
	return pool->later.count > 0 && idle && slot_room(idle, batch) < UINT32_MAX;
}

/* Hands a new batch that any slot may do to a slot at once, if nothing waits before it and a slot has room. */
static bool give_at_once(struct batch *batch)
{
	struct pool *pool = batch->call->pool;
	struct slot *slot = first_idle(pool);

	if (must_wait(batch, slot))
		return false;
	if (!slot)
		slot = TAILQ_FIRST(&pool->open);
	if (!slot || slot->queue.count > 0 || part_for(slot, batch) < batch->count)
		return false;
	if (slot->listed == &pool->open) {
		if (!has_room(slot, estimate(batch->call, batch->count), SLOT_AHEAD))
			return false;
		/* Shares a burst among the slots, in portions: each slot that gets a task has its process woken. */
		if (slot->handed_count % 16 == 0 || batch->count > 1) {
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

	if (batch->call->answered && !batch->call->sticky) { /* an earlier batch has failed the call already */
		batch_end(batch);
		return 0;
	}
	if (!batch->addressed && give_at_once(batch))
		return 0;
	/* A sticky batch waits when the worker that starts has been told already which calls to replay. */
	if (batch->addressed && slot->broken && !(batch->call->sticky && slot->state == SLOT_STARTING))
		return -EHOSTDOWN;
	if (queue_push(batch->addressed ? &slot->queue : &pool->queue, batch, pool_flow_client(pool, batch->call)) < 0) {
		batch_end(batch);
		return -ENOMEM;
	}
	call_trace(batch->call, batch->addressed ? slot : NULL, "waits: %u batch%s in the pool's queues", pool->waiting,
		   pool->waiting == 1 ? "" : "es");
	if (batch->addressed)
		scheduler_pull(slot);
	else
		run_shared(pool);
	if (batch->flow && (batch->addressed || !queue_is_of_maps(&pool->queue)))
		pool_note_sharing(pool);
	if (pool_shared_count(pool) > 0 && !batch->addressed)
		pool_grow_later(pool);
	return 0;
}
