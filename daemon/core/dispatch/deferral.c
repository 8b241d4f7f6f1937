/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/dispatch/deferral.h"

#include "daemon/core/records/pool.h"
#include "daemon/core/dispatch/to_worker.h"

#include <errno.h>

int deferral_name(struct slot *slot, struct batch *batch, uint64_t tag)
{
	return idmap_add(&slot->by_tag, tag, batch);
}

void deferral_add(struct slot *slot, struct batch *batch, uint64_t tag, bool at_work)
{
	batch->tag = tag;
	batch->at_work = at_work;
	slot->at_work += at_work;
	batch->slot = slot;
	batch->call->put_off = true;
	TAILQ_INSERT_TAIL(&slot->deferred, batch, link);
	slot_relist(slot); /* max_calls doesn't count while the instance owes deferred answers */
	pool_wake(slot->pool);
}

void deferral_remove(struct slot *slot, struct batch *batch)
{
	TAILQ_REMOVE(&slot->deferred, batch, link);
	(void)idmap_remove(&slot->by_tag, batch->tag);
	batch->tag = 0;
	slot->at_work -= batch->at_work;
	slot_relist(slot); /* it owes no deferred answers any more: max_calls may be reached */
	pool_wake(slot->pool);
}

/* Takes the batch out of the slot, and tells the worker, if there is one, that nobody waits for it. */
static void forget(struct slot *slot, struct batch *batch)
{
	if (slot->state == SLOT_READY)
		to_worker_gone(slot, batch->tag);
	deferral_remove(slot, batch);
}

/* Notes in the ledger that the task is given up. False: the worker has answered it, and the answer is on its way; or the
 * worker has overwritten the ledger, and is killed. */
static bool take(struct slot *slot, const struct batch *batch)
{
	if (ledger_move(slot->board, batch->tag, LEDGER_DEFERRED, LEDGER_CANCELLED))
		return true;
	if (!ledger_is(slot->board, batch->tag, LEDGER_ANSWERED) && slot->state == SLOT_READY && !slot->killed)
		slot_kill(slot, "it has overwritten what tells of its deferred calls");
	return false;
}

void deferral_give_up(struct slot *slot, struct batch *batch)
{
	if (!take(slot, batch))
		return;
	forget(slot, batch);
	batch_end(batch);
}

/* The slot may be freed before the call is told. */
static void leave(struct batch *batch)
{
	batch_end_yield(batch);
	batch->slot = NULL;
}

void deferral_take(struct slot *slot, bool at_work, struct batch_list *taken)
{
	struct batch *batch, *next;

	TAILQ_INIT(taken);
	for (batch = TAILQ_FIRST(&slot->deferred); batch; batch = next) {
		next = TAILQ_NEXT(batch, link);
		if (batch->at_work != at_work || !take(slot, batch))
			continue;
		forget(slot, batch);
		leave(batch);
		TAILQ_INSERT_TAIL(taken, batch, link);
	}
}

uint32_t deferral_on_gone(struct slot *slot, struct batch_list *taken)
{
	struct batch *batch;

	TAILQ_INIT(taken);
	TAILQ_CONCAT(taken, &slot->deferred, link);
	TAILQ_FOREACH(batch, taken, link) {
		batch->tag = 0;
		leave(batch);
	}
	slot->at_work = 0;
	const uint32_t count = slot->by_tag.count;
	idmap_free(&slot->by_tag);
	return count;
}
