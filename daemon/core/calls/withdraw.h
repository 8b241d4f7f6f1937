/* SPDX-License-Identifier: Apache-2.0 */
/*
 * withdraw: a call's tasks are wanted no more: what waits is dropped, what a worker has and has not begun is taken back, what runs is
 * cancelled, what is deferred is given up.
 */
#ifndef CORE_WITHDRAW_H
#define CORE_WITHDRAW_H

#include "daemon/core/records/call.h"

/* What came of it: nothing has begun; some has; or the call's answer is on its way, for the method has committed itself to it
 * (objpool_commit). */
enum revoked { REVOKED, REVOKED_RUNNING, REVOKED_TOO_LATE };

/* The caller gives the call up, and is about to be answered: revokes what no worker has begun, and cancels what runs if it is one
 * task. */
enum revoked withdraw_unless_begun(struct call *call);

/* The call has been answered: drops its batches that wait, takes back those that no worker has begun, and tells the workers of the
 * others. */
void withdraw_batches(struct call *call);

/* Takes back the tasks that the worker has not begun of a batch that it has. NULL: there are none, or no memory. */
struct batch *withdraw_rest(struct slot *slot, struct batch *batch);

/* Tells the method that runs the batch that nobody waits for it. The kill follows if the pool wants it. */
void withdraw_running(struct slot *slot, struct batch *batch);

/* Makes the error of a nested call whose caller's own caller has gone. */
void withdraw_say_in_vain(struct error *error, enum ran ran);

#endif
