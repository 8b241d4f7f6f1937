/* SPDX-License-Identifier: Apache-2.0 */
/*
 * withdraw: nobody wants a call's tasks any more. Tasks that wait are dropped. Tasks that a worker has and has not begun are
 * taken back. Tasks that run are cancelled. Deferred tasks are given up.
 */
#ifndef CORE_WITHDRAW_H
#define CORE_WITHDRAW_H

#include "daemon/core/records/call.h"

enum revoked {
	REVOKED,         /* no task has begun, and none will */
	REVOKED_RUNNING, /* a task has begun, or may have */
	REVOKED_TOO_LATE /* the method has committed itself to its answer (objpool_commit), which is on its way */
};

/* The call is given up, and is about to fail: revokes the batches that no worker has begun. If it has one task, which runs,
 * cancels the task. What is returned decides the error's `ran`: "no" if REVOKED, else "maybe". REVOKED_TOO_LATE: a caller that
 * gives its own call up is not answered now, but gets the answer that comes. */
enum revoked withdraw_or_cancel(struct call *call);

/* The call has been answered: drops its batches that wait, takes back the batches that no worker has begun, and cancels the
 * others. */
void withdraw_batches(struct call *call);

/* Takes the tasks that the worker has not begun out of a batch in its hands, as a batch of their own. NULL: there are none, or
 * there is no memory. */
struct batch *withdraw_rest(struct slot *slot, struct batch *batch);

/* Tells the method that runs that nobody waits for it any more. If it goes on for longer than the pool's cancel_grace, its
 * worker is killed. */
void withdraw_running(struct slot *slot, struct batch *batch);

/* The steps of that which messages of direct channels need, too: cancels the nested call that the slot's method waits for, if it
 * waits for one; sets the timer of cancel_grace for the batch of that id, or (not 0) for the direct message of that word. */
void withdraw_nested(const struct slot *slot);
void withdraw_set_grace(struct slot *slot, uint32_t batch, uint64_t direct);

/* A task that was put off is given up. It may be this task that runs in the class's `ready` now, or that runs there before the
 * worker hears of that: then it has cancel_grace to end. */
void withdraw_limit_step(struct slot *slot);

/* Has what was cancelled, and for which the timer was set, not ended? */
bool withdraw_grace_is_used(const struct slot *slot);

/* Makes the error for a nested call that was made for a call which has been given up. */
void withdraw_say_in_vain(struct error *error, enum ran ran);

#endif
