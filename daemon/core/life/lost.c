/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/life/lost.h"

#include "daemon/core/calls/call_answer.h"
#include "daemon/core/dispatch/deferral.h"
#include "daemon/core/calls/failing.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/records/queue.h"
#include "daemon/core/calls/recall.h"
#include "daemon/core/records/slot.h"

#include <stdio.h>
#include <sys/wait.h>

enum { RETURNS_MAX = 3 }; /* how often a batch comes back: a batch that kills its worker must not kill one after the other */

/* ---- with a worker that died ---- */

void lost_say_why(const struct slot *slot, int status, enum ran ran, struct error *error)
{
	const char *did = ran == RAN_NO ? "has not run" : "may have run";
	char how[200];

	slot_describe_end(slot, status, how, sizeof how);
	error_say(error, ERROR_WORKER_LOST, ran, "pool %s slot %u: the worker was %s%s; the call %s", slot->pool->name,
		  slot->index, WIFSIGNALED(status) ? "" : "lost: it ", how, did);
	slot_fill_place(slot, error);
	if (WIFSIGNALED(status))
		error->signal = WTERMSIG(status);
	else
		error->exit_status = WEXITSTATUS(status);
}

/* Fails the batch's next task that has no answer. */
static void lose_task(struct slot *slot, struct batch *batch, int status, enum ran ran)
{
	struct error error;
	lost_say_why(slot, status, ran, &error);
	slot->lost++;
	slot->pool->counts.lost++;
	call_on_failure(batch, batch->first + batch->done, &error);
}

/* Have so many workers died when this batch was next that it may be the cause? It may be too large to be read. */
static bool is_poison(const struct batch *batch)
{
	return batch->returned > RETURNS_MAX;
}

/*
 * A batch of the dead worker. Tasks that the worker had begun are lost, unless they may be run again. Tasks that it had not
 * begun go back to the front of their queue.
 */
static void lose_batch(struct slot *slot, struct batch *batch, int status)
{
	const bool started = board_state(slot->board, batch->id) != BOARD_HANDED;
	uint32_t begun = started ? board_begun(slot->board, batch->id) : 0;

	if (begun > batch->count)
		begun = batch->count; /* the worker wrote this number: it may be nonsense */
	if (started && batch->call->columns == 0)
		begun = 1;
	if (begun == 0 && batch == TAILQ_FIRST(&slot->handed))
		batch->returned++;
	slot_release(batch);
	const bool again = begun > batch->done && !batch->call->sticky && call_rerun(batch->call); /* a sticky call is replayed */
	while (!again && batch->done < begun && !batch->call->answered)
		lose_task(slot, batch, status, RAN_MAYBE); /* it may have refused the task, and died before it said so */
	while (is_poison(batch) && batch->done < batch->count && !batch->call->answered)
		lose_task(slot, batch, status, RAN_NO);
	const bool over = batch->call->sticky ? begun > 0 : batch->call->answered;
	if (batch->done >= batch->count || over) {
		batch_end(batch);
		return;
	}
	batch_drop_done(batch);
	recall_put_back(batch);
}

void lost_with_worker(struct slot *slot, int status)
{
	struct batch *batch;

	struct batch_list deferred;
	struct error error;

	const uint32_t count = deferral_on_gone(slot, &deferred);
	slot->lost += count;
	slot->pool->counts.lost += count;
	lost_say_why(slot, status, RAN_MAYBE, &error);
	failing_add(slot->pool, &deferred, &error);
	/* From the last to the first, as each goes to the front of the queue. */
	while ((batch = TAILQ_LAST(&slot->handed, batch_list)))
		lose_batch(slot, batch, status);
}

/* ---- with an instance that ends ---- */

static void fail_put_off(const struct slot *slot, struct batch_list *batches, enum ran ran)
{
	struct error error;

	error_say(&error, ERROR_UNAVAILABLE, ran, "pool %s slot %u: the instance ends, and %s", slot->pool->name, slot->index,
		  ran == RAN_NO ? "the call has waited in it" : "had put off its answer");
	slot_fill_place(slot, &error);
	failing_add(slot->pool, batches, &error);
}

void lost_waiters(struct slot *slot)
{
	struct batch_list taken, begun;
	struct batch *batch, *next;

	TAILQ_INIT(&begun);
	deferral_take(slot, false, &taken);
	for (batch = TAILQ_FIRST(&taken); batch; batch = next) {
		next = TAILQ_NEXT(batch, link);
		if (!call_takes_yields(batch->call)) /* values that it has yielded may be on their way */
			continue;
		TAILQ_REMOVE(&taken, batch, link);
		TAILQ_INSERT_TAIL(&begun, batch, link);
	}
	fail_put_off(slot, &taken, RAN_NO);
	fail_put_off(slot, &begun, RAN_MAYBE);
}

void lost_deferred(struct slot *slot)
{
	struct batch_list taken;

	lost_waiters(slot);
	deferral_take(slot, true, &taken);
	fail_put_off(slot, &taken, RAN_MAYBE);
}

/* ---- what waits in vain ---- */

static void fail_waiting(struct queue *queue, const struct error *cause)
{
	struct batch *batch;

	while ((batch = queue_any(queue))) {
		queue_remove(batch);
		batch_fail(batch, cause);
	}
}

void lost_by_unavailable(struct pool *pool)
{
	struct error error;

	if (pool_is_available(pool))
		return;
	pool_say_unavailable(pool, &error);
	fail_waiting(&pool->queue, &error);
	fail_waiting(&pool->later, &error);
}

void lost_by_broken(struct slot *slot)
{
	struct error error;

	slot_say_unavailable(slot, &error);
	fail_waiting(&slot->queue, &error);
	lost_by_unavailable(slot->pool);
}

void lost_by_removal(struct slot *slot)
{
	struct error error;

	error_say(&error, ERROR_NO_SUCH_SLOT, RAN_NO, "slot %u of pool %s has been removed", slot->index, slot->pool->name);
	slot_fill_place(slot, &error);
	fail_waiting(&slot->queue, &error);
}
