/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/life/successor.h"

#include "daemon/core/records/pool.h"
#include "daemon/core/records/queue.h"
#include "daemon/core/calls/recall.h"
#include "daemon/core/life/slot_state.h"
#include "daemon/core/dispatch/to_worker.h"

#include <assert.h>
#include <stdio.h>

#define TRY_AGAIN (30 * SECOND) /* after a successor that could not be built */

static void give_up(struct slot *old, const char *reason)
{
	old->no_successor = true;
	old->try_again = old->pool->core->now + TRY_AGAIN;
	slot_note_failure(old, "%s", reason);
}

bool successor_begin(struct slot *old, const char *cause)
{
	struct pool *pool = old->pool;

	if (old->successor && old->successor->waits_for_calls) {
		old->successor->waits_for_calls = false; /* it takes the place now, not only when max_calls is reached */
		old->successor->cause = cause;
		pool_wake(pool);
		return true;
	}
	if (old->successor || old->predecessor || old->plan != PLAN_STAY || old->state != SLOT_READY || old->killed)
		return false;
	core_trace(pool->core, pool, old, "is replaced: it has been handed %llu tasks, and is %.0f s old",
		   (unsigned long long)old->tasks, (double)(pool->core->now - old->since) / (double)SECOND);
	struct slot *successor = slot_new(pool, old->index);
	if (!successor) {
		give_up(old, NO_MEMORY);
		slot_relist(old); /* the old instance serves on, beyond max_calls */
		pool_wake(pool);
		return false;
	}
	successor->generation = old->generation;
	successor->predecessor = old;
	successor->cause = cause;
	successor->cut_off = true;
	old->successor = successor;
	old->no_successor = false;
	TAILQ_INSERT_TAIL(&pool->detached, successor, link);
	slot_relist(old);
	slot_start(successor);
	return true;
}

bool successor_recycle(struct slot *old, const char *cause)
{
	return !old->leased && !slot_has_waiters(old) && successor_begin(old, cause);
}

/* ---- by the number of calls ---- */

/* The slot's successor is ready. Is it time to retire the instance? */
static bool is_over(const struct slot *old)
{
	const struct slot *successor = old->successor;
	const bool awaited = successor->queue.count > 0; /* by sticky calls that the old instance had not begun */
	return old->plan == PLAN_STAY && (!successor->waits_for_calls || awaited || slot_calls_left(old) == 0);
}

static void retire(struct slot *old)
{
	old->plan = PLAN_RETIRE;
	slot_relist(old);
	slot_expect_end(old);
}

/* The timer of max_age has fired: begins to build a successor, or tries again in a second. */
static void consider_age(struct slot *slot)
{
	slot->aged = false;
	if (!successor_recycle(slot, "max_age"))
		slot_set_timer(slot, SECOND);
}

void successor_begin_or_retire(struct slot *slot)
{
	const uint64_t most = slot->pool->settings.max_calls;

	if (slot->aged)
		consider_age(slot);
	if (slot->successor && slot->successor->state == SLOT_READY && is_over(slot))
		retire(slot);
	if (most == 0 || slot->successor || slot->leased || slot_has_waiters(slot))
		return;
	if (slot->no_successor && slot->pool->core->now < slot->try_again)
		return;
	if (slot->tasks >= most - most / 10 && successor_begin(slot, "max_calls")) /* the successor is ready when max_calls is reached */
		slot->successor->waits_for_calls = true;
}

/* ---- under way ---- */

static void move_waiting(struct slot *from, struct slot *to)
{
	struct batch *batch;

	while ((batch = queue_any(&from->queue))) {
		queue_remove(batch);
		recall_move_to(batch, to);
	}
}

/* Takes the sticky tasks that the slot has not begun out of its hands and its queue, in their order. */
static void take_sticky(struct slot *slot, struct batch_list *taken)
{
	struct flow *flow;
	struct batch *batch, *next;

	TAILQ_INIT(taken);
	for (batch = TAILQ_FIRST(&slot->handed); batch; batch = next) {
		next = TAILQ_NEXT(batch, link);
		if (batch->call->sticky && board_move(slot->board, batch->id, BOARD_HANDED, BOARD_REVOKED)) {
			slot_release(batch);
			TAILQ_INSERT_TAIL(taken, batch, link);
		}
	}
	while ((flow = queue_flow(&slot->queue, slot->pool->self.id, CALL_PRIORITY_STICKY))) {
		batch = TAILQ_FIRST(&flow->batches);
		queue_remove(batch);
		TAILQ_INSERT_TAIL(taken, batch, link);
	}
}

void successor_take_sticky(struct slot *successor)
{
	struct batch_list taken;
	struct batch *batch;

	take_sticky(successor->predecessor, &taken);
	while ((batch = TAILQ_FIRST(&taken))) {
		TAILQ_REMOVE(&taken, batch, link);
		recall_move_to(batch, successor);
	}
}

void successor_on_failed(struct slot *successor)
{
	struct slot *old = successor->predecessor;

	old->successor = NULL;
	successor->predecessor = NULL;
	give_up(old, successor->reason);
	if (old->plan == PLAN_RETIRE)
		old->plan = PLAN_STAY;
	move_waiting(successor, old);
	slot_finish(successor);
	slot_relist(old);
	pool_wake(old->pool);
}

void successor_discard(struct slot *successor)
{
	struct slot *old = successor->predecessor;

	old->successor = NULL;
	successor->predecessor = NULL;
	move_waiting(successor, old);
	slot_end(successor);
}

static void take_counts(struct slot *successor, struct slot *old)
{
	successor->calls += old->calls;
	successor->failed += old->failed;
	successor->lost += old->lost;
	successor->restarts += old->restarts + 1;
	successor->served = true;
	successor->pool->counts.restarts += successor->state == SLOT_READY;
	old->calls = old->failed = old->lost = old->restarts = 0;
	memcpy(successor->last_failure, old->last_failure, sizeof successor->last_failure);
	successor->failed_at = old->failed_at;
}

void successor_take_place(struct slot *successor, struct span state, struct block *block)
{
	struct slot *old = successor->predecessor;
	struct pool *pool = old->pool;

	assert(pool->slots[old->index] == old);
	core_trace(pool->core, pool, old, "generation %llu takes the place of %llu%s", (unsigned long long)successor->generation,
		   (unsigned long long)old->generation, state.size > 0 ? ", with its state" : "");
	old->successor = NULL;
	successor->predecessor = NULL;
	TAILQ_REMOVE(&pool->detached, successor, link);
	slot_cut_off(old);
	successor->cut_off = false;
	pool->slots[old->index] = successor;
	pool->broken += successor->broken;
	take_counts(successor, old);
	move_waiting(old, successor);
	if (state.size > 0)
		to_worker_restore(successor, state, block);
	else
		to_worker_replay(successor);
	to_worker_later(successor);
	slot_relist(successor);
	pool->core->ops->slot_changed(successor);
	pool_wake(pool);
}
