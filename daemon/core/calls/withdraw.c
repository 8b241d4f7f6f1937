/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/calls/withdraw.h"

#include "daemon/core/dispatch/deferral.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/records/queue.h"
#include "daemon/core/records/slot.h"
#include "daemon/core/dispatch/yield.h"

/* ---- taking back a part ---- */

struct batch *withdraw_rest(struct slot *slot, struct batch *batch)
{
	struct batch *rest;

	if (batch->addressed || batch->count == 1 || batch->call->answered)
		return NULL;
	rest = batch_new(batch->call, batch->first, batch->count, batch->at);
	if (!rest)
		return NULL;
	const uint32_t kept = board_cut(slot->board, batch->id, batch->done + 1);
	if (kept <= batch->done || kept >= batch->count) { /* all have begun, or the worker wrote nonsense to the board */
		batch_free(rest);
		return NULL;
	}
	batch_split(batch, kept, rest);
	slot->tasks -= rest->count;
	slot_estimate(batch, batch->estimate / (kept + rest->count) * kept);
	return rest;
}

/* ---- before the call is answered: has anything begun? ---- */

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

enum revoked withdraw_or_cancel(struct call *call)
{
	if (call->reruns > 0 || call->put_off || call->sticky)
		return REVOKED_RUNNING; /* a task of it has run, or will run */
	return call_is_single(call) ? revoke_one(&call->only) : revoke_all(call);
}

/* ---- once it is answered ---- */

/* Is it the last of its call's batches in the slot? Of the begun batches only the last can be running. */
static bool is_last_of_call(const struct batch *batch)
{
	for (const struct batch *next = TAILQ_NEXT(batch, link); next; next = TAILQ_NEXT(next, link))
		if (next->call == batch->call)
			return false;
	return true;
}

void withdraw_limit_step(struct slot *slot)
{
	struct core *core = slot->pool->core;
	const uint64_t grace = slot->pool->settings.cancel_grace;
	const uint64_t step = atomic_load_explicit(&slot->board->step, memory_order_relaxed);

	if (grace == NEVER || (slot->given_up && slot->step == step))
		return;
	slot->step = step;
	slot->given_up = core->now;
	timer_set(&core->timers, &slot->step_grace, core->now + grace);
}

static void give_up(struct slot *slot, struct batch *batch)
{
	if (slot->nested.tag == batch->tag)
		withdraw_nested(slot);
	if (batch->at_work)
		withdraw_limit_step(slot);
	deferral_give_up(slot, batch);
}

/* Drops the batch. False: the worker has begun it. */
static bool drop(struct batch *batch)
{
	if (batch->tag) {
		give_up(batch->slot, batch);
		return true;
	}
	if (slot_has_in_hand(batch)) {
		if (!board_revoke(batch->slot->board, batch->id))
			return false;
		slot_release(batch);
	} else if (batch->flow) {
		queue_remove(batch);
	} else {
		return true; /* it is being queued: scheduler_add or requeue ends it */
	}
	batch_end(batch);
	return true;
}

void withdraw_say_in_vain(struct error *error, enum ran ran)
{
	error_say(error, ERROR_CANCELLED, ran, "this call was made by a method whose own call has been given up");
}

void withdraw_nested(const struct slot *slot)
{
	struct ticket *ticket = slot_awaited(slot);
	struct error error;

	if (!ticket)
		return;
	withdraw_say_in_vain(&error, RAN_MAYBE);
	ticket->abandoned(ticket, &error);
}

/* Does the board say that this batch runs? `since` is read first: it is 0 between what ends and what begins. */
static bool is_at_work(const struct board *board, uint32_t id)
{
	return atomic_load(&board->since) && board_direct_state_in(atomic_load(&board->direct.word)) == DIRECT_ENDED &&
	       atomic_load(&board->running) == id;
}

bool withdraw_grace_is_used(const struct slot *slot)
{
	struct board *board = slot->board;

	if (slot->grace_direct)
		return atomic_load(&board->direct.word) == slot->grace_direct;
	const struct batch *batch = slot_batch(slot, slot->grace_batch);
	return batch && board_state(board, batch->id) == BOARD_CANCELLED;
}

void withdraw_set_grace(struct slot *slot, uint32_t batch, uint64_t direct)
{
	struct core *core = slot->pool->core;
	const uint64_t grace = slot->pool->settings.cancel_grace;

	if (grace == NEVER)
		return;
	/* What was cancelled before runs still: what is cancelled now has ended, and its answer is on its way. */
	if (timer_is_set(&slot->grace) && withdraw_grace_is_used(slot) &&
	    (slot->grace_direct || is_at_work(slot->board, slot->grace_batch)))
		return;
	slot->grace_batch = batch;
	slot->grace_direct = direct;
	timer_set(&core->timers, &slot->grace, core->now + grace);
}

void withdraw_running(struct slot *slot, struct batch *batch)
{
	/* The call has been answered, or its client has gone: also an answer to which the method is committed reaches nobody. */
	if (!board_move(slot->board, batch->id, BOARD_STARTED, BOARD_CANCELLED) &&
	    !board_move(slot->board, batch->id, BOARD_COMMITTED, BOARD_CANCELLED) &&
	    board_state(slot->board, batch->id) != BOARD_CANCELLED)
		return;
	if (!slot->nested.direct && slot->nested.batch == batch->id)
		withdraw_nested(slot);
	yield_cancel(batch);
	withdraw_set_grace(slot, batch->id, 0);
}

/* To cancel a batch may cancel calls that its method has made. This ends no other batch of this call. */
static void cancel_begun(struct call *call)
{
	struct batch *batch;

	TAILQ_FOREACH(batch, &call->parts, of_call)
		if (slot_has_in_hand(batch) && is_last_of_call(batch))
			withdraw_running(batch->slot, batch);
}

static void withdraw_all(struct call *call)
{
	struct batch *batch, *next;
	bool begun = false;

	if (call_is_single(call)) {
		if (call->batches > 0 && !drop(&call->only))
			withdraw_running(call->only.slot, &call->only);
		return;
	}
	for (batch = TAILQ_FIRST(&call->parts); batch; batch = next) {
		next = TAILQ_NEXT(batch, of_call);
		begun = !drop(batch) || begun;
	}
	if (begun)
		cancel_begun(call);
}

void withdraw_batches(struct call *call)
{
	if (!call->sticky || call->pool->leaving) { /* a sticky call runs also when nobody waits for it */
		pool_wake(call->pool); /* a slot may have room now, or may have nothing to do before it ends */
		withdraw_all(call);
	}
	call_linger(call);
}
