/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call_answer: what comes of a call's tasks, and when it is answered: with all their values, with a failure, or because it is given
 * up. Also the way of its batches into the queue, for the next one may be queued when an answer has come.
 */
#ifndef CORE_CALL_ANSWER_H
#define CORE_CALL_ANSWER_H

#include "daemon/core/records/call.h"

/* Answers from a worker for the tasks of a handed batch, in order. `values` are `count` packed values. */
void call_on_values(struct batch *batch, uint32_t count, struct span values, struct block *block);
void call_on_failure(struct batch *batch, uint64_t index, struct error *error);

/* The running task tells how far it is: [done, total or nil, text or nil]. */
void call_on_progress(const struct call *call, struct span values);

/* Nothing more comes for the call's input because of `error`: counts one more item, which has failed with it. */
void call_on_input_failed(struct call *call, struct error *error);

/* Fails the call as a whole: answers now, lets go of its tasks. Where `cause` says that it has not run, and a task of it may have, the
 * answer says "maybe". */
void call_fail(struct call *call, const struct error *cause);
void call_fail_for_memory(struct call *call);

/* Its client has gone: lets go of its tasks. */
void call_abandon(struct call *call);

/* For a batch that is in no queue and in no slot's hands: fails each of its tasks that has no answer yet, and ends it. */
void batch_fail(struct batch *batch, const struct error *cause);

/* May its tasks be run again, after their worker died? Counts. */
bool call_rerun(struct call *call);

/* Queues a new batch, or hands it out at once; or fails it, if it is addressed to a slot that has no instance. 0 or -ENOMEM. */
int call_queue(struct batch *batch);

/* Queues the items that may be queued now, and gives credit for more. Answers the call if it has got all its results. */
void call_go_on(struct call *call);

#endif
