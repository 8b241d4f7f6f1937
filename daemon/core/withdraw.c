/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/withdraw.h"

#include "daemon/core/deferral.h"
#include "daemon/core/pool.h"
#include "daemon/core/queue.h"
#include "daemon/core/scheduler.h"
#include "daemon/core/slot.h"

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

enum revoked withdraw_unless_begun(struct call *call)
{
	if (call->reruns > 0 || call->put_off || call->sticky)
		return REVOKED_RUNNING; /* or will run */
	return call_gathers(call) ? revoke_all(call) : revoke_one(&call->only);
}

/* ---- once it is answered ---- */

/* Of those that the worker has begun, only the last can still run. */
static bool is_last_of_call(const struct batch *batch)
{
	for (const struct batch *next = TAILQ_NEXT(batch, link); next; next = TAILQ_NEXT(next, link))
		if (next->call == batch->call)
			return false;
	return true;
}

/* False: the worker has begun it. */
static bool drop(struct batch *batch)
{
	if (batch->tag) {
		deferral_give_up(batch->slot, batch);
		return true;
	}
	if (slot_has_in_hand(batch)) {
		if (!board_revoke(batch->slot->board, batch->id))
			return false;
		scheduler_release(batch);
	} else if (batch->flow) {
		queue_remove(batch);
	} else {
		return true; /* on its way to where it is dropped */
	}
	batch_end(batch);
	return true;
}

/* To cancel one may cancel calls that its method has made, but none of this call. */
static void cancel_begun(struct call *call)
{
	struct batch *batch;

	TAILQ_FOREACH(batch, &call->parts, of_call)
	if (slot_has_in_hand(batch) && is_last_of_call(batch))
		slot_cancel(batch->slot, batch);
}

void withdraw_batches(struct call *call)
{
	struct pool *pool = call->pool;
	struct batch *batch, *next;
	bool begun = false;

	if (call->sticky && !pool->leaving)
		return;  /* it runs all the same */
	pool_wake(pool); /* a slot may have room now, or nothing left to stay for */
	if (!call_gathers(call)) {
		if (call->batches > 0 && !drop(&call->only))
			slot_cancel(call->only.slot, &call->only);
		return;
	}
	for (batch = TAILQ_FIRST(&call->parts); batch; batch = next) {
		next = TAILQ_NEXT(batch, of_call);
		begun = !drop(batch) || begun;
	}
	if (begun)
		cancel_begun(call);
}
