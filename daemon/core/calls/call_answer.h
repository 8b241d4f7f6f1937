/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call_answer: the results of a call's tasks come in, and the call is answered: with all values, with a failure, or because it
 * is given up. Here batches are queued, too: when a result has come, the next items of a map may be queued.
 */
#ifndef CORE_CALL_ANSWER_H
#define CORE_CALL_ANSWER_H

#include "daemon/core/records/call.h"

/* A worker has answered the next `count` tasks of the batch: `values` has the packed values one behind the other.
 * call_on_failure: task `index` of the call has failed; it is the next one of the batch. */
void call_on_values(struct batch *batch, uint32_t count, struct span values, struct block *block);
void call_on_failure(struct batch *batch, uint64_t index, struct error *error);

/* The running task tells how far it is: `values` has done, total or nil, and text or nil. Passes it on if the caller wants
 * progress. */
void call_on_progress(const struct call *call, struct span values);

/* Nothing more comes for the call's input because of `error`: counts one more item, which has failed with that error. */
void call_on_input_failed(struct call *call, struct error *error);

/* Fails the call as a whole: answers it now and withdraws its tasks. If `cause` says that the call has not run, but a task of
 * it may have, the answer says "maybe". */
void call_fail(struct call *call, const struct error *cause);
void call_fail_for_memory(struct call *call);

/* Fails the call by the daemon's own decision: its tasks that no worker has begun never run. Sets cause->ran, which tells whether
 * a task may have run, and cause->pool. Also a call whose method has committed itself fails. */
void call_fail_withdrawn(struct call *call, struct error *cause);

/* The same when the caller gives the call up, or its time is over. But if the method has committed itself to its answer, the call
 * goes on, and its caller gets that answer. */
void call_give_up(struct call *call, struct error *cause);

/* The call's client has gone: withdraws its tasks. */
void call_abandon(struct call *call);

/* For a batch that is in no queue and in no slot's hands: fails each of its tasks that has no answer yet, and ends the batch. */
void batch_fail(struct batch *batch, const struct error *cause);

/* A worker has died with tasks of the call. True: the tasks are to run again (the call is idempotent); counts that. */
bool call_rerun(struct call *call);

/* Queues a new batch, or hands it out at once. A batch that is addressed to a slot without an instance fails. 0 or -ENOMEM. */
int call_queue(struct batch *batch);

/* Queues the items that may be queued now, and gives the client credit for more. Answers the call if it has all its results. */
void call_go_on(struct call *call);

#endif
