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
	REVOKED_RUNNING, /* a task has begun */
	REVOKED_TOO_LATE /* the method has committed itself to its answer (objpool_commit), which is on its way */
};

/* The caller gives the call up, and is about to be answered: revokes the batches that no worker has begun. A call of one task
 * that runs is cancelled. */
enum revoked withdraw_unless_begun(struct call *call);

/* The call has been answered: drops its batches that wait, takes back the batches that no worker has begun, and cancels the
 * others. */
void withdraw_batches(struct call *call);

/* Takes the tasks that the worker has not begun out of a batch in its hands, as a batch of their own. NULL: there are none, or
 * there is no memory. */
struct batch *withdraw_rest(struct slot *slot, struct batch *batch);

/* Tells the method that runs that nobody waits for it any more. If it goes on for longer than the pool's cancel_grace, its
 * worker is killed. */
void withdraw_running(struct slot *slot, struct batch *batch);

/* Makes the error for a nested call that was made for a call which has been given up. */
void withdraw_say_in_vain(struct error *error, enum ran ran);

#endif
